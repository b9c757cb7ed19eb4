"""What all figures share: style, colours, scales of lifts, whiskers that end in arrowheads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.report.format import Span, typeset
from experiments.report.labels import Colour, dots_per_inch

# Okabe and Ito's colours, told apart by colour-blind people; without black, which marks the truth,
# and yellow, too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, MUTED, RULE, ALARM = "#1b2230", "#5a6474", "#d9dee5", "#a83a00"
ROUND = [1, 2, 5, 10]  # steps of ticks
TICK_WIDTH = 32  # points that a tick's number needs
THIN = 0.9  # points: the interval that holds for several lifts at once
LONGEST = 3.0  # half-widths of the median interval after which one is cut with an arrowhead


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


def limits(spans: Sequence[Span], also: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that shows zero, every lift and truth, and intervals unless they dwarf the others."""
    needed = [0.0, *also, *(span.lift for span in spans), *(span.truth for span in spans)]
    halves = [(span.highest - span.lowest) / 2 for span in spans]
    known = [half for half in halves if math.isfinite(half)]
    reach = LONGEST * median(known) if known else 0.0
    ends = [max(span.lowest, span.lift - reach) for span in spans]
    ends += [min(span.highest, span.lift + reach) for span in spans]
    shown = [value for value in [*needed, *ends] if math.isfinite(value)]
    low, high = min(shown), max(shown)
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def whisker(axes: Axes, span: Span, at: float, colour: str, *, across: bool) -> None:
    """An interval as a line, within a thinner line of the one that holds for several lifts at once, if there is one.

    An end that lies outside the panel, or nowhere, becomes an arrowhead at its edge.
    """
    low, high = axes.get_xlim() if across else axes.get_ylim()
    thick = 2.6 if across else 1.8
    for start, end, width in ((span.joint_low, span.joint_high, THIN), (span.low, span.high, thick)):
        if not math.isnan(start) and not math.isnan(end) and start <= high and end >= low:
            _line(axes, max(start, low), min(end, high), at, colour, width, across=across)
    if math.isnan(span.low) or math.isnan(span.high):
        return
    for cut, edge, arrow in ((span.lowest < low, low, "<v"), (span.highest > high, high, ">^")):
        if cut:
            place = (edge, at) if across else (at, edge)
            axes.plot(*place, arrow[not across], color=colour, markersize=5, clip_on=False, zorder=4)


def _line(axes: Axes, start: float, end: float, at: float, colour: str, width: float, *, across: bool) -> None:
    xs, ys = ([start, end], [at, at]) if across else ([at, at], [start, end])
    axes.plot(xs, ys, color=colour, linewidth=width, solid_capstyle="butt", zorder=3)


def darker(colour: str) -> Colour:
    """A colour dark enough for text on white."""
    red, green, blue = (0.62 * part for part in to_rgb(colour))
    return red, green, blue


def paler(colour: str) -> Colour:
    """A colour pale enough for dark text on it."""
    red, green, blue = (1 - 0.5 * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def scale_across(axes: Axes) -> None:
    """Lifts along the bottom: as many round ticks as there is room for, a quiet grid, no frame."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    width = axes.get_window_extent().width * 72 / dots_per_inch(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, min(5, int(width / TICK_WIDTH))), steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.xaxis.grid(True, color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)


def scale_upward(axes: Axes, ticks: int = 6) -> None:
    """Lifts along the left side."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.grid(True, color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)


def tick(value: float, _: int | None = None) -> str:
    """A lift beside a tick."""
    return typeset(f"{value * 100:+.4g} %") if abs(value) > 1e-12 else "0"
