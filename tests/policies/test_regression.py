from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from policies.regression import Line, least_squares, logistic
from sim.records import Floats


def rows(n: int = 5000, seed: int = 0) -> tuple[Floats, Floats]:
    """Columns of scales a million apart, and weights."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) * [1, 1e-3, 1e3] + [0, 0.01, 500], rng.uniform(0.1, 3, size=n)


def test_a_line_without_noise_is_found_exactly() -> None:
    x, weight = rows()
    found = least_squares(x, 2 + x @ [3, -400, 0.05], weight)
    np.testing.assert_allclose(found.coefficients, [3, -400, 0.05], rtol=1e-9)
    assert found.intercept == pytest.approx(2, rel=1e-9)


def test_least_squares_solves_the_normal_equations() -> None:
    x, weight = rows()
    y = np.random.default_rng(1).normal(size=len(x)) + x[:, 0] ** 2
    rest = y - least_squares(x, y, weight)(x)
    scale = np.abs(weight * rest).sum()
    assert abs((weight * rest).sum()) < 1e-10 * scale
    assert (np.abs((weight * rest) @ (x / np.abs(x).max(axis=0))) < 1e-10 * scale).all()


def test_logistic_regression_is_the_maximum_of_the_likelihood() -> None:
    """Against a general optimiser, on columns of one scale; the trace of ridge is 1e-6 of the information."""
    x, weight = rows()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (np.random.default_rng(1).random(len(x)) < 1 / (1 + np.exp(3 - x @ [1, -0.5, 0]))).astype(float)

    def loss(b: Floats) -> float:
        z = b[0] + x @ b[1:]
        return float((weight * (np.logaddexp(0, z) - y * z)).mean())

    found = logistic(x, y, weight)
    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose([found.intercept, *found.coefficients], best, atol=1e-4)


def test_logistic_regression_recovers_rare_odds() -> None:
    """One positive in 200; within 5 standard errors from the inverse information."""
    rng = np.random.default_rng(2)
    x, true = rng.normal(size=(40_000, 2)), np.array([-6.0, 1.0, 0.5])
    p = 1 / (1 + np.exp(-(true[0] + x @ true[1:])))
    y = (rng.random(len(x)) < p).astype(float)
    found = logistic(x, y, np.ones(len(x)))
    design = np.column_stack([np.ones(len(x)), x])
    error = np.sqrt(np.diag(np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design)))
    assert (np.abs([found.intercept, *found.coefficients] - true) < 5 * error).all()


@pytest.mark.parametrize("solve", [least_squares, logistic])
def test_a_constant_or_repeated_column_changes_no_prediction(solve: Callable[..., Line]) -> None:
    """Prices are all 0 in a feed; ctr may be named twice, once in a product."""
    x, weight = rows()
    y = (np.random.default_rng(1).random(len(x)) < 0.3).astype(float)
    plain = solve(x, y, weight)
    constant = solve(np.column_stack([x, np.full(len(x), 7.0)]), y, weight)
    twice = solve(np.column_stack([x, x[:, 0]]), y, weight)
    assert constant.coefficients[-1] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(constant(np.column_stack([x, np.full(len(x), 7.0)])), plain(x), atol=1e-5)
    np.testing.assert_allclose(twice(np.column_stack([x, x[:, 0]])), plain(x), atol=1e-5)


def test_a_feature_that_gives_the_answer_away_has_finite_coefficients() -> None:
    x = np.linspace(-1, 1, 2000)[:, None]
    found = logistic(x, (x[:, 0] > 0).astype(float), np.ones(2000))
    assert np.isfinite(found.coefficients).all()
    assert found.coefficients[0] > 10


def test_a_weight_of_two_is_the_row_twice() -> None:
    x, _ = rows(300)
    y = (np.random.default_rng(1).random(300) < 0.3).astype(float)
    again = np.repeat(np.arange(300), 1 + np.arange(300) % 2)
    for solve in (least_squares, logistic):
        found, twice = solve(x, y, 1.0 + np.arange(300) % 2), solve(x[again], y[again], np.ones(len(again)))
        np.testing.assert_allclose(found(x), twice(x), atol=1e-5)


@pytest.mark.parametrize("solve", [least_squares, logistic])
def test_standard_errors_are_the_spread_over_samples(solve: Callable[..., Line]) -> None:
    """Of 300 samples with variances that differ by row; their own spread is known to 1 / sqrt(600) = 4 %, within 5."""
    found, told = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, weight = rng.normal(size=(400, 2)) * [1, 100], rng.uniform(0.5, 2, size=400)
        z = 0.8 * x[:, 0] - 0.005 * x[:, 1]
        happened = (rng.random(400) < 1 / (1 + np.exp(1 - z))).astype(float)
        line = solve(x, happened if solve is logistic else z + rng.normal(size=400) * (1 + np.abs(z)), weight)
        found.append(line.coefficients)
        told.append(line.errors)
    ratio = np.sqrt(np.mean(np.square(told), axis=0)) / np.std(found, axis=0, ddof=1)
    assert (np.abs(ratio - 1) < 5 / np.sqrt(600)).all()
    print(f"told over found: {ratio}")
