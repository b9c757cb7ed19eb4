"""Users: taste, habits and means in truth, and what of it the shop can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from sim import draws
from sim.bounds import Count, Moderate, NonNegative, Share, Spread, Weight, check
from sim.catalogue import FORBID_EXTRA, Catalogue, CatalogueSpec, _unit, category_directions
from sim.kernels import row_sums
from sim.records import Floats, Ints, Users


@dataclass(frozen=True, slots=True)
class Style:
    """One way to express liking: some collect, some cart, some only come back.

    share: of the population, in proportion to the shares of the other styles.
    shifts: log-odds added to an action, by its name.
    loyalty: how strongly satisfaction brings this person back; 1 is the population's strength.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    share: Moderate = 1.0
    shifts: Mapping[str, Weight] = field(default_factory=dict)
    loyalty: Spread = 1.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class PeopleSpec:
    """How users are drawn.

    segments: number of segments; each likes two neighbouring categories.
    concentration: how close tastes lie to their segment's; 0, segments say nothing.
    segment_accuracy: share of users whose public segment is the true one.
    price_sensitivity_sd: sd of log sensitivity; its median is 1.
    price_band_noise: sd of the noise in the public price band, in sd of log sensitivity.
    spender_sd: sd of a person's readiness to buy, in log-odds.
    heavy_share, heavy_units: share of people who buy `heavy_units` times as many units; a fault that real tests have.
    patience_sd: sd over people of the log of pages they want to see.
    habit_days: median over people of the days between visits.
    habit_sd: sd over people of its log.
    styles: ways to express liking.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    segments: Count = 8
    concentration: NonNegative = 1.5
    segment_accuracy: Share = 0.9
    price_sensitivity_sd: Spread = 0.5
    price_band_noise: Spread = 0.7
    spender_sd: Spread = 0.8
    heavy_share: Share = 0.0
    heavy_units: Annotated[int, Ge(1), Le(10_000)] = 1
    patience_sd: Spread = 0.5
    habit_days: Annotated[float, Gt(0), Le(3650)] = 4.0
    habit_sd: Spread = 0.7
    styles: Mapping[str, Style] = field(default_factory=lambda: {"plain": Style()})

    def __post_init__(self) -> None:
        check(self)
        if not self.styles:
            raise ValueError("styles must hold at least one style, got none; try {plain: {share: 1}}")


@dataclass(frozen=True, slots=True)
class People:
    """The users of one simulation; row i is the user with id `user[i]`.

    taste: shape (n, d), unit length.
    price_sensitivity: shape (n,), median 1. Multiplies the effect of price.
    spender: shape (n,). Log-odds added to buying.
    skill: shape (n,), standard normal. What the other side of the market values in a person.
    units: shape (n,). How many times the usual units a person buys.
    patience: shape (n,). Added to the log of the pages wanted.
    habit: shape (n,). Median days between visits.
    loyalty: shape (n,). Multiplies the effect of satisfaction on coming back.
    style_shift: by action, shape (n,). Log-odds added to it.
    public: what the shop sees.
    """

    user: Ints
    taste: NDArray[np.float32]
    price_sensitivity: NDArray[np.float32]
    spender: NDArray[np.float32]
    skill: NDArray[np.float32]
    units: Ints
    patience: Floats
    habit: Floats
    loyalty: Floats
    style_shift: Mapping[str, NDArray[np.float32]]
    public: Users

    def __len__(self) -> int:
        return len(self.user)


def draw_people(spec: PeopleSpec, catalogue: CatalogueSpec, seed: int, user: Ints, name: str = "user") -> People:
    """Draw the users with these ids; each is the same whoever else is drawn."""

    def u(trait: str) -> Floats:
        return draws.uniform(draws.fold(draws.root(seed, f"{name} {trait}"), user))

    def z(trait: str) -> Floats:
        return draws.normal(draws.fold(draws.root(seed, f"{name} {trait}"), user))

    segment = (u("segment") * spec.segments).astype(np.int64)
    own = _unit(np.stack([z(f"taste {d}") for d in range(catalogue.dimensions)], axis=1))
    taste = _unit(spec.concentration * segment_tastes(spec, catalogue, seed)[segment] + own)
    elsewhere = (segment + 1 + (u("elsewhere") * (spec.segments - 1)).astype(np.int64)) % spec.segments
    public_segment = np.where(u("accuracy") < spec.segment_accuracy, segment, elsewhere)
    caution = z("price sensitivity")
    reading = (caution + spec.price_band_noise * z("price band")) / np.sqrt(1 + spec.price_band_noise**2)
    style = _pick(spec.styles, u("style"))
    f32 = np.float32
    return People(
        user=user,
        taste=taste.astype(f32),
        price_sensitivity=np.exp(spec.price_sensitivity_sd * caution).astype(f32),
        spender=(spec.spender_sd * z("spender")).astype(f32),
        skill=z("skill").astype(f32),
        units=np.where(u("heavy") < spec.heavy_share, spec.heavy_units, 1),
        patience=spec.patience_sd * z("patience"),
        habit=spec.habit_days * np.exp(spec.habit_sd * z("habit")),
        loyalty=np.array([s.loyalty for s in spec.styles.values()])[style],
        style_shift=_shifts(spec.styles, style),
        public=Users(user, public_segment, np.digitize(reading, (-0.43, 0.43)).astype(np.int64)),  # thirds
    )


def segment_tastes(spec: PeopleSpec, catalogue: CatalogueSpec, seed: int) -> Floats:
    """What the typical member of each segment likes: two categories; shape (n_segments, d)."""
    directions = category_directions(catalogue, seed)
    first = 2 * np.arange(spec.segments) % catalogue.categories
    return _unit(directions[first] + directions[(first + 1) % catalogue.categories])


def match(taste: NDArray[np.float32], topic: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well items suit people: inner product over the last axis, of unit variance for strangers."""
    # Products summed along a short contiguous axis: no BLAS, so a row's bits depend on that row alone.
    return row_sums(taste * topic) * np.float32(np.sqrt(taste.shape[-1]))


def expected_match(people: PeopleSpec, spec: CatalogueSpec, catalogue: Catalogue, seed: int) -> Floats:
    """Match of every item with the typical member of every segment, shape (n_items, n_segments)."""
    return (catalogue.topic @ segment_tastes(people, spec, seed).T) * np.sqrt(spec.dimensions)


def _pick(styles: Mapping[str, Style], u: Floats) -> Ints:
    shares = np.array([s.share for s in styles.values()])
    return np.searchsorted(np.cumsum(shares / shares.sum())[:-1], u, side="right").astype(np.int64)


def _shifts(styles: Mapping[str, Style], style: Ints) -> dict[str, NDArray[np.float32]]:
    actions = sorted({action for s in styles.values() for action in s.shifts})
    return {a: np.array([s.shifts.get(a, 0.0) for s in styles.values()], dtype=np.float32)[style] for a in actions}
