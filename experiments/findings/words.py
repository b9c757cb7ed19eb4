"""How findings put numbers into words."""

from __future__ import annotations

import math

from experiments.results import Row


def percent(value: float, digits: int = 1) -> str:
    """A lift as people read it."""
    return f"{100 * value:+.{digits}f} %" if math.isfinite(value) else "(can't tell)"


def estimate(row: Row) -> str:
    """A lift with its interval."""
    return f"{percent(row.lift)} ({percent(row.ci_low)} to {percent(row.ci_high)})"


def says(low: float, high: float) -> str:
    """What an interval says by itself."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "nothing"
    return "a gain" if low > 0 else "a loss" if high < 0 else "neither gain nor loss"
