from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.contrasts import joint_lifts, spliced
from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats

METRICS = [Metric("rate", "x", "n"), Metric("money", "y"), Metric("nothing", "zero")]


def groups(seed: int, sizes: dict[str, int]) -> dict[str, SufficientStats]:
    rng = np.random.default_rng(seed)
    found = {}
    for arm, n in sizes.items():
        base = rng.gamma(2, 1, n)
        columns = np.column_stack(
            [rng.poisson(base), 5 + rng.poisson(base * 3), base * rng.gamma(1, 2, n), np.zeros(n)]
        )
        found[arm] = SufficientStats.of(("x", "n", "y", "zero"), columns)
    return found


def estimated(seed: int, sizes: dict[str, int]) -> JointEstimate:
    return joint_estimate(groups(seed, sizes), METRICS, cuped=False)


SIZES = {"c": 900, "a": 800, "b": 700}


def test_errors_are_those_of_the_single_lifts() -> None:
    estimate = estimated(1, SIZES)
    single = lifts(estimate, "c", 0.05)
    joint = joint_lifts(estimate, "c", single)
    for lift in single:
        if lift.known:
            assert joint.of(lift.arm, lift.metric) == pytest.approx(lift.lift)
            at = joint.at(lift.arm, lift.metric)
            assert np.sqrt(joint.covariance[at, at]) == pytest.approx(lift.se, rel=1e-12)


def test_few_clusters_carry_the_price_of_theta_into_the_joint_errors() -> None:
    rng = np.random.default_rng(5)
    found = {
        arm: SufficientStats.of(("y", "pre"), np.column_stack([pre + rng.normal(0, 0.3, 8) + 9, pre]))
        for arm, pre in ((arm, rng.normal(5, 1, 8)) for arm in "ca")
    }
    estimate = joint_estimate(found, [Metric("y", "y", None, ("pre", None))], cuped=True)
    single = lifts(estimate, "c", 0.05, small_sample=True)
    joint = joint_lifts(estimate, "c", single)
    assert joint.se()[0, 0] == pytest.approx(single[0].se, rel=1e-9)
    assert single[0].se > lifts(estimate, "c", 0.05)[0].se


def test_the_covariance_is_that_of_many_replications() -> None:
    """The mean analytic covariance beside the empirical one of 2,500 replications: correlations within .08, four
    standard errors."""
    replications = [_lifts_and_covariance(seed) for seed in range(2500)]
    empirical = np.cov(np.array([lift for lift, _ in replications]).T)
    analytic = np.mean([covariance for _, covariance in replications[:100]], axis=0)
    sd = np.sqrt(np.diagonal(empirical))
    assert np.abs((analytic - empirical) / np.outer(sd, sd)).max() < 0.08
    assert empirical[0, 2] / (sd[0] * sd[2]) > 0.3  # arms share their control: independence would be wrong


def _lifts_and_covariance(seed: int) -> tuple[np.ndarray, np.ndarray]:
    estimate = estimated(10_000 + seed, SIZES)
    if seed >= 100:  # their covariance is not asked for
        return (estimate.value[1:, :2] / estimate.value[0, :2] - 1).ravel(), np.zeros(0)
    joint = joint_lifts(estimate, "c", lifts(estimate, "c", 0.05)).only(metrics=("rate", "money"))
    return joint.lift.ravel(), joint.covariance


def test_what_cannot_be_told_spoils_no_other_row() -> None:
    estimate = estimated(1, SIZES)
    joint = joint_lifts(estimate, "c", lifts(estimate, "c", 0.05))
    assert np.isnan(joint.lift[:, 2]).all()
    assert np.isfinite(joint.covariance).all()
    assert np.isfinite(joint.correlation).all()
    assert joint.known() == []
    assert joint.only(metrics=("rate", "money")).known() == ["a", "b"]


def test_a_selection_keeps_pairs_together() -> None:
    estimate = estimated(1, SIZES)
    joint = joint_lifts(estimate, "c", lifts(estimate, "c", 0.05))
    part = joint.only(arms=("b", "a"), metrics=("money", "rate"))
    for arm in ("a", "b"):
        for metric in ("rate", "money"):
            assert part.of(arm, metric) == joint.of(arm, metric)
            for other in ("a", "b"):
                assert (
                    part.covariance[part.at(arm, metric), part.at(other, "rate")]
                    == joint.covariance[joint.at(arm, metric), joint.at(other, "rate")]
                )


def test_a_stopped_arm_brings_its_own_block_and_no_ties() -> None:
    whole, part = (
        joint_lifts(estimate, "c", lifts(estimate, "c", 0.05))
        for estimate in (estimated(1, SIZES), estimated(2, SIZES))
    )
    both = spliced(whole, part, "b")
    assert both.of("b", "rate") == part.of("b", "rate")
    assert both.of("a", "rate") == whole.of("a", "rate")
    assert (
        both.covariance[both.at("b", "rate"), both.at("b", "money")]
        == part.covariance[part.at("b", "rate"), part.at("b", "money")]
    )
    assert both.covariance[both.at("a", "rate"), both.at("b", "rate")] == 0
    assert whole.covariance[whole.at("a", "rate"), whole.at("b", "rate")] != 0
