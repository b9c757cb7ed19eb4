"""The same arms divided by other units: every design's estimate beside the truth of serving everyone."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from experiments.analysis.interference import DesignRow
from experiments.report.drawing import INK, MUTED, darker, limits, scale_across, whisker
from experiments.report.figures import arm_colours
from experiments.report.format import CANT_TELL, design_span, shorten
from experiments.report.rows import rows_by_arm
from experiments.results import Results

HEADING = 0.8  # rows that an arm's name takes


def panel_rows(results: Results, metric: str) -> float:
    """How many rows high a panel is."""
    return sum(HEADING + len(rows) for rows in rows_by_arm(results, metric).values())


def design_panel(axes: Axes, results: Results, metric: str) -> None:
    """One metric: a block per arm with a row per design, and the truth as a line through the block."""
    blocks = rows_by_arm(results, metric)
    axes.set_xlim(*limits([design_span(row) for rows in blocks.values() for row in rows], []))
    axes.set_ylim(panel_rows(results, metric) - 0.4, -0.4)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    colours, at, names = arm_colours(results), 0.0, {}
    for arm, rows in blocks.items():
        _heading(axes, arm, at, darker(colours[arm]))
        start = at + HEADING
        if math.isfinite(rows[0].truth):
            ends = [start - 0.45, start + len(rows) - 0.55]
            axes.plot([rows[0].truth] * 2, ends, color=INK, linewidth=1.6, solid_capstyle="butt", zorder=4)
        for n, row in enumerate(rows):
            _estimate(axes, row, start + n, colours[arm])
            names[start + n] = f"by {row.design}"
        at = start + len(rows)
    scale_across(axes)
    axes.set_yticks(list(names))
    axes.set_yticklabels(list(names.values()), color=MUTED, parse_math=False)
    axes.tick_params(axis="y", pad=7)  # clear of arrowheads


def _heading(axes: Axes, arm: str, at: float, colour: tuple[float, float, float]) -> None:
    axes.annotate(
        shorten(arm),
        (0, at),
        xycoords=("axes fraction", "data"),
        xytext=(-7, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=colour,
        weight="bold",
        parse_math=False,
    )


def _estimate(axes: Axes, row: DesignRow, y: float, colour: str) -> None:
    if math.isfinite(row.estimate):
        whisker(axes, design_span(row), y, colour, across=True)
        axes.plot(row.estimate, y, "o", color=colour, markersize=6, markeredgewidth=0, zorder=5)
        return
    axes.annotate(
        CANT_TELL,
        (0.5, y),
        xycoords=("axes fraction", "data"),
        ha="center",
        va="center",
        color=MUTED,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
