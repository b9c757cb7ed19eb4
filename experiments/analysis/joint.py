"""The joint estimate: every metric of every arm with the full covariance, plain and adjusted by the warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.stats import SufficientStats, pooled

Floats = NDArray[np.float64]
Ratio = tuple[str, str | None]  # columns; without a second one, a mean per unit
LEAST_SHARP = 0.2  # relative standard error: about 25 events


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of unit means.

    numerator, denominator: columns; a denominator of None makes it a mean per unit. Where units are clusters
    of unequal size, a mean per user needs their number of users as its denominator.
    pre: (numerator, denominator) in the pre-period, the covariate of CUPED; None for no adjustment.
    """

    name: str
    numerator: str
    denominator: str | None = None
    pre: Ratio | None = None

    @property
    def ratio(self) -> Ratio:
        return self.numerator, self.denominator

    @property
    def columns(self) -> tuple[str, ...]:
        """All that it is made of, the pre-period's too, each once."""
        asked = (*self.ratio, *(self.pre or ()))
        return tuple(dict.fromkeys(column for column in asked if column is not None))


@dataclass(frozen=True, slots=True)
class JointEstimate:
    """All metrics of all arms at once; arms are independent given the assignment.

    arms, metrics: names. n: units by arm.
    value: shape (A, M). covariance: shape (A, M, M), of the metrics' estimates within each arm.
    kind: raw or cuped. theta: shape (M,), the regression on the pre-period; zero where there is none.
    """

    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    n: Mapping[str, int]
    value: Floats
    covariance: Floats
    kind: str
    theta: Floats

    def variance(self) -> Floats:
        """Shape (A, M); what rounding leaves below 0, such as of two markets that are alike, is 0."""
        variance: Floats = np.maximum(np.diagonal(self.covariance, axis1=1, axis2=2), 0)
        return variance

    def correlation(self, metric: str) -> dict[str, float]:
        """Unit-level correlation of every metric with one, averaged over arms; NaN where a metric is constant."""
        at = self.metrics.index(metric)
        sd = np.sqrt(self.variance())
        with np.errstate(invalid="ignore", divide="ignore"):
            r = self.covariance[:, :, at] / (sd * sd[:, [at]])
        return {name: float(r[:, m].mean()) for m, name in enumerate(self.metrics)}


def joint_estimate(groups: Mapping[str, SufficientStats], metrics: Sequence[Metric], *, cuped: bool) -> JointEstimate:
    """Ratios of means by the delta method, per unit (Deng, Knoblich and Lu, KDD 2018).

    With cuped, each is shifted by theta x (its pre-period value - that of all arms together), one theta
    for all arms (Deng et al., WSDM 2013): no arm's estimate depends on which arm it is compared with.

    Args:
        groups: by arm, statistics over disjoint units.
    """
    groups, lost = _measured(groups)
    arms, stats = tuple(groups), list(groups.values())
    at = [m for m, metric in enumerate(metrics) if not lost.intersection(metric.ratio)]
    told = [metrics[m] for m in at]
    value, gradient = _ratios(stats, [metric.ratio for metric in told])
    theta = np.zeros(len(told))
    if cuped:
        past = [None if lost.intersection(metric.pre or ()) else metric.pre for metric in told]
        _adjust(stats, told, past, value, gradient, theta)
    if len(told) < len(metrics):
        value, gradient, theta = _among(at, len(metrics), value, gradient, theta)
    spread = np.array([group.covariance / max(group.n, 1) for group in stats])  # of the columns' means, (A, k, k)
    covariance = gradient @ spread @ gradient.transpose(0, 2, 1)
    counts = {arm: group.n for arm, group in groups.items()}
    names = tuple(metric.name for metric in metrics)
    return JointEstimate(arms, names, counts, value, covariance, "cuped" if cuped else "raw", theta)


def _among(
    at: Sequence[int], n_metrics: int, value: Floats, gradient: Floats, theta: Floats
) -> tuple[Floats, Floats, Floats]:
    """What is told at its places among all metrics; the values of the others are NaN, all else is 0."""
    n_arms, _, k = gradient.shape
    values, gradients, thetas = (
        np.full((n_arms, n_metrics), np.nan),
        np.zeros((n_arms, n_metrics, k)),
        np.zeros(n_metrics),
    )
    values[:, at], gradients[:, at], thetas[at] = value, gradient, theta
    return values, gradients, thetas


def _measured(groups: Mapping[str, SufficientStats]) -> tuple[dict[str, SufficientStats], set[str]]:
    """The statistics without columns that nobody could measure, and their names: of a user's satisfaction nothing is
    known by visit or on an earlier day, and 0 x NaN would take every other metric with it."""
    lost: set[str] = set()
    for stats in groups.values():
        out = stats.unmeasured
        if out.any():
            lost |= {column for column, gone in zip(stats.columns, out.tolist(), strict=True) if gone}
    if not lost:
        return dict(groups), lost
    return {arm: stats.only([c for c in stats.columns if c not in lost]) for arm, stats in groups.items()}, lost


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where ratios find their columns, so that all of them are reckoned at once.

    top, bottom: shape (M,), columns; the one behind the last, which is 1, where there is no denominator.
    of_top, of_bottom: shape (M, k), 1 at these columns.
    """

    top: NDArray[np.intp]
    bottom: NDArray[np.intp]
    of_top: Floats
    of_bottom: Floats


@lru_cache(maxsize=64)  # the same few metrics are asked for at every look, split and segment
def _places(columns: tuple[str, ...], wanted: tuple[Ratio, ...]) -> _Places:
    place = {column: n for n, column in enumerate((*columns, None))}
    top, bottom = (np.array([place[pair[side]] for pair in wanted], dtype=np.intp) for side in (0, 1))
    one = np.eye(len(place))[:, :-1]
    return _Places(top, bottom, one[top], one[bottom])


def _ratios(stats: Sequence[SufficientStats], wanted: Sequence[Ratio]) -> tuple[Floats, Floats]:
    """Ratios of means, shape (A, M), and their gradients with respect to the means of all columns, (A, M, k).

    NaN, and a gradient of 0, where the denominator is 0.
    """
    places = _places(stats[0].columns, tuple(wanted))
    mean = np.array([(*group.mean.tolist(), 1.0) for group in stats])
    above, below = mean[:, places.top], mean[:, places.bottom]
    there = below != 0
    below = np.where(there, below, 1.0)
    value, slope = above / below, there / below
    gradient = slope[:, :, None] * places.of_top - (value * slope)[:, :, None] * places.of_bottom
    return np.where(there, value, np.nan), gradient


def _adjust(
    stats: Sequence[SufficientStats],
    metrics: Sequence[Metric],
    past: Sequence[Ratio | None],
    value: Floats,
    gradient: Floats,
    theta: Floats,
) -> None:
    """Shift values and gradients by theta times the pre-period, in place, and fill in theta.

    Args:
        past: by metric, its pre-period, where there is one and it is known.
    """
    known = ~np.isnan(value.sum(axis=0))
    pairs = [(m, pre) for m, pre in enumerate(past) if pre is not None and known[m]]
    if not pairs:
        return
    at = [m for m, _ in pairs]
    everyone = pooled(stats)
    (whole,), (slopes,) = _ratios([everyone], [*(metrics[m].ratio for m in at), *(pre for _, pre in pairs)])
    sharp, pre = _are_sharp(everyone, whole, slopes), slopes[len(at) :]
    along = np.where(sharp[: len(at)] & sharp[len(at) :], _theta(stats, gradient[:, at], pre), 0.0)
    away = np.array([group.mean for group in stats]) - everyone.mean  # (A, k)
    theta[at] = along
    value[:, at] -= along * (away @ pre.T)
    gradient[:, at] -= along[:, None] * pre


def _are_sharp(stats: SufficientStats, value: Floats, gradient: Floats) -> NDArray[np.bool_]:
    """Whether ratios are known well enough to regress on, shape (M,): with a handful of events the regression would
    fit exactly these, and leave an estimate without any error."""
    variance = ((gradient @ stats.covariance) * gradient).sum(axis=1) / max(stats.n, 1)
    return np.asarray(np.sqrt(np.maximum(variance, 0)) < LEAST_SHARP * np.abs(value))


def _theta(stats: Sequence[SufficientStats], gradients: Floats, pre: Floats) -> Floats:
    """Pooled within-arm regressions of metrics on their pre-periods, shape (M,).

    0 where that does not vary, or where the metric does not in some arm: without a single event nothing is known of
    its error, and the error of the pre-period is another.

    Args:
        gradients: shape (A, M, k). pre: shape (M, k).
    """
    told = [a for a, group in enumerate(stats) if group.n > 1]
    if not told:
        return np.zeros(len(pre))
    n, gradients = np.array([float(stats[a].n) for a in told]), gradients[told]
    covariance = np.array([stats[a].covariance for a in told])
    along = gradients @ covariance  # (A, M, k)
    varies = ((along * gradients).sum(axis=2) > 0).all(axis=0)
    cross, spread = n @ (along * pre).sum(axis=2), n @ ((pre @ covariance) * pre).sum(axis=2)
    fine = varies & (spread > 0)
    return np.asarray(np.where(fine, cross / np.where(fine, spread, 1.0), 0.0))
