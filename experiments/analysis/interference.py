"""What interference costs a design: its estimate beside the truth of shipping the arm to everyone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.analysis.lifts import Lift

LEAST_DOF = 3  # degrees of freedom from which a standard error is worth dividing by


@dataclass(frozen=True, slots=True)
class DesignRow:
    """One arm and metric as one design of the experiment sees it, beside the truth. Lifts are relative.

    design: how units were assigned, such as by user or by market.
    estimate, se, low, high: the lift, its standard error and interval; NaN where unknown.
    truth, truth_se: the lift of everyone under the arm over everyone under control.
    bias, bias_se: estimate - truth and its standard error, as of independent errors; where estimate and truth
    share users and luck, they err together and bias_se is on the safe side.
    z: bias / bias_se; one run tells bias from bad luck only where this is far from 0.
    """

    design: str
    metric: str
    arm: str
    estimate: float
    se: float
    low: float
    high: float
    truth: float
    truth_se: float
    bias: float
    bias_se: float
    z: float


def design_row(design: str, lift: Lift, truth: float, truth_se: float) -> DesignRow:
    """A lift beside the truth; NaN wherever one of the two is missing."""
    bias = lift.lift - truth
    # Of a handful of clusters the standard error itself is luck: no bias is told from it.
    known = lift.dof >= LEAST_DOF
    bias_se = float(np.hypot(lift.se, truth_se)) if known else float("nan")
    z = bias / bias_se if bias_se > 0 else float("nan")
    interval = (lift.low, lift.high)
    return DesignRow(
        design, lift.metric, lift.arm, lift.lift, lift.se, *interval, truth, truth_se, float(bias), bias_se, float(z)
    )
