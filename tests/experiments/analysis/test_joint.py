from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats

COLUMNS = ("click", "shown", "gmv", "pre click", "pre shown", "pre gmv")
METRICS = (
    Metric("ctr", "click", "shown", ("pre click", "pre shown")),
    Metric("gmv", "gmv", None, ("pre gmv", None)),
    Metric("clicks", "click"),
)


def users(n: int, rng: np.random.Generator, uplift: float = 0.0) -> np.ndarray:
    """Users who differ in how often they come and click, so that impressions of one user hang together."""
    taste = rng.beta(2, 30, n)
    shown, pre_shown = rng.poisson(rng.gamma(1, 20, (2, n))) + 1
    click, pre_click = rng.binomial(shown, np.minimum(1, taste * (1 + uplift))), rng.binomial(pre_shown, taste)
    gmv = click * rng.lognormal(0, 1, n)
    return np.stack([click, shown, gmv, pre_click, pre_shown, pre_click * rng.lognormal(0, 1, n)], axis=1)


def estimate(groups: dict[str, np.ndarray], *, cuped: bool) -> JointEstimate:
    return joint_estimate({a: SufficientStats.of(COLUMNS, v) for a, v in groups.items()}, METRICS, cuped=cuped)


def test_a_ratio_is_the_ratio_of_sums_and_its_variance_that_of_the_influence() -> None:
    values = users(4000, np.random.default_rng(0))
    joint = estimate({"a": values}, cuped=False)
    click, shown = values[:, 0], values[:, 1]
    ctr = click.sum() / shown.sum()
    influence = (click - ctr * shown) / shown.mean()
    assert joint.value[0, 0] == pytest.approx(ctr, rel=1e-12)
    assert joint.variance()[0, 0] == pytest.approx(influence.var(ddof=1) / len(values), rel=1e-10)


def test_the_covariance_between_metrics_is_that_of_their_influences() -> None:
    values = users(4000, np.random.default_rng(0))
    joint = estimate({"a": values}, cuped=False)
    click, shown, gmv = values[:, 0], values[:, 1], values[:, 2]
    ctr = click.sum() / shown.sum()
    expected = np.cov((click - ctr * shown) / shown.mean(), gmv)[0, 1] / len(values)
    assert joint.covariance[0, 0, 1] == pytest.approx(expected, rel=1e-10)


def test_cuped_equals_the_regression_on_raw_users() -> None:
    rng = np.random.default_rng(1)
    groups = {"a": users(3000, rng), "b": users(2000, rng, 0.1)}
    joint = estimate(groups, cuped=True)
    pre = [v[:, 5] for v in groups.values()]
    post = [v[:, 2] for v in groups.values()]
    centred = [x - x.mean() for x in pre]
    n = [len(x) for x in pre]
    cov = sum(k / (k - 1) * (c * (y - y.mean())).sum() for k, c, y in zip(n, centred, post, strict=True))
    var = sum(k / (k - 1) * (c * c).sum() for k, c in zip(n, centred, strict=True))
    theta, everyone = cov / var, np.concatenate(pre).mean()
    assert joint.theta[1] == pytest.approx(theta, rel=1e-9)
    for row, (y, x) in enumerate(zip(post, pre, strict=True)):
        assert joint.value[row, 1] == pytest.approx(y.mean() - theta * (x.mean() - everyone), rel=1e-9)
        assert joint.variance()[row, 1] == pytest.approx((y - theta * x).var(ddof=1) / len(y), rel=1e-9)


def test_cuped_leaves_a_metric_without_a_pre_period_alone() -> None:
    groups = {"a": users(500, np.random.default_rng(1))}
    assert estimate(groups, cuped=True).value[0, 2] == estimate(groups, cuped=False).value[0, 2]


def test_the_controls_estimate_does_not_depend_on_the_arm_it_is_compared_with() -> None:
    rng = np.random.default_rng(2)
    groups = {arm: users(800, rng) for arm in ("control", "b", "c")}
    values = {
        lift.control_value for lift in lifts(estimate(groups, cuped=True), "control", 0.05) if lift.metric == "gmv"
    }
    assert len(values) == 1


def test_the_delta_method_holds_its_level_where_counting_impressions_does_not() -> None:
    """A/A: users, not impressions, are what was assigned. The naive test rejects far too often."""
    rng, n_replications = np.random.default_rng(3), 2000
    ours = naive = 0
    for _ in range(n_replications):
        a, b = users(400, rng), users(400, rng)
        found = lifts(estimate({"a": a, "b": b}, cuped=False), "a", 0.05)
        ours += next(lift.p_value for lift in found if lift.metric == "ctr") < 0.05
        clicks, shown = (np.array([v[:, k].sum() for v in (a, b)]) for k in (0, 1))
        rate = clicks.sum() / shown.sum()
        z = (clicks / shown)[1] - (clicks / shown)[0]
        naive += abs(z) / np.sqrt(rate * (1 - rate) * (1 / shown).sum()) > 1.96
    low, high = binom.ppf([0.0005, 0.9995], n_replications, 0.05) / n_replications
    assert low <= ours / n_replications <= high
    assert naive / n_replications > 0.10


@pytest.mark.parametrize("cuped", [False, True])
def test_standard_errors_are_those_of_repeated_experiments(cuped: bool) -> None:
    rng = np.random.default_rng(4)
    found = [
        lifts(estimate({"a": users(500, rng), "b": users(500, rng, 0.1)}, cuped=cuped), "a", 0.05)[0]
        for _ in range(1000)
    ]
    spread = np.std([lift.lift for lift in found], ddof=1) / np.mean([lift.se for lift in found])
    assert 0.9 < spread < 1.1  # the sd of 1,000 replications has a standard error of 2 %


def test_cuped_shrinks_the_standard_error_of_a_repeating_metric() -> None:
    rng = np.random.default_rng(5)
    groups = {"a": users(5000, rng), "b": users(5000, rng)}
    raw, cuped = (lifts(estimate(groups, cuped=c), "a", 0.05)[0].se for c in (False, True))
    assert cuped < 0.97 * raw


def test_nothing_observed_is_not_a_number_and_not_an_error() -> None:
    empty = {"a": np.zeros((50, 6)), "b": np.zeros((50, 6))}
    found = lifts(estimate(empty, cuped=True), "a", 0.05)
    assert not any(lift.known for lift in found)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("cuped", [False, True])
def test_an_arm_without_two_users_is_unknown_and_disturbs_nobody(n: int, cuped: bool) -> None:
    """One user shows no spread: a variance of 0 would make any difference certain."""
    rng = np.random.default_rng(6)
    groups = {"a": users(500, rng), "b": users(500, rng)}
    tiny = users(1, rng)[:n]
    found = lifts(estimate({**groups, "tiny": tiny}, cuped=cuped), "a", 0.05)
    assert not any(lift.known for lift in found if lift.arm == "tiny")
    assert all(lift.known for lift in found if lift.arm == "b")


def test_an_arm_without_an_event_stays_unknown_whatever_its_past() -> None:
    """Adjusted by their past, units that are all 0 would borrow its spread and seem to be known."""
    rng = np.random.default_rng(8)
    groups = {"a": users(4000, rng), "b": users(4000, rng)}
    groups["b"][:, COLUMNS.index("gmv")] = 0
    found = {lift.metric: lift for lift in lifts(estimate(groups, cuped=True), "a", 0.05)}
    assert not found["gmv"].known
    assert np.isnan(found["gmv"].p_value)
    assert found["ctr"].known
