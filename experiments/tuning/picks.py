"""What a finished search recommends: by the posterior, with the chance that every limit holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.tuning.gains import hypervolume
from experiments.tuning.posterior import Posterior, feasibility, posterior, reported
from experiments.tuning.question import Question
from experiments.tuning.thompson import Aim, Bound, Observed

Floats = NDArray[np.float64]
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Pick:
    """A recommended setting. taste: what it is best for. trial: its number."""

    taste: str
    trial: int


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of every trial, in the order of their numbers.

    found: posterior of all quantities. feasible: shape (n,), P(every limit holds). front: numbers of the trials on the
    front of posterior means among those that hold every limit with confidence.
    """

    found: Posterior
    feasible: Floats
    front: NDArray[np.intp]


def aim_of(question: Question) -> Aim:
    """Goals, reference, limits and tastes in the optimiser's terms."""
    bounds = tuple(Bound(question.index(limit), limit.sense, question.bound(limit)) for limit in question.limits)
    several = len(question.goals) > 1  # of one goal, the front is its best
    tastes = tuple(tastes_of(question).values()) if several else ()
    return Aim(tuple(range(len(question.goals))), question.reference, bounds, tastes)


def tastes_of(question: Question) -> dict[str, tuple[float, ...]]:
    """By name, what a point of every goal is worth: the first goal alone, and each exchange rate."""
    goals = question.goals
    rest = (0.0,) * len(goals[1:])
    return {f"most {goals[0]}": (1.0, *rest)} | {
        f"{rate:g} {goals[0]} for 1 {goals[1]}": (1.0, rate, *rest[1:]) for rate in question.exchange_rates
    }


def believed(points: Floats, observed: Observed, question: Question) -> Belief:
    """points: shape (n, d), settings in the unit box."""
    aim, found = aim_of(question), posterior(points, observed)
    front = np.sort(reported(found, aim, question.confidence))
    return Belief(found, feasibility(found, aim.bounds), front)


def volume(belief: Belief, question: Question) -> float:
    """Hypervolume over the reference of the front that is believed in."""
    goals = belief.found.mean[:, : len(question.goals)]
    return hypervolume(goals[belief.front], np.array(question.reference))


def picks_of(belief: Belief, question: Question) -> list[Pick]:
    """The best trial for the first goal, and for every exchange rate; none where no trial holds all limits."""
    able = np.flatnonzero(belief.feasible >= question.confidence)
    if not len(able):
        return []
    goals = belief.found.mean[able, : len(question.goals)]
    return [Pick(taste, int(able[(goals @ np.array(w)).argmax()])) for taste, w in tastes_of(question).items()]


def nearest_miss(belief: Belief) -> int:
    """The trial that is likeliest to hold all limits."""
    return int(belief.feasible.argmax())
