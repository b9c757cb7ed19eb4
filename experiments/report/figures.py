"""The figures: drawn on axes that are given, so that the page and the poster show the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.report.format import CANT_TELL, percent, shorten, typeset
from experiments.report.labels import Colour, Line, dots_per_inch, write_names
from experiments.results import Results, Row

# Okabe and Ito's colours, told apart by colour-blind people; without black, which marks the truth,
# and yellow, too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, MUTED, RULE, ALARM = "#1b2230", "#5a6474", "#d9dee5", "#a83a00"
ROUND = [1, 2, 5, 10]  # steps of ticks
MARGIN_HEIGHT = 11  # points that a margin's number needs
TICK_WIDTH = 32  # points that a tick's number needs
LONGEST = 3.0  # half-widths of the median arm after which an interval is cut with an arrowhead


def style() -> AbstractContextManager[None]:
    """How figures look; drawing and saving both happen inside, and nothing outside changes."""
    return matplotlib.rc_context(
        {
            "svg.hashsalt": "seesaw",  # ids inside an SVG are otherwise random: the page would differ every time
            "svg.fonttype": "none",  # text stays text: selectable, searchable, read aloud
            "font.size": 8.0,
            "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine measures the same
            "text.color": INK,
            "axes.edgecolor": RULE,
            "axes.labelcolor": INK,
            "axes.linewidth": 0.8,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
        }
    )


def challengers(results: Results) -> list[str]:
    """Arms but the control, in order."""
    return [arm for arm in results.arms if arm != results.control]


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
        alpha: a dot is filled where p_adjusted < alpha.
    """
    for metric, axes in panels.items():
        forest_panel(axes, results, metric, alpha)


def forest_panel(axes: Axes, results: Results, metric: str, alpha: float) -> None:
    """One metric: arms as rows, control at zero, the margin of a guardrail dotted."""
    arms = challengers(results)
    rows = [results.row(arm, metric) for arm in arms]
    margin = results.guardrails.get(metric)
    low, high = limits(rows, [] if margin is None else [margin])
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.3, -0.55 if margin is None else -0.55 - _headroom(axes, len(rows)))
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    if margin is not None:
        _margin(axes, margin, low)
    colours = arm_colours(results)
    for y, row in enumerate(rows):
        _estimate(axes, y, row, colours[row.arm], row.p_adjusted < alpha)
    _bare(axes)
    axes.set_yticks(range(len(arms)))
    axes.set_yticklabels([shorten(arm) for arm in arms], color=INK, parse_math=False)
    axes.tick_params(axis="y", pad=7)  # clear of arrowheads
    if not any(math.isfinite(value) for row in rows for value in (row.lift, row.true_lift)):
        axes.set_xticks([])  # a scale of nothing


def tradeoff_pair(results: Results) -> tuple[str, str] | None:
    """The metrics of the trade-off, the first goal first: two goals, or a goal and what it may cost."""
    names = [*results.goals, *results.guardrails, *(m for m in results.metrics() if m not in results.goals)]
    pair = list(dict.fromkeys(names))[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else None


def tradeoff(axes: Axes, results: Results) -> None:
    """Two metrics at once: control at the origin, each arm a cross of intervals joined to its truth."""
    pair = tradeoff_pair(results)
    if pair is None:
        return
    upward, across = pair
    arms = challengers(results)
    xs = [results.row(arm, across) for arm in arms]
    ys = [results.row(arm, upward) for arm in arms]
    axes.set_xlim(*limits(xs, []))
    axes.set_ylim(*limits(ys, []))
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.plot(0, 0, "s", color=INK, markersize=5, zorder=6)
    colours = arm_colours(results)
    for x, y in zip(xs, ys, strict=True):
        _cross(axes, x, y, colours[x.arm])
    _bare(axes)
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.yaxis.grid(True, color=RULE, linewidth=0.5)
    axes.set_xlabel(f"lift of {across} →", parse_math=False)
    axes.set_ylabel(f"lift of {upward} →", parse_math=False)
    seen = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x.lift) and math.isfinite(y.lift)]
    joins = [point for x, y in zip(xs, ys, strict=True) for point in _join(x, y)]
    write_names(
        axes,
        {x.arm: (x.lift, y.lift) for x, y in seen} | {results.control: (0.0, 0.0)},
        colours={arm: _darker(colour) for arm, colour in colours.items()},
        marks=[place for place in joins if all(map(math.isfinite, place))],
        lines=[line for x, y in seen for line in _arms_of_cross(x, y)],
    )


def limits(rows: Sequence[Row], also: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that shows zero, every lift and truth, and intervals unless they dwarf the others."""
    needed = [0.0, *also, *(row.lift for row in rows), *(row.true_lift for row in rows)]
    halves = [(row.ci_high - row.ci_low) / 2 for row in rows]
    known = [half for half in halves if math.isfinite(half)]
    reach = LONGEST * median(known) if known else 0.0
    ends = [max(row.ci_low, row.lift - reach) for row in rows] + [min(row.ci_high, row.lift + reach) for row in rows]
    shown = [value for value in [*needed, *ends] if math.isfinite(value)]
    low, high = min(shown), max(shown)
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def _headroom(axes: Axes, rows: int) -> float:
    """Rows to add above the first, so that the margin's number stands clear of it however low rows are."""
    share = MARGIN_HEIGHT * dots_per_inch(axes) / 72 / axes.get_window_extent().height
    return (rows + 0.25) * share / (1 - share)


def _margin(axes: Axes, margin: float, low: float) -> None:
    axes.axvspan(low, margin, color=ALARM, alpha=0.06, linewidth=0, zorder=0)
    axes.axvline(margin, color=ALARM, linewidth=1.2, linestyle=":", zorder=2)
    left = margin < sum(axes.get_xlim()) / 2
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


def _estimate(axes: Axes, y: float, row: Row, colour: str, sure: bool) -> None:
    """Interval, dot and truth of one arm; the truth lies a little lower, so that neither hides the other."""
    if math.isfinite(row.lift):
        _whisker(axes, row, y - 0.1, colour, across=True)
        axes.plot(
            row.lift,
            y - 0.1,
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
    if math.isfinite(row.true_lift):
        axes.plot(row.true_lift, y + 0.22, "D", color=INK, markersize=3.8, markeredgewidth=0, zorder=6)


def _whisker(axes: Axes, row: Row, at: float, colour: str, *, across: bool) -> None:
    """An interval as a line; an end that lies outside the panel, or nowhere, becomes an arrowhead at its edge."""
    low, high = axes.get_xlim() if across else axes.get_ylim()
    if math.isnan(row.ci_low) or math.isnan(row.ci_high):
        return
    start, end = max(row.ci_low, low), min(row.ci_high, high)
    width = 2.2 if across else 1.4
    if across:
        axes.plot([start, end], [at, at], color=colour, linewidth=width, solid_capstyle="butt", zorder=3)
    else:
        axes.plot([at, at], [start, end], color=colour, linewidth=width, solid_capstyle="butt", zorder=3)
    for cut, edge, arrow in ((row.ci_low < low, low, "<v"), (row.ci_high > high, high, ">^")):
        if cut:
            place = (edge, at) if across else (at, edge)
            axes.plot(*place, arrow[not across], color=colour, markersize=5, clip_on=False, zorder=4)


def _cross(axes: Axes, x: Row, y: Row, colour: str) -> None:
    estimated = math.isfinite(x.lift) and math.isfinite(y.lift)
    true = math.isfinite(x.true_lift) and math.isfinite(y.true_lift)
    if estimated and true:
        axes.plot([x.lift, x.true_lift], [y.lift, y.true_lift], color=INK, linewidth=0.7, zorder=4)
    if estimated:
        _whisker(axes, x, y.lift, colour, across=True)
        _whisker(axes, y, x.lift, colour, across=False)
        axes.plot(x.lift, y.lift, "o", color=colour, markersize=7.5, markeredgecolor="white", zorder=5)
    if true:
        axes.plot(x.true_lift, y.true_lift, "D", color=INK, markersize=4.5, markeredgewidth=0, zorder=6)


def _join(x: Row, y: Row) -> list[tuple[float, float]]:
    """Points on the line from an estimate to its truth, the truth last."""
    steps = (0.25, 0.5, 0.75, 1.0)
    return [(x.lift + t * (x.true_lift - x.lift), y.lift + t * (y.true_lift - y.lift)) for t in steps]


def _arms_of_cross(x: Row, y: Row) -> list[Line]:
    """Both intervals of an arm, as lines that names should keep clear of."""
    across = ((x.ci_low, y.lift), (x.ci_high, y.lift))
    upward = ((x.lift, y.ci_low), (x.lift, y.ci_high))
    return [across, upward]


def _darker(colour: str) -> Colour:
    """A colour dark enough for text on white."""
    red, green, blue = (0.62 * part for part in to_rgb(colour))
    return red, green, blue


def _bare(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    width = axes.get_window_extent().width * 72 / dots_per_inch(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, min(5, int(width / TICK_WIDTH))), steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.xaxis.grid(True, color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)


def _tick(value: float, _: int | None = None) -> str:
    return typeset(f"{value * 100:+.4g} %") if abs(value) > 1e-12 else "0"
