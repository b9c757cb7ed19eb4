"""Looks at a running experiment: what it seemed to say on a day, beside what it says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UP, DOWN, UNSURE = "up", "down", "unsure"


@dataclass(frozen=True, slots=True)
class LookRow:
    """One arm and metric with what had happened by the end of a day.

    day: of the experiment, 1 the first.
    lift, se, low, high: over control, with the interval of this look alone; NaN where unknown.
    true_lift: what only the simulator knows; NaN where it was not computed.
    """

    day: int
    arm: str
    metric: str
    lift: float
    se: float
    low: float
    high: float
    true_lift: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look says: up or down where its interval excludes 0, else unsure."""

    day: int
    lift: float
    low: float
    high: float
    says: str


def first_and_last(rows: Sequence[LookRow]) -> tuple[Reading, Reading]:
    """The first and the last look at one arm and metric; the mind was changed where they say different things.

    Sure is each look by itself, at the level of its interval: who stops at the first sure look errs more often.

    Args:
        rows: in any order of days.

    Raises:
        ValueError: no rows, or rows of several arms or metrics.
    """
    about = sorted({(row.arm, row.metric) for row in rows})
    if len(about) != 1:
        raise ValueError(f"looks must be at one arm and metric, got {about}; choose the rows of one")
    by_day = sorted(rows, key=lambda row: row.day)
    return _reading(by_day[0]), _reading(by_day[-1])


def _reading(row: LookRow) -> Reading:
    says = UP if row.low > 0 else DOWN if row.high < 0 else UNSURE
    return Reading(row.day, row.lift, row.low, row.high, says)
