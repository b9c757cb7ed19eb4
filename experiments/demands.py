"""A test to come in two parts: the design, who is compared with whom and when, and what is demanded of one metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.joint import Metric
from experiments.analysis.lifts import welch_dof
from experiments.analysis.power import detectable, provable, units_needed
from experiments.spec import Experiment
from experiments.warmup_curves import WarmupCurves

Floats = NDArray[np.float64]
FARTHEST = 6  # times the warm-up, or the test if that is longer: so far curves are carried on


@dataclass(frozen=True, slots=True)
class Design:
    """The smallest challenger against the control, day by day.

    days: of the test. every: shape (D,). Days 1, 2, ... to the last that curves are carried on to.
    came: shape (D,). Units in all arms and outside after each day. shares: by arm.
    few: whether units are so few that Student's t is needed.
    """

    days: int
    every: Floats
    came: Floats
    shares: dict[str, float]
    control: str
    few: bool

    @classmethod
    def of(cls, experiment: Experiment, curves: WarmupCurves) -> Design:
        test = experiment.experiment
        every = np.arange(1.0, FARTHEST * max(curves.days, test.days) + 1)
        shares = {arm: section.share for arm, section in test.arms.items()}
        return cls(test.days, every, curves.came(every), shares, test.control, curves.unit == "market")

    @property
    def challengers(self) -> list[str]:
        return [arm for arm in self.shares if arm != self.control]

    @property
    def smallest(self) -> str:
        return min(self.challengers, key=lambda arm: self.shares[arm])

    @property
    def ratio(self) -> float:
        """Units of the control for each of the smallest challenger."""
        return self.shares[self.control] / self.shares[self.smallest]

    def units(self, arm: str) -> float:
        """Expected by the end of the test."""
        return float(self.shares[arm] * self.came[self.days - 1])

    @property
    def dof(self) -> float:
        """Degrees of freedom of the comparison; infinite where units are many, NaN where they are fewer than two."""
        arm, control = self.units(self.smallest), self.units(self.control)
        return welch_dof(1 / arm, arm, 1 / control, control) if self.few and arm and control else np.inf

    @property
    def price_of_theta(self) -> float:
        """How much the variance grows as CUPED's theta is estimated from few units; as `lifts` has it."""
        free = sum(self.units(arm) - 1 for arm in self.shares)
        if not self.few:
            return 1.0
        return free / (free - 2) if free > 2 else np.nan

    def errors(self, spread: Floats) -> Floats:
        """Standard errors of a lift after each day, shape (D,). spread: shape (D,), sd of one unit over the mean."""
        n = self.shares[self.smallest] * self.came
        return np.sqrt(np.divide(1 + 1 / self.ratio, n, out=np.full(len(n), np.nan), where=n > 0)) * spread

    def spread(self, curves: WarmupCurves, metric: Metric, *, cuped: bool) -> Floats:
        """Sd of one unit over the mean, adjusted or not, after each day, shape (D,)."""
        variance = curves.relative_variance(metric, self.every)
        if cuped:
            cut = curves.cut(metric, self.every)
            variance = variance * (1 - cut) * np.where(cut > 0, self.price_of_theta, 1.0)
        return np.sqrt(variance)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one metric's test must do. level: of a single test. guardrail: one-sided, against a margin."""

    level: float
    power: float
    guardrail: bool = False

    def sees(self, design: Design, errors: Floats) -> Floats:
        """The smallest lift that is seen, or margin that is shown to be kept, after each day; shape (D,)."""
        if np.isnan(design.dof):
            return np.full(len(errors), np.nan)
        return errors * (provable if self.guardrail else detectable)(1.0, self.level, self.power, design.dof)

    def units(self, design: Design, spread: float, asked: float) -> float:
        """In the smallest challenger, so that it is seen in as many days."""
        if not np.isfinite(spread):
            return float("nan")
        few, guardrail = design.few, self.guardrail
        return units_needed(
            asked, spread, self.level, self.power, ratio=design.ratio, guardrail=guardrail, small_sample=few
        )


def days_needed(sees: Floats, asked: float) -> float:
    """The first day from which on the effect is seen every day; infinite if the last day does not see it, NaN if
    nothing is known of it."""
    if np.isnan(sees[-1]):
        return float("nan")
    short = np.flatnonzero(~(sees <= asked))
    if not len(short):
        return 1.0
    return float("inf") if short[-1] == len(sees) - 1 else float(short[-1] + 2)
