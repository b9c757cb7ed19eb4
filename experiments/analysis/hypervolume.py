"""How much of the plane of two goals the arms win from the control (Zitzler and Thiele 1999)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hypervolume:
    """Area of the pairs of lifts that are above the control on both goals and that some arm reaches.

    value: of the estimates; squared lifts (1e-4 is one point by one point). It is too large on average: error
        moves the corner of some arm outwards, and the union of areas keeps what it gained, as a maximum does. Of
        arms that equal the control the true area is 0, and the value can only be 0 or above.
    mean, low, high: over the draws. Draws add the same error once more, so that mean - value estimates how much too
        large value is, and low may lie above a truth of 0.
    reference: the corner from which it is measured, the control.
    """

    value: float
    mean: float
    low: float
    high: float
    reference: tuple[float, float]


def hypervolume(point: Floats, drawn: Floats, alpha: float) -> Hypervolume:
    """Of the estimates and over draws, whose quantiles alpha / 2 and 1 - alpha / 2 are low and high.

    Args:
        point: shape (A, 2), lifts. drawn: shape (A, 2, n).
    """
    over = area(drawn)
    low, high = np.quantile(over, (alpha / 2, 1 - alpha / 2))
    return Hypervolume(float(area(point[:, :, None])[0]), float(over.mean()), float(low), float(high), (0.0, 0.0))


def area(values: Floats) -> Floats:
    """Of the union of rectangles from (0, 0) to each arm's lifts; arms below 0 on a goal add none. Shape (n,).

    Args:
        values: shape (A, 2, n).
    """
    first, second = np.maximum(values[:, 0], 0), np.maximum(values[:, 1], 0)
    order = np.argsort(-first, axis=0)
    width = np.take_along_axis(first, order, axis=0)
    height = np.maximum.accumulate(np.take_along_axis(second, order, axis=0), axis=0)
    strip = width - np.vstack([width[1:], np.zeros_like(width[:1])])  # down to the next arm on the first goal
    covered: Floats = (strip * height).sum(axis=0)
    return covered
