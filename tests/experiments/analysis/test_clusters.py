"""Experiments that assign clusters: a few dozen rows, each the sums of one cluster."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm, ttest_ind

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats

N_CLUSTERS, LIFT = 20, 0.1
SIDE_BY_SIDE = 20  # independent metrics per estimate: so many replications at the price of one
COLUMNS = tuple(f"{column} {m}" for m in range(SIDE_BY_SIDE) for column in ("gmv", "users", "pre gmv"))
METRICS = [Metric(f"m{m}", f"gmv {m}", f"users {m}", (f"pre gmv {m}", f"users {m}")) for m in range(SIDE_BY_SIDE)]


def clusters(rng: np.random.Generator, uplift: float) -> SufficientStats:
    """Clusters of log-normal size (sd 0.3) whose rates differ by as much, and half persist."""
    shape = (N_CLUSTERS, SIDE_BY_SIDE)
    size, before, news = rng.lognormal(0, 0.3, shape), rng.standard_normal(shape), rng.standard_normal(shape)
    rate = np.exp(0.3 * (before + news) / np.sqrt(2) - 0.045) * (1 + uplift)
    sums = np.stack([size * rate, size, size * np.exp(0.3 * before)], axis=2)
    return SufficientStats.of(COLUMNS, sums.reshape(N_CLUSTERS, -1))


@pytest.mark.parametrize("cuped", [False, True])
def test_t_intervals_of_20_and_20_clusters_cover_the_truth_and_normal_ones_too_seldom(cuped: bool) -> None:
    """Fieller covers the true ratio exactly where |arm - ratio control| is within its standard errors."""
    rng, n, covered, naive = np.random.default_rng(0), 40_000, 0, 0
    for _ in range(n // SIDE_BY_SIDE):
        groups = {"control": clusters(rng, 0.0), "b": clusters(rng, LIFT)}
        estimate = joint_estimate(groups, METRICS, cuped=cuped)
        covered += sum(lift.low <= LIFT <= lift.high for lift in lifts(estimate, "control", 0.05, small_sample=True))
        (control, b), (control_var, b_var) = estimate.value, estimate.variance()
        gap = abs(b - (1 + LIFT) * control) / np.sqrt(b_var + (1 + LIFT) ** 2 * control_var)
        naive += int((gap <= norm.isf(0.025)).sum())
    low, high = binom.ppf([0.0005, 0.9995], n, 0.95) / n
    assert low <= covered / n <= high, covered / n
    assert naive / n < low


def test_counting_users_where_markets_were_assigned_finds_effects_where_there_are_none() -> None:
    """A/A over 40 markets of unequal size; users of a market share a twentieth of their variance."""
    rng, n, ours, naive = np.random.default_rng(1), 2000, 0, 0
    for _ in range(n):
        size = np.maximum(2, rng.lognormal(np.log(50), 0.3, 40)).astype(int)
        market = np.repeat(np.arange(40), size)
        gmv = 2 + np.sqrt(0.05) * rng.standard_normal(40)[market] + np.sqrt(0.95) * rng.standard_normal(len(market))
        arm = rng.permutation(40) % 2
        sums = np.stack([np.bincount(market, gmv), size], axis=1)
        by_market = {name: SufficientStats.of(("gmv", "users"), sums[arm == k]) for k, name in enumerate("ab")}
        by_user = {name: SufficientStats.of(("gmv",), gmv[arm[market] == k, None]) for k, name in enumerate("ab")}
        clustered = joint_estimate(by_market, [Metric("gmv", "gmv", "users")], cuped=False)
        unclustered = joint_estimate(by_user, [Metric("gmv", "gmv")], cuped=False)
        assert clustered.value == pytest.approx(unclustered.value, rel=1e-12)
        ours += lifts(clustered, "a", 0.05, small_sample=True)[0].p_value < 0.05
        naive += lifts(unclustered, "a", 0.05)[0].p_value < 0.05
    low, high = binom.ppf([0.0005, 0.9995], n, 0.05) / n
    assert low <= ours / n <= high
    assert naive / n > 0.2


def test_a_mean_of_few_units_has_the_p_value_and_degrees_of_freedom_of_welch() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(5, 1, 12), rng.normal(5.5, 2, 7)
    groups = {name: SufficientStats.of(("x",), values[:, None]) for name, values in (("a", a), ("b", b))}
    (found,) = lifts(joint_estimate(groups, [Metric("x", "x")], cuped=False), "a", 0.05, small_sample=True)
    welch = ttest_ind(b, a, equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-9)
    assert found.dof == pytest.approx(welch.df, rel=1e-12)


def test_thousands_of_units_need_no_small_sample() -> None:
    rng = np.random.default_rng(3)
    groups = {
        name: SufficientStats.of(("x", "pre"), rng.normal(5, 1, (5000, 2)) + rng.normal(0, 1, (5000, 1)))
        for name in "ab"
    }
    estimate = joint_estimate(groups, [Metric("x", "x", None, ("pre", None))], cuped=True)
    (normal,), (small) = lifts(estimate, "a", 0.05), lifts(estimate, "a", 0.05, small_sample=True)
    assert normal.dof == np.inf
    assert (small[0].low, small[0].high) == pytest.approx((normal.low, normal.high), abs=1e-3 * normal.se)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("cuped", [False, True])
def test_an_arm_without_two_clusters_is_unknown_and_disturbs_nobody(n: int, cuped: bool) -> None:
    rng = np.random.default_rng(4)
    tiny = SufficientStats.of(COLUMNS, rng.random((n, len(COLUMNS))))
    groups = {"control": clusters(rng, 0), "b": clusters(rng, 0), "tiny": tiny}
    found = lifts(joint_estimate(groups, METRICS, cuped=cuped), "control", 0.05, small_sample=True)
    assert [lift.known for lift in found] == [lift.arm == "b" for lift in found]
    assert not any(np.isfinite(lift.p_value) or np.isfinite(lift.dof) for lift in found if lift.arm == "tiny")


def test_two_and_two_clusters_cannot_carry_an_adjustment() -> None:
    """Theta of two degrees of freedom has an error without bound; the unadjusted lift stays known."""
    rng = np.random.default_rng(5)
    groups = {name: SufficientStats.of(("x", "pre"), rng.normal(5, 1, (2, 2))) for name in "ab"}
    metrics = [Metric("adjusted", "x", None, ("pre", None)), Metric("plain", "x")]
    found = lifts(joint_estimate(groups, metrics, cuped=True), "a", 0.05, small_sample=True)
    assert [lift.known for lift in found] == [False, True]
