"""Lifts by declared segment, and whether they differ between its levels: heterogeneity with its multiplicity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from experiments.analysis.lifts import Lift
from experiments.analysis.verdicts import benjamini_hochberg


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One arm and metric among the units of one level of a segment, such as activity: high.

    units, control_units: of the level, in the arm and in the control. lift, se, low, high: over control among them,
    with the interval of this test alone.
    p_adjusted: Benjamini-Hochberg over all rows of all segments.
    equal_se: the standard error that the lift would have if arm and control were equal.
    true_lift: among the truth's units of the level; NaN where there is no truth.
    """

    segment: str
    level: str
    arm: str
    metric: str
    units: int
    control_units: int
    lift: float
    se: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    true_lift: float = float("nan")
    equal_se: float = float("nan")


@dataclass(frozen=True, slots=True)
class SegmentTest:
    """Whether an arm's lift of a metric is one and the same on all levels of a segment.

    p_adjusted: Benjamini-Hochberg over all segments, arms and metrics.
    """

    segment: str
    arm: str
    metric: str
    p_value: float
    p_adjusted: float


def segment_rows(
    found: Mapping[tuple[str, str], Sequence[Lift]],
    units: Mapping[tuple[str, str], Mapping[str, int]],
    control: str,
    truth: Mapping[tuple[str, str, str, str], float],
) -> tuple[SegmentRow, ...]:
    """A row per segment, level, arm and metric.

    Args:
        found: by (segment, level), the lifts among its units. units: likewise, how many there are by arm.
        truth: by (segment, level, arm, metric), as far as it is known.
    """
    rows = [
        SegmentRow(
            *key,
            lift.arm,
            lift.metric,
            units[key][lift.arm],
            units[key][control],
            lift.lift,
            lift.se,
            lift.low,
            lift.high,
            lift.p_value,
            float("nan"),
            truth.get((*key, lift.arm, lift.metric), float("nan")),
            _equal_se(lift),
        )
        for key, lifts in found.items()
        for lift in lifts
    ]
    adjusted = benjamini_hochberg([row.p_value for row in rows])
    return tuple(replace(row, p_adjusted=float(p)) for row, p in zip(rows, adjusted, strict=True))


def segment_tests(rows: Sequence[SegmentRow]) -> tuple[SegmentTest, ...]:
    """Cochran's Q (1954) of every segment, arm and metric: levels share no units, so their lifts are independent.

    Errors are taken as of equal arms. Those of the lifts themselves fall with the lift: a level where few bought by
    chance would count as known best, and two levels of one lift be told apart.
    """
    about = list(dict.fromkeys((row.segment, row.arm, row.metric) for row in rows))
    p = [_heterogeneity([r for r in rows if (r.segment, r.arm, r.metric) == key]) for key in about]
    adjusted = benjamini_hochberg(p)
    return tuple(SegmentTest(*key, single, float(q)) for key, single, q in zip(about, p, adjusted, strict=True))


def _heterogeneity(rows: Sequence[SegmentRow]) -> float:
    """P-value of equal lifts; NaN where fewer than two levels can be told."""
    told = [(row.lift, row.equal_se) for row in rows if np.isfinite([row.lift, row.equal_se, row.low, row.high]).all()]
    if len(told) < 2:
        return float("nan")
    lift, se = np.array(told).T
    weight = 1 / se**2
    mean = (weight * lift).sum() / weight.sum()
    return float(chi2.sf((weight * (lift - mean) ** 2).sum(), len(lift) - 1))


def _equal_se(lift: Lift) -> float:
    if not lift.known:
        return float("nan")
    return math.sqrt(lift.arm_variance + lift.control_variance) / abs(lift.control_value)
