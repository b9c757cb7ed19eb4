"""Differences between any two arms, the control among them, on every goal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.contrasts import JointLifts

Floats = NDArray[np.float64]
SAME = 1e-9  # of the two variances, or of the lifts: what rounding leaves between copies of an arm


@dataclass(frozen=True, slots=True)
class Pairs:
    """Differences of lifts, row's arm minus column's.

    arms: the control first. difference, se: shape (A, A, G). covariance: shape (A, A, G, G), between the
        goals of one difference. All are exactly 0 between copies of an arm.
    dof: shape (A, A, G), the fewer of both arms; infinite for the normal. z: shape (A - 1, G), over control.
    """

    arms: tuple[str, ...]
    difference: Floats
    se: Floats
    covariance: Floats
    dof: Floats
    z: Floats


def all_pairs(lifts: JointLifts) -> Pairs:
    """Every ordered pair; the control has lift 0, and its error is in the covariance of those who share it."""
    n, goals = lifts.lift.shape
    value, dof = np.zeros((n + 1, goals)), np.full((n + 1, goals), np.inf)
    value[1:], dof[1:] = lifts.lift, lifts.dof
    joint = np.zeros((n + 1, goals, n + 1, goals))
    joint[1:, :, 1:, :] = lifts.covariance.reshape(n, goals, n, goals)
    joint = joint.transpose(0, 2, 1, 3)  # (A, A, G, G)
    own = joint[np.arange(n + 1), np.arange(n + 1)]  # (A, G, G)
    covariance = own[:, None] + own[None] - joint - joint.transpose(0, 1, 3, 2)
    sd = np.sqrt(np.maximum(np.diagonal(own, axis1=1, axis2=2), 0))
    variance = np.diagonal(covariance, axis1=2, axis2=3)
    copies = variance <= SAME * (sd[:, None] + sd[None]) ** 2
    difference = value[:, None] - value[None]
    return Pairs(
        (lifts.control, *lifts.arms),
        np.where(np.abs(difference) > SAME * (np.abs(value[:, None]) + np.abs(value[None])), difference, 0.0),
        np.sqrt(np.where(copies, 0.0, variance)),
        np.where(copies[..., :, None] | copies[..., None, :], 0.0, covariance),
        np.minimum(dof[:, None], dof[None]),
        lifts.z,
    )
