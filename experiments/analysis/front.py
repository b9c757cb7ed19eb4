"""Who lies on the Pareto front: for one table of lifts, or for every draw of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAME = 1e-9  # of the largest lift: arms that differ by less are equal, as copies of one arm are but for rounding


def dominated(values: Floats) -> NDArray[np.bool_]:
    """Whether some other arm is at least as good on every goal and better on one. Shape (A, n).

    Args:
        values: shape (A, G, n), arms x goals x draws; higher is better. Equal arms do not dominate each other.
    """
    same = SAME * np.abs(values).max(axis=(0, 2), initial=0.0)[:, None]  # (G, 1)
    beaten = np.zeros((values.shape[0], values.shape[2]), dtype=bool)
    for a, mine in enumerate(values):
        ahead = values - mine  # (A, G, n); an arm is never ahead of itself
        beaten[a] = ((ahead >= -same).all(axis=1) & (ahead > same).any(axis=1)).any(axis=0)
    return beaten


def front_shares(drawn: Floats) -> Floats:
    """Of every arm, the share of draws in which no other dominates it. Shape (A,).

    With a flat prior it is the probability of lying on the front. It is no test: of equal arms that no one can
    tell apart, most are dominated in most draws.

    Args:
        drawn: shape (A, G, n).
    """
    shares: Floats = 1 - dominated(drawn).mean(axis=1)
    return shares
