from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from experiments.analysis.draws import DRAWS, covariance_root, joint_draws
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control

LIFT = np.array([[0.02, -0.01], [0.01, 0.04]])
COVARIANCE = shared_control(2, correlated(0.6, (0.01, 0.03)))


def test_draws_have_the_mean_and_the_covariance_of_the_lifts() -> None:
    drawn = joint_draws(given_lifts(LIFT, COVARIANCE))[1:].reshape(4, DRAWS)
    scale = np.sqrt(np.diagonal(COVARIANCE))
    assert np.abs((drawn.mean(axis=1) - LIFT.ravel()) / scale).max() < 0.002  # luck alone: .011
    assert np.abs((np.cov(drawn) - COVARIANCE) / np.outer(scale, scale)).max() < 0.01  # luck alone: .016


def test_the_control_is_zero_in_every_draw() -> None:
    assert (joint_draws(given_lifts(LIFT, COVARIANCE))[0] == 0).all()


def test_the_same_lifts_are_drawn_the_same_twice() -> None:
    given = given_lifts(LIFT, COVARIANCE)
    assert joint_draws(given).tobytes() == joint_draws(given).tobytes()


def test_lifts_without_error_are_drawn_as_they_are() -> None:
    drawn = joint_draws(given_lifts(LIFT, np.zeros((4, 4))))
    assert (drawn[1:] == LIFT[:, :, None]).all()


def test_copies_of_an_arm_are_drawn_alike() -> None:
    """A singular covariance has eigenvalues of 1e-17, whose roots would part the copies by 1e-9."""
    covariance = shared_control(2, correlated(0.6, (0.01, 0.03)), share=1.0)
    drawn = joint_draws(given_lifts([[0.02, 0.01], [0.02, 0.01]], covariance))
    assert np.abs(drawn[1] - drawn[2]).max() < 1e-15


def test_a_metric_of_small_variance_is_kept_beside_a_large_one() -> None:
    tiny = np.diag([1.0, 1e-20])
    assert covariance_root(tiny) @ covariance_root(tiny).T == pytest.approx(tiny, rel=1e-12)


def test_few_clusters_are_drawn_from_student() -> None:
    given = given_lifts([[0.0]], [[1.0]], dof=5.0)
    quantile = np.quantile(joint_draws(given)[1, 0], [0.005, 0.1, 0.9, 0.995])
    assert quantile == pytest.approx(t.ppf([0.005, 0.1, 0.9, 0.995], 5), rel=0.05)
    assert abs(quantile[0]) > 1.4 * norm.isf(0.005)
