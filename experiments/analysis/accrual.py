"""What more days bring: units that come for the first time, and steadier sums over those who came before.

A longer test is not a larger one. From a pre-period with its curves by day, this tells the error of a test of any
length, and beyond the days that were seen goes on along a power law.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEEPEST = -1.0  # a mean over independent days: no variance falls faster in the long run


def arrivals(days: Sequence[int], came: Sequence[int], population: int, wanted: Floats) -> Floats:
    """How many units have come after some days. The share that is still missing falls like a power of the days.

    Args:
        days, came: shape (K,), rising; of the curve that was seen. wanted: shape (D,). Days to tell of.
    """
    missing = 1 - np.asarray(came, dtype=np.float64) / population
    everybody = wanted >= (np.asarray(days)[missing <= 0].min() if missing[-1] <= 0 else np.inf)
    there = population * (1 - np.clip(extended(days, missing, wanted), 0, 1))
    return np.where(everybody, float(population), there)


def extended(days: Sequence[int], values: Floats, wanted: Floats, steepest: float = -np.inf) -> Floats:
    """A positive curve by day at other days: between those that were seen, on the line of their logarithms; beyond,
    on by the power law of their later half.

    NaN before the first day that is known, and beyond the last where one known day alone shows no trend.

    Args:
        days, values: shape (K,). What was seen; values that are not positive numbers are unknown.
        steepest: the lowest exponent to believe in; a few rare events can show any.
    """
    values = np.asarray(values, dtype=np.float64)
    told = np.isfinite(values) & (values > 0)
    if not told.any():
        return np.full(len(wanted), np.nan)
    x, y, at = np.log(np.asarray(days, dtype=np.float64)[told]), np.log(values[told]), np.log(wanted)
    inside = np.interp(at, x, y, left=np.nan)
    late = np.exp(x) > np.exp(x[-1]) / 2
    late[-2:] = True
    slope = max(float(np.polyfit(x[late], y[late], 1)[0]), steepest) if len(x) > 1 else np.nan
    return np.exp(np.where(at > x[-1] + 1e-12, y[-1] + slope * (at - x[-1]), inside))


def noise_to_signal(cut: float, before: float, during: float) -> float:
    """Days over which a unit's chance weighs as much as its nature, from how well its past tells its future.

    If a unit's daily rate is its own plus noise of each day, means over p and d days correlate with
    rho^2 = 1 / ((1 + k / p) (1 + k / d)) (Spearman 1910; Brown 1910). Infinite where they do not.

    Args:
        cut: share of variance that the past takes away, rho^2. before, during: days of both, p and d.
    """
    if cut <= 0:
        return np.inf
    a, b, c = 1 / (before * during), 1 / before + 1 / during, 1 - 1 / cut
    return float((-b + np.sqrt(b * b - 4 * a * c)) / (2 * a))


def cut_of(noise: float, before: float, during: Floats) -> Floats:
    """Share of variance that a pre-period of so many days takes away from tests of some lengths, shape (D,).

    Args:
        noise: as `noise_to_signal` tells it, k.
    """
    if np.isinf(noise):
        return np.zeros(len(during))
    return 1 / ((1 + noise / before) * (1 + noise / during))
