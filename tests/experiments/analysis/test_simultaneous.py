from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import dunnett, norm, t

from experiments.analysis.contrasts import JointLifts, joint_lifts
from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.simultaneous import critical_value, max_t
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import holm
from tests.asserts import assert_within


def equicorrelated(n: int, r: float) -> np.ndarray:
    return np.full((n, n), r) + (1 - r) * np.eye(n)


def given(z: np.ndarray, correlation: np.ndarray, dof: float = np.inf) -> JointLifts:
    """Lifts with a standard error of one each."""
    arms, metrics = tuple(f"arm{a}" for a in range(z.shape[0])), tuple(f"m{m}" for m in range(z.shape[1]))
    return JointLifts(
        "c", arms, metrics, z.astype(float), correlation, z.astype(float), correlation, np.full(z.shape, dof)
    )


@pytest.mark.parametrize(("arms", "published"), [(1, 1.960), (2, 2.212), (3, 2.349), (4, 2.442), (5, 2.511)])
def test_critical_values_of_arms_that_share_a_control_are_dunnetts(arms: int, published: float) -> None:
    """Correlation one half: arms of equal size (Dunnett 1955; by Monte Carlo 2.346 for three)."""
    assert critical_value(equicorrelated(arms, 0.5), 0.05) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_independent_statistics_pay_sidaks_price(n: int) -> None:
    sidak = norm.isf((1 - 0.95 ** (1 / n)) / 2)
    assert critical_value(np.eye(n), 0.05) == pytest.approx(sidak, abs=0.01)


def test_statistics_that_are_one_and_the_same_pay_nothing() -> None:
    assert critical_value(np.ones((6, 6)), 0.05) == pytest.approx(1.96, abs=0.01)


def test_few_degrees_of_freedom_ask_for_more() -> None:
    assert critical_value(np.eye(1), 0.05, 5.0) == pytest.approx(2.571, abs=0.02)


def test_adjusted_p_values_are_those_of_scipys_dunnett_for_the_surest_arm() -> None:
    rng = np.random.default_rng(4)
    drawn = [rng.normal(0, 1, 400) for _ in range(4)]
    # Of equal spread in the sample: theirs pools the variance, ours does not.
    control, *arms = (
        shift + (y - y.mean()) / y.std(ddof=1) for shift, y in zip((0, 0.1, 0.17, 0.05), drawn, strict=True)
    )
    theirs = dunnett(*arms, control=control, rng=np.random.default_rng(1)).pvalue
    groups = {n: SufficientStats.of(("y",), y[:, None] + 10) for n, y in zip("cxyz", (control, *arms), strict=True)}
    estimate = joint_estimate(groups, [Metric("y", "y")], cuped=False)
    found = max_t(joint_lifts(estimate, "c", lifts(estimate, "c", 0.05)), 0.05)
    surest = int(np.argmin(theirs))
    assert found.p_adjusted[surest, 0] == pytest.approx(theirs[surest], abs=0.003)


@pytest.mark.parametrize("dof", [np.inf, 9.0])
def test_step_down_lies_between_the_single_p_value_and_holms(dof: float) -> None:
    rng = np.random.default_rng(1)
    joint = given(rng.normal(0, 2, (4, 3)), np.kron(equicorrelated(4, 0.5), equicorrelated(3, 0.4)), dof)
    found = max_t(joint, 0.05)
    single = 2 * t.sf(np.abs(joint.z).ravel(), 1e9 if dof == np.inf else dof)
    assert (found.p_adjusted.ravel() >= single - 1e-9).all()
    assert (found.p_adjusted.ravel() <= holm(single.tolist()) + 1e-9).all()


def test_step_down_never_says_less_than_the_simultaneous_interval() -> None:
    """What the single-step interval excludes, the step-down rejects; it may reject more."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        joint = given(rng.normal(0, 2.5, (3, 2)), np.kron(equicorrelated(3, 0.5), equicorrelated(2, 0.3)))
        found = max_t(joint, 0.05)
        sure = np.abs(joint.z) > found.critical
        assert (found.p_adjusted[sure] < 0.05 + 1e-3).all()


def test_far_in_the_tail_the_p_value_is_holms_and_not_zero() -> None:
    joint = given(np.array([[9.0], [0.3]]), np.eye(2))
    assert max_t(joint, 0.05).p_adjusted[0, 0] == pytest.approx(2 * 2 * norm.sf(9.0), rel=1e-9)


def test_order_of_arms_does_not_matter() -> None:
    joint = given(np.array([[2.2], [1.0], [2.6]]), equicorrelated(3, 0.5))
    turned = joint.only(arms=("arm2", "arm0", "arm1"))
    np.testing.assert_allclose(max_t(turned, 0.05).p_adjusted[[1, 2, 0]], max_t(joint, 0.05).p_adjusted, atol=0.004)


def test_what_cannot_be_told_is_left_out_of_the_family() -> None:
    joint = given(np.array([[2.2], [1.0]]), equicorrelated(2, 0.5))
    unknown = given(np.array([[2.2], [np.nan]]), equicorrelated(2, 0.5))
    alone = max_t(unknown, 0.05)
    assert alone.n == 1
    assert np.isnan(alone.p_adjusted[1, 0])
    assert alone.critical < max_t(joint, 0.05).critical
    nobody = max_t(given(np.full((2, 1), np.nan), np.eye(2)), 0.05)
    assert nobody.n == 0
    assert np.isnan(nobody.p_adjusted).all()


def test_the_family_errs_as_often_as_it_says_and_the_single_tests_far_more_often() -> None:
    """Five arms on one control, four metrics, nothing differs: 4,000 families."""
    rng, n = np.random.default_rng(3), 4000
    correlation = np.kron(equicorrelated(5, 0.5), equicorrelated(4, 0.3))
    z = rng.normal(size=(n, 20)) @ np.linalg.cholesky(correlation).T
    critical = critical_value(correlation, 0.05)
    assert_within(float((np.abs(z).max(axis=1) > critical).mean()), 0.0393, 0.0617, "family-wise error by max-T")
    assert (np.abs(z).max(axis=1) > 1.96).mean() > 0.3
