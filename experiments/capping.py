"""Money cut at a cap that the warm-up fixes (winsorised), so that no arm can move it and nobody can choose it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from experiments.analysis.joint import Metric
from experiments.analysis.stats import SufficientStats
from experiments.gather import Gathered, Table, grouped
from experiments.stages.common import PRE

MONEY = "_cents"  # how columns of money end
CAPPED = " capped"


def caps_of(run: Gathered, columns: Sequence[str], quantile: float) -> dict[str, float]:
    """By column of money, the quantile over the users who came in the warm-up, per day of it times the days of the
    test; columns that nobody would exceed, or everybody, have none."""
    users, days = run.users, run.experiment.experiment.days / run.experiment.warmup.days
    came = users.values[:, users.columns.index(PRE + "visits")] > 0
    found = {}
    for column in columns:
        before = users.values[came, users.columns.index(PRE + column)] if PRE + column in users.columns else np.zeros(0)
        cap = float(np.quantile(before, quantile)) if len(before) else 0.0
        if cap > 0:
            found[column] = cap * max(days, 1.0)
    return found


def capped_groups(run: Gathered, caps: Mapping[str, float]) -> dict[str, SufficientStats]:
    """By arm, statistics of the users with their capped columns beside the others, in the test and in the warm-up."""
    return grouped((_with_capped(table, caps) for table in run.tables("user")), run.arms)


def capped(metrics: Sequence[Metric], caps: Mapping[str, float]) -> list[Metric]:
    """The metrics whose money is capped, of capped money."""
    return [
        replace(m, numerator=m.numerator + CAPPED, pre=m.pre and (m.pre[0] + CAPPED, m.pre[1]))
        for m in metrics
        if m.numerator in caps
    ]


def _with_capped(table: Table, caps: Mapping[str, float]) -> Table:
    columns, values = list(table.columns), [table.values]
    for column, cap in caps.items():
        for name in (column, PRE + column):
            columns.append(name + CAPPED)
            values.append(np.minimum(table.values[:, [table.columns.index(name)]], cap))
    return replace(table, columns=tuple(columns), values=np.hstack(values))
