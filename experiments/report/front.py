"""How far arms are from the true front: what rankers that know the truth attain on the first two goals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.results import FrontPoint, Results

FRONT = "attainable in truth"
Place = tuple[float, float]  # lifts of the second and of the first goal, as in the figure: across, upward


@dataclass(frozen=True, slots=True)
class Gap:
    """An arm's true point beside the front. Lifts over control.

    first, second: of the two goals. best: the front's lift of the first goal at the arm's level of the second;
    NaN where the arm's is beyond the front's end. share: first / best; NaN where nothing is to be gained.
    """

    arm: str
    first: float
    second: float
    best: float
    share: float


def attainable(results: Results) -> list[Place]:
    """Points of the front that no other beats on both goals, by rising second goal; none where it has one goal."""
    return frontier(results.front) if len(results.goals) > 1 else []


def frontier(front: Sequence[FrontPoint]) -> list[Place]:
    """The points that no other beats on both goals, by rising second goal."""
    points = [p for p in front if math.isfinite(p.first) and math.isfinite(p.second)]
    best = [p for p in points if not any(_beats(other, p) for other in points)]
    return sorted({(p.second, p.first) for p in best})


def gaps(results: Results) -> list[Gap]:
    """Every arm but the control beside the front; nothing where there is no front."""
    line = attainable(results)
    if not line:
        return []
    arms, (upward, across) = [arm for arm in results.arms if arm != results.control], results.goals[:2]
    return [gap(a, results.row(a, upward).true_lift, results.row(a, across).true_lift, line) for a in arms]


def gap(arm: str, first: float, second: float, line: Sequence[Place]) -> Gap:
    """An arm's true lifts of the two goals beside a front that has points."""
    across, upward = zip(*line, strict=True)
    # Between two points: serving some visits by one of the rankers and the rest by the other attains about
    # that. Left of the first point its first goal is attained with more than the arm's second goal.
    best = float(np.interp(second, across, upward, right=math.nan))
    return Gap(arm, first, second, best, first / best if best > 0 else math.nan)


def _beats(other: FrontPoint, point: FrontPoint) -> bool:
    """At least as good on both goals, and better on one."""
    both = other.first >= point.first and other.second >= point.second
    return both and (other.first > point.first or other.second > point.second)
