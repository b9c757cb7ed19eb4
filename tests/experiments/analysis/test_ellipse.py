from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f

from experiments.analysis.draws import joint_draws
from experiments.analysis.ellipse import Ellipse, ellipses
from tests.asserts import assert_proportion
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control

TILTED = Ellipse("B", (0.02, -0.01), correlated(-0.7, (0.01, 0.03)))


def test_the_path_lies_where_the_chi_square_of_two_degrees_says() -> None:
    """Whose tail is exp(-x / 2)."""
    gap = TILTED.path(0.9) - TILTED.center
    distance2 = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(TILTED.covariance), gap)
    assert distance2 == pytest.approx(np.full(97, -2 * np.log(0.1)), rel=1e-9)


def test_the_path_is_closed() -> None:
    assert TILTED.path(n=12).shape == (12, 2)
    assert TILTED.path()[0] == pytest.approx(TILTED.path()[-1])


def test_points_inside_are_contained_and_points_outside_are_not() -> None:
    for shrink, inside in ((0.99, True), (1.01, False)):
        for first, second in np.array(TILTED.center) + shrink * (TILTED.path(0.95, 13) - TILTED.center):
            assert TILTED.contains((float(first), float(second)), 0.95) == inside


def test_an_ellipse_of_95_percent_holds_95_percent_of_true_pairs() -> None:
    """Two intervals of 95 % side by side hold fewer: the naive rectangle."""
    rng = np.random.default_rng(4)
    truth = rng.multivariate_normal(TILTED.center, TILTED.covariance, 2000)
    assert_proportion([TILTED.contains((x, y)) for x, y in truth.tolist()], 0.95)
    rectangle = (np.abs(truth - TILTED.center) < 1.96 * np.sqrt(np.diagonal(TILTED.covariance))).all(axis=1)
    assert rectangle.mean() < 0.93


def test_goals_in_step_leave_a_line_of_which_points_beside_are_not_part() -> None:
    line = Ellipse("B", (0.02, 0.04), correlated(1.0, (0.01, 0.02)))
    assert line.contains((0.03, 0.06))
    assert not line.contains((0.03, 0.0601))
    assert not line.contains((0.06, 0.12))
    assert line.path()[:, 1] == pytest.approx(2 * line.path()[:, 0])


def test_without_error_there_is_one_point() -> None:
    point = Ellipse("B", (0.02, 0.04), np.zeros((2, 2)))
    assert point.contains((0.02, 0.04))
    assert not point.contains((0.02, 0.041))
    assert (point.path() == (0.02, 0.04)).all()


def test_few_clusters_widen_the_ellipse_by_hotelling() -> None:
    few = Ellipse("B", (0.0, 0.0), np.eye(2), dof=8.0)
    radius = np.hypot(*few.path(0.95).T)
    assert radius == pytest.approx(np.full(97, np.sqrt(2 * f.isf(0.05, 2, 8))))
    assert (radius > 1.2 * np.hypot(*Ellipse("B", (0.0, 0.0), np.eye(2)).path(0.95).T)).all()


@pytest.mark.parametrize("dof", [np.inf, 8.0])
def test_ellipses_of_lifts_hold_the_draws_of_their_arm(dof: float) -> None:
    lift = np.array([[0.02, -0.01, 0.0], [0.01, 0.04, 0.0]])
    within = np.array([[1.0, 0.5, 0.1], [0.5, 4.0, 0.2], [0.1, 0.2, 1.0]]) * 1e-4
    given = given_lifts(lift, shared_control(2, within), dof)
    drawn = joint_draws(given)[1:, :2, ::16]  # (arms, goals, 512)
    for found, arm in zip(ellipses(given).values(), drawn, strict=True):
        assert_proportion([found.contains((x, y)) for x, y in arm.T.tolist()], 0.95)
    assert list(ellipses(given)) == ["B", "C"]
