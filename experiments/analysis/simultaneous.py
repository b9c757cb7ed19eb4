"""Simultaneous inference by the maximum of correlated statistics (Dunnett 1955; Hothorn, Bretz and Westfall 2008).

The joint correlation of all differences is known, so that the family-wise error is met instead of bounded: arms share
their control and metrics share their users, and Bonferroni would pay for both as if they were independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import norm

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.draws import errors
from experiments.analysis.verdicts import holm

Floats = NDArray[np.float64]
DRAWS = 2**15  # critical values of up to five arms then lie within .005 of the published ones
FEW = 100  # draws beyond a statistic; with fewer, the share of draws says less than Holm's bound


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """What holds for a whole family of lifts at once.

    n: lifts in the family that can be told. critical: of the largest statistic. level: the level of a single test
    with that critical value, so that `Lift.interval(level)` is the simultaneous interval.
    p_adjusted: shape (A, M), step-down; NaN where a lift cannot be told.
    """

    n: int
    alpha: float
    critical: float
    level: float
    p_adjusted: Floats


def max_t(lifts: JointLifts, alpha: float) -> Simultaneous:
    """Simultaneous level and step-down p-values of all lifts that are given, as one family.

    Where lifts rest on few clusters, all are judged by Student's t with the fewest degrees of freedom among them.
    """
    known = np.flatnonzero(np.isfinite(lifts.lift).ravel() & np.isfinite(lifts.z).ravel())
    p_adjusted = np.full(lifts.lift.size, np.nan)
    if not len(known):
        return Simultaneous(0, alpha, float("nan"), alpha, p_adjusted.reshape(lifts.lift.shape))
    own = lifts.dof.ravel()[known]
    dof = float(own.min())
    statistic = _on_one_scale(np.abs(lifts.z.ravel()[known]), own, dof)
    draws = _absolute(lifts.correlation[np.ix_(known, known)], dof)
    p_adjusted[known] = _step_down(statistic, draws, dof)
    critical = _upper_quantile(draws.max(axis=0), alpha)
    level = float(np.clip(_two_sided(np.array(critical), dof), alpha / len(known), alpha))
    return Simultaneous(len(known), alpha, critical, level, p_adjusted.reshape(lifts.lift.shape))


def critical_value(correlation: Floats, alpha: float, dof: float = np.inf) -> float:
    """What the largest of |z| exceeds with probability alpha where nothing differs.

    Args:
        correlation: shape (P, P), of the statistics. dof: of Student's t; infinite for the normal.
    """
    return _upper_quantile(_absolute(correlation, dof).max(axis=0), alpha)


def _upper_quantile(largest: Floats, alpha: float) -> float:
    return float(np.quantile(largest, 1 - alpha))


def _absolute(correlation: Floats, dof: float) -> Floats:
    """Draws of |z| (or |t|) with a correlation, shape (P, DRAWS)."""
    drawn = errors(correlation, dof, DRAWS)
    return np.abs(drawn, out=drawn)


def _step_down(statistic: Floats, draws: Floats, dof: float) -> Floats:
    """Adjusted p-values: each statistic against the largest of those that are not above it (Romano and Wolf 2005).

    The true probability lies between the single p-value and Holm's multiple of it, and so does what is returned;
    far in the tail, where few draws lie, it is Holm's.
    """
    order = np.argsort(-statistic, kind="stable")
    single = _two_sided(statistic, dof)
    bound = holm(single.tolist())[order]
    beyond, largest = np.empty(len(statistic)), np.zeros(draws.shape[1])
    for rank in reversed(range(len(order))):
        np.maximum(largest, draws[order[rank]], out=largest)
        beyond[rank] = np.count_nonzero(largest >= statistic[order[rank]])
    p = np.where(beyond < FEW, bound, np.clip(beyond / draws.shape[1], single[order], bound))
    adjusted = np.empty(len(statistic))
    adjusted[order] = np.maximum.accumulate(p)
    return adjusted


def _on_one_scale(statistic: Floats, own: Floats, dof: float) -> Floats:
    """Statistics of other degrees of freedom, as far out in the tail of `dof` as they are in their own."""
    if not np.isfinite(dof):
        return statistic
    finite = np.isfinite(own)
    tail = np.where(finite, stdtr(np.where(finite, own, 1), -statistic), norm.sf(statistic))
    return np.where(own == dof, statistic, -stdtrit(dof, np.maximum(tail, 1e-300)))


def _two_sided(statistic: Floats, dof: float) -> Floats:
    return np.asarray(2 * (norm.sf(statistic) if not np.isfinite(dof) else stdtr(dof, -statistic)))
