from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from experiments.analysis.draws import joint_draws
from experiments.analysis.hypervolume import Hypervolume, area, hypervolume
from tests.asserts import assert_mean
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control


def measured(lift: ArrayLike, covariance: ArrayLike) -> Hypervolume:
    given = given_lifts(lift, covariance)
    return hypervolume(np.vstack([np.zeros(2), given.lift]), joint_draws(given), 0.05)


def test_the_area_is_the_union_of_rectangles() -> None:
    assert area(np.array([[[3.0], [1.0]], [[1.0], [3.0]], [[2.0], [2.0]]]))[0] == 6


def test_the_area_is_the_share_of_points_that_some_arm_covers() -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(-0.5, 1, (5, 2, 20))
    points = rng.uniform(0, 1, (2, 20_000))
    for draw, found in enumerate(area(values)):
        covered = (points[None] < values[:, :, draw, None]).all(axis=1).any(axis=0)
        assert abs(covered.mean() - found) < 5 * np.sqrt(0.25 / 20_000)


def test_arms_that_lose_on_a_goal_add_nothing() -> None:
    assert measured([[0.5, -0.1], [-0.1, 0.5], [0.0, 0.9]], np.zeros((6, 6))).value == 0


def test_without_error_all_figures_are_the_value() -> None:
    found = measured([[0.03, 0.01], [0.01, 0.02]], np.zeros((4, 4)))
    assert (found.value, found.mean, found.low, found.high) == pytest.approx((0.0004,) * 4)
    assert found.reference == (0.0, 0.0)


def test_a_copy_of_an_arm_adds_nothing() -> None:
    one = measured([[0.03, 0.01]], correlated(0.3, (0.01, 0.01)))
    two = measured([[0.03, 0.01]] * 2, shared_control(2, correlated(0.3, (0.01, 0.01)), share=1.0))
    assert two.value == pytest.approx(one.value)
    assert two.mean == pytest.approx(one.mean, rel=0.02)


def test_the_value_is_biased_upward_and_the_draws_tell_by_how_much() -> None:
    """Five arms that equal the control, whose true area is 0: the value is positive on average, and the mean over
    draws exceeds it by as much again."""
    rng = np.random.default_rng(6)
    covariance = shared_control(5, correlated(0.3))
    lift = rng.multivariate_normal(np.zeros(10), covariance, 20_000).reshape(-1, 5, 2)
    value = area(lift.transpose(1, 2, 0))
    again = area((lift + rng.permutation(lift)).transpose(1, 2, 0))  # a draw around each estimate
    assert value.mean() > 20 * value.std() / np.sqrt(len(value))
    assert_mean(2 * value - again, 0.0)
