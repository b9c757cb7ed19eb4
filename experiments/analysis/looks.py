"""Looks at a running experiment: what it seemed to say on a day, beside what it says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, nan, sqrt

from experiments.analysis.lifts import Lift
from experiments.analysis.sequential import boundaries, information_fractions, nominal_alpha

LEAST_LEVEL = 1e-100  # below it an interval is endless: the square of Student's t with few degrees has no number
UP, DOWN, UNSURE = "up", "down", "unsure"


@dataclass(frozen=True, slots=True)
class LookRow:
    """One arm and metric with what had happened by the end of a day.

    day: of the experiment, 1 the first.
    lift, se, low, high: over control, with the interval of this look alone; NaN where unknown.
    true_lift: what only the simulator knows; NaN where it was not computed.
    information: as a share of that at the last look; NaN where nothing new was known.
    repeated_low, repeated_high: the interval that holds at all looks together; infinite where this look spends no
        alpha, NaN where nobody asked for it.
    crossed: whether a repeated interval has excluded 0, at this look or before: then the test could be stopped.
    """

    day: int
    arm: str
    metric: str
    lift: float
    se: float
    low: float
    high: float
    true_lift: float
    information: float = nan
    repeated_low: float = nan
    repeated_high: float = nan
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look says: up or down where its interval excludes 0, else unsure."""

    day: int
    lift: float
    low: float
    high: float
    says: str


def with_repeated(
    days: Sequence[int], lifts: Sequence[Lift], true_lifts: Sequence[float], alpha: float, spending: str
) -> list[LookRow]:
    """Looks at one arm and metric with repeated confidence intervals (Jennison and Turnbull 1989): all of them hold
    the truth with probability 1 - alpha, so that whoever stops at the first that excludes 0 errs no more often.

    Each is the look's own interval at the level of its boundary. A look that cannot be told spends nothing.

    Args:
        days: shape (K,), rising; the last is the last that is planned.
        lifts: shape (K,), as of each day. true_lifts: shape (K,), of the same days; NaN where unknown.
        alpha: over all looks; of a family of tests, the level of a single one.
        spending: a name in `SPENDING`.

    Raises:
        ValueError: lifts of several arms or metrics, or an unknown spending function.
    """
    about = sorted({(lift.arm, lift.metric) for lift in lifts})
    if len(about) > 1:
        raise ValueError(f"looks must be at one arm and metric, got {about}; choose the lifts of one")
    fractions = information_fractions([_error(lift) for lift in lifts])
    bounds = boundaries(fractions, alpha, spending)
    rows, crossed = list[LookRow](), False
    for day, lift, true, t, bound in zip(days, lifts, true_lifts, fractions.tolist(), bounds.tolist(), strict=True):
        low, high = _repeated(lift, nominal_alpha(bound))
        crossed = crossed or low > 0 or high < 0
        plain = LookRow(day, lift.arm, lift.metric, lift.lift, lift.se, lift.low, lift.high, true)
        rows.append(replace(plain, information=t, repeated_low=low, repeated_high=high, crossed=crossed))
    return rows


def _error(lift: Lift) -> float:
    """Relative standard error as if arm and control were equal: what is known does not depend on what is found."""
    return sqrt(lift.arm_variance + lift.control_variance) / abs(lift.control_value) if lift.known else nan


def _repeated(lift: Lift, level: float) -> tuple[float, float]:
    if not lift.known:
        return nan, nan
    return lift.interval(level) if level > LEAST_LEVEL else (-inf, inf)


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
