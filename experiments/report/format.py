"""Numbers as people read them: percent with a sign, a lift with its half-width and its truth, "can't tell"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.analysis.segments import SegmentRow
from experiments.results import Row

CANT_TELL = "can't tell"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
FINE = 0.0005  # a half-width below 0.05 % would read "0.0" with one digit
FIGURE_NAME = 16  # characters of a name that fit beside a panel


@dataclass(frozen=True, slots=True)
class Span:
    """A lift with the ends of its interval and the truth, whichever table it is from; relative, NaN where unknown.

    low, high: of the interval for this lift alone. joint_low, joint_high: of the one that holds for several at once,
    such as all arms and goals, or all looks; NaN where there is none.
    """

    lift: float
    low: float
    high: float
    truth: float
    joint_low: float = math.nan
    joint_high: float = math.nan

    @property
    def lowest(self) -> float:
        """The lower end of the wider interval."""
        return self.low if math.isnan(self.joint_low) else self.joint_low

    @property
    def highest(self) -> float:
        """The upper end of the wider interval."""
        return self.high if math.isnan(self.joint_high) else self.joint_high


def span(row: Row) -> Span:
    """Of the test, at its end; wider, for all lifts of its role at once."""
    return Span(row.lift, row.ci_low, row.ci_high, row.true_lift, row.sim_low, row.sim_high)


def design_span(row: DesignRow) -> Span:
    """Of one design."""
    return Span(row.estimate, row.low, row.high, row.truth)


def look_span(row: LookRow) -> Span:
    """Of one look; wider, for all looks at once."""
    return Span(row.lift, row.low, row.high, row.true_lift, row.repeated_low, row.repeated_high)


def segment_span(row: SegmentRow) -> Span:
    """Of the units on one level of a segment."""
    return Span(row.lift, row.low, row.high, row.true_lift)


def percent(x: float, digits: int = 1) -> str:
    """A relative change such as 0.057 as "+5.7 %"; "can't tell" where there is no finite number."""
    return f"{_signed(x, digits)} %" if math.isfinite(x) else CANT_TELL


def points(x: float, digits: int = 1) -> str:
    """A width such as 0.019 in percentage points, without sign or unit: "1.9"."""
    return f"{x * 100:,.{digits}f}" if math.isfinite(x) else CANT_TELL


def cell(told: Span) -> str:
    """Lift, half the width of its interval and the truth, in percent: "+5.7 % ± 1.9 (+4.9)"."""
    truth = _signed(told.truth, _digits(told)) if math.isfinite(told.truth) else CANT_TELL
    return f"{with_half_width(told)} ({truth})"


def with_half_width(told: Span) -> str:
    """Lift and half the width of its interval, in percent: "+5.7 % ± 1.9"."""
    if not math.isfinite(told.lift):
        return CANT_TELL
    return f"{percent(told.lift, _digits(told))} ± {_half_width(told, _digits(told))}"


def apart(x: float, other: float) -> int:
    """Digits that tell two changes apart, so that a bound beside its margin never looks equal to it; at most 3."""
    return next((d for d in (1, 2) if x == other or percent(x, d) != percent(other, d)), 3)


def interval(told: Span) -> str:
    """Both ends of an interval: "+3.8 % to +7.6 %"; "can't tell" where it has no ends."""
    if not bounded(told):
        return CANT_TELL
    digits = _digits(told)
    return f"{percent(told.low, digits)} to {percent(told.high, digits)}"


def joint_interval(told: Span) -> str:
    """Both ends of the interval that holds for several lifts at once; "can't tell" where it has no ends."""
    return interval(Span(told.lift, told.joint_low, told.joint_high, told.truth))


def with_interval(told: Span) -> str:
    """A lift and both ends of its interval: "+5.7 % (+3.8 % to +7.6 %)"."""
    return f"{percent(told.lift, _digits(told))} ({interval(told)})" if math.isfinite(told.lift) else CANT_TELL


def bounded(told: Span) -> bool:
    """Whether an interval has two ends."""
    return math.isfinite(told.low) and math.isfinite(told.high)


def p_value(p: float) -> str:
    """A p-value with two digits; below 0.001 only that."""
    if not math.isfinite(p):
        return CANT_TELL
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def share(x: float) -> str:
    """A probability in whole percent; nothing that is possible reads 0 or 100 %."""
    if not math.isfinite(x):
        return CANT_TELL
    rounded = f"{100 * x:.0f} %"
    if 0 < x < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= x < 1 else rounded


def dashed(x: float, digits: int = 2) -> str:
    """A plain number; a dash where there is none to be had."""
    return f"{x:.{digits}f}" if math.isfinite(x) else DASH


def number(x: float) -> str:
    """A value in its own unit with four digits; thousands are set apart."""
    if not math.isfinite(x):
        return CANT_TELL
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def typeset(text: str) -> str:
    """Text with true minus signs before numbers; hyphens within names stay."""
    return re.sub(r"(?<![\w.\-])-(?=\d)", MINUS, text)


def shorten(name: str, longest: int = FIGURE_NAME) -> str:
    """A name that fits a figure: both its ends, since names of arms often differ only in the last letters."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def _digits(told: Span) -> int:
    fine = bounded(told) and (told.high - told.low) / 2 < FINE
    return 2 if fine else 1


def _half_width(told: Span, digits: int) -> str:
    return points((told.high - told.low) / 2, digits) if bounded(told) else CANT_TELL


def _signed(x: float, digits: int) -> str:
    """In percent without its sign of unit; a zero after rounding has no sign."""
    rounded = round(x * 100, digits)
    return f"{rounded:+,.{digits}f}" if rounded else f"{0:.{digits}f}"
