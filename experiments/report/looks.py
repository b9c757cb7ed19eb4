"""The test as it stood at declared looks, and on every night, beside the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.analysis.looks import LookRow
from experiments.report.drawing import INK, MUTED, darker, limits, paler, scale_across, scale_upward, whisker
from experiments.report.figures import arm_colours
from experiments.report.format import look_span
from experiments.report.labels import dots_per_inch
from experiments.report.rows import challengers, crossing, look_days, looks_at, nights_of
from experiments.results import Results

DAY_WIDTH = 34  # points that a day's tick needs


def look_panel(axes: Axes, results: Results, metric: str, arm: str) -> None:
    """Lift by day with its intervals, thin ones for all looks at once; the truth as of each day as a dark line.

    All arms share the metric's scale.
    """
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
    _days(axes)


def night_panel(axes: Axes, results: Results, metric: str, arm: str) -> None:
    """Lift as of every night in the band that holds for all nights at once; the truth at the end as a dashed line.

    Nights that spend nothing, since they know nothing new, have no band.

    The night on which the band first excludes zero is ringed and named. All arms share the metric's scale.
    """
    rows, colour = nights_of(results, metric, arm), arm_colours(results)[arm]
    axes.set_ylim(*_night_limits(results, metric))
    last = max(row.day for row in results.daily)
    axes.set_xlim(min(row.day for row in results.daily) - 0.04 * last, last * 1.04)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    days, low, high = [row.day for row in rows], *axes.get_ylim()
    told = [math.isfinite(row.repeated_low) and math.isfinite(row.repeated_high) for row in rows]
    lows = [max(row.repeated_low, low) if known else 0.0 for row, known in zip(rows, told, strict=True)]
    highs = [min(row.repeated_high, high) if known else 0.0 for row, known in zip(rows, told, strict=True)]
    axes.fill_between(days, lows, highs, where=told, color=paler(colour), alpha=0.45, linewidth=0)
    alone = [n for n in range(len(rows)) if told[n] and not any(told[max(n - 1, 0) : n] + told[n + 1 : n + 2])]
    for n in alone:
        axes.plot([days[n]] * 2, [lows[n], highs[n]], color=paler(colour), alpha=0.6, linewidth=4, zorder=1)
    axes.plot(*_known(rows, [row.lift for row in rows]), "-o", color=colour, lw=1.4, markersize=2.6, zorder=5)
    true = next((row.true_lift for row in reversed(rows) if math.isfinite(row.true_lift)), math.nan)
    if math.isfinite(true):
        axes.axhline(true, color=INK, linewidth=1.0, linestyle="--", zorder=4)
    _crossing(axes, rows, colour)
    _days(axes)


def _night_limits(results: Results, metric: str) -> tuple[float, float]:
    """As high as the later half of the nights needs: the first bands are the widest."""
    rows = [row for arm in challengers(results) for row in nights_of(results, metric, arm)]
    half = (min(row.day for row in rows) + max(row.day for row in rows)) / 2
    spans = [look_span(row) for row in rows if row.day >= half]
    told = [span for span in spans if math.isfinite(span.lowest) and math.isfinite(span.highest)]
    return limits(told or spans, [])


def _crossing(axes: Axes, rows: Sequence[LookRow], colour: str) -> None:
    """A ring around the lift of the night that could have been the last, and its day beside the far edge."""
    first = crossing(rows)
    if first is None or not math.isfinite(first.lift):
        return
    low, high = axes.get_ylim()
    place = (first.day, min(max(first.lift, low), high))
    axes.plot(*place, "o", mfc="white", mec=colour, mew=1.6, markersize=7, zorder=6)
    above = first.lift < 0
    axes.annotate(
        f"day {first.day}",
        (first.day, 0),
        xytext=(0, 3 if above else -3),
        textcoords="offset points",
        ha=_side(axes, first.day),
        va="bottom" if above else "top",
        fontsize=7,
        color=darker(colour),
        zorder=6,
    )


def _side(axes: Axes, day: float) -> str:
    low, high = axes.get_xlim()
    share = (day - low) / (high - low)
    return "left" if share < 0.15 else "right" if share > 0.85 else "center"


def _days(axes: Axes) -> None:
    scale_across(axes)
    scale_upward(axes, ticks=4)
    width = axes.get_window_extent().width * 72 / dots_per_inch(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, min(5, int(width / DAY_WIDTH))), integer=True))
    axes.xaxis.set_major_formatter("day {x:.0f}")
    axes.xaxis.grid(False)


def _known(rows: Sequence[LookRow], values: Sequence[float]) -> tuple[list[int], list[float]]:
    pairs = [(row.day, value) for row, value in zip(rows, values, strict=True) if math.isfinite(value)]
    return [day for day, _ in pairs], [value for _, value in pairs]
