"""Slates by hand: a Plackett-Luce ranker, chances of clicks that are known, and one click model or another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.offpolicy.slates import Slates
from sim.attention import AbstractAttention, AbstractGlance, AbstractReading
from sim.records import Floats, Ints

CURVE = (1.0, 0.8, 0.5, 0.3)


@dataclass(frozen=True)
class Made:
    """slates, and the truth: attraction (R, C), and content, P(satisfied | clicked), of every pair."""

    slates: Slates
    attraction: Floats
    content: float


def made(
    attention: AbstractAttention,
    n: int = 3000,
    *,
    candidates: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    spread: float = 0.8,
    content: float = 0.7,
    personal: float = 0.0,
    per_user: int = 1,
) -> Made:
    """Requests of one page whose items differ by themselves and by the user; scores know both, with an error.

    personal: sd of what users differ in how much they click at all, which no feature tells.
    """
    rng = np.random.default_rng(seed)
    user = np.arange(n) // per_user
    item = np.argsort(rng.random((n, 20)), axis=1)[:, :candidates]
    own, pair = rng.normal(size=20)[item], rng.normal(size=(n, candidates))
    mood = personal * rng.normal(size=n)[user]
    attraction = 1 / (1 + np.exp(2.0 - spread * (own + pair) - mood[:, None]))
    utilities = (own + pair + rng.normal(size=own.shape)) / temperature
    order = np.argsort(-(utilities + rng.gumbel(size=utilities.shape)), axis=1)[:, : attention.slots]
    attracted = np.take_along_axis(attraction, order, axis=1)
    if isinstance(attention, AbstractReading):
        _, click, _ = attention.draw(
            attracted, np.full(attracted.shape, content), rng.random(attracted.shape), rng.random(attracted.shape)
        )
    else:
        assert isinstance(attention, AbstractGlance)
        click = attention.draw(rng.random(attracted.shape)) & (rng.random(attracted.shape) < attracted)
    price = np.exp(0.5 * own)
    slates = Slates(
        user=user,
        request=np.arange(n),
        utilities=utilities,
        shown=order,
        slot=np.arange(attention.slots),
        page=np.zeros(attention.slots, dtype=np.int64),
        rewards={"click": click.astype(np.float64), "value": click * np.take_along_axis(price, order, axis=1)},
        item=item,
        features=np.stack([own, pair], axis=2).astype(np.float32),
    )
    return Made(slates, attraction, content)


def expected_clicks(attention: AbstractAttention, world: Made, order: Ints) -> float:
    """What an order truly brings in clicks on the same requests."""
    attracted = np.take_along_axis(world.attraction, order, axis=1)
    return float(attention.click_probability(attracted, np.full(attracted.shape, world.content)).sum())


def best_first(world: Made, by: Floats | None = None) -> Ints:
    """The order of utilities, or of other scores (R, C)."""
    by = world.slates.utilities if by is None else by
    return np.argsort(-by, axis=1)[:, : world.slates.shown.shape[1]]
