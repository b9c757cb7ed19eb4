"""Power before the test: against statsmodels, simulated tests, and curves whose laws are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from experiments.analysis.accrual import arrivals, cut_of, extended, noise_to_signal
from experiments.analysis.power import (
    bonferroni_level,
    detectable,
    family_level,
    keeping_power,
    power_of,
    power_per_test,
    provable,
    relative_error,
    units_needed,
)

CASES = [(0.05, 0.8, np.inf), (0.0065, 0.9333, np.inf), (0.05, 0.8, 12.0), (0.0065, 0.9, 1.0), (0.3, 0.35, np.inf)]


class TestOneTest:
    @pytest.mark.parametrize(("alpha", "power", "dof"), CASES)
    def test_the_detectable_effect_has_the_power(self, alpha: float, power: float, dof: float) -> None:
        assert power_of(detectable(0.03, alpha, power, dof), 0.03, alpha, dof) == pytest.approx(power, rel=1e-6)

    @pytest.mark.parametrize(("alpha", "power", "dof"), CASES)
    def test_the_provable_margin_is_kept_with_the_power(self, alpha: float, power: float, dof: float) -> None:
        margin = provable(0.03, alpha, power, dof)
        assert keeping_power(-margin, 0.03, alpha, 0.0, dof) == pytest.approx(power, rel=1e-6)

    def test_the_closed_form_is_the_exact_one_where_power_is_usual(self) -> None:
        assert detectable(1, 0.05, 0.8) == pytest.approx(norm.isf(0.025) + norm.isf(0.2), abs=2e-5)
        assert provable(1, 0.05, 0.8) == pytest.approx(norm.isf(0.05) + norm.isf(0.2))

    def test_without_effect_the_power_is_the_level(self) -> None:
        assert power_of(0, 0.03, 0.05) == pytest.approx(0.05)
        assert power_of(0, 0.03, 0.05, 9.0) == pytest.approx(0.05)
        assert detectable(0.03, 0.05, 0.05) == 0

    @pytest.mark.parametrize(("margin", "lift"), [(-0.02, -0.02), (0.05, 0.05)])
    def test_at_the_margin_a_guardrail_passes_as_rarely_as_alpha(self, margin: float, lift: float) -> None:
        assert keeping_power(margin, 0.03, 0.05, lift) == pytest.approx(0.05)
        assert keeping_power(margin, 0.03, 0.05, lift - margin) > 0.05

    def test_units_give_the_power_that_simulated_tests_have(self) -> None:
        """A sd of twice the mean and a third of the units in the arm: a lift of 30 % is seen in 80 % of tests."""
        arm = units_needed(0.3, 2.0, 0.05, 0.8, ratio=2)
        rng, n = np.random.default_rng(4), 4000
        mean = [rng.normal(1 + effect, 2 / np.sqrt(units), n) for effect, units in ((0.3, arm), (0.0, 2 * arm))]
        seen = np.abs(mean[0] - mean[1]) / relative_error(2.0, arm, 2 * arm) > norm.isf(0.025)
        low, high = binom.ppf([0.0005, 0.9995], n, 0.8) / n
        assert low <= seen.mean() <= high
        assert units_needed(0.3, 2.0, 0.05, 0.8, ratio=1) > arm  # a larger control helps the arm


class TestStatsmodels:
    @pytest.mark.parametrize("ratio", [1.0, 3.0])
    @pytest.mark.parametrize("effect", [0.02, 0.4])
    def test_agrees_on_many_units(self, effect: float, ratio: float) -> None:
        theirs = pytest.importorskip("statsmodels.stats.power").NormalIndPower()
        for guardrail, side in ((False, "two-sided"), (True, "larger")):
            found = units_needed(effect, 1.0, 0.05, 0.8, ratio=ratio, guardrail=guardrail)
            expected = theirs.solve_power(effect_size=effect, alpha=0.05, power=0.8, ratio=ratio, alternative=side)
            assert found == pytest.approx(expected, rel=1e-6)
            assert power_of(effect, relative_error(1, 90, 90), 0.05) == pytest.approx(
                theirs.power(effect, 90, 0.05, alternative="two-sided")
            )

    def test_agrees_on_few_units(self) -> None:
        theirs = pytest.importorskip("statsmodels.stats.power").TTestIndPower()
        for guardrail, side in ((False, "two-sided"), (True, "larger")):
            found = units_needed(0.9, 1.0, 0.05, 0.8, guardrail=guardrail, small_sample=True)
            expected = theirs.solve_power(effect_size=0.9, alpha=0.05, power=0.8, alternative=side)
            assert found == pytest.approx(expected, rel=1e-6)
            assert found > units_needed(0.9, 1.0, 0.05, 0.8, guardrail=guardrail)


class TestWholeDecision:
    def test_has_the_stated_power_only_if_guardrails_share_the_error(self) -> None:
        """One goal at the effect that it detects, three guardrails at the margins that they prove: all of them are
        won together in 80 % of tests if each has 95 %, and in 41 % if each has 80 %."""
        z = np.random.default_rng(6).normal(size=(20_000, 4))

        def shipped(each: float) -> float:
            goal = z[:, 0] + detectable(1, 0.05, each) > norm.isf(0.025)
            kept = z[:, 1:] + provable(1, 0.05, each) > norm.isf(0.05)
            return float((goal & kept.all(axis=1)).mean())

        assert power_per_test(0.8, 3) == pytest.approx(0.95)
        assert shipped(power_per_test(0.8, 3)) >= 0.8
        assert shipped(0.8) < 0.45
        assert power_per_test(0.8, 0) == pytest.approx(0.8)

    @pytest.mark.parametrize(("arms", "critical"), [(1, 1.960), (2, 2.212), (3, 2.349), (4, 2.442), (5, 2.511)])
    def test_the_level_of_several_arms_is_dunnetts(self, arms: int, critical: float) -> None:
        level = family_level(0.05, np.ones(arms), 1.0, np.eye(1))
        assert norm.isf(level / 2) == pytest.approx(critical, abs=0.01)
        assert bonferroni_level(0.05, arms) <= level <= 0.05

    def test_metrics_that_are_one_and_the_same_cost_nothing(self) -> None:
        assert family_level(0.05, np.ones(1), 1.0, np.ones((2, 2))) == pytest.approx(0.05, rel=0.02)
        apart = family_level(0.05, np.ones(1), 1.0, np.eye(2))
        assert apart == pytest.approx(1 - np.sqrt(0.95), rel=0.03)  # Sidak


class TestAccrual:
    DAYS = list(range(1, 8))

    def test_a_power_law_is_followed_beyond_the_days_that_were_seen(self) -> None:
        values = 5 * np.array(self.DAYS) ** -0.7
        wanted = np.array([1.0, 3.0, 7.0, 14.0, 60.0])
        np.testing.assert_allclose(extended(self.DAYS, values, wanted), 5 * wanted**-0.7)

    def test_only_the_later_half_tells_the_law(self) -> None:
        values = np.array([9.0, 9.0, 9.0, *(5 * np.arange(4, 8) ** -0.7)])
        assert extended(self.DAYS, values, np.array([14.0]))[0] == pytest.approx(5 * 14**-0.7)

    def test_no_law_is_believed_that_falls_faster_than_chance_can(self) -> None:
        values = np.array(self.DAYS) ** -3.0
        assert extended(self.DAYS, values, np.array([14.0]), -1.0)[0] == pytest.approx(7**-3 / 2)

    def test_days_without_a_number_are_left_out(self) -> None:
        values = np.array([np.nan, 0.0, *(5 * np.arange(3, 8) ** -0.7)])
        found = extended(self.DAYS, values, np.array([1.0, 3.0, 14.0]))
        np.testing.assert_allclose(found, [np.nan, 5 * 3**-0.7, 5 * 14**-0.7])
        assert np.isnan(extended(self.DAYS, np.full(7, np.nan), np.array([1.0]))).all()
        np.testing.assert_array_equal(extended([1], np.array([2.0]), np.array([1.0, 2.0])), [2, np.nan])

    def test_users_keep_coming_and_never_more_than_there_are(self) -> None:
        """Where the share that is missing halves with every doubling, twice the days do not bring twice the users."""
        came = [int(1e6 * (1 - 0.8 / day)) for day in self.DAYS]
        found = arrivals(self.DAYS, came, 10**6, np.array([7.0, 14.0, 1e6]))
        np.testing.assert_allclose(found, [came[-1], 1e6 * (1 - 0.8 / 14), 1e6], rtol=1e-5)
        linear = came[-1] / 7 * 14
        assert linear > 1.8 * found[1]
        np.testing.assert_allclose(arrivals([1, 2], [7, 9], 9, np.array([2.0, 5.0])), 9)

    def test_two_halves_tell_what_a_longer_past_cuts(self) -> None:
        """Users with a rate of their own and noise of each day: from weeks against weeks to months against months."""
        rng, n = np.random.default_rng(8), 40_000
        daily = rng.normal(size=(n, 1)) + rng.normal(scale=4.0, size=(n, 56))

        def cut(past: slice, future: slice) -> float:
            return float(np.corrcoef(daily[:, past].mean(axis=1), daily[:, future].mean(axis=1))[0, 1] ** 2)

        k = noise_to_signal(cut(slice(0, 7), slice(7, 14)), 7, 7)
        assert k == pytest.approx(16, rel=0.1)  # 4^2 / 1
        longer = cut_of(k, 28, np.array([28.0]))[0]
        assert longer == pytest.approx(cut(slice(0, 28), slice(28, 56)), rel=0.06)
        assert longer > 3 * cut(slice(0, 7), slice(7, 14))  # as if the past told no more than it did
        assert cut_of(noise_to_signal(0.0, 7, 7), 28, np.array([28.0]))[0] == 0
