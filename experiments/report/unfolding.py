"""The test by night in a table: where every lift stood on the last, and when it could first have been called."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.analysis.looks import LookRow
from experiments.report.rows import challengers, crossing, nights_of
from experiments.results import Results


@dataclass(frozen=True, slots=True)
class NightRow:
    """One arm and metric. last: as of its last night. first: the night whose band first excludes zero, if any."""

    arm: str
    last: LookRow
    first: LookRow | None


def night_rows(results: Results) -> dict[str, list[NightRow]]:
    """By metric, the arms in their order."""
    metrics = dict.fromkeys(row.metric for row in results.daily)
    found = {metric: [_row(results, metric, arm) for arm in challengers(results)] for metric in metrics}
    return {metric: [row for row in rows if row] for metric, rows in found.items()}


def _row(results: Results, metric: str, arm: str) -> NightRow | None:
    rows = nights_of(results, metric, arm)
    return NightRow(arm, rows[-1], crossing(rows)) if rows else None
