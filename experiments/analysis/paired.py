"""The truth: every arm over the same users with the same luck, so that differences are paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedLift:
    """A lift between two worlds of the same users. se: over users, the pairing used."""

    value: float
    control_value: float
    lift: float
    se: float


def paired_lift(top: Floats, bottom: Floats, control_top: Floats, control_bottom: Floats) -> PairedLift:
    """Lift of sum(top) / sum(bottom) over the control's, by the delta method on paired users.

    Args:
        top, bottom: shape (n,). Numerator and denominator of each user under the arm.
        control_top, control_bottom: shape (n,). The same users under control.
    """
    nothing = float("nan")
    if not (bottom.sum() > 0 and control_bottom.sum() > 0 and control_top.sum() != 0):
        return PairedLift(nothing, nothing, nothing, nothing)
    value, influence = _influence(top, bottom)
    control, control_influence = _influence(control_top, control_bottom)
    # d log(value / control) per user; se of a mean of n of them.
    n = len(top)
    relative = influence / value - control_influence / control if value else -control_influence / control
    se = value / control * float(relative.std(ddof=1)) / np.sqrt(n) if n > 1 else nothing
    return PairedLift(value, control, value / control - 1, float(se))


def _influence(top: Floats, bottom: Floats) -> tuple[float, Floats]:
    value = top.sum() / bottom.sum()
    return float(value), (top - value * bottom) / bottom.mean()
