from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from experiments.analysis.shrinkage import REACH, shrunk
from tests.experiments.analysis.given_lifts import shared_control

Floats = np.ndarray
UNEVEN = shared_control(3, [[1.0]]) + np.diag([0.0, 0.5, 2.0])


def by_matrices(lift: Floats, covariance: Floats) -> Floats:
    """The posterior means by the definition: a generalised least squares fit at every spread, and adaptive
    quadrature over the spread."""
    k = len(lift)
    ones = np.ones(k)

    def at(spread: float) -> tuple[float, Floats]:
        inverse = np.linalg.inv(spread**2 * np.eye(k) + covariance)
        mean = ones @ inverse @ lift / (ones @ inverse @ ones)
        residual = lift - mean
        weight = np.sqrt(np.linalg.det(inverse) / (ones @ inverse @ ones)) * np.exp(-residual @ inverse @ residual / 2)
        return float(weight), mean + spread**2 * inverse @ residual

    centring = np.eye(k) - 1 / k
    widest = REACH * np.sqrt(np.trace(centring @ covariance) / (k - 1) + lift.var(ddof=1))
    total = quad(lambda s: at(s)[0], 0, widest, limit=200)[0]
    return np.array([quad(lambda s, i=i: at(s)[0] * at(s)[1][i], 0, widest, limit=200)[0] for i in range(k)]) / total


@pytest.mark.parametrize("lift", [[0.1, 0.0, -0.2], [3.0, 0.0, 1.0], [9.0, 0.0, 0.0]])
def test_the_posterior_is_that_of_the_definition(lift: list[float]) -> None:
    found = shrunk(np.array([lift]), UNEVEN)[0]
    assert found == pytest.approx(by_matrices(np.array(lift), UNEVEN), abs=1e-3)


def test_a_shift_and_a_change_of_unit_go_through() -> None:
    lift = np.array([[3.0, 0.0, 1.0]])
    plain = shrunk(lift, UNEVEN)
    assert shrunk(lift + 7, UNEVEN) == pytest.approx(plain + 7)
    assert shrunk(lift * 0.01, UNEVEN * 1e-4) == pytest.approx(plain * 0.01)


def test_the_order_of_arms_and_the_other_experiments_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    lift, order = rng.normal(size=(5, 3)), [2, 0, 1]
    found = shrunk(lift, UNEVEN)
    assert shrunk(lift[:, order], UNEVEN[np.ix_(order, order)]) == pytest.approx(found[:, order])
    assert shrunk(lift[2:3], UNEVEN) == pytest.approx(found[2:3])


def test_one_arm_has_nothing_to_be_drawn_towards() -> None:
    assert shrunk(np.array([[2.0]]), np.eye(1)).tolist() == [[2.0]]


def test_without_error_nothing_is_shrunk() -> None:
    assert shrunk(np.array([[2.0, 1.0, 1.0]]), np.zeros((3, 3))) == pytest.approx(np.array([[2.0, 1.0, 1.0]]))
    assert shrunk(np.array([[2.0, 2.0]]), np.zeros((2, 2))).tolist() == [[2.0, 2.0]]


def test_the_error_of_the_control_moves_all_arms_and_shrinks_none() -> None:
    """All the error is shared, so differences between arms are exact."""
    covariance = shared_control(3, [[4.0]], share=1.0)
    assert shrunk(np.array([[3.0, 0.0, 1.0]]), covariance) == pytest.approx(np.array([[3.0, 0.0, 1.0]]), abs=1e-6)


def test_clear_differences_are_kept_and_unclear_ones_are_halved_at_least() -> None:
    covariance = shared_control(5, [[1.0]])
    clear, unclear = np.array([[40.0, 20.0, 0.0, -20.0, -40.0]]), np.array([[0.4, 0.2, 0.0, -0.2, -0.4]])
    assert shrunk(clear, covariance) == pytest.approx(clear, rel=0.01)
    assert (np.abs(shrunk(unclear, covariance)) < np.abs(unclear) / 2 + 1e-12).all()
