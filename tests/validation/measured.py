"""What a check gives back: measured figures beside the bands in which they must lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.stats import binom

GATE, REPORT = 0.999, 0.99  # with some hundred figures, a gate of 99 % would fail once in every run by chance
AGAIN = 4  # times the replications, for a band half as wide


class Size(Enum):
    """How many replications: a quick form for every change, the full one for the document, and a repetition of it."""

    QUICK = "quick"
    FULL = "full"
    AGAIN = "again"

    def of(self, quick: int, full: int) -> int:
        return {Size.QUICK: quick, Size.FULL: full, Size.AGAIN: AGAIN * full}[self]


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure.

    check: such as V1. low, high: where it must lie, both included; infinite where there is no bound.
    replications: that the figure is taken from; 0 where nothing is random.
    expected: the share around which low and high are a binomial band of GATE; NaN where they are limits.
    """

    check: str
    what: str
    value: float
    low: float
    high: float
    replications: int
    note: str = ""
    expected: float = float("nan")

    @property
    def judged(self) -> bool:
        """Whether it can fail; figures of naive methods are shown beside and judge nothing."""
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    @property
    def passed(self) -> bool:
        return not self.judged or self.low <= self.value <= self.high

    @property
    def narrow(self) -> tuple[float, float]:
        """The band of REPORT, on the sides on which there is one."""
        if not np.isfinite(self.expected):
            return self.low, self.high
        low, high = band(self.expected, self.replications, REPORT)
        return (low if np.isfinite(self.low) else -np.inf), (high if np.isfinite(self.high) else np.inf)

    @property
    def in_narrow(self) -> bool:
        low, high = self.narrow
        return low <= self.value <= high


def band(expected: float, replications: int, level: float) -> tuple[float, float]:
    """Between which shares of replications a happening of that probability stays, with probability `level`."""
    low, high = binom.ppf([(1 - level) / 2, (1 + level) / 2], replications, expected) / replications
    return float(low), float(high)


def share(check: str, what: str, value: float, expected: float, replications: int, note: str = "") -> Measured:
    """A share that is to be what is expected: neither more nor less often than chance makes it."""
    low, high = band(expected, replications, GATE)
    return Measured(check, what, float(value), low, high, replications, note, expected)


def at_most(check: str, what: str, value: float, expected: float, replications: int, note: str = "") -> Measured:
    """A share that may be smaller, as of a rule that errs on the safe side."""
    high = band(expected, replications, GATE)[1]
    return Measured(check, what, float(value), -np.inf, high, replications, note, expected)


def at_least(check: str, what: str, value: float, expected: float, replications: int, note: str = "") -> Measured:
    """A share that may be larger, as a power that is promised."""
    low = band(expected, replications, GATE)[0]
    return Measured(check, what, float(value), low, np.inf, replications, note, expected)


def limits(check: str, what: str, value: float, low: float, high: float, replications: int, note: str = "") -> Measured:
    """A figure between limits that are no binomial band."""
    return Measured(check, what, float(value), low, high, replications, note)


def beside(check: str, what: str, value: float, replications: int, note: str = "") -> Measured:
    """What judges nothing: the naive method, and figures for the reader."""
    return Measured(check, what, float(value), -np.inf, np.inf, replications, note)


def luck(check: str, size: Size) -> int:
    """Seed of a check: a year, then the check's number; another one for a repetition. Never changed to please."""
    return 202_500 + int(check[1:]) + (1_000_000 if size is Size.AGAIN else 0)
