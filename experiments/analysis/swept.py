"""A sweep's points: one policy at several values of its keys, in truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.analysis.dominance import dominators


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One point of a sweep. Lifts are over control, by metric.

    label: its values in brief. changes: by key, the value. lift, lift_se: true lifts and their standard errors.
    dominated_by: arms and points ("sweep: label") that are in truth as good on all goals and better on one.
    """

    sweep: str
    label: str
    changes: Mapping[str, Any]
    lift: Mapping[str, float]
    lift_se: Mapping[str, float]
    dominated_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called among arms and points of other sweeps."""
        return f"{self.sweep}: {self.label}"


def judged(
    points: Sequence[SweepPoint], arms: Mapping[str, Sequence[float]], goals: Sequence[str]
) -> tuple[SweepPoint, ...]:
    """The points, each with who dominates it. arms: by name, the true lifts on the goals, the control's at 0."""
    places = dict(arms) | {point.name: [point.lift[goal] for goal in goals] for point in points}
    better = dominators(places)
    return tuple(replace(point, dominated_by=better[point.name]) for point in points)
