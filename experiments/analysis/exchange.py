"""Exchange rates: what one point of one goal costs in points of another, by Fieller's interval."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.lifts import quantile
from experiments.analysis.pairs import all_pairs

Floats = NDArray[np.float64]
BOUNDED, EXCLUSIVE, UNBOUNDED = "bounded", "exclusive", "unbounded"


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """Between two arms, the difference on the first goal per difference on the second.

    arm, other: the difference is arm - other; either may be the control. rate: by the estimates; infinite where the
        arms differ on the first goal alone, NaN where they do not differ.
    kind: what the confidence set of this rate alone is, at 1 - alpha. bounded: low to high. exclusive: all rates
        but those between low and high, since the difference on the second goal may be 0, while that on the first
        may not. unbounded: all rates; low and high are infinite.
    """

    arm: str
    other: str
    rate: float
    low: float
    high: float
    kind: str
    alpha: float

    @property
    def bounded(self) -> bool:
        """Whether the set is an interval."""
        return self.kind == BOUNDED

    def contains(self, rate: float) -> bool:
        """Whether the confidence set holds a rate."""
        if self.kind == EXCLUSIVE:
            return rate <= self.low or rate >= self.high
        return self.low <= rate <= self.high


def exchange_rates(lifts: JointLifts, alpha: float) -> tuple[ExchangeRate, ...]:
    """Of every two arms on the first two metrics of the lifts; the earlier arm, such as the control, is the other."""
    pairs = all_pairs(lifts)
    found = []
    for y, x in combinations(range(len(pairs.arms)), 2):
        top, bottom = (float(d) for d in pairs.difference[x, y, :2])
        dof = float(pairs.dof[x, y, :2].min())
        kind, low, high = correlated_fieller(top, bottom, pairs.covariance[x, y, :2, :2], alpha, dof)
        found.append(ExchangeRate(pairs.arms[x], pairs.arms[y], _ratio(top, bottom), low, high, kind, alpha))
    return tuple(found)


def correlated_fieller(
    top: float, bottom: float, covariance: Floats, alpha: float, dof: float = np.inf
) -> tuple[str, float, float]:
    """The ratios r with |top - r bottom| within t standard errors of it (Fieller 1954), as kind, low and high.

    Squared, a r^2 - 2 b r + c <= 0. An interval where the bottom differs from 0 (a > 0); else the outside of one,
    or every ratio.

    Args:
        covariance: shape (2, 2), of top and bottom. dof: degrees of freedom of t; infinite for the normal.
    """
    t2 = quantile(alpha, dof) ** 2
    a = bottom**2 - t2 * float(covariance[1, 1])
    b = top * bottom - t2 * float(covariance[0, 1])
    c = top**2 - t2 * float(covariance[0, 0])
    inside = b * b - a * c
    if a > 0:
        low, high = _roots(a, b, c, max(inside, 0.0))  # the estimate solves it, so below 0 is rounding
        return BOUNDED, low, high
    if inside <= 0 or (a == 0 and b == 0):
        return UNBOUNDED, -np.inf, np.inf
    low, high = _roots(a, b, c, inside)
    return EXCLUSIVE, low, high


def _roots(a: float, b: float, c: float, inside: float) -> tuple[float, float]:
    """Of a r^2 - 2 b r + c, sorted; by the form that loses no digits to subtraction. One is infinite where a is 0."""
    far = b + np.copysign(np.sqrt(inside), b)
    if far == 0:
        return 0.0, 0.0
    near = c / far
    other = far / a if a != 0 else -np.copysign(np.inf, far)  # a comes to 0 from below
    return float(min(near, other)), float(max(near, other))


def _ratio(top: float, bottom: float) -> float:
    if bottom == 0:
        return float(np.copysign(np.inf, top)) if top else float("nan")
    return top / bottom
