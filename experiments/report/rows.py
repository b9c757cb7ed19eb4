"""Which rows of the results tables and figures are about."""

from __future__ import annotations

import math

from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.results import Results


def challengers(results: Results) -> list[str]:
    """Arms but the control, in order."""
    return [arm for arm in results.arms if arm != results.control]


def rows_by_arm(results: Results, metric: str) -> dict[str, list[DesignRow]]:
    """The designs' rows of one metric, arms in their order."""
    rows = [row for row in results.designs if row.metric == metric]
    found = {arm: [row for row in rows if row.arm == arm] for arm in challengers(results)}
    return {arm: mine for arm, mine in found.items() if mine}


def design_metrics(results: Results) -> list[str]:
    """Metrics that designs are compared on, goals first."""
    return list(dict.fromkeys(row.metric for row in results.designs))


def look_days(results: Results) -> list[int]:
    """Days with a look, the first first."""
    return sorted({row.day for row in results.looks})


def look_metrics(results: Results) -> list[str]:
    """Metrics that were looked at, goals first."""
    return list(dict.fromkeys(row.metric for row in results.looks))


def looks_at(results: Results, metric: str, arm: str) -> list[LookRow]:
    """The looks at one metric of one arm by day, up to the day on which the arm was stopped."""
    last, _ = results.stops.get(arm, (math.inf, ""))
    rows = (row for row in results.looks if (row.metric, row.arm) == (metric, arm) and row.day <= last)
    return sorted(rows, key=lambda row: row.day)
