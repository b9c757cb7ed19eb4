from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from experiments.analysis.lifts import Lift, lift
from experiments.analysis.verdicts import holm, non_inferiority, sample_ratio_p_value


def test_holm_is_the_textbook_example() -> None:
    """Holm (1979) by hand: sorted p times (n, n-1, ...), made monotone, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_only_what_is_known() -> None:
    adjusted = holm([0.02, float("nan"), 0.5])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


def test_holm_holds_the_family_wise_error() -> None:
    rng, n = np.random.default_rng(0), 4000
    rejected = sum((holm(rng.random(6)) < 0.05).any() for _ in range(n)) / n
    assert rejected <= binom.ppf(0.9995, n, 0.05) / n
    assert rejected > 0.03  # and is not idle


def test_sample_ratio_is_the_chi_square_of_scipy() -> None:
    counts, shares = {"a": 1010, "b": 980, "c": 2040}, {"a": 0.2, "b": 0.2, "c": 0.4}
    expected = np.array([0.25, 0.25, 0.5]) * 4030
    assert sample_ratio_p_value(counts, shares) == pytest.approx(chisquare(list(counts.values()), expected).pvalue)


def test_a_lost_percent_of_one_arm_of_a_large_test_is_a_mismatch() -> None:
    rng = np.random.default_rng(1)
    shares = {"a": 0.5, "b": 0.5}
    a = rng.binomial(200_000, 0.5)
    fair = sample_ratio_p_value({"a": a, "b": 200_000 - a}, shares)
    lossy = sample_ratio_p_value({"a": a, "b": int(0.97 * (200_000 - a))}, shares)
    assert fair > 0.001
    assert lossy < 0.001


def test_sample_ratio_without_users_is_unknown() -> None:
    assert np.isnan(sample_ratio_p_value({"a": 0, "b": 0}, {"a": 0.5, "b": 0.5}))


def of(relative: float, se: float) -> Lift:
    return lift("b", "visits", 1 + relative, se**2 / 2, 1.0, se**2 / 2, 0.05)


@pytest.mark.parametrize(
    ("relative", "se", "verdict"),
    [(0.0, 0.001, "PASS"), (-0.05, 0.001, "FAIL"), (0.0, 0.05, "UNCLEAR"), (-0.009, 0.0001, "PASS")],
)
def test_a_guardrail_passes_fails_or_stays_unclear(relative: float, se: float, verdict: str) -> None:
    assert non_inferiority(of(relative, se), -0.01, 0.05)[0] == verdict


@pytest.mark.parametrize(
    ("relative", "se", "verdict"),
    [(0.0, 0.001, "PASS"), (0.05, 0.001, "FAIL"), (0.0, 0.05, "UNCLEAR"), (0.009, 0.0001, "PASS"), (-0.5, 0.1, "PASS")],
)
def test_a_margin_above_zero_limits_the_rise(relative: float, se: float, verdict: str) -> None:
    assert non_inferiority(of(relative, se), 0.01, 0.05)[0] == verdict


def test_the_bound_is_on_the_side_of_the_margin() -> None:
    found = of(0.02, 0.01)
    low, high = found.interval(0.1)
    assert [non_inferiority(found, margin, 0.05)[1] for margin in (-0.01, 0.0, 0.01)] == [low, low, high]


@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.1), st.floats(0.001, 0.2), st.sampled_from([8.0, np.inf]))
def test_a_rise_is_judged_as_the_mirrored_fall(relative: float, se: float, margin: float, dof: float) -> None:
    """With a control without noise Fieller is linear, and a lift mirrors exactly."""
    rise, fall = (lift("b", "m", 1 + x, se**2, 1.0, 1e-20, 0.05, dof) for x in (relative, -relative))
    (verdict, upper), (mirrored, lower) = non_inferiority(rise, margin, 0.05), non_inferiority(fall, -margin, 0.05)
    assert upper == pytest.approx(-lower, abs=1e-9)
    if min(abs(bound - margin) for bound in rise.interval(0.1)) > 1e-9:
        assert verdict == mirrored


@pytest.mark.parametrize("margin", [-0.01, 0.01])
def test_a_change_at_the_margin_passes_in_five_percent(margin: float) -> None:
    rng, n = np.random.default_rng(2), 10_000
    passed = 0
    for _ in range(n):
        top, bottom = 1 + margin + 0.01 * rng.standard_normal(), 1 + 0.01 * rng.standard_normal()
        passed += non_inferiority(lift("b", "v", top, 1e-4, bottom, 1e-4, 0.05), margin, 0.05)[0] == "PASS"
    low, high = binom.ppf([0.0005, 0.9995], n, 0.05) / n
    assert low <= passed / n <= high


@pytest.mark.parametrize("margin", [-0.01, 0.01])
def test_few_clusters_need_more_to_pass(margin: float) -> None:
    few, many = (lift("b", "v", 1.0, 1.7e-5, 1.0, 1.7e-5, 0.05, dof) for dof in (5.0, np.inf))
    assert non_inferiority(few, margin, 0.05)[0] == "UNCLEAR"
    assert non_inferiority(many, margin, 0.05)[0] == "PASS"


def test_nothing_observed_is_unclear() -> None:
    assert non_inferiority(lift("b", "v", 0.0, 0.0, 0.0, 0.0, 0.05), -0.01, 0.05)[0] == "UNCLEAR"
