"""Lifts over control: relative change with Fieller intervals, and p-values that agree with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from experiments.analysis.joint import JointEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lift:
    """One arm against control on one metric.

    lift: arm / control - 1. se: its standard error by the delta method.
    low, high: Fieller interval of the lift; infinite where the control's mean cannot be told from 0.
    z, p_value: of the difference; two-sided. A bounded interval excludes 0 exactly where p_value < alpha.
    """

    arm: str
    metric: str
    control_value: float
    control_variance: float
    arm_value: float
    arm_variance: float
    lift: float
    se: float
    low: float
    high: float
    z: float
    p_value: float

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return bool(np.isfinite(self.lift) and np.isfinite(self.se) and self.se > 0)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Fieller interval of the lift at another level."""
        low, high = fieller(self.arm_value, self.arm_variance, self.control_value, self.control_variance, alpha)
        return low - 1, high - 1

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def lifts(estimate: JointEstimate, control: str, alpha: float) -> list[Lift]:
    """Every arm against control on every metric, arms in order, the control left out."""
    c = estimate.arms.index(control)
    variance = estimate.variance()
    return [
        lift(arm, metric, estimate.value[a, m], variance[a, m], estimate.value[c, m], variance[c, m], alpha)
        for a, arm in enumerate(estimate.arms)
        if arm != control
        for m, metric in enumerate(estimate.metrics)
    ]


def lift(
    arm: str, metric: str, treated: float, treated_var: float, control: float, control_var: float, alpha: float
) -> Lift:
    """The lift of one mean over an independent one.

    NaN where a mean is missing or shows no variance, such as an arm without a single conversion: its error
    is then unknown, not zero.
    """
    nothing = float("nan")
    total = treated_var + control_var
    told = np.isfinite([treated, control]).all() and treated_var > 0 and control_var > 0
    if not told or control == 0:
        return Lift(
            arm,
            metric,
            control,
            control_var,
            treated,
            treated_var,
            nothing,
            nothing,
            nothing,
            nothing,
            nothing,
            nothing,
        )
    z = (treated - control) / np.sqrt(total) * np.sign(control)
    ratio = treated / control
    se = np.sqrt(treated_var + ratio**2 * control_var) / abs(control)
    low, high = fieller(treated, treated_var, control, control_var, alpha)
    p_value = 2 * norm.sf(abs(z))  # sf, not 1 - cdf, which is 0 beyond 8.3 standard errors
    return Lift(
        arm,
        metric,
        control,
        control_var,
        treated,
        treated_var,
        ratio - 1,
        float(se),
        low - 1,
        high - 1,
        float(z),
        float(p_value),
    )


def fieller(top: float, top_var: float, bottom: float, bottom_var: float, alpha: float) -> tuple[float, float]:
    """Interval of a ratio of independent normal means (Fieller 1954): all r with |top - r bottom| within
    z standard errors. The whole line where the bottom is not distinguishable from 0.
    """
    z2 = float(norm.isf(alpha / 2)) ** 2
    a = bottom**2 - z2 * bottom_var
    b = top * bottom
    c = top**2 - z2 * top_var
    root = b * b - a * c
    if a <= 0 or root < 0:
        return -np.inf, np.inf
    return float((b - np.sqrt(root)) / a), float((b + np.sqrt(root)) / a)
