"""Who is at least as good on every goal and better on one (Pareto dominance)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def dominates(mine: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the first is at least as good on all goals, which are better when higher, and better on one.

    What has a goal that cannot be told neither dominates nor is dominated.
    """
    if not all(map(math.isfinite, (*mine, *other))):
        return False
    return all(a >= b for a, b in zip(mine, other, strict=True)) and any(
        a > b for a, b in zip(mine, other, strict=True)
    )


def dominators(goals: Mapping[str, Sequence[float]]) -> dict[str, tuple[str, ...]]:
    """By name, who dominates it. goals: by name, the values on each goal, higher is better."""
    return {
        name: tuple(other for other, theirs in goals.items() if dominates(theirs, mine)) for name, mine in goals.items()
    }
