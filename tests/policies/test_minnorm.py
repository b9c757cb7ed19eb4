from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from policies.minnorm import min_norm
from sim.records import Floats


def random_gram(seed: int, tasks: int, dimensions: int) -> Floats:
    """Of gradients with lengths over three orders of magnitude; rank-deficient if there are more of them than
    dimensions."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(tasks, dimensions)) * 10 ** rng.uniform(-1.5, 1.5, size=(tasks, 1))
    return gradients @ gradients.T


def assert_optimal(gram: Floats, alpha: Floats, tolerance: float = 1e-9) -> None:
    """Karush, Kuhn, Tucker: on the simplex, and no gradient's product with the combination falls below its norm."""
    scale = np.diag(gram).max()
    assert alpha.min() >= 0
    assert alpha.sum() == pytest.approx(1, rel=1e-12)
    products = gram @ alpha
    norm = alpha @ gram @ alpha
    assert (products >= norm - tolerance * scale).all()
    np.testing.assert_allclose(products[alpha > 1e-9], norm, rtol=0, atol=tolerance * scale)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7))
def test_the_combination_satisfies_the_conditions_of_optimality(seed: int, tasks: int, dimensions: int) -> None:
    gram = random_gram(seed, tasks, dimensions)
    assert_optimal(gram, min_norm(gram))


@pytest.mark.parametrize("seed", range(50))
def test_two_tasks_follow_the_closed_form(seed: int) -> None:
    """alpha = clip((g2 - g1)' g2 / |g1 - g2|^2, 0, 1) (Sener & Koltun, algorithm 1)."""
    g1, g2 = np.random.default_rng(seed).normal(size=(2, 3)) * [[1], [4]]
    expected = np.clip((g2 - g1) @ g2 / ((g1 - g2) @ (g1 - g2)), 0, 1)
    found = min_norm(np.array([[g1 @ g1, g1 @ g2], [g1 @ g2, g2 @ g2]]))
    np.testing.assert_allclose(found, [expected, 1 - expected], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("tasks", "dimensions"), list(itertools.product((3, 4, 5), (1, 2, 3, 6))))
def test_no_point_of_a_grid_and_no_general_solver_is_shorter(tasks: int, dimensions: int) -> None:
    steps = {3: 100, 4: 30, 5: 16}[tasks]
    grid = np.array([p for p in itertools.product(range(steps + 1), repeat=tasks) if sum(p) == steps]) / steps
    for seed in range(5):
        gram = random_gram(seed, tasks, dimensions)
        gram /= np.diag(gram).max()
        alpha = min_norm(gram)
        best = alpha @ gram @ alpha
        assert best <= np.einsum("ni,ij,nj->n", grid, gram, grid).min() + 1e-14
        solved = minimize(
            lambda a, g=gram: a @ g @ a,
            np.full(tasks, 1 / tasks),
            jac=lambda a, g=gram: 2 * g @ a,
            bounds=[(0, 1)] * tasks,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(tasks)},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert best <= solved.fun + 1e-9


@pytest.mark.parametrize("tasks", [2, 3, 4, 5])
def test_a_gradient_shorter_than_all_others_and_along_them_is_taken_alone(tasks: int) -> None:
    """Other solvers hold weights off 0 and 1 and never reach a vertex."""
    gradients = np.outer(np.arange(1, tasks + 1), [3.0, 4.0])
    np.testing.assert_array_equal(min_norm(gradients @ gradients.T), np.eye(tasks)[0])


@pytest.mark.parametrize(
    "gradients",
    [
        [[1.0, 0.0], [-1.0, 0.0]],
        [[1.0, 0.0], [-3.0, 0.0]],
        [[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]],
        [[1.0, 2.0], [3.0, -1.0], [-4.0, -1.0], [7.0, 7.0]],
        [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -2, -3]],
        [[2.0], [1.0], [-1.0], [-5.0], [4.0]],
    ],
)
def test_gradients_that_can_cancel_are_combined_to_nothing(gradients: list[list[float]]) -> None:
    """Stationary: the norm is 0. A face whose Gram matrix is singular for that reason was once passed over."""
    g = np.array(gradients)
    alpha = min_norm(g @ g.T)
    np.testing.assert_allclose(alpha @ g, 0, atol=1e-12)


def test_orthogonal_gradients_weigh_by_the_inverse_squares_of_their_norms() -> None:
    np.testing.assert_allclose(min_norm(np.diag([1.0, 100.0])), [100 / 101, 1 / 101], rtol=1e-12)
    np.testing.assert_allclose(min_norm(np.diag([1.0, 4.0, 9.0])), np.array([36, 9, 4]) / 49, rtol=1e-12)


def test_equal_gradients_are_combined_to_themselves() -> None:
    alpha = min_norm(np.full((4, 4), 2.0))
    assert alpha.sum() == pytest.approx(1)
    assert alpha.min() >= 0


@pytest.mark.parametrize("scale", [1e-18, 1e-6, 1e6, 1e18])
def test_the_unit_of_gradients_does_not_matter(scale: float) -> None:
    gram = random_gram(3, 4, 3)
    np.testing.assert_allclose(min_norm(scale * gram), min_norm(gram), atol=1e-9)


def test_a_zero_gradient_takes_all_weight_and_zero_gradients_share_it() -> None:
    np.testing.assert_allclose(min_norm(np.diag([1.0, 0.0])), [0, 1], atol=1e-12)
    np.testing.assert_array_equal(min_norm(np.zeros((3, 3))), np.full(3, 1 / 3))


def test_one_task_needs_no_choice() -> None:
    np.testing.assert_array_equal(min_norm(np.array([[7.0]])), [1.0])


def test_more_than_five_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 5 losses .* got 6; balance them by fixed weights"):
        min_norm(np.eye(6))


@pytest.mark.parametrize("tasks", [2, 3])
def test_it_is_never_longer_than_torchjds_and_equal_for_two(tasks: int) -> None:
    """TorchJD's Frank-Wolfe is exact for two tasks; for three it stops above the optimum, here by up to 16 %."""
    torch = pytest.importorskip("torch")
    weighting = pytest.importorskip("torchjd.aggregation").MGDAWeighting()
    excess = []
    for seed in range(200):
        gram = random_gram(seed, tasks, 6)
        gram /= np.diag(gram).max()
        ours, theirs = min_norm(gram), weighting(torch.from_numpy(gram)).numpy()
        length, other = ours @ gram @ ours, theirs @ gram @ theirs
        assert length <= other + 1e-12
        excess.append(other / length - 1)
    print(f"TorchJD above the optimum for {tasks} tasks: mean {np.mean(excess):.2%}, most {np.max(excess):.2%}")
    assert np.max(excess) < (1e-6 if tasks == 2 else 0.2)
