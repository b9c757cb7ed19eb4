"""The winner's curse: the best of several arms looks better than it is, and how to say what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import norm

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.shrinkage import shrunk
from experiments.analysis.simultaneous import critical_value
from experiments.analysis.truncated import truncated_cdf

Floats = NDArray[np.float64]
HALVINGS = 40  # of an interval of six standard errors: 1e-11 of one is left
SAME = 1e-9  # a slope this near to 1 is 1: the arm is a copy of the winner


@dataclass(frozen=True, slots=True)
class Selected:
    """The challenger with the highest estimated lift on a goal.

    n_arms: challengers that it was chosen from. naive, naive_low, naive_high: as if it had been the only one.
    shrunk: drawn towards the mean of the challengers; about half of the bias is left.
    hybrid: as likely too high as too low. low, high: hybrid interval, which covers the truth of the chosen arm with
        probability 1 - alpha at least, and (1 - alpha) / (1 - alpha / 10) at most.
    """

    arm: str
    goal: str
    n_arms: int
    naive: float
    naive_low: float
    naive_high: float
    shrunk: float
    hybrid: float
    low: float
    high: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Winners:
    """The winners of R experiments, all fields of shape (R,). best: column of the winner; the others as `Selected`."""

    best: NDArray[np.intp]
    naive: Floats
    naive_low: Floats
    naive_high: Floats
    shrunk: Floats
    hybrid: Floats
    low: Floats
    high: Floats


def selected(lifts: JointLifts, goal: str, alpha: float) -> Selected | None:
    """The best challenger on one goal; None where no lift can be told.

    Where lifts rest on few clusters, errors are widened by Student's quantile over the normal one, so that the naive
    interval is Student's own.
    """
    lifts = lifts.only(metrics=[goal])
    if not lifts.known():
        return None
    lifts = lifts.only(arms=lifts.known())
    dof = float(lifts.dof.min())
    wider = float(stdtrit(dof, alpha / 2) / norm.ppf(alpha / 2)) if np.isfinite(dof) else 1.0
    found = winners(lifts.lift.T, lifts.covariance * wider**2, alpha)
    return Selected(
        lifts.arms[int(found.best[0])],
        goal,
        len(lifts.arms),
        float(found.naive[0]),
        float(found.naive_low[0]),
        float(found.naive_high[0]),
        float(found.shrunk[0]),
        float(found.hybrid[0]),
        float(found.low[0]),
        float(found.high[0]),
        alpha,
    )


def winners(lift: Floats, covariance: Floats, alpha: float) -> Winners:
    """The winner of each of R experiments with the same covariance.

    Hybrid inference (Andrews, Kitagawa and McCloskey, QJE 139(1) 2024): given that this arm won, and given what it
    won against, its estimate is a normal cut off from below. Inverting that alone is exact and at times useless, as
    the interval grows without end where two arms nearly tie. So the truth is also taken to lie in the simultaneous
    interval of all arms at level beta, and the rest of alpha is spent on the cut normal.

    Args:
        lift: shape (R, k). covariance: shape (k, k), known. alpha: two-sided.
    """
    beta = alpha / 10  # as the authors do: wide enough to be rarely felt, and cheap
    best = lift.argmax(axis=1)
    at = (np.arange(len(lift)), best)
    naive, sd = lift[at], np.sqrt(np.diagonal(covariance))[best]
    half = norm.isf(alpha / 2) * sd
    low, high = _won_between(lift, covariance, best)
    reach = critical_value(_correlation(covariance), beta)
    tail = (alpha - beta) / (1 - beta) / 2
    above = np.array([1 - tail, 0.5, tail])  # of the estimate's distribution, at the low end, middle and high end
    ends = hybrid_quantiles(naive, sd, low, high, reach, above)
    posterior = shrunk(lift, covariance)[at]
    return Winners(best, naive, naive - half, naive + half, posterior, ends[1], ends[0], ends[2])


def _won_between(lift: Floats, covariance: Floats, best: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Between which values the winner's estimate wins, given what is independent of it in those of the others.

    Another arm is slope x the winner + a part that does not go with it; it stays behind while the winner is above
    part / (1 - slope), or below it where the slope is more than 1. Shape (R,) each; infinite where nothing bounds.
    """
    variance = np.diagonal(covariance)[best]
    slope = covariance[best] / np.where(variance > 0, variance, 1.0)[:, None]  # (R, k)
    winner = lift[np.arange(len(lift)), best][:, None]
    behind = 1 - slope
    told = np.abs(behind) > SAME
    told[np.arange(len(lift)), best] = False
    bound = (lift - slope * winner) / np.where(told, behind, 1.0)
    low = np.where(told & (behind > 0), bound, -np.inf).max(axis=1)
    high = np.where(told & (behind < 0), bound, np.inf).min(axis=1)
    return np.minimum(low, winner[:, 0]), np.maximum(high, winner[:, 0])  # it won: beyond is rounding


def hybrid_quantiles(value: Floats, sd: Floats, low: Floats, high: Floats, reach: float, below: Floats) -> Floats:
    """The means at which estimates up to the one seen have given probabilities, by bisection. Shape (Q, R).

    Args:
        value, sd: shape (R,), the estimate and its standard error. low, high: shape (R,), it lies between.
        reach: of the simultaneous interval, in standard errors; the mean lies so near to the estimate.
        below: shape (Q,), the probabilities: falling in the mean.
    """
    sd = np.where(sd > 0, sd, np.finfo(np.float64).tiny)  # an estimate without error is the truth
    start = np.broadcast_to(value - reach * sd, (len(below), len(value)))
    end = np.broadcast_to(value + reach * sd, (len(below), len(value)))
    for _ in range(HALVINGS):
        mean = (start + end) / 2
        cdf = truncated_cdf(value, mean, sd, np.maximum(low, mean - reach * sd), np.minimum(high, mean + reach * sd))
        too_low = cdf > below[:, None]
        start, end = np.where(too_low, mean, start), np.where(too_low, end, mean)
    return (start + end) / 2


def _correlation(covariance: Floats) -> Floats:
    sd = np.sqrt(np.diagonal(covariance))
    scale = np.where(sd > 0, sd, 1.0)
    correlation: Floats = np.clip(covariance / np.outer(scale, scale), -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return correlation
