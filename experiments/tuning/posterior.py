"""What a finished tuning study says: its front by posterior means and chances, never by what was observed.

The best of many noisy observations is too good to be true, on average; a front of raw observations promises more than
holds and breaks its bounds. The posterior mean is shrunk by as much as the error of every observation demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from experiments.analysis.draws import covariance_root
from experiments.tuning.aim import Aim, Bound, Observed
from experiments.tuning.gains import front
from experiments.tuning.gp import fit

Floats = NDArray[np.float64]
CONFIDENCE = 0.9  # that a reported setting keeps all bounds at once


@dataclass(frozen=True, slots=True)
class Posterior:
    """Metrics of the visited settings, given all that was observed.

    mean: shape (n, M). covariance: shape (M, n, n), between settings; metrics are independent of each other.
    """

    mean: Floats
    covariance: Floats

    @property
    def sd(self) -> Floats:
        """Of every metric of every setting. Shape (n, M)."""
        return np.sqrt(np.maximum(np.diagonal(self.covariance, axis1=1, axis2=2), 0.0)).T


def posterior(points: Floats, observed: Observed) -> Posterior:
    """One process per metric at the visited settings. points: shape (n, d), in the unit box."""
    with threadpool_limits(1):  # more threads change the order of sums, and are slower on matrices this small
        joint = [fit(points, y, e).joint(points) for y, e in zip(observed.values.T, observed.noise, strict=True)]
    return Posterior(np.array([mean for mean, _ in joint]).T, np.array([covariance for _, covariance in joint]))


def feasibility(found: Posterior, bounds: Sequence[Bound]) -> Floats:
    """Probability that a setting keeps all bounds. Shape (n,)."""
    chance = np.ones(len(found.mean))
    for metric in sorted({bound.metric for bound in bounds}):
        own = [bound for bound in bounds if bound.metric == metric]
        low = max((bound.limit for bound in own if bound.sense > 0), default=-np.inf)
        high = min((bound.limit for bound in own if bound.sense < 0), default=np.inf)
        chance *= _between(found.mean[:, metric], found.sd[:, metric], low, high)
    return chance


def _between(mean: Floats, sd: Floats, low: float, high: float) -> Floats:
    """Probability that a normal number lies in [low, high]: both bounds of a metric are of the same number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = ndtr((high - mean) / sd) - ndtr((low - mean) / sd)
    certain = ((mean >= low) & (mean <= high)).astype(np.float64)
    return np.where(sd > 0, np.maximum(chance, 0.0), certain)


def reported(found: Posterior, aim: Aim, confidence: float = CONFIDENCE) -> NDArray[np.intp]:
    """Settings on the front of posterior means among those that keep all bounds with confidence."""
    able = np.flatnonzero(feasibility(found, aim.bounds) >= confidence)
    return able[front(aim.outcomes(found.mean)[able])]


def front_chance(found: Posterior, aim: Aim, normal: Floats) -> Floats:
    """Share of draws in which a setting keeps all bounds and no other that does dominates it. Shape (n,).

    Args:
        normal: shape (M, n, draws), standard normals.
    """
    roots = [covariance_root(covariance) for covariance in found.covariance]
    error = np.array([root @ own for root, own in zip(roots, normal, strict=True)])  # (M, n, draws)
    drawn = (found.mean.T[:, :, None] + error).transpose(2, 1, 0)  # (draws, n, M)
    on_front = np.zeros(len(found.mean))
    for values in drawn:
        able = np.flatnonzero(aim.broken(values, np.ones(values.shape[1])) == 0)
        on_front[able[front(aim.outcomes(values)[able])]] += 1
    return on_front / len(drawn)
