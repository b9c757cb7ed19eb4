from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from experiments.analysis.lifts import Lift, lift
from experiments.analysis.segments import SegmentRow, segment_rows, segment_tests
from tests.asserts import assert_uniform


def found(value: float, se: float = 0.01, arm: str = "b") -> Lift:
    return lift(arm, "m", 1 + value, se**2 / 2, 1.0, se**2 / 2, 0.05)


def rows(*values: float) -> tuple[SegmentRow, ...]:
    levels = {("s", f"level {n}"): [found(value)] for n, value in enumerate(values)}
    units = {key: {"a": 10, "b": 12} for key in levels}
    return segment_rows(levels, units, "a", {("s", "level 0", "b", "m"): 0.5})


def test_a_row_tells_its_units_and_its_truth() -> None:
    first, second = rows(0.1, 0.2)
    assert (first.units, first.control_units) == (12, 10)
    assert first.true_lift == 0.5
    assert np.isnan(second.true_lift)


def test_equal_lifts_are_not_told_apart_and_unequal_ones_are() -> None:
    assert segment_tests(rows(0.05, 0.05, 0.05))[0].p_value == pytest.approx(1)
    assert segment_tests(rows(0.05, 0.15))[0].p_value < 1e-6


def test_two_levels_are_tested_as_their_difference() -> None:
    """Cochran's Q of two is the square of the z of their difference."""
    a, b = rows(0.02, 0.05)
    z = (b.lift - a.lift) / np.hypot(a.equal_se, b.equal_se)
    assert segment_tests((a, b))[0].p_value == pytest.approx(2 * norm.sf(abs(z)))


def test_where_nothing_differs_the_p_values_are_uniform() -> None:
    rng = np.random.default_rng(1)
    p = [segment_tests(rows(*rng.normal(0.0, 0.01, 4)))[0].p_value for _ in range(1500)]
    assert_uniform(p, 1e-4)


def test_a_level_that_cannot_be_told_is_left_out() -> None:
    levels = {
        ("s", "x"): [found(0.1)],
        ("s", "y"): [found(0.1)],
        ("s", "z"): [lift("b", "m", 0.0, 0.0, 1.0, 0.1, 0.05)],
    }
    units = {key: {"a": 3, "b": 3} for key in levels}
    made = segment_rows(levels, units, "a", {})
    assert np.isnan(made[2].p_adjusted)
    assert segment_tests(made)[0].p_value == pytest.approx(1)
    assert np.isnan(segment_tests(made[:1])[0].p_value)


def test_adjusted_p_values_count_every_row() -> None:
    one = rows(0.025)
    many = rows(0.025, *([0.0] * 9))
    assert many[0].p_adjusted == pytest.approx(10 * one[0].p_value)


def test_few_events_on_a_level_are_not_taken_for_another_lift() -> None:
    """Money of a few buyers beside that of many, nothing differs: by the lifts' own errors the levels are told apart
    far too often, as a level without luck seems known best."""
    rng, n = np.random.default_rng(3), 400
    found = np.zeros((n, 2))
    for r in range(n):
        made = segment_rows(
            {("s", level): [_money(rng, buyers)] for level, buyers in (("few", 15), ("many", 400))},
            {("s", level): {"a": 1, "b": 1} for level in ("few", "many")},
            "a",
            {},
        )
        unbounded = [replace(row, low=-9.0, high=9.0) for row in made]  # few buyers alone often have no bounds
        naive = [replace(row, equal_se=row.se) for row in unbounded]
        found[r] = [segment_tests(rows)[0].p_value < 0.01 for rows in (unbounded, naive)]
    ours, by_own_errors = found.mean(axis=0)
    assert ours < 0.03
    assert by_own_errors > 2 * ours + 0.02


def _money(rng: np.random.Generator, buyers: int) -> Lift:
    """Arms of twenty times as many users as buyers, log-normal values."""
    means = []
    for _ in range(2):
        value = np.zeros(20 * buyers)
        bought = rng.random(len(value)) < 0.05
        value[bought] = rng.lognormal(0, 1.2, int(bought.sum()))
        means += [float(value.mean()), float(value.var(ddof=1) / len(value))]
    return lift("b", "m", *means, 0.05)
