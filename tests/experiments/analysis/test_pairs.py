from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.draws import joint_draws
from experiments.analysis.pairs import all_pairs
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control

LIFT = np.array([[0.02, -0.01], [0.01, 0.04], [0.0, 0.01]])
GIVEN = given_lifts(LIFT, shared_control(3, correlated(0.6, (0.01, 0.03)), share=0.3))


def test_differences_and_their_covariance_are_those_of_the_draws() -> None:
    drawn, pairs = joint_draws(GIVEN), all_pairs(GIVEN)
    for x in range(4):
        for y in range(4):
            gap = drawn[x] - drawn[y]
            assert pairs.difference[x, y] == pytest.approx(gap.mean(axis=1), abs=1e-4)
            assert pairs.covariance[x, y] == pytest.approx(np.cov(gap), rel=0.03, abs=1e-7)
            assert pairs.se[x, y] ** 2 == pytest.approx(np.diagonal(pairs.covariance[x, y]), rel=1e-12)


def test_a_difference_over_the_control_is_the_lift() -> None:
    pairs = all_pairs(GIVEN)
    assert pairs.arms == ("A", "B", "C", "D")
    assert (pairs.difference[1:, 0] == LIFT).all()
    assert pairs.se[1:, 0] == pytest.approx(GIVEN.se(), rel=1e-12)


def test_copies_of_an_arm_differ_by_exactly_nothing() -> None:
    """But for rounding, which would leave a standard error of 1e-8 and any z."""
    covariance = shared_control(2, correlated(0.6), share=1.0)
    covariance[:2, 2:] *= 1 - 1e-15
    covariance[2:, :2] *= 1 - 1e-15
    pairs = all_pairs(given_lifts([[0.1 + 0.2, 0.1], [0.3, 0.1]], covariance))
    assert not pairs.difference[1, 2].any()
    assert not pairs.se[1, 2].any()
    assert not pairs.covariance[1, 2].any()


def test_the_fewer_degrees_of_freedom_count() -> None:
    given = given_lifts([[0.0], [0.0]], np.eye(2))
    given.dof[0], given.dof[1] = 5, 9
    assert all_pairs(given).dof[:, :, 0].tolist() == [[np.inf, 5, 9], [5, 5, 5], [9, 5, 9]]
