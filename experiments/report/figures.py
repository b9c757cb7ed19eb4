"""The forest: every lift with its intervals, drawn on axes that are given, for the page and the poster alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes

from experiments.report.drawing import ALARM, COLOURS, INK, MUTED, limits, scale_across, whisker
from experiments.report.format import CANT_TELL, Span, percent, shorten, span, typeset
from experiments.report.labels import dots_per_inch
from experiments.report.rows import challengers
from experiments.results import Results

MARGIN_HEIGHT = 11  # points that a margin's number needs
MANY = 12  # metrics, beyond which only those that decide, and the hidden ones, are drawn


def arm_colours(results: Results) -> Mapping[str, str]:
    """A colour per arm, the same in every figure and table; the control is grey."""
    colours = {arm: COLOURS[n % len(COLOURS)] for n, arm in enumerate(challengers(results))}
    return {results.control: MUTED} | colours


def names_width(results: Results) -> float:
    """Points to keep free beside a panel for the names of the arms."""
    return 16 + 5.2 * max(len(shorten(arm)) for arm in results.arms)


def forest(panels: Mapping[str, Axes], results: Results, alpha: float) -> None:
    """Every arm's lift with its interval beside the truth: one panel and one scale per metric.

    Args:
        panels: axes by metric. Lifts of metrics differ tenfold, so that a common scale would hide most.
        alpha: a dot is filled where p_adjusted < alpha. Thick bars hold for their own test, thin ones for all
            lifts of the role at once.
    """
    for metric, axes in panels.items():
        forest_panel(axes, results, metric, alpha)


def forest_metrics(results: Results) -> list[str]:
    """Metrics that have a panel: all, or of many only goals, guardrails and hidden ones."""
    metrics = results.metrics()
    if len(metrics) <= MANY:
        return metrics
    return [metric for metric in metrics if results.row(challengers(results)[0], metric).role != "secondary"]


def forest_panel(axes: Axes, results: Results, metric: str, alpha: float) -> None:
    """One metric: arms as rows, control at zero, the margin of a guardrail dotted."""
    arms = challengers(results)
    rows = [results.row(arm, metric) for arm in arms]
    spans = [span(row) for row in rows]
    margin = results.guardrails.get(metric)
    axes.set_xlim(*limits(spans, [] if margin is None else [margin]))
    axes.set_ylim(len(rows) - 0.3, -0.55 if margin is None else -0.55 - _headroom(axes, len(rows)))
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    if margin is not None:
        _margin(axes, margin)
    colours = arm_colours(results)
    for y, (row, told) in enumerate(zip(rows, spans, strict=True)):
        _estimate(axes, y, told, colours[row.arm], row.p_adjusted < alpha)
    scale_across(axes)
    axes.set_yticks(range(len(arms)))
    axes.set_yticklabels([shorten(arm) for arm in arms], color=INK, parse_math=False)
    axes.tick_params(axis="y", pad=7)  # clear of arrowheads
    if not any(math.isfinite(value) for told in spans for value in (told.lift, told.truth)):
        axes.set_xticks([])  # a scale of nothing


def _headroom(axes: Axes, rows: int) -> float:
    """Rows to add above the first, so that the margin's number stands clear of it however low rows are."""
    share = MARGIN_HEIGHT * dots_per_inch(axes) / 72 / axes.get_window_extent().height
    return (rows + 0.25) * share / (1 - share)


def _margin(axes: Axes, margin: float) -> None:
    """The margin, and beyond it the harm: below where a fall is harm, above where a rise is."""
    low, high = axes.get_xlim()
    axes.axvspan(*((low, margin) if margin <= 0 else (margin, high)), color=ALARM, alpha=0.06, linewidth=0, zorder=0)
    axes.axvline(margin, color=ALARM, linewidth=1.2, linestyle=":", zorder=2)
    left = margin < (low + high) / 2
    axes.annotate(
        f"margin {typeset(percent(margin))}",
        (margin, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3 if left else -3, -1),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        fontsize=7,
        color=ALARM,
        zorder=2,
        bbox={"facecolor": "white", "alpha": 0.9, "edgecolor": "none", "pad": 0.8},
    )


def _estimate(axes: Axes, y: float, told: Span, colour: str, sure: bool) -> None:
    """Interval, dot and truth of one arm; the truth lies a little lower, so that neither hides the other."""
    above = y - 0.1 if math.isfinite(told.truth) else y
    if math.isfinite(told.lift):
        whisker(axes, told, above, colour, across=True)
        axes.plot(
            told.lift,
            above,
            "o",
            markersize=6.5,
            markerfacecolor=colour if sure else "white",
            markeredgecolor=colour,
            markeredgewidth=1.5,
            zorder=5,
        )
    else:
        axes.annotate(
            CANT_TELL,
            (0.5, y),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="center",
            color=MUTED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    if math.isfinite(told.truth):
        axes.plot(told.truth, y + 0.22, "D", color=INK, markersize=3.8, markeredgewidth=0, zorder=6)
