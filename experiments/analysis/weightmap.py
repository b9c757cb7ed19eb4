"""Which arm is best at every weight between two goals, and what it may cost to choose another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.front import SAME

Floats = NDArray[np.float64]
WEIGHTS = 51  # steps of 2 %, both ends among them


@dataclass(frozen=True, slots=True)
class WeightMap:
    """Over the weights that a team could give to two goals.

    weight: shape (K,), w of the first goal from 0 to 1; utility = w x first lift + (1 - w) x second lift.
    rate: shape (K,), (1 - w) / w: how many points of the first goal one point of the second is worth; falls from
        infinity at w = 0 to 0 at w = 1.
    best: shape (K, A), probability that the arm has the highest utility; copies of an arm share it. Rows sum to 1.
    loss: shape (K, A), utility that choosing the arm is expected to cost beside choosing the best one; a fraction
        like the lifts (0.01 is one point).
    switches: (rate, from arm, to arm), by rising rate: where the arm that is best by the estimates changes.
    """

    weight: Floats
    rate: Floats
    best: Floats
    loss: Floats
    switches: tuple[tuple[float, str, str], ...]


def weight_map(arms: Sequence[str], point: Floats, drawn: Floats) -> WeightMap:
    """Probabilities over the draws, switches by the estimates.

    Args:
        arms: of the rows. point: shape (A, 2), lifts on the first and the second goal. drawn: shape (A, 2, n).
    """
    weight = np.linspace(0, 1, WEIGHTS)
    with np.errstate(divide="ignore"):
        rate = (1 - weight) / weight
    best, loss = np.empty((WEIGHTS, len(arms))), np.empty((WEIGHTS, len(arms)))
    for k, w in enumerate(weight):
        best[k], loss[k] = _standing(w * drawn[:, 0] + (1 - w) * drawn[:, 1])
    return WeightMap(weight, rate, best, loss, _switches(arms, point))


def _standing(utility: Floats) -> tuple[Floats, Floats]:
    """Share of draws in which each arm is best, ties split, and its mean distance from the best. utility: (A, n)."""
    short = utility.max(axis=0) - utility
    tied = short <= SAME * np.abs(utility).max()
    return (tied / tied.sum(axis=0)).mean(axis=1), short.mean(axis=1)


def _switches(arms: Sequence[str], point: Floats) -> tuple[tuple[float, str, str], ...]:
    """The upper envelope of the lines first + rate x second, walked from a rate of 0, where the first goal decides.

    Of lines that cross the best one at the same rate, the steepest is best beyond it.
    """
    first, second = point.T
    now = int(np.lexsort((second, first))[-1])  # of equals on the first goal, the better on the second
    found = []
    while (steeper := np.flatnonzero(second > second[now])).size:
        rates = (first[now] - first[steeper]) / (second[steeper] - second[now])
        then = int(steeper[np.lexsort((-second[steeper], rates))[0]])
        found.append((float(rates.min()), arms[now], arms[then]))
        now = then
    return tuple(found)
