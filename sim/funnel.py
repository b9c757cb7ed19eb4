"""What people do with an item they look at: the funnel as data, its probabilities, and its draws.

Every reaction (an action's log-odds, the log of a stay, the logit of enjoyment) is linear in the same
drivers, so one `Response` serves them all. Probabilities are functions apart from the draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.bounds import Moderate, Rate, Share, Spread, Weight, check
from sim.catalogue import FORBID_EXTRA, Catalogue
from sim.clock import DAY, HOUR
from sim.people import People, match
from sim.records import Bools, Floats, Ints

F32 = NDArray[np.float32]
Driver = Literal["match", "appeal", "quality", "price", "spender", "intent"]
Drivers = Mapping[Driver, Weight]
SHOWN = "shown"
# Names of other columns of the log, of totals and of luck.
RESERVED = frozenset(
    "shown request market arm day time user visit visits page slot item pool price score propensity impressions "
    "stay stay_ms value value_cents users satisfaction examined explore examine pages intent gap".split()
)


@dataclass(frozen=True, slots=True)
class Delay:
    """Time from a click to the action it leads to: a mixture of two exponentials (Chapelle, KDD 2014).

    short_share: share of the quick ones.
    short_mean_hours, long_mean_days: mean delays of the quick and the slow.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    short_share: Share
    short_mean_hours: Moderate
    long_mean_days: Moderate

    def __post_init__(self) -> None:
        check(self)

    def draw(self, which: Floats, size: Floats) -> Ints:
        """Whole seconds, from two independent uniforms of shape (n,)."""
        mean = np.where(which < self.short_share, self.short_mean_hours * HOUR, self.long_mean_days * DAY)
        return np.floor(-np.log(size) * mean).astype(np.int64)

    def landed_probability(self, seconds: Floats | Ints) -> Floats:
        """P(the action lands in fewer than so many seconds); 0 for a time already past."""
        within = np.maximum(seconds, 0)
        short = -np.expm1(-within / (self.short_mean_hours * HOUR))
        long = -np.expm1(-within / (self.long_mean_days * DAY))
        return self.short_share * short + (1 - self.short_share) * long


@dataclass(frozen=True, slots=True)
class Action:
    """One step of the funnel.

    parent: the action that must come before; `shown` for the first.
    rate: per parent event under the shop's history ranking; the intercept is solved for.
    drivers: log-odds per unit of each driver. Price counts times the person's sensitivity.
    lifted_by: log-odds added if another action on the same item happened; it must have the same parent.
    delay: time until it lands; none means at once.
    units: if it earns money, P(1 unit), P(2 units), ... of the item at its price.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    parent: str
    rate: Rate
    drivers: Drivers = field(default_factory=dict)
    lifted_by: Mapping[str, Weight] = field(default_factory=dict)
    delay: Delay | None = None
    units: tuple[Share, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if self.units and abs(sum(self.units) - 1) > 1e-9:
            raise ValueError(
                f"units must be probabilities that sum to 1, got {list(self.units)}, sum {sum(self.units)}"
            )
        if self.units and self.delay is None:
            raise ValueError("units need a delay: money is booked when the action lands; give delay or drop units")

    def mean_units(self) -> float:
        return float(sum((n + 1) * p for n, p in enumerate(self.units)))


@dataclass(frozen=True, slots=True)
class Stay:
    """Seconds spent on an item after a click: log-normal around a driven median.

    median_seconds: over clicks under the shop's history ranking.
    log_sd: of what the drivers do not explain.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    median_seconds: Moderate
    log_sd: Spread
    drivers: Drivers = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class FunnelSpec:
    """Actions by name, in the order in which they are taken, and the stay after a click."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    actions: Mapping[str, Action]
    stay: Stay

    def __post_init__(self) -> None:
        names = list(self.actions)
        if not names or names[0] != "click" or self.actions["click"].parent != SHOWN:
            raise ValueError(f"actions must begin with click, whose parent is shown, got {names}")
        taken = sorted(set(names) & RESERVED)
        if taken:
            raise ValueError(f"actions must not have the names of columns, got {', '.join(taken)}; rename them")
        for position, (name, action) in enumerate(self.actions.items()):
            if name != "click" and action.parent not in names[:position]:
                raise ValueError(f"actions.{name}.parent must be an action above it, got {action.parent!r}")
            if name != "click" and self.actions[action.parent].delay:
                raise ValueError(f"actions.{name}.parent must act at once, got {action.parent!r}, which has a delay")
            for lifter in action.lifted_by:
                self._check_lifter(name, lifter, names[:position])

    def _check_lifter(self, name: str, lifter: str, above: list[str]) -> None:
        if lifter not in above:
            raise ValueError(f"actions.{name}.lifted_by must name actions above it, got {lifter!r}")
        other = self.actions[lifter]
        if other.parent != self.actions[name].parent or other.lifted_by or other.delay:
            # Else P(action) would not have the closed form of `Funnel.probability`.
            raise ValueError(
                f"actions.{name}.lifted_by.{lifter}: {lifter} must share the parent of {name}, act at once "
                f"and not be lifted itself, got parent {other.parent!r}"
            )


@dataclass(frozen=True, slots=True)
class Encounter:
    """People facing items, with the drivers that belong to the pair; all shapes broadcast together."""

    user: Ints
    item: Ints
    match: F32
    price: F32
    intent: F32

    def at(self, where: Bools | Ints) -> Encounter:
        """Encounters picked from a flat struct."""
        return Encounter(self.user[where], self.item[where], self.match[where], self.price[where], self.intent[where])


def encounter(people: People, catalogue: Catalogue, user: Ints, item: Ints, intent: F32) -> Encounter:
    """Let users (rows of people) meet items; shapes broadcast, such as (pages, 1) and (pages, slots)."""
    suits = match(people.taste[user], catalogue.topic[item])
    return Encounter(user, item, suits, people.price_sensitivity[user] * catalogue.price_z[item], intent)


@dataclass(frozen=True, slots=True)
class Response:
    """A linear predictor, split so that what belongs to one side is computed once per world."""

    by_user: F32
    by_item: F32
    match: np.float32
    price: np.float32
    intent: np.float32

    def __call__(self, met: Encounter) -> F32:
        value = self.by_user[met.user] + self.by_item[met.item] + self.match * met.match + self.price * met.price
        return value + self.intent * met.intent if self.intent else value

    def shifted(self, intercept: float) -> Response:
        return Response(self.by_user, self.by_item + np.float32(intercept), self.match, self.price, self.intent)


def response(drivers: Drivers, people: People, catalogue: Catalogue, shift: F32 | None = None) -> Response:
    """Build a predictor from driver weights; `shift` (n_users,) adds a personal term."""
    w = {name: np.float32(drivers.get(name, 0.0)) for name in ("match", "price", "intent", "appeal", "quality")}
    by_user = np.float32(drivers.get("spender", 0.0)) * people.spender
    by_item = w["appeal"] * catalogue.appeal + w["quality"] * catalogue.quality
    return Response(by_user if shift is None else by_user + shift, by_item, w["match"], w["price"], w["intent"])


def logistic(x: F32) -> F32:
    """1 / (1 + exp(-x)); log-odds below -80 count as -80, where float32 would overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(np.minimum(-x, np.float32(80))))


@dataclass(frozen=True, slots=True)
class Funnel:
    """The funnel of a world with its intercepts solved.

    log_odds: by action. stay: mean of log seconds. enjoyment: logit of the satisfaction of one click.
    """

    spec: FunnelSpec
    log_odds: Mapping[str, Response]
    stay: Response
    enjoyment: Response

    def attraction(self, met: Encounter) -> F32:
        """P(click | examined)."""
        return logistic(self.log_odds["click"](met))

    def probability(self, action: str, met: Encounter) -> Floats:
        """P(action | its parent happened), over the actions that may lift it."""
        base = self.log_odds[action](met)
        lifted_by = self.spec.actions[action].lifted_by
        chances = {other: logistic(self.log_odds[other](met)).astype(np.float64) for other in lifted_by}
        total = np.zeros(base.shape)
        for happened in product((False, True), repeat=len(lifted_by)):
            weight = np.ones(base.shape)
            lift = np.float32(0)
            for yes, (other, gain) in zip(happened, lifted_by.items(), strict=True):
                weight = weight * (chances[other] if yes else 1 - chances[other])
                lift = lift + np.float32(gain if yes else 0)
            total += weight * logistic(base + lift)
        return total

    def probability_after_click(self, action: str, met: Encounter) -> Floats:
        """P(action | click): the chain of parents multiplied up to the click."""
        chance = np.ones(met.match.shape)
        while action != "click":
            chance = chance * self.probability(action, met)
            action = self.spec.actions[action].parent
        return chance

    def mean_stay(self, met: Encounter) -> Floats:
        """Expected seconds on the item given a click."""
        return np.exp(self.stay(met).astype(np.float64) + 0.5 * self.spec.stay.log_sd**2)

    def draw_stay(self, met: Encounter, keys: draws.Keys) -> Ints:
        """Milliseconds, shape of the clicks."""
        z = draws.normal(draws.fold(keys, STAY))
        return np.rint(1000 * np.exp(self.stay(met) + self.spec.stay.log_sd * z)).astype(np.int64)

    def draw_actions(self, met: Encounter, keys: draws.Keys) -> dict[str, Bools]:
        """What follows the clicks in `met` (n,), one key each; luck differs by action, not by what went before."""
        happened: dict[str, Bools] = {"click": np.ones(len(met.item), dtype=bool)}
        for name, action in self.spec.actions.items():
            if name == "click":
                continue
            log_odds: F32 = self.log_odds[name](met)
            for other, gain in action.lifted_by.items():
                log_odds = (log_odds + np.float32(gain) * happened[other]).astype(np.float32, copy=False)
            luck = draws.uniform(draws.fold(keys, draws.purpose(name)))
            happened[name] = happened[action.parent] & (luck < logistic(log_odds))
        return happened


STAY = draws.purpose("stay")
