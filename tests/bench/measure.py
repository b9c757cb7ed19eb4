"""Measuring in pairs, so that a noisy machine disturbs both sides alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5  # the median of an odd number of alternating rounds


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of `bench.json`. ratio: value / reference_value; what is good depends on the unit."""

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float
    ratio: float


def paired_rates(work: Callable[[], int], reference: Callable[[], int]) -> list[tuple[float, float]]:
    """Units per CPU second of both, turn by turn, after one round that warms caches and lazy imports."""
    work(), reference()
    return [(_rate(work), _rate(reference)) for _ in range(ROUNDS)]


def race(name: str, unit: str, reference: str, work: Callable[[], int], against: Callable[[], int]) -> Figure:
    """Work beside a reference in one process; medians, and the median of the ratios."""
    pairs = paired_rates(work, against)
    value, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Figure(name, value, unit, reference, other, statistics.median(a / b for a, b in pairs))


def rate(work: Callable[[], int]) -> float:
    """Units per CPU second; the median, after one round that warms caches and lazy imports."""
    work()
    return statistics.median(_rate(work) for _ in range(ROUNDS))


def _rate(work: Callable[[], int]) -> float:
    started = time.process_time()
    done = work()
    return done / (time.process_time() - started)
