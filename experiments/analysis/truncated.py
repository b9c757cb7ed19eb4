"""The normal distribution between two bounds, by logarithms: its tails keep their digits however far they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]


def log_mass(low: Floats, high: Floats) -> Floats:
    """Logarithm of the standard normal probability between low and high; -inf where they are equal.

    Above 38 even the logarithms of both cdfs are 0; mirrored into the lower tail, they differ.
    """
    mirror = low > 0
    below, above = np.where(mirror, -high, low), np.where(mirror, -low, high)
    top = log_ndtr(above)
    with np.errstate(divide="ignore"):
        mass: Floats = top + np.log(-np.expm1(np.minimum(log_ndtr(below) - top, 0)))
    return mass


def truncated_cdf(value: Floats, mean: Floats, sd: Floats, low: Floats, high: Floats) -> Floats:
    """Probability that a normal variable, known to lie between low and high, lies below a value in between."""
    start, at, end = (low - mean) / sd, (value - mean) / sd, (high - mean) / sd
    with np.errstate(invalid="ignore"):  # low = high = value: nothing is known
        cdf: Floats = np.exp(log_mass(start, at) - log_mass(start, end))
    return cdf
