from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.paired import paired_lift


def test_equal_worlds_have_no_lift_and_no_error() -> None:
    top, bottom = np.random.default_rng(0).random((2, 100))
    same = paired_lift(top, bottom, top, bottom)
    assert (same.lift, same.se) == (0, 0)


def test_the_standard_error_is_that_of_repeated_samples_of_users() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1500):
        habit = rng.gamma(2, 1, 300)
        bottom, control_bottom = habit + rng.random((2, 300))
        found.append(paired_lift(habit * 1.1 + rng.random(300), bottom, habit + rng.random(300), control_bottom))
    spread = np.std([f.lift for f in found], ddof=1) / np.mean([f.se for f in found])
    assert 0.9 < spread < 1.1


def test_pairing_sharpens() -> None:
    rng = np.random.default_rng(2)
    habit = rng.gamma(0.5, 2, 5000)
    ones = np.ones(5000)
    paired = paired_lift(1.05 * habit + 0.01 * rng.random(5000), ones, habit, ones)
    shuffled = paired_lift(1.05 * rng.permutation(habit), ones, habit, ones)
    assert paired.se < 0.1 * shuffled.se


def test_nothing_observed_is_not_a_number() -> None:
    zeros, ones = np.zeros(5), np.ones(5)
    assert np.isnan(paired_lift(zeros, ones, zeros, ones).lift)
    assert np.isnan(paired_lift(ones, zeros, ones, ones).lift)


def test_an_arm_that_loses_everything_has_a_lift_of_minus_one() -> None:
    zeros, ones = np.zeros(5), np.ones(5)
    assert paired_lift(zeros, ones, ones, ones).lift == pytest.approx(-1)
