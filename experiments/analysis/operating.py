"""Operating characteristics of a design: over replications whose truth is known, how often its intervals hold it, what
it sees, how often it is sure of nothing or of the wrong sign, and how much it exaggerates what it is sure of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import beta

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
CLEAR = 2.0  # standard errors of the truth beyond which its sign counts as known
LEVEL = 0.05  # of the intervals of rates


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval; NaN where there is nothing to count.

    happened, n: counts. low, high: exact (Clopper and Pearson 1934) for independent trials.
    """

    happened: int
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Replications:
    """What R independent runs of a design say of one lift, or of several; every array has shape (R,) or (R, lifts).

    Lifts are relative. low, high: the ends of an interval, endless or not. p_value: of the test alone; p_adjusted: as
    the run judged it. truth, truth_se: of the run's own world. NaN where a run does not tell.
    """

    estimate: Floats
    se: Floats
    low: Floats
    high: Floats
    p_value: Floats
    p_adjusted: Floats
    truth: Floats
    truth_se: Floats

    @property
    def told(self) -> Bools:
        """Where there is an estimate and a truth to hold it against."""
        return np.asarray(np.isfinite(self.estimate) & np.isfinite(self.se) & np.isfinite(self.truth))

    def sure(self, alpha: float) -> Bools:
        """Where a run is sure after its correction. Only of bounded intervals: without a control there is no lift."""
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        return np.asarray((self.p_adjusted < alpha) & bounded & self.told)

    def covered(self, weight: float = 0.0) -> Bools:
        """Where the interval holds the truth; endless ones do.

        Args:
            weight: k of var(estimate - truth) = se² + k truth_se²: both arms of the interval are stretched by as much.
                0 takes the truth as it stands.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            added = weight * np.nan_to_num(self.truth_se / self.se, nan=0.0, posinf=0.0) ** 2
        stretch = np.sqrt(np.maximum(1 + added, 0))
        low = self.estimate - (self.estimate - self.low) * stretch
        high = self.estimate + (self.high - self.estimate) * stretch
        low, high = (np.where(np.isfinite(end), far, end) for end, far in ((self.low, low), (self.high, high)))
        return np.asarray(self.told & (low <= self.truth) & (self.truth <= high))


@dataclass(frozen=True, slots=True)
class Operating:
    """What a design does on one arm and metric.

    runs: in which it could be told. true_mean, true_sd: of the truth over worlds; true_error: the part of true_sd that
    is the truth's own standard error. bias: mean of estimate - truth, with its standard error over runs.
    coverage: intervals that hold the truth as it stands, endless ones among them. coverage_allowing: the same with the
    truth's own error allowed for. unbounded: how many intervals are endless.
    false_positive: of arms that are the control by another name, p < alpha by the test alone; false_alarm: sure after
    correction. Of no runs for other arms.
    power: sure and with the sign of the truth, of all runs; of no runs where nothing differs.
    wrong_sign: of the runs that are sure where the truth's sign is known, those with the other one (the type S error
    of Gelman and Carlin 2014).
    exaggeration: among the sure ones, the sum of what was claimed over the sum of what was true in the direction
    claimed (their type M error: the winner's curse). 1 is honest; NaN where nothing was sure, or nothing of it is
    clearly true.
    """

    runs: int
    true_mean: float
    true_sd: float
    true_error: float
    bias: float
    bias_se: float
    coverage: Rate
    coverage_allowing: Rate
    unbounded: int
    false_positive: Rate
    false_alarm: Rate
    power: Rate
    wrong_sign: Rate
    exaggeration: float


@dataclass(frozen=True, slots=True)
class Family:
    """What a design does on all lifts that are judged together, run by run.

    coverage: all intervals that hold at once hold the truth. coverage_allowing: with the truth's own error allowed for.
    false_alarm: sure of at least one lift where nothing differs; of no runs where every arm differs.
    """

    coverage: Rate
    coverage_allowing: Rate
    false_alarm: Rate


def rate(happened: int, n: int) -> Rate:
    """A share of n independent trials."""
    if not n:
        return Rate(0, 0, math.nan, math.nan, math.nan)
    return Rate(happened, n, happened / n, *_clopper_pearson(happened, n))


def clustered_rate(happened: Counts, n: Counts) -> Rate:
    """A share of trials that hang together within runs: Clopper and Pearson's interval for as many independent trials
    as have the variance that is seen between runs (Korn and Graubard 1998).

    Args:
        happened, n: shape (R,). Counts of each run.
    """
    runs, total, count = len(n), int(n.sum()), int(happened.sum())
    if not total:
        return rate(0, 0)
    p, effective = count / total, float(runs)  # without any variance, each run counts once
    if runs > 1 and 0 < count < total:
        variance = runs / (runs - 1) * float(((happened - p * n) ** 2).sum()) / total**2
        lost = (stdtrit(total - 1, LEVEL / 2) / stdtrit(runs - 1, LEVEL / 2)) ** 2  # few runs tell little of variance
        effective = min(float(total), p * (1 - p) / variance * lost) if variance > 0 else float(total)
    return Rate(count, total, p, *_clopper_pearson(p * effective, effective))


def truth_weight(share: float) -> float:
    """k of var(estimate - truth) = se² + k truth_se², where the truth is of a share of the users who are in the test.

    Users whose true effect is above the mean are in the test and in the truth alike, so both err together: of N users
    with variance v of the true effect, truth_se² = v / (share N) and the covariance is v / N. So k = 1 - 2 share; below
    0 where the truth is of most of the users themselves, of whom the test knows more than of the next ones.
    """
    return 1 - 2 * share


def operating(runs: Replications, *, null: bool, alpha: float, weight: float = 0.0) -> Operating:
    """Summarise one arm and metric; arrays have shape (R,).

    Args:
        null: whether nothing differs by construction: the arm is the control by another name.
        weight: of the truth's variance, see `truth_weight`.
    """
    told, sure = runs.told, runs.sure(alpha)
    n, error = int(told.sum()), (runs.estimate - runs.truth)[told]
    true_error = np.nan_to_num(runs.truth_se)
    sign = np.sign(runs.estimate)
    agrees = sign == np.sign(runs.truth)
    known = sure & (np.abs(runs.truth) > CLEAR * true_error)
    nothing = rate(0, 0)
    return Operating(
        n,
        _mean(runs.truth[told]),
        _sd(runs.truth[told]),
        _root_mean_square(runs.truth_se[told]),
        _mean(error),
        _sd(error) / math.sqrt(n) if n else math.nan,
        rate(int(runs.covered().sum()), n),
        rate(int(runs.covered(weight).sum()), n),
        int((told & ~(np.isfinite(runs.low) & np.isfinite(runs.high))).sum()),
        rate(int((told & (runs.p_value < alpha)).sum()), n) if null else nothing,
        rate(int(sure.sum()), n) if null else nothing,
        nothing if null else rate(int((sure & agrees).sum()), n),
        nothing if null else rate(int((known & ~agrees).sum()), int(known.sum())),
        math.nan if null else _exaggeration(np.abs(runs.estimate[sure]), (sign * runs.truth)[sure], true_error[sure]),
    )


def family(runs: Replications, *, null: Bools, alpha: float, weight: float = 0.0) -> Family:
    """Summarise all lifts that are judged together; arrays have shape (R, lifts).

    Args:
        null: shape (lifts,). Whether nothing differs by construction.
    """
    told = runs.told & ~np.isnan(runs.low) & ~np.isnan(runs.high)
    any_told, alarm = told.any(axis=1), runs.sure(alpha)[:, null].any(axis=1)
    held = [(runs.covered(k) | ~told).all(axis=1) & any_told for k in (0.0, weight)]
    n, of_null = int(any_told.sum()), int(runs.told[:, null].any(axis=1).sum())
    return Family(rate(int(held[0].sum()), n), rate(int(held[1].sum()), n), rate(int(alarm.sum()), of_null))


def _clopper_pearson(happened: float, n: float) -> tuple[float, float]:
    low = float(beta.ppf(LEVEL / 2, happened, n - happened + 1)) if happened > 0 else 0.0
    high = float(beta.isf(LEVEL / 2, happened + 1, n - happened)) if happened < n else 1.0
    return low, high


def _exaggeration(claimed: Floats, true: Floats, error: Floats) -> float:
    clear = true.sum() > CLEAR * math.sqrt(float((error**2).sum()))
    return float(claimed.sum() / true.sum()) if clear else math.nan


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _root_mean_square(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return math.sqrt(float((known**2).mean())) if len(known) else math.nan


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
