"""A Gaussian process for one metric whose observations have a known error (Rasmussen and Williams 2006, ch. 2 and 5).

The errors may be correlated: settings that are simulated with common luck err together, and only their covariance
tells that a difference between them is sharper than either value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

Floats = NDArray[np.float64]
ROOT5 = np.sqrt(5.0)
NUGGET = 1e-6  # of the variance of what was observed: repeated points without error stay solvable
CONSTANT = 1.0  # prior variance of the constant mean, in variances of what was observed; integrated out
# And in variances of the error that all observations have in common, which may dwarf what they differ by: a narrower
# prior would take it for known. Of a metric that hardly moved, 27 of 40 promises were kept without it.
VAGUE = 25.0
LENGTH = (np.sqrt(2.0), np.sqrt(3.0))  # log length-scale: mean less log(d) / 2, and sd (Hvarfner et al. 2024, sec. 5)
SIGNAL_SD = 1.0  # log signal variance around 0: the observed spread is the signal's but for the error that we know
STARTS = (1.0, 0.3)  # of the length-scales' prior mode; see `fit`
LOWEST, HIGHEST = np.log(0.01), np.log(100.0)  # length-scales and signal variance in boxes: beyond, nothing changes


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """The posterior of one metric as a function of settings in the unit box.

    points: shape (n, d), what was observed. lengths: shape (d,), length-scale of every input. signal: variance of the
    function around its constant, and constant: prior variance of that, in units of scale squared. shift, scale: of
    the metric, taken off before the fit.
    root: shape (n, n), lower Cholesky root of the covariance of the observations. weights: shape (n,), its inverse
    times the observations.
    """

    points: Floats
    lengths: Floats
    signal: float
    constant: float
    shift: float
    scale: float
    root: Floats
    weights: Floats

    def mean(self, x: Floats) -> Floats:
        """Expected metric at settings. Shape (m,). x: shape (m, d)."""
        expected: Floats = self.shift + self.scale * (self._prior(x, self.points) @ self.weights)
        return expected

    def joint(self, x: Floats) -> tuple[Floats, Floats]:
        """Expected metric at settings, shape (m,), and its covariance, shape (m, m), without error of observation."""
        cross = self._prior(x, self.points)  # (m, n)
        explained = solve_triangular(self.root, cross.T, lower=True, check_finite=False)  # (n, m)
        covariance = self._prior(x, x) - explained.T @ explained
        return self.shift + self.scale * (cross @ self.weights), self.scale**2 * covariance

    def draw(self, x: Floats, normal: Floats) -> Floats:
        """The metric at settings as it could be, jointly. Shape of normal.

        Args:
            x: shape (m, d). normal: shape (m,) or (m, draws), standard normals.
        """
        mean, covariance = self.joint(x)
        root = _root(covariance / self.scale**2)
        drawn: Floats = (mean + self.scale * (root @ normal).T).T
        return drawn

    def _prior(self, x: Floats, y: Floats) -> Floats:
        return self.signal * matern(x / self.lengths, y / self.lengths) + self.constant


def matern(x: Floats, y: Floats) -> Floats:
    """Correlation of a twice differentiable function at scaled settings (Matern, 5/2). Shape (m, n).

    Args:
        x: shape (m, d). y: shape (n, d). Both divided by their length-scales.
    """
    square = x @ (-10 * y.T)
    square += (5 * (x**2).sum(axis=1))[:, None] + 5 * (y**2).sum(axis=1)
    np.maximum(square, 0.0, out=square)
    distance = np.sqrt(square)
    square /= 3
    square += distance
    square += 1
    np.exp(np.negative(distance, out=distance), out=distance)
    square *= distance
    return square


def fit(points: Floats, values: Floats, noise: Floats) -> GaussianProcess:
    """The process with the most probable length-scales and signal variance. From fixed starts: same data, same fit.

    Args:
        points: shape (n, d), settings in the unit box. values: shape (n,), the metric as observed.
        noise: shape (n,), standard errors, or shape (n, n), covariance of the errors.
    """
    covariance = np.diag(noise**2) if noise.ndim == 1 else noise
    return _fitted(
        *(np.ascontiguousarray(x, dtype=np.float64).tobytes() for x in (points, values, covariance)), points.shape
    )


@lru_cache(maxsize=64)  # the trials of a batch, and the report after the one before, all ask for the same fits
def _fitted(points_: bytes, values_: bytes, covariance_: bytes, shape: tuple[int, int]) -> GaussianProcess:
    points, values = np.frombuffer(points_).reshape(shape), np.frombuffer(values_)
    covariance = np.frombuffer(covariance_).reshape(shape[0], shape[0])
    units = _units(values, covariance)
    shift, scale = units
    posterior = LogPosterior(points, (values - shift) / scale, covariance / scale**2)
    found = [_climbed(posterior, np.log(start)) for start in STARTS]
    best = np.exp(min(found, key=posterior.value))
    return condition(points, values, covariance, lengths=best[:-1], signal=float(best[-1]), units=units)


def condition(
    points: Floats, values: Floats, covariance: Floats, *, lengths: Floats, signal: float, units: tuple[float, float]
) -> GaussianProcess:
    """The process given the observations, with length-scales and signal variance that are known.

    Args:
        covariance: shape (n, n), of the errors. units: what is taken off the metric, and what it is divided by.
    """
    shift, scale = units
    scaled, noise = points / lengths, covariance / scale**2
    constant = _constant(noise)
    root = _root(signal * matern(scaled, scaled) + constant + noise)
    weights = cho_solve((root, True), (values - shift) / scale, check_finite=False)
    return GaussianProcess(points, lengths, signal, constant, shift, scale, root, weights)


def _constant(noise: Floats) -> float:
    """Prior variance of the constant mean. noise: shape (n, n), in units of scale squared; its mean is the variance of
    the observations' mean error, what they have in common."""
    return CONSTANT + VAGUE * max(float(noise.mean()), 0.0)


def _climbed(posterior: LogPosterior, start: float) -> Floats:
    n_lengths = posterior.n_lengths
    found = minimize(
        posterior,
        np.append(np.full(n_lengths, posterior.length_mode + start), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOWEST, HIGHEST)] * (n_lengths + 1),
        options={"maxiter": 50, "ftol": 1e-6},  # a change of the log density that no draw would show
    )
    climbed: Floats = found.x
    return climbed


def _units(values: Floats, covariance: Floats) -> tuple[float, float]:
    """Centre and scale of the metric; where all values are equal, the scale is that of their errors."""
    shift, spread = float(values.mean()), float(values.std())
    if spread > 1e-9 * abs(shift):
        return shift, spread
    error = float(np.sqrt(np.diagonal(covariance).mean()))
    return shift, error or abs(shift) or 1.0


def _root(covariance: Floats) -> Floats:
    """Lower Cholesky root of a covariance in units of about 1, with as much added to its diagonal as rounding needs."""
    nugget = NUGGET
    while True:
        padded = covariance.copy()
        padded.flat[:: len(padded) + 1] += nugget
        root, failed = dpotrf(padded.T, lower=1, clean=1, overwrite_a=1)
        if not failed:
            return root
        nugget *= 10


class LogPosterior:
    """Minus the log posterior density of (log length-scales, log signal variance), and its gradient.

    length_mode: the most probable log length-scale before any observation; the density is that of the length-scale
        itself, as its source takes it.
    """

    def __init__(self, points: Floats, target: Floats, noise: Floats) -> None:
        n, self.n_lengths = points.shape
        self.length_mode = LENGTH[0] + np.log(self.n_lengths) / 2 - LENGTH[1] ** 2
        self._target, self._known = target, noise + _constant(noise) + NUGGET * np.eye(n)
        self._squares = ((points[:, None] - points[None]) ** 2).reshape(n * n, self.n_lengths)

    def value(self, logs: Floats) -> float:
        return self(logs)[0]

    def __call__(self, logs: Floats) -> tuple[float, Floats]:
        n = len(self._target)
        inverse_squares, signal = np.exp(-2 * logs[:-1]), np.exp(logs[-1])
        distance = ROOT5 * np.sqrt(self._squares @ inverse_squares).reshape(n, n)
        decay = signal * np.exp(-distance)
        kernel = decay * (1 + distance + distance**2 / 3)
        root, failed = dpotrf(kernel + self._known, lower=1)
        if failed:
            return 1e10, np.zeros_like(logs)
        inverse = dpotri(root, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        weights = inverse @ self._target
        slope = inverse - np.outer(weights, weights)  # twice the gradient by the covariance
        by_length = 5 / 3 * decay * (1 + distance) * slope  # but for the squared difference along the input
        gradient = np.append(by_length.ravel() @ self._squares * inverse_squares, (slope * kernel).sum()) / 2
        off = np.append((logs[:-1] - self.length_mode) / LENGTH[1], logs[-1] / SIGNAL_SD)
        gradient += off / np.append(np.full(self.n_lengths, LENGTH[1]), SIGNAL_SD)
        value = self._target @ weights / 2 + np.log(np.diagonal(root)).sum() + off @ off / 2
        return float(value), gradient
