"""Names of metrics: hints at the nearest one, and the column that stands for one user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

USERS = "users"  # the denominator that is 1 for everybody


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def observed_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Of the metrics of a scenario in a document, those that a shop can see."""
    return {name: m for name, m in metrics.items() if isinstance(m, dict) and not m.get("hidden")}
