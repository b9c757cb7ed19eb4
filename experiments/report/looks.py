"""The test as it stood on earlier days, beside what was true by then."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.analysis.looks import LookRow
from experiments.report.drawing import INK, MUTED, limits, scale_across, scale_upward, whisker
from experiments.report.figures import arm_colours
from experiments.report.format import look_span
from experiments.report.rows import challengers, look_days, looks_at
from experiments.results import Results


def look_panel(axes: Axes, results: Results, metric: str, arm: str) -> None:
    """Lift by day with its intervals; the truth as of each day as a dark line. All arms share the metric's scale."""
    rows, colour = looks_at(results, metric, arm), arm_colours(results)[arm]
    axes.set_ylim(
        *limits([look_span(row) for name in challengers(results) for row in looks_at(results, metric, name)], [])
    )
    days = look_days(results)
    room = 0.06 * (days[-1] - days[0]) or 0.5
    axes.set_xlim(days[0] - room, days[-1] + room)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    for row in rows:
        whisker(axes, look_span(row), row.day, colour, across=False)
    told = _known(rows, [row.lift for row in rows])
    axes.plot(*told, "-o", color=colour, linewidth=1.4, markersize=5.5, markeredgecolor="white", zorder=5)
    true = _known(rows, [row.true_lift for row in rows])
    axes.plot(*true, "-D", color=INK, linewidth=1.0, markersize=3.6, markeredgewidth=0, zorder=6)
    scale_across(axes)
    scale_upward(axes, ticks=4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter("day {x:.0f}")
    axes.xaxis.grid(False)


def _known(rows: Sequence[LookRow], values: Sequence[float]) -> tuple[list[int], list[float]]:
    pairs = [(row.day, value) for row, value in zip(rows, values, strict=True) if math.isfinite(value)]
    return [day for day, _ in pairs], [value for _, value in pairs]
