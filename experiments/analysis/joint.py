"""The joint estimate: every metric of every arm with the full covariance, plain and adjusted by the warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.stats import SufficientStats, pooled

Floats = NDArray[np.float64]
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
    pre: tuple[str, str | None] | None = None


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
    arms = list(groups)
    value = np.zeros((len(arms), len(metrics)))
    gradient = np.zeros((len(arms), len(metrics), len(next(iter(groups.values())).columns)))
    for a, arm in enumerate(arms):
        for m, metric in enumerate(metrics):
            if lost & {metric.numerator, metric.denominator}:
                value[a, m] = np.nan
                continue
            value[a, m], gradient[a, m] = _ratio(groups[arm], groups[arm].mean, metric.numerator, metric.denominator)
    theta = np.zeros(len(metrics))
    if cuped:
        everyone = pooled(list(groups.values()))
        for m, metric in enumerate(metrics):
            if metric.pre is None or lost & set(metric.pre) or np.isnan(value[:, m]).any():
                continue
            at, pre = _ratio(everyone, everyone.mean, *metric.pre)
            now, here = _ratio(everyone, everyone.mean, metric.numerator, metric.denominator)
            if not (_is_sharp(everyone, at, pre) and _is_sharp(everyone, now, here)):
                continue
            if any(_is_constant(groups[arm], gradient[a, m]) for a, arm in enumerate(arms)):
                continue  # the past would lend it a spread, and an arm without an event would seem to be known
            theta[m] = _theta([groups[arm] for arm in arms], gradient[:, m], pre)
            for a, arm in enumerate(arms):
                value[a, m] -= theta[m] * float(pre @ (groups[arm].mean - everyone.mean))
                gradient[a, m] -= theta[m] * pre
    covariance = np.stack(
        [gradient[a] @ groups[arm].covariance @ gradient[a].T / max(groups[arm].n, 1) for a, arm in enumerate(arms)]
    )
    counts = {arm: groups[arm].n for arm in arms}
    names = tuple(metric.name for metric in metrics)
    return JointEstimate(tuple(arms), names, counts, value, covariance, "cuped" if cuped else "raw", theta)


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


def _ratio(stats: SufficientStats, mean: Floats, numerator: str, denominator: str | None) -> tuple[float, Floats]:
    """A ratio of means and its gradient with respect to the means of all columns; NaN without a denominator."""
    gradient = np.zeros(len(mean))
    top = mean[stats.at(numerator)]
    bottom = 1.0 if denominator is None else mean[stats.at(denominator)]
    if bottom == 0:
        return float("nan"), gradient
    gradient[stats.at(numerator)] = 1 / bottom
    if denominator is not None:
        gradient[stats.at(denominator)] -= top / bottom**2
    return float(top / bottom), gradient


def _is_constant(stats: SufficientStats, gradient: Floats) -> bool:
    """Whether an arm's units are all alike on a metric, such as without a single conversion."""
    return stats.n > 1 and not gradient @ stats.covariance @ gradient > 0


def _is_sharp(stats: SufficientStats, value: float, gradient: Floats) -> bool:
    """Whether a ratio is known well enough to regress on: with a handful of events the regression would fit
    exactly these, and leave an estimate without any error."""
    se = np.sqrt(gradient @ stats.covariance @ gradient / max(stats.n, 1))
    return bool(se < LEAST_SHARP * abs(value))


def _theta(groups: Sequence[SufficientStats], gradients: Floats, pre: Floats) -> float:
    """Pooled within-arm regression of the metric on its pre-period; 0 where that does not vary, or where the metric
    does not in some arm: without a single event nothing is known of its error, and the pre-period's is another."""
    told = [(group, g, g @ group.covariance) for group, g in zip(groups, gradients, strict=True) if group.n > 1]
    if any(float(along @ g) <= 0 for _, g, along in told):
        return 0.0
    cross = sum(group.n * float(along @ pre) for group, _, along in told)
    spread = sum(group.n * float(pre @ group.covariance @ pre) for group, _, _ in told)
    return cross / spread if spread > 0 else 0.0
