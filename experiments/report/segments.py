"""Lifts among some of the units: a panel per segment and goal, and whether the levels differ, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from experiments.analysis.segments import SegmentRow, SegmentTest
from experiments.report.drawing import INK, MUTED, limits, scale_across, whisker
from experiments.report.figures import arm_colours
from experiments.report.format import p_value, percent, segment_span, shorten
from experiments.report.rows import challengers
from experiments.results import Results

STEP, GAP = 0.13, 0.14  # inches: of an arm's bar, and between levels


def segments(results: Results) -> list[str]:
    """Names of the segments, in order."""
    return list(dict.fromkeys(row.segment for row in results.segments))


def segment_metrics(results: Results) -> list[str]:
    """Metrics that are told by segment, in order."""
    return list(dict.fromkeys(row.metric for row in results.segments))


def levels_of(results: Results, segment: str, metric: str) -> dict[str, list[SegmentRow]]:
    """By level, the rows of all arms in their order."""
    levels: dict[str, list[SegmentRow]] = {}
    order = {arm: n for n, arm in enumerate(challengers(results))}
    for row in sorted(results.segments, key=lambda row: order.get(row.arm, len(order))):
        if (row.segment, row.metric) == (segment, metric):
            levels.setdefault(row.level, []).append(row)
    named = dict.fromkeys(row.level for row in results.segments if row.segment == segment)
    return {level: levels[level] for level in named if level in levels}


def panel_height(levels: int, arms: int) -> float:
    """Inches that bars and gaps take."""
    return levels * (STEP * arms + GAP)


def segment_panel(axes: Axes, results: Results, segment: str, metric: str) -> None:
    """One metric: a block per level, a bar per arm in the arms' order and colours; small diamonds are the truth."""
    levels = levels_of(results, segment, metric)
    arms, colours = challengers(results), arm_colours(results)
    tall = STEP * len(arms) + GAP
    axes.set_xlim(*limits([segment_span(row) for rows in levels.values() for row in rows], []))
    axes.set_ylim(len(levels) * tall, 0)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for n, rows in enumerate(levels.values()):
        for row in rows:
            y = n * tall + GAP / 2 + STEP * (arms.index(row.arm) + 0.5)
            whisker(axes, segment_span(row), y, colours[row.arm], across=True)
            _mark(axes, row.lift, y, "o", colours[row.arm], 4.6)
            _mark(axes, row.true_lift, y, "D", INK, 3.0)
    scale_across(axes)
    axes.set_yticks([(n + 0.5) * tall for n in range(len(levels))])
    axes.set_yticklabels([shorten(level) for level in levels], color=INK, parse_math=False)
    axes.tick_params(axis="y", pad=7)  # clear of arrowheads


def _mark(axes: Axes, value: float, y: float, shape: str, colour: str, size: float) -> None:
    if math.isfinite(value):
        axes.plot(value, y, shape, color=colour, markersize=size, mec="white", mew=0.6, zorder=5)


def differences(results: Results, alpha: float) -> list[SegmentTest]:
    """Where lifts surely differ between the levels of a segment, the surest first."""
    sure = [test for test in results.segment_tests if test.p_adjusted < alpha]
    return sorted(sure, key=lambda test: test.p_adjusted)


def said(results: Results, alpha: float) -> str:
    """Whether anything differs after correction, in plain words."""
    told = [test for test in results.segment_tests if math.isfinite(test.p_adjusted)]
    if not told:
        return "Can't tell whether lifts differ between users: no segment has two levels with a lift that can be told."
    found = differences(results, alpha)
    many = f"{len(told)} tests of equal lifts (Cochran's Q, Benjamini-Hochberg)" if len(told) > 1 else "one test"
    if not found:
        least = min(test.p_adjusted for test in told)
        return f"No lift surely differs between levels: after correction for {many}, the least p is {p_value(least)}."
    return f"After correction for {many}, lifts differ: {'; '.join(_said(results, test) for test in found)}."


def _said(results: Results, test: SegmentTest) -> str:
    rows = [
        row
        for row in results.segments
        if (row.segment, row.arm, row.metric) == (test.segment, test.arm, test.metric) and math.isfinite(row.lift)
    ]
    levels = ", ".join(f"{row.level} {percent(row.lift)}" for row in rows)
    return f"{test.metric} of {test.arm} by {test.segment} (p {p_value(test.p_adjusted)}): {levels}"


def grouped(rows: Sequence[SegmentRow]) -> dict[tuple[str, str], list[SegmentRow]]:
    """By segment and metric."""
    found: dict[tuple[str, str], list[SegmentRow]] = {}
    for row in rows:
        found.setdefault((row.segment, row.metric), []).append(row)
    return found
