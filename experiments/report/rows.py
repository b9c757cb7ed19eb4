"""Which rows of the results tables and figures are about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.results import Results, Row


def truth_known(results: Results) -> bool:
    """Whether anything is known beside the estimates, as only a simulator knows it."""
    return bool(results.truth)


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
    return _by_day(results, results.looks, metric, arm)


def nights_of(results: Results, metric: str, arm: str) -> list[LookRow]:
    """The same of every night, whether a look was declared for it or not."""
    return _by_day(results, results.daily, metric, arm)


def _by_day(results: Results, rows: Sequence[LookRow], metric: str, arm: str) -> list[LookRow]:
    last, _ = results.stops.get(arm, (math.inf, ""))
    found = (row for row in rows if (row.metric, row.arm) == (metric, arm) and row.day <= last)
    return sorted(found, key=lambda row: row.day)


def crossing(rows: Sequence[LookRow]) -> LookRow | None:
    """The first look whose repeated interval excludes zero."""
    return next((row for row in rows if row.crossed), None)


def rows_of(results: Results, estimator: str) -> dict[str, dict[str, dict[str, Row]]]:
    """One estimator's rows by role, metric and arm; metrics that it does not know are not there."""
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in results.rows:
        if row.estimator == estimator:
            found.setdefault(row.role, {}).setdefault(row.metric, {})[row.arm] = row
    return found


def estimators(results: Results) -> list[str]:
    """The deciding one first."""
    return list(dict.fromkeys([results.estimator, *(row.estimator for row in results.rows)]))
