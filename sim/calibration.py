"""Solving for intercepts: a scenario states rates, the funnel needs log-odds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from sim import draws
from sim.catalogue import Catalogue
from sim.funnel import Encounter, Funnel, encounter, logistic
from sim.people import People
from sim.ranking import explored, utilities
from sim.records import Floats, Ints, Items

# The shop's history ranking is by popularity with this much exploration; it fixes what the rates mean,
# whatever the warm-up of an experiment does. The same as the library experiments' warm-up.
HISTORY_TEMPERATURE = 0.5
POOLS_PER_SEGMENT = 16


@dataclass(frozen=True, slots=True)
class Browsing:
    """What calibration needs to know of how visits are served; see `BrowseSpec`."""

    slots: int
    pages: int
    candidates: int
    pool_sharpness: float
    pages_wanted: Ints
    examination: Floats
    intent_sd: float
    n_markets: int


def solve_funnel(
    funnel: Funnel,
    rates: Mapping[str, float],
    median_stay: float,
    mean_enjoyment: float,
    people: People,
    catalogue: Catalogue,
    items: Items,
    browsing: Browsing,
    seed: int,
) -> dict[str, float]:
    """Intercepts by action, and of `stay` (log seconds) and `enjoyment`, under the shop's history ranking.

    Args:
        funnel: with all intercepts 0.
        rates: by action, per parent event.
        median_stay: seconds per click. mean_enjoyment: in (0, 1), over clicks.
        people: the calibration sample, one visit each.
    """
    met, examined = _history_impressions(people, catalogue, items, browsing, seed)
    solved: dict[str, float] = {}
    weights = {"shown": np.ones(len(examined))}
    for name, action in funnel.spec.actions.items():
        parent = weights[action.parent]
        looked = examined if name == "click" else np.ones(len(examined))
        solved[name] = _solve(_mean_rate(funnel, name, met, parent, looked, solved), rates[name], name)
        weights[name] = parent * looked * _chance(funnel, name, met, solved, solved[name])
    clicks = weights["click"]
    solved["stay"] = float(np.log(median_stay) - np.average(funnel.stay(met), weights=clicks))
    enjoyment = funnel.enjoyment(met)
    solved["enjoyment"] = _solve(
        lambda b: float(np.average(logistic(enjoyment + np.float32(b)), weights=clicks)), mean_enjoyment, "enjoyment"
    )
    return solved


def _history_impressions(
    people: People, catalogue: Catalogue, items: Items, browsing: Browsing, seed: int
) -> tuple[Encounter, Floats]:
    """One visit per person, ranked as the shop's history did; flat encounters and examination, shape (n,)."""
    n, segment = len(people), people.public.segment
    visit = draws.fold(draws.root(seed, "calibration visit"), people.user)
    chosen = (draws.uniform(draws.fold(visit, draws.purpose("pool"))) * POOLS_PER_SEGMENT).astype(np.int64)
    pool = _pools(items, browsing, seed)[segment * POOLS_PER_SEGMENT + chosen]
    scores = items.popularity[pool, segment[:, None]].astype(np.float32)
    noise = draws.fold(draws.fold(visit, draws.purpose("explore"))[:, None], pool)
    order = explored(utilities(scores, np.full(n, HISTORY_TEMPERATURE)), noise)
    depth = browsing.pages * browsing.slots
    shown = np.take_along_axis(pool, order[:, :depth], axis=1)
    reached = np.arange(depth) < (browsing.pages_wanted * browsing.slots)[:, None]
    user = np.broadcast_to(np.arange(n)[:, None], shown.shape)[reached]
    mood = browsing.intent_sd * draws.normal(draws.fold(visit, draws.purpose("intent")))
    met = encounter(people, catalogue, user, shown[reached], mood.astype(np.float32)[user])
    examined = np.broadcast_to(np.tile(browsing.examination, browsing.pages), shown.shape)[reached]
    return met, examined


def _pools(items: Items, browsing: Browsing, seed: int) -> Ints:
    """Candidate sets as retrieval would draw them, each from one market; (n_segments * POOLS_PER_SEGMENT, C)."""
    pool, item = np.arange(items.n_segments * POOLS_PER_SEGMENT), np.arange(len(items))
    keys = draws.fold(draws.root(seed, "calibration pool"), pool)[:, None]
    liking = browsing.pool_sharpness * items.popularity.T[pool // POOLS_PER_SEGMENT]
    # Fewer items to choose from make worse pools: the market that a pool is of must be the right size.
    sold = item % browsing.n_markets == (pool % browsing.n_markets)[:, None]
    retrieved = np.where(sold, liking + draws.gumbel(draws.fold(keys, item)), -np.inf)
    return np.argsort(-retrieved, axis=1, kind="stable")[:, : browsing.candidates]


def _chance(funnel: Funnel, name: str, met: Encounter, solved: Mapping[str, float], intercept: float) -> Floats:
    """P(action | parent) with the intercepts solved so far and a trial one for this action."""
    known = {**solved, name: intercept}
    trial = {a: r.shifted(known.get(a, 0.0)) for a, r in funnel.log_odds.items()}
    return Funnel(funnel.spec, trial, funnel.stay, funnel.enjoyment).probability(name, met)


def _mean_rate(
    funnel: Funnel, name: str, met: Encounter, parent: Floats, looked: Floats, solved: Mapping[str, float]
) -> Callable[[float], float]:
    total = parent.sum()
    weight = parent * looked
    return lambda b: float((weight * _chance(funnel, name, met, solved, b)).sum() / total)


def _solve(mean: Callable[[float], float], target: float, name: str) -> float:
    low, high = -30.0, 30.0
    if not mean(low) < target < mean(high):
        raise ValueError(
            f"{name}: the rate {target} cannot be reached; with these examination probabilities it must lie "
            f"below {mean(high):.3f}; lower the rate"
        )
    return float(brentq(lambda b: mean(b) - target, low, high, xtol=1e-6))
