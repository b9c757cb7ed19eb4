"""Alpha-spending: boundaries against published tables, another integral, and simulated tests that are peeked at."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import binom, norm

from experiments.analysis.lifts import Lift, lift
from experiments.analysis.looks import with_repeated
from experiments.analysis.sequential import (
    SPENDING,
    boundaries,
    exit_probabilities,
    information_fractions,
    nominal_alpha,
    obrien_fleming,
)

Floats = NDArray[np.float64]
FIFTHS = np.arange(1, 6) / 5
DAILY = np.arange(1, 29) / 28


class TestBoundaries:
    def test_are_the_published_ones_of_five_equal_looks(self) -> None:
        """Lan and DeMets's bounds for O'Brien-Fleming spending at 5 %, as printed in tables; a grid whose cells are
        half a cell off shows in the second digit."""
        published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
        np.testing.assert_allclose(boundaries(FIFTHS, 0.05, "obrien_fleming"), published, atol=5e-4)

    @pytest.mark.parametrize(("shape", "constant"), [(0.0, 2.413), (0.5, 2.040)])
    def test_the_integral_gives_the_classic_constants(self, shape: float, constant: float) -> None:
        """Bounds C / t^shape for five looks at 5 %: C is 2.413 for Pocock (1977), 2.040 for O'Brien and Fleming."""
        spent = lambda c: exit_probabilities(FIFTHS, c / FIFTHS**shape).sum() - 0.05  # noqa: E731
        assert brentq(spent, 1.5, 4) == pytest.approx(constant, abs=5e-4)

    @pytest.mark.parametrize("spending", SPENDING)
    def test_the_second_look_agrees_with_a_plain_integral(self, spending: str) -> None:
        """P(|z1| < b1, |z2| > b2) over the bivariate normal is what the second look spends."""
        first, second, _ = boundaries([0.3, 0.5, 1.0], 0.05, spending)
        r = np.sqrt(0.3 / 0.5)
        sd = np.sqrt(1 - r * r)

        def crossing(z: float) -> float:
            return float(norm.pdf(z) * (norm.sf((second - r * z) / sd) + norm.cdf((-second - r * z) / sd)))

        spent = np.diff(SPENDING[spending](np.array([0.3, 0.5]), 0.05))[0]
        assert quad(crossing, -first, first, epsabs=1e-13)[0] == pytest.approx(spent, rel=1e-6)

    @pytest.mark.parametrize("spending", SPENDING)
    @pytest.mark.parametrize("alpha", [1e-4, 0.0065, 0.05, 0.3])
    @pytest.mark.parametrize("fractions", [DAILY, [1.0], [0.001, 0.0012, 0.3, 0.3002, 0.99, 1.0]])
    def test_everything_that_is_spent_is_alpha(
        self, spending: str, alpha: float, fractions: list[float] | Floats
    ) -> None:
        bounds = boundaries(fractions, alpha, spending)
        assert exit_probabilities(fractions, bounds).sum() == pytest.approx(alpha, rel=2e-5)

    def test_one_look_is_the_plain_test(self) -> None:
        bound = boundaries([1.0], 0.05, "pocock")[0]
        assert bound == pytest.approx(norm.isf(0.025))
        assert nominal_alpha(bound) == pytest.approx(0.05)

    def test_obrien_fleming_spends_twice_the_one_sided_alpha_of_half(self) -> None:
        assert float(obrien_fleming(np.array(1.0), 0.05)) == pytest.approx(0.05)
        per_side = 2 * norm.sf(norm.isf(0.05 / 4) / np.sqrt(0.4))
        assert float(obrien_fleming(np.array(0.4), 0.05)) == pytest.approx(2 * per_side)

    @pytest.mark.parametrize("idle", [np.nan, 0.4, 0.3, 0.40001])
    def test_a_look_without_new_information_spends_nothing(self, idle: float) -> None:
        bounds = boundaries([0.4, idle, 0.8, 1.0], 0.05, "pocock")
        assert np.isinf(bounds[1])
        np.testing.assert_array_equal(bounds[[0, 2, 3]], boundaries([0.4, 0.8, 1.0], 0.05, "pocock"))

    @pytest.mark.parametrize(
        ("fractions", "alpha", "spending", "message"),
        [
            ([0.5, 1.2], 0.05, "pocock", "fractions of information must lie in"),
            ([0.0, 1.0], 0.05, "pocock", "fractions of information must lie in"),
            ([1.0], 0.0, "pocock", "alpha must lie between"),
            ([1.0], 0.05, "evenly", "spending must be one of obrien_fleming, pocock, got 'evenly'"),
        ],
    )
    def test_wrong_arguments_are_refused(
        self, fractions: list[float], alpha: float, spending: str, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            boundaries(fractions, alpha, spending)

    def test_who_peeks_daily_errs_as_often_as_promised_and_the_naive_reader_does_not(self) -> None:
        """28 looks at 10,000 tests without effect: 5 % are ever significant, by single tests more than 20 %."""
        n = 10_000
        steps = np.random.default_rng(3).normal(size=(n, 28))
        z = steps.cumsum(axis=1) / np.sqrt(np.arange(1, 29))
        low, high = binom.ppf([0.0005, 0.9995], n, 0.05) / n
        for spending in SPENDING:
            ever = (np.abs(z) > boundaries(DAILY, 0.05, spending)).any(axis=1).mean()
            assert low <= ever <= high, f"{spending}: {ever}"
        assert (np.abs(z) > norm.isf(0.025)).any(axis=1).mean() > 0.2


class TestInformation:
    def test_is_the_inverse_of_the_squared_error_as_a_share_of_the_last(self) -> None:
        np.testing.assert_allclose(information_fractions([0.2, 0.1, 0.05]), [1 / 16, 1 / 4, 1])

    def test_that_falls_or_is_complete_before_the_end_counts_at_no_look(self) -> None:
        fractions = information_fractions([0.2, 0.25, 0.15, 0.09, 0.1])
        np.testing.assert_allclose(fractions, [0.25, np.nan, 1 / 2.25, np.nan, 1])

    def test_of_an_unknown_error_is_unknown(self) -> None:
        np.testing.assert_allclose(information_fractions([np.nan, 0.2, 0.1]), [np.nan, 0.25, 1])
        np.testing.assert_allclose(information_fractions([0.2, 0.1, np.nan]), [0.25, 1, np.nan])
        assert np.isnan(information_fractions([np.nan, np.nan])).all()
        assert np.isinf(boundaries(information_fractions([np.nan, np.nan]), 0.05, "pocock")).all()


def look(treated: float, se: float, *, control: float = 1.0, dof: float = np.inf) -> Lift:
    """A lift whose two means have the same variance, and `se` at equal means."""
    return lift("b", "gmv", treated, se**2 / 2, control, se**2 / 2, 0.05, dof)


class TestRepeatedIntervals:
    def test_are_fieller_intervals_at_the_level_of_each_boundary(self) -> None:
        seen = [look(1.3, 0.2), look(1.2, 0.1), look(1.1, 0.05)]
        rows = with_repeated([1, 4, 16], seen, [0.1, 0.1, np.nan], 0.05, "pocock")
        for row, one, bound in zip(rows, seen, boundaries([1 / 16, 1 / 4, 1], 0.05, "pocock"), strict=True):
            assert (row.repeated_low, row.repeated_high) == pytest.approx(one.interval(nominal_alpha(bound)))
            assert (row.lift, row.se, row.low, row.high) == (one.lift, one.se, one.low, one.high)
            assert row.repeated_low < row.low < row.high < row.repeated_high
        assert [row.information for row in rows] == pytest.approx([1 / 16, 1 / 4, 1])
        assert [row.day for row in rows] == [1, 4, 16]
        assert rows[0].true_lift == 0.1

    def test_once_crossed_stays_crossed(self) -> None:
        seen = [look(1.0, 0.2), look(1.5, 0.1), look(1.0, 0.05)]
        rows = with_repeated([1, 4, 16], seen, [0.0] * 3, 0.05, "obrien_fleming")
        assert [row.crossed for row in rows] == [False, True, True]

    def test_do_not_depend_on_the_lift_that_was_found(self) -> None:
        """What a large lift does to its own error is no information: fractions are those of equal means."""
        rows = with_repeated([1, 2], [look(3.0, 0.2), look(1.0, 0.1)], [0.0] * 2, 0.05, "pocock")
        assert rows[0].information == pytest.approx(0.25)

    def test_of_an_unknown_lift_are_unknown_and_spend_nothing(self) -> None:
        unknown = lift("b", "gmv", 0.0, 0.0, 0.0, 0.0, 0.05)
        known = [look(1.2, 0.1), look(1.1, 0.05)]
        rows = with_repeated([1, 2, 3], [unknown, *known], [np.nan] * 3, 0.05, "pocock")
        assert np.isnan([rows[0].repeated_low, rows[0].repeated_high, rows[0].information]).all()
        assert not rows[0].crossed
        alone = with_repeated([2, 3], known, [np.nan] * 2, 0.05, "pocock")
        assert [row.repeated_low for row in rows[1:]] == [row.repeated_low for row in alone]

    @pytest.mark.parametrize("dof", [1.0, 7.5, np.inf])
    def test_of_a_look_far_too_early_have_no_ends(self, dof: float) -> None:
        rows = with_repeated([1, 90], [look(1.2, 2.0, dof=dof), look(1.1, 0.05, dof=dof)], [0.0] * 2, 0.05, "pocock")
        assert (rows[0].repeated_low, rows[0].repeated_high) == (-np.inf, np.inf)
        early = with_repeated([1, 90], [look(1.2, 0.6, dof=dof), look(1.1, 0.05, dof=dof)], [0.0] * 2, 0.05, OBF)
        assert (early[0].repeated_low, early[0].repeated_high) == (-np.inf, np.inf)

    def test_of_few_clusters_are_wider_by_students_t(self) -> None:
        few, many = (
            with_repeated([1, 2], [look(1.2, 0.1, dof=dof), look(1.1, 0.05, dof=dof)], [0.0] * 2, 0.05, "pocock")[-1]
            for dof in (8.0, np.inf)
        )
        assert few.repeated_low < many.repeated_low < many.repeated_high < few.repeated_high

    def test_of_several_arms_are_refused(self) -> None:
        other = lift("c", "gmv", 1.1, 0.01, 1.0, 0.01, 0.05)
        with pytest.raises(ValueError, match="looks must be at one arm and metric"):
            with_repeated([1, 2], [look(1.1, 0.1), other], [0.0] * 2, 0.05, "pocock")

    def test_hold_the_truth_at_all_looks_together_and_those_of_each_look_alone_do_not(self) -> None:
        """1,500 tests of a lift of 10 %, read five times: repeated intervals ever miss it in 5 %, plain ones more."""
        n, per_look = 1500, 400
        draws = np.random.default_rng(5).exponential(size=(2, n, 5, per_look))
        users = per_look * np.arange(1, 6)
        mean = draws.sum(axis=3).cumsum(axis=2) / users  # (2, n, 5)
        variance = ((draws**2).sum(axis=3).cumsum(axis=2) / users - mean**2) / users
        missed = np.zeros((2, n), dtype=bool)
        for k in range(n):
            seen = [
                lift("b", "gmv", 1.1 * mean[0, k, j], 1.21 * variance[0, k, j], mean[1, k, j], variance[1, k, j], 0.05)
                for j in range(5)
            ]
            rows = with_repeated(range(1, 6), seen, [0.1] * 5, 0.05, OBF)
            missed[0, k] = any(row.repeated_low > 0.1 or row.repeated_high < 0.1 for row in rows)
            missed[1, k] = any(row.low > 0.1 or row.high < 0.1 for row in rows)
        low, high = binom.ppf([0.0005, 0.9995], n, 0.05) / n
        assert low <= missed[0].mean() <= high
        assert missed[1].mean() > 0.1


OBF = "obrien_fleming"
