"""Joint lifts with any covariance, for tests of what is read from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.analysis.contrasts import JointLifts

Floats = NDArray[np.float64]


def given_lifts(lift: ArrayLike, covariance: ArrayLike, dof: float = np.inf) -> JointLifts:
    """Challengers B, C, ... against A on goals clicks, orders, visits.

    Args:
        lift: shape (A, M); NaN for what cannot be told. covariance: shape (A M, A M).
    """
    lifts, joint = np.asarray(lift, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    known = np.isfinite(lifts).ravel()
    joint = np.where(np.outer(known, known), joint, 0.0)
    sd = np.sqrt(np.diagonal(joint))
    scale = np.where(sd > 0, sd, 1.0)
    z = np.where(sd > 0, lifts.ravel() / scale, np.nan).reshape(lifts.shape)
    arms, metrics = tuple("BCDEFGHI"[: len(lifts)]), ("clicks", "orders", "visits")[: lifts.shape[1]]
    return JointLifts("A", arms, metrics, lifts, joint, z, joint / np.outer(scale, scale), np.full(lifts.shape, dof))


def shared_control(n_arms: int, within: ArrayLike, share: float = 0.5) -> Floats:
    """Covariance of challengers that share their control. Shape (A M, A M).

    Args:
        within: shape (M, M), of one challenger's lifts. share: of it that is the control's error; half where arms
            are of equal size.
    """
    between = (1 - share) * np.eye(n_arms) + share
    return np.kron(between, np.asarray(within, dtype=np.float64)).astype(np.float64)


def correlated(correlation: float, sd: Sequence[float] = (1.0, 1.0)) -> Floats:
    """Covariance of two goals."""
    scale = np.array(sd)
    return np.array([[1.0, correlation], [correlation, 1.0]]) * np.outer(scale, scale)
