"""Traps that other tools fell into: each shown where it lies, and that the analysis does not step into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lift
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import non_inferiority

ARMS = "abc"


def test_an_offset_of_1e8_costs_no_digits() -> None:
    """Sum of squares minus n times the squared mean gives a variance below 0 where it is 1."""
    values = np.random.default_rng(0).normal(size=(10_000, 1)) + 1e8
    textbook = ((values**2).sum() - len(values) * values.mean() ** 2) / (len(values) - 1)
    assert abs(textbook - 1) > 0.5
    assert SufficientStats.of(("x",), values).covariance[0, 0] == pytest.approx(values.var(ddof=1), rel=1e-9)


def test_a_p_value_beyond_eight_standard_errors_is_not_zero() -> None:
    assert 2 * (1 - norm.cdf(9.0)) == 0
    found = lift("b", "m", 10.0, 0.5, 1.0, 0.5, 0.05)
    assert found.z == pytest.approx(9.0)
    assert found.p_value == pytest.approx(2 * norm.sf(9.0), rel=1e-10)


@given(st.floats(-0.3, 0.3), st.floats(0.001, 0.2), st.sampled_from([-0.01, 0.0, 0.01]), st.floats(0.001, 0.2))
def test_a_one_sided_bound_lies_on_its_side_of_the_estimate(
    relative: float, se: float, margin: float, alpha: float
) -> None:
    found = lift("b", "m", 1 + relative, se**2, 1.0, se**2, 0.05)
    _, bound = non_inferiority(found, margin, alpha)
    assert bound > found.lift if margin > 0 else bound < found.lift


def users() -> dict[str, Any]:
    """Three arms whose past differs by chance; columns: value and its past."""
    rng = np.random.default_rng(1)
    past = {arm: rng.gamma(2, 1, 300) for arm in ARMS}
    return {arm: np.column_stack([before + rng.normal(size=300), before]) for arm, before in past.items()}


def test_the_controls_mean_is_the_same_in_every_contrast() -> None:
    """With CUPED centred per pair, the control's adjusted mean depends on the arm that it is compared with."""
    tt = pytest.importorskip("tea_tasting")
    pd = pytest.importorskip("pandas")
    rows = [pd.DataFrame(values, columns=["value", "past"]).assign(variant=arm) for arm, values in users().items()]
    theirs = tt.Experiment(value=tt.Mean("value", "past")).analyze(pd.concat(rows), control="a", all_variants=True)
    controls = [theirs["a", arm]["value"].control for arm in "bc"]
    assert abs(controls[0] - controls[1]) > 0.01
    groups = {arm: SufficientStats.of(("value", "past"), values) for arm, values in users().items()}
    estimate = joint_estimate(groups, [Metric("value", "value", None, ("past", None))], cuped=True)
    assert estimate.theta[0] > 0.5
    assert estimate.value.shape == (3, 1)  # one value per arm, from which all contrasts are taken


def test_p_value_and_interval_never_contradict_each_other() -> None:
    """A p-value of the difference beside an interval of the log ratio does: three in a hundred identical arms."""
    rng, contradictions = np.random.default_rng(2), 0
    for _ in range(2_000):
        top, bottom = 1 + 0.2 * rng.normal(size=2)
        found = lift("b", "m", top, 0.04, bottom, 0.04, 0.05)
        assert not found.bounded or (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
        log_sure = abs(np.log(top / bottom)) > norm.isf(0.025) * np.sqrt(0.04 / top**2 + 0.04 / bottom**2)
        contradictions += log_sure != (found.p_value < 0.05)
    assert contradictions > 20
