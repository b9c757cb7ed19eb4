"""Hypervolume of a set of outcomes over a reference, and what one more outcome would add (Zitzler and Thiele 1999).

Exact, by slices along the last goal (While et al. 2012 use the same recursion): within a slice the volume is that of
one goal fewer. Vectorised over candidates, of which there are many, and not over the front, which is short.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def front(points: Floats) -> NDArray[np.bool_]:
    """Which outcomes no other dominates; of equal ones the first. Shape (n,). points: shape (n, m), to be maximised."""
    ahead = (points[:, None] >= points[None]).all(axis=2)  # (n, n): the first is at least as good as the second
    equal = ahead & ahead.T
    beaten = (ahead & ~equal) | np.triu(equal, 1)
    return np.asarray(~beaten.any(axis=0))


def hypervolume(points: Floats, reference: Floats) -> float:
    """Volume that outcomes dominate above a reference; those not above it on every goal add none.

    Args:
        points: shape (n, m), to be maximised. reference: shape (m,).
    """
    return _volume(_over(points, reference))


def gains(candidates: Floats, points: Floats, reference: Floats) -> Floats:
    """Hypervolume that every candidate would add to a set, were it added alone. Shape (c,).

    Args:
        candidates: shape (c, m). points: shape (n, m), the set. reference: shape (m,).
    """
    return _gains(np.maximum(candidates - reference, 0.0), _over(points, reference))


def _over(points: Floats, reference: Floats) -> Floats:
    """Outcomes above the reference, less it, without the dominated ones."""
    over = points - reference
    over = over[(over > 0).all(axis=1)]
    return over[front(over)]


def _volume(points: Floats) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    thickness = -np.diff(points[:, -1], append=0.0)  # from each point down to the next
    return sum(float(t) * _volume(points[: k + 1, :-1]) for k, t in enumerate(thickness) if t > 0)


def _gains(candidates: Floats, points: Floats) -> Floats:
    if candidates.shape[1] == 1:
        return np.maximum(candidates[:, 0] - points[:, 0].max(initial=0.0), 0.0)
    points = points[np.argsort(-points[:, -1], kind="stable")]
    height = np.concatenate([[np.inf], points[:, -1], [0.0]])
    gain = np.zeros(len(candidates))
    for k, (upper, lower) in enumerate(pairwise(height)):  # only the first k reach it
        thickness = np.clip(candidates[:, -1], lower, upper) - lower
        if upper > lower:
            gain += thickness * _gains(candidates[:, :-1], points[:k, :-1])
    return gain
