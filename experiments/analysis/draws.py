"""Draws of all lifts at once: one set of luck from which every share and expectation of a trade-off is read."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import chi2, qmc

from experiments.analysis.contrasts import JointLifts

Floats = NDArray[np.float64]
DRAWS = 2**13  # a share is then within .01 of that of endless draws (measured: .007 at most, of up to 15 lifts)
SEED = 20_250  # any fixed number: the same data must show the same shares


def joint_draws(lifts: JointLifts) -> Floats:
    """What the lifts could be, given the estimates and a flat prior. Shape (A + 1, M, DRAWS), the control first.

    The control's lift is 0 in every draw: its own error is in the covariance of the others, who share it. Where
    lifts rest on few clusters, draws are of Student's t with the fewest degrees of freedom among them.
    """
    n_arms, n_metrics = lifts.lift.shape
    error = errors(lifts.covariance, float(lifts.dof.min()), DRAWS)
    drawn = np.zeros((n_arms + 1, n_metrics, DRAWS))
    drawn[1:] = lifts.lift[:, :, None] + error.reshape(n_arms, n_metrics, DRAWS)
    return drawn


def errors(covariance: Floats, dof: float, n: int) -> Floats:
    """Draws with a covariance around 0, shape (P, n); of Student's t where degrees of freedom are finite."""
    normal, uniform = _points(len(covariance), n)
    drawn: Floats = covariance_root(covariance) @ normal
    if np.isfinite(dof):
        drawn /= np.sqrt(chi2.ppf(uniform, dof) / dof)
    return drawn


def covariance_root(covariance: Floats) -> Floats:
    """R with R R' = covariance, shape (P, P), also where arms are copies of each other or a lift is constant.

    Taken from the correlation, so that a metric of small variance is not lost beside one of large variance. What
    rounding leaves of a variance that is 0 is 0: its root would be as large as 1e-8 standard deviations.
    """
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    scale = np.where(sd > 0, sd, 1.0)
    value, vector = np.linalg.eigh(covariance / np.outer(scale, scale))
    noise = len(value) * np.finfo(np.float64).eps * max(float(value[-1]), 1.0)
    root: Floats = sd[:, None] * vector * np.sqrt(np.where(value > noise, value, 0.0))
    return root


@lru_cache(maxsize=16)
def _points(dimensions: int, n: int) -> tuple[Floats, Floats]:
    """Independent normal draws, shape (dimensions, n), and uniform ones beside them, shape (n,).

    From scrambled Sobol points: spread more evenly than chance would, so that shares and quantiles settle faster.
    """
    points = qmc.Sobol(dimensions + 1, scramble=True, rng=np.random.default_rng(SEED)).random(n)
    uniform = np.clip(points, 1e-12, 1 - 1e-12).T
    normal, last = ndtri(uniform[:-1]), uniform[-1].copy()
    for shared in (normal, last):
        shared.flags.writeable = False  # by all who ask
    return normal, last
