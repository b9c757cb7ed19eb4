"""Lifts of many settings over one control on the same units, with what each unit contributes to their errors.

The contributions are what correlates the errors: settings that are lived through by the same users with the same luck
are wrong together, and a difference between two of them is far sharper than either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Influenced:
    """One metric of S settings over n units.

    control: its value under control. lift: shape (S,). of_lift, of_value: shape (S, n). Products of two rows add up to
    a covariance, that of the row with itself to a squared standard error (delta method, as in `paired.paired_lift`).
    """

    control: float
    lift: Floats
    of_lift: Floats
    of_value: Floats

    @property
    def value(self) -> Floats:
        """Of the metric under every setting. Shape (S,)."""
        return self.control * (1 + self.lift)


def influenced(top: Floats, bottom: Floats, control_top: Floats, control_bottom: Floats) -> Influenced:
    """sum(top) / sum(bottom) of every setting over the control's.

    Args:
        top, bottom: shape (S, n). Numerator and denominator of each unit. control_top, control_bottom: shape (n,).

    Raises:
        ValueError: the control has nothing to be compared with.
    """
    if not (control_bottom.sum() > 0 and control_top.sum() != 0):
        raise ValueError("is 0 under control, so that no lift can be told; give it more users or days")
    value, influence = _influence(top, bottom)
    control, of_control = _influence(control_top[None], control_bottom[None])
    n = len(control_top)
    factor = np.sqrt(n / max(n - 1, 1)) / n
    ratio = value / control  # (S,)
    of_lift = factor * (influence - ratio[:, None] * of_control) / control
    return Influenced(float(control[0]), ratio - 1, of_lift, factor * influence)


def _influence(top: Floats, bottom: Floats) -> tuple[Floats, Floats]:
    whole = bottom.sum(axis=1)
    value = np.divide(top.sum(axis=1), whole, out=np.full(len(top), np.nan), where=whole > 0)
    return value, (top - value[:, None] * bottom) / bottom.mean(axis=1, keepdims=True)
