from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from experiments.analysis.lifts import fieller, lift, welch_dof

MEANS = st.floats(0.01, 100)
SPREADS = st.floats(0.001, 3)
DOFS = st.one_of(st.just(np.inf), st.floats(1, 200))


@given(MEANS, SPREADS, MEANS, SPREADS, st.sampled_from([0.01, 0.05, 0.1]), DOFS)
def test_the_interval_excludes_zero_exactly_where_the_p_value_is_below_alpha(
    top: float, top_sd: float, bottom: float, bottom_sd: float, alpha: float, dof: float
) -> None:
    found = lift("b", "m", top, top_sd**2, bottom, bottom_sd**2, alpha, dof)
    if abs(found.p_value - alpha) < 1e-9:
        return
    if found.bounded:
        assert (found.low > 0 or found.high < 0) == (found.p_value < alpha)


@given(MEANS, SPREADS, MEANS, SPREADS)
def test_an_interval_contains_its_own_estimate(top: float, top_sd: float, bottom: float, bottom_sd: float) -> None:
    found = lift("b", "m", top, top_sd**2, bottom, bottom_sd**2, 0.05)
    assert found.low <= found.lift <= found.high


def test_fieller_solves_its_own_equation() -> None:
    low, high = fieller(2.0, 0.04, 1.5, 0.01, 0.05)
    z = norm.isf(0.025)
    for ratio in (low, high):
        assert abs(2.0 - ratio * 1.5) == pytest.approx(z * np.sqrt(0.04 + ratio**2 * 0.01), rel=1e-12)


def test_fieller_of_few_units_has_the_quantile_of_t() -> None:
    low, high = fieller(2.0, 0.04, 1.5, 0.01, 0.05, 7.5)
    for ratio in (low, high):
        assert abs(2.0 - ratio * 1.5) == pytest.approx(t.isf(0.025, 7.5) * np.sqrt(0.04 + ratio**2 * 0.01), rel=1e-9)


def test_another_level_keeps_the_degrees_of_freedom() -> None:
    few, many = (lift("b", "m", 1.1, 0.01, 1.0, 0.01, 0.05, dof) for dof in (8.0, np.inf))
    assert few.interval(0.05) == (few.low, few.high)
    assert few.interval(0.1) == lift("b", "m", 1.1, 0.01, 1.0, 0.01, 0.1, 8.0).interval(0.1)
    assert few.low < many.low
    assert few.p_value > many.p_value


def test_many_degrees_of_freedom_are_the_normal() -> None:
    few, many = (lift("b", "m", 1.1, 1e-3, 1.0, 1e-3, 0.05, dof) for dof in (1e9, np.inf))
    assert (few.low, few.high, few.p_value) == pytest.approx((many.low, many.high, many.p_value), rel=1e-7)


def test_welch_is_the_smaller_arm_where_it_alone_varies_and_the_sum_where_both_do_alike() -> None:
    assert welch_dof(1.0, 5, 1e-12, 50) == pytest.approx(4)
    assert welch_dof(1.0, 20, 1.0, 20) == pytest.approx(38)
    assert np.isnan(welch_dof(1.0, 1, 1.0, 20))
    assert np.isnan(welch_dof(0.0, 20, 0.0, 20))


def test_fieller_is_the_whole_line_where_the_control_cannot_be_told_from_zero() -> None:
    assert fieller(1.0, 0.1, 0.1, 1.0, 0.05) == (-np.inf, np.inf)


def test_fieller_misses_on_both_sides_alike_where_the_linear_interval_leans() -> None:
    """A ratio of means with an error of a fifth is skewed: the linear interval nearly always misses below."""
    rng, n, sd = np.random.default_rng(0), 20_000, 0.2
    below, above, linear_below, linear_above = 0, 0, 0, 0
    for _ in range(n):
        top, bottom = 1 + sd * rng.standard_normal(2)
        low, high = fieller(top, sd**2, bottom, sd**2, 0.05)
        below, above = below + (high < 1), above + (low > 1)
        half = 1.96 * sd * np.sqrt(1 + (top / bottom) ** 2) / bottom
        linear_below, linear_above = linear_below + (top / bottom + half < 1), linear_above + (top / bottom - half > 1)
    one_side = 5 * np.sqrt(0.025 * 0.975 / n)
    assert abs(below / n - 0.025) < one_side
    assert abs(above / n - 0.025) < one_side
    assert linear_below > 4 * linear_above


@pytest.mark.parametrize("z", [5, 8.3, 20, 37])
def test_p_values_keep_their_digits_in_the_tail(z: float) -> None:
    found = lift("b", "m", 1 + z * np.sqrt(2), 1.0, 1.0, 1.0, 0.05)
    assert np.log(found.p_value) == pytest.approx(np.log(2) + norm.logsf(z), rel=1e-10)


@pytest.mark.parametrize(("top", "bottom"), [(float("nan"), 1), (1, float("nan")), (1, 0), (np.inf, 1)])
def test_without_a_number_to_compare_there_is_no_lift(top: float, bottom: float) -> None:
    assert not lift("b", "m", top, 1.0, bottom, 1.0, 0.05).known


def test_constant_metrics_have_no_lift() -> None:
    assert not lift("b", "m", 1.0, 0.0, 1.0, 0.0, 0.05).known


def test_an_arm_without_a_single_conversion_is_unknown_not_certain() -> None:
    nothing = lift("b", "m", 0.0, 0.0, 0.02, 1e-5, 0.05)
    assert not nothing.known
    assert np.isnan(nothing.p_value)
