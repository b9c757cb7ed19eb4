"""V1, V2, V4: identical arms differ as often as alpha says, and intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats
from tests.experiments.test_statistics import identical_arms, metrics
from tests.validation.measured import Measured, Size, limits, luck, share
from tests.validation.population import METRICS, Population, population

Floats = NDArray[np.float64]
ALPHA = 0.05
ESTIMATORS = {"raw": False, "CUPED": True}
SIMULATED, SPLIT = 6_000, 4_000  # users per arm: 220 buyers of the simulated shop, 390 of the other people
RARE = ("return_rate", "net_gmv_per_user")  # of a dozen, one of ten orders in an arm and one that doubles another
COVERED = ("visits per user", "orders per user", "GMV per user", "CTR", "CVR", "value per order")


@cache
def shop() -> tuple[Population, tuple[Metric, ...]]:
    """Users who came in one simulation of the shop, and ten of its metrics."""
    run, chosen = identical_arms(), tuple(m for m in metrics() if m.name not in RARE)
    came = run.values[:, run.columns.index("visits")] > 0
    return Population(run.columns, run.values[came]).needed_by(chosen), chosen


def identical(size: Size) -> list[Measured]:
    """A/A: identical arms differ at p < .05 in five percent of experiments, for each of ten metrics.

    Users of the simulated shop, 6 000 per arm, fresh in every replication. P-values are also held against the uniform
    distribution (Kolmogorov-Smirnov, p > .001).
    """
    k = size.of(400, 5_000)
    people, chosen = shop()
    rng = np.random.default_rng(luck("V1", size))
    p = np.array(
        [_p_values({arm: people.drawn(rng, SIMULATED) for arm in "ab"}, chosen) for _ in range(k)]
    )  # (K, estimators, metrics)
    found = []
    for e, estimator in enumerate(ESTIMATORS):
        for m, one in enumerate(chosen):
            what = f"{one.name}, {estimator}"
            found.append(share("V1", f"{what}: p < .05", (p[:, e, m] < ALPHA).mean(), ALPHA, k))
            found.append(limits("V1", f"{what}: uniform, KS p", kstest(p[:, e, m], "uniform").pvalue, 0.001, np.inf, k))
    return found


def _p_values(groups: Mapping[str, SufficientStats], chosen: Sequence[Metric]) -> list[list[float]]:
    """By estimator and metric."""
    return [
        [lift.p_value for lift in lifts(joint_estimate(groups, chosen, cuped=cuped), "a", ALPHA)]
        for cuped in ESTIMATORS.values()
    ]


def coverage(size: Size) -> list[Measured]:
    """Intervals of 95 % hold the true lift in 95 % of experiments, whatever it is, with and without CUPED.

    4 000 users per arm, 390 of them buyers. In the treated arm visits, rates of clicking and buying, and prices are
    raised by 0, 2 or 10 % each, so that the true lift of GMV is up to 42 %; truth is of the whole population.
    """
    k = size.of(250, 5_000)
    chosen = [METRICS[name] for name in COVERED]
    found = []
    for raised in (0.0, 0.02, 0.10):
        rng = np.random.default_rng([luck("V2", size), round(100 * raised)])
        control, treated = (population(lift).needed_by(chosen) for lift in (0.0, raised))
        truth = np.array([treated.truth(m) / control.truth(m) - 1 for m in chosen])
        covered = np.array([_covered(control, treated, chosen, truth, rng) for _ in range(k)]).mean(axis=0)
        for (e, estimator), (m, one) in ((e, m) for e in enumerate(ESTIMATORS) for m in enumerate(chosen)):
            what = f"{one.name}, {estimator}, true lift {100 * truth[m]:+.1f} %"
            found.append(share("V2", what, covered[e, m], 1 - ALPHA, k))
    return found


def _covered(
    control: Population, treated: Population, chosen: Sequence[Metric], truth: Floats, rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """By estimator and metric, of one experiment."""
    groups = {"a": control.drawn(rng, SPLIT), "b": treated.drawn(rng, SPLIT)}
    said = []
    for cuped in ESTIMATORS.values():
        ends = [(lift.low, lift.high) for lift in lifts(joint_estimate(groups, chosen, cuped=cuped), "a", ALPHA)]
        low, high = np.array(ends).T
        said.append((low <= truth) & (truth <= high))
    return said


def clustered(size: Size) -> list[Measured]:
    """Impressions of one user go together: CTR is judged by users, and a test by impressions fails.

    4 000 users per arm, identical arms. If the naive test held its level here, the people would be too alike for V1
    and V2 to prove anything.
    """
    k = size.of(400, 5_000)
    people = population().only(("click", "impressions"))
    rng = np.random.default_rng(luck("V4", size))
    by_user, by_impression = np.empty(k), np.empty(k)
    for r in range(k):
        groups = {arm: people.drawn(rng, SPLIT) for arm in "ab"}
        (found,) = lifts(joint_estimate(groups, [METRICS["CTR"]], cuped=False), "a", ALPHA)
        by_user[r], by_impression[r] = found.p_value, _binomial_p_value(groups["a"], groups["b"])
    return [
        share("V4", "by users, delta method: p < .05", (by_user < ALPHA).mean(), ALPHA, k),
        limits("V4", "naive, by impressions: p < .05", (by_impression < ALPHA).mean(), 0.10, 1.0, k, "must fail"),
    ]


def _binomial_p_value(one: SufficientStats, other: SufficientStats) -> float:
    """Two proportions, every impression counted as independent."""
    (click, seen), (clicked, shown) = one.n * one.mean, other.n * other.mean
    pooled = (click + clicked) / (seen + shown)
    z = (clicked / shown - click / seen) / np.sqrt(pooled * (1 - pooled) * (1 / seen + 1 / shown))
    return float(2 * norm.sf(abs(z)))
