from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import check_grad

from experiments.tuning.gp import VAGUE, LogPosterior, condition, fit, matern

Floats = NDArray[np.float64]
UNITS = (0.0, 1.0)


def setting(n: int, d: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((n, d))


def smooth(x: Floats) -> Floats:
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def luck(n: int, m: int = 0, seed: int = 9) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, m) if m else n)


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("correlated", [False, True])
def test_the_gradient_is_that_of_finite_differences(d: int, correlated: bool) -> None:
    points, values = setting(12, d), luck(12)
    noise = np.diag(np.full(12, 0.1)) + (0.2 if correlated else 0.0)
    posterior = LogPosterior(points, values, noise)
    for seed in range(3):
        logs = luck(d + 1, seed=seed) - 0.5
        error = check_grad(lambda at: posterior(at)[0], lambda at: posterior(at)[1], logs, epsilon=1e-6)
        assert error < 1e-4 * max(1, np.abs(posterior(logs)[1]).max())


def test_the_posterior_is_that_of_the_joint_normal() -> None:
    """Mean and covariance by the dense formula (Rasmussen and Williams 2006, eq. 2.23 and 2.24), with correlated errors
    and the constant as one more random effect."""
    points, at, values = setting(15, 2), setting(6, 2, seed=1), luck(15)
    error = luck(15, 15)
    noise = error @ error.T / 50
    lengths, signal = np.array([0.4, 1.3]), 1.7
    process = condition(points, values, noise, lengths=lengths, signal=signal, units=UNITS)

    def prior(x: Floats, y: Floats) -> Floats:
        r = np.sqrt((((x[:, None] - y[None]) / lengths) ** 2).sum(axis=2))
        return signal * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r) + process.constant

    inverse = np.linalg.inv(prior(points, points) + noise)
    mean, covariance = process.joint(at)
    np.testing.assert_allclose(mean, prior(at, points) @ inverse @ values, atol=1e-4)
    np.testing.assert_allclose(covariance, prior(at, at) - prior(at, points) @ inverse @ prior(points, at), atol=1e-4)
    np.testing.assert_allclose(process.mean(at), mean)


def test_standard_errors_are_a_diagonal_covariance() -> None:
    points = setting(20, 2)
    se = np.linspace(0.05, 0.4, 20)
    values = smooth(points) + se * luck(20)
    one, other = fit(points, values, se), fit(points, values, np.diag(se**2))
    np.testing.assert_array_equal(one.joint(points)[1], other.joint(points)[1])


def test_a_draw_has_the_posterior_mean_and_covariance() -> None:
    points = setting(10, 2)
    process = fit(points, smooth(points), np.full(10, 0.3))
    at = setting(7, 2, seed=1)
    mean, covariance = process.joint(at)
    root = process.draw(at, np.eye(7)) - mean[:, None]
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-5)
    np.testing.assert_array_equal(process.draw(at, np.zeros(7)), mean)


def test_without_error_the_process_passes_through_what_was_observed() -> None:
    points = setting(25, 2)
    process = fit(points, smooth(points), np.zeros(25))
    np.testing.assert_allclose(process.mean(points), smooth(points), atol=1e-3)
    fresh = setting(50, 2, seed=1)
    assert np.abs(process.mean(fresh) - smooth(fresh)).max() < 0.1


def test_an_observation_counts_by_its_own_error() -> None:
    points, at = np.full((2, 1), 0.5), np.full((1, 1), 0.5)
    process = condition(
        points, np.array([0.0, 1.0]), np.diag([0.09, 0.01]), lengths=np.ones(1), signal=1.0, units=UNITS
    )
    prior = 1.0 + process.constant
    pooled = 0.9 * prior / (prior + 0.009)  # weights 1 : 9, shrunk to the prior's mean of 0
    assert process.mean(at)[0] == pytest.approx(pooled, abs=1e-4)


def test_common_luck_sharpens_differences() -> None:
    """Two settings whose errors are 1 each but .995 correlated: their difference errs by .1, and what is believed of
    it is nearly what was observed; taken as independent, the difference is mostly shrunk away."""
    points, values = np.array([[0.2], [0.8]]), np.array([2.0, 3.0])
    shared = np.array([[1.0, 0.995], [0.995, 1.0]])
    together, apart = (
        condition(points, values, noise, lengths=np.array([0.5]), signal=0.2, units=UNITS).joint(points)
        for noise in (shared, np.diag(np.diagonal(shared)))
    )
    assert np.diff(together[0])[0] > 0.9
    assert np.diff(apart[0])[0] < 0.3
    error = np.sqrt(together[1][0, 0] + together[1][1, 1] - 2 * together[1][0, 1])
    assert error < 0.11


@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e5), (1e-4, -3.0)])
def test_units_do_not_matter(factor: float, offset: float) -> None:
    points, se = setting(20, 2), np.full(20, 0.1)
    values = smooth(points) + se * luck(20)
    plain, scaled = fit(points, values, se), fit(points, offset + factor * values, factor * se)
    at = setting(5, 2, seed=1)
    np.testing.assert_allclose((scaled.mean(at) - offset) / factor, plain.mean(at), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled.joint(at)[1] / factor**2, plain.joint(at)[1], rtol=0.02, atol=1e-5)


@pytest.mark.parametrize("se", [0.0, 0.1])
@pytest.mark.parametrize(
    ("points", "values"),
    [
        (np.array([[0.3, 0.7]]), np.array([5.0])),
        (np.array([[0.3, 0.7]]), np.array([0.0])),
        (setting(10, 2), np.full(10, 0.0)),
        (setting(10, 2), np.full(10, 7.5)),
        (np.full((6, 2), 0.5), np.array([1.0, 2.0, 1.5, 1.0, 2.0, 1.5])),
        (np.repeat(setting(4, 2), 3, axis=0), luck(12)),
    ],
    ids=["one", "one zero", "zeros", "constant", "one place", "repeated"],
)
def test_poor_data_still_give_a_posterior(points: Floats, values: Floats, se: float) -> None:
    process = fit(points, values, np.full(len(values), se))
    drawn = process.draw(setting(30, 2, seed=3), luck(30, 4))
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(process.mean(points).mean(), values.mean(), atol=0.02 * max(1, np.ptp(values)))


def test_the_same_data_give_the_same_fit() -> None:
    points = setting(20, 3)
    first, second = (fit(points, smooth(points), np.full(20, 0.1)) for _ in range(2))
    np.testing.assert_array_equal(first.lengths, second.lengths)


def test_an_input_without_effect_gets_the_longest_length() -> None:
    points = setting(60, 3)
    process = fit(points, smooth(points), np.full(60, 0.02))
    assert process.lengths[2] > 3 * process.lengths[:2].max()


def test_intervals_hold_what_they_promise() -> None:
    """Functions drawn from a process with length-scales .5: of the 90 % intervals at new settings about 90 % hold the
    truth; length-scales that are fitted and not integrated over cost some."""
    inside = []
    for seed in range(25):
        x = setting(60, 2, seed=seed)
        truth = np.linalg.cholesky(matern(x / 0.5, x / 0.5) + 1e-8 * np.eye(60)) @ luck(60, seed=seed)
        process = fit(x[:30], truth[:30] + 0.2 * luck(30, seed=100 + seed), np.full(30, 0.2))
        mean, covariance = process.joint(x[30:])
        inside.append((np.abs(truth[30:] - mean) < 1.645 * np.sqrt(np.diagonal(covariance))).mean())
    assert 0.8 < np.mean(inside) < 0.97


def test_an_error_that_all_share_leaves_the_level_as_uncertain_as_it_is() -> None:
    """Settings that hardly differ, measured with one luck: a prior as narrow as what they differ by would shrink the
    level to what was observed, and promise a tenth of the error that there is."""
    points = setting(12, 2)
    shared = 0.5**2 * np.ones((12, 12)) + 1e-4 * np.eye(12)
    process = fit(points, 0.3 + 0.01 * smooth(points), shared)
    sd = np.sqrt(np.diagonal(process.joint(points)[1]))
    np.testing.assert_allclose(sd, 0.5, rtol=0.05)
    np.testing.assert_allclose(process.constant, 1 + VAGUE * shared.mean() / process.scale**2)
