"""Solving for intercepts: a scenario states rates, the funnel needs log-odds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from sim import draws
from sim.attention import AbstractAttention, AbstractGlance
from sim.catalogue import Catalogue
from sim.funnel import F32, Encounter, Funnel, encounter, logistic
from sim.people import People
from sim.ranking import explored, utilities
from sim.records import Floats, Ints, Items

# The shop's history ranking is by popularity with this much exploration; it fixes what the rates mean,
# whatever the warm-up of an experiment does. The same as the library experiments' warm-up.
HISTORY_TEMPERATURE = 0.5
POOLS_PER_SEGMENT = 16


ROUNDS = 4  # where satisfaction decides how far people read, the intercepts settle to 1e-4 in three


@dataclass(frozen=True, slots=True)
class Browsing:
    """What calibration needs to know of how visits are served; see `BrowseSpec`."""

    pages: int
    candidates: int
    pool_sharpness: float
    pages_wanted: Ints
    attention: AbstractAttention
    intent_sd: float
    n_markets: int


def solve_funnel(
    funnel: Funnel,
    mean_enjoyment: float,
    mean_fit: float,
    people: People,
    catalogue: Catalogue,
    items: Items,
    browsing: Browsing,
    seed: int,
) -> dict[str, float]:
    """Intercepts by action, and of `stay` (log of its median), `enjoyment` and `fit`, under the shop's history ranking.

    Args:
        funnel: with all intercepts 0; its spec states the rates.
        mean_enjoyment: in (0, 1), over clicks. mean_fit: in (0, 1), over the actions that recruiters answer.
        people: the calibration sample, one visit each.
    """
    met = _history_impressions(people, catalogue, items, browsing, seed)
    solved: dict[str, float] = {}
    for _ in range(1 if isinstance(browsing.attention, AbstractGlance) else ROUNDS):
        clicks = _solve_clicks(funnel, met, browsing, solved)
        solved["enjoyment"] = _solve(_mean_of(funnel.enjoyment(met), clicks), mean_enjoyment, "enjoyment")
    reached = np.nonzero(clicks)
    met, clicks = met.picked(reached), clicks[reached]
    weights = {"click": clicks}
    for name, action in funnel.spec.actions.items():
        if name == "click":
            continue
        parent = weights[action.parent]
        if action.rate is not None:
            solved[name] = _solve(_mean_rate(funnel, name, met, parent, solved), action.rate, name)
        weights[name] = parent * _chance(funnel, name, met, solved, solved.get(name, 0.0))
    solved["stay"] = float(np.log(funnel.spec.stay.median) - np.average(funnel.stay(met), weights=clicks))
    decided = [action.parent for action in funnel.spec.actions.values() if action.decided_by]
    if decided:
        solved["fit"] = _solve(_mean_of(funnel.fit(met), weights[decided[0]]), mean_fit, "mean_fit")
    return solved


def _solve_clicks(funnel: Funnel, met: Encounter, browsing: Browsing, solved: dict[str, float]) -> Floats:
    """Solve for the click's intercept, and return the chance of a click on every impression, (n, pages, slots)."""
    shape = (len(met.user), browsing.pages, browsing.attention.slots)
    wanted = np.arange(browsing.pages) < browsing.pages_wanted[:, None]
    bare = funnel.log_odds["click"](met)
    content = logistic(funnel.enjoyment(met) + np.float32(solved.get("enjoyment", 0.0))).astype(np.float64)

    def clicks(intercept: float) -> tuple[Floats, Floats]:
        """Chance of a click per impression, and of each page being shown."""
        attraction = logistic(bare + np.float32(intercept)).astype(np.float64)
        pages = attraction.reshape(-1, shape[2]), content.reshape(-1, shape[2])
        onward = browsing.attention.onward_probability(*pages).reshape(shape[:2])
        shown = wanted * np.concatenate([np.ones((shape[0], 1)), np.cumprod(onward, axis=1)[:, :-1]], axis=1)
        return browsing.attention.click_probability(*pages).reshape(shape) * shown[..., None], shown

    def rate(intercept: float) -> float:
        clicked, shown = clicks(intercept)
        return float(clicked.sum() / (shown.sum() * shape[2]))

    target = funnel.spec.actions["click"].rate
    assert target is not None
    solved["click"] = _solve(rate, target, "click")
    return clicks(solved["click"])[0].reshape(shape[0], -1)


def _history_impressions(
    people: People, catalogue: Catalogue, items: Items, browsing: Browsing, seed: int
) -> Encounter:
    """One visit per person, ranked as the shop's history did, read to the last page; shape (n, pages x slots)."""
    n, segment = len(people), people.public.segment
    visit = draws.fold(draws.root(seed, "calibration visit"), people.user)
    chosen = (draws.uniform(draws.fold(visit, draws.purpose("pool"))) * POOLS_PER_SEGMENT).astype(np.int64)
    pool = _pools(items, catalogue, browsing, seed)[segment * POOLS_PER_SEGMENT + chosen]
    scores = items.popularity[pool, segment[:, None]].astype(np.float32)
    noise = draws.fold(draws.fold(visit, draws.purpose("explore"))[:, None], pool)
    order = explored(utilities(scores, np.full(n, HISTORY_TEMPERATURE)), noise)
    depth = browsing.pages * browsing.attention.slots
    shown = np.take_along_axis(pool, order[:, :depth], axis=1)
    mood = browsing.intent_sd * draws.normal(draws.fold(visit, draws.purpose("intent")))
    return encounter(people, catalogue, np.arange(n)[:, None], shown, mood.astype(np.float32)[:, None])


def _pools(items: Items, catalogue: Catalogue, browsing: Browsing, seed: int) -> Ints:
    """Candidate sets as retrieval would draw them, each from one market; (n_segments * POOLS_PER_SEGMENT, C)."""
    pool, item = np.arange(items.n_segments * POOLS_PER_SEGMENT), np.arange(len(items))
    keys = draws.fold(draws.root(seed, "calibration pool"), pool)[:, None]
    liking = browsing.pool_sharpness * items.popularity.T[pool // POOLS_PER_SEGMENT]
    # Fewer items to choose from make worse pools: the market that a pool is of must be the right size.
    sold = (item % browsing.n_markets == (pool % browsing.n_markets)[:, None]) & (catalogue.first_day == 0)
    retrieved = np.where(sold, liking + draws.gumbel(draws.fold(keys, item)), -np.inf)
    return np.argsort(-retrieved, axis=1, kind="stable")[:, : browsing.candidates]


def _chance(funnel: Funnel, name: str, met: Encounter, solved: Mapping[str, float], intercept: float) -> Floats:
    """P(action | parent) with the intercepts solved so far and a trial one for this action."""
    known = {**solved, name: intercept}
    trial = {a: r.shifted(known.get(a, 0.0)) for a, r in funnel.log_odds.items()}
    return replace(funnel, log_odds=trial).probability(name, met)


def _mean_rate(
    funnel: Funnel, name: str, met: Encounter, parent: Floats, solved: Mapping[str, float]
) -> Callable[[float], float]:
    total = parent.sum()
    return lambda b: float((parent * _chance(funnel, name, met, solved, b)).sum() / total)


def _mean_of(logits: F32, weights: Floats) -> Callable[[float], float]:
    return lambda b: float(np.average(logistic(logits + np.float32(b)), weights=weights))


def _solve(mean: Callable[[float], float], target: float, name: str) -> float:
    low, high = -30.0, 30.0
    if not mean(low) < target < mean(high):
        raise ValueError(
            f"{name}: the rate {target} cannot be reached; with these examination probabilities it must lie "
            f"between {mean(low):.3g} and {mean(high):.3g}; change the rate"
        )
    return float(brentq(lambda b: mean(b) - target, low, high, xtol=1e-6))
