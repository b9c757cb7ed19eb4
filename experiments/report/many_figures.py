"""Figures of many runs: shares with their intervals, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.analysis.operating import Rate
from experiments.many.sentence import with_interval
from experiments.report.drawing import INK, MUTED, RULE, style
from experiments.report.format import shorten
from experiments.report.svg import inline_svg

WIDTH, HEAD, ROW = 3.8, 0.36, 0.3  # inches


def rates_figure(
    rates: Mapping[str, Rate], colours: Mapping[str, str], key: str, *, nominal: float | None, start: float
) -> Markup:
    """Arms as rows: the share as a dot, its 95 % interval as a bar.

    Args:
        nominal: what the share should be, if anything.
        start: of the scale, which ends at 1.
    """
    height, left = HEAD + ROW * len(rates), (16 + 5.2 * max(len(shorten(arm)) for arm in rates)) / (WIDTH * 72)
    with style():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((left, 0.26 / height, 0.95 - left, 1 - 0.34 / height))
        margin = 0.02 * (1 - start)  # so that a dot at an end is whole
        axes.set_xlim(start - margin, 1 + margin)
        axes.set_ylim(len(rates) - 0.5, -0.5)
        if nominal:
            axes.axvline(nominal, color=MUTED, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
        for y, (arm, rate) in enumerate(rates.items()):
            _row(axes, y, rate, colours[arm])
        axes.set_yticks(range(len(rates)))
        axes.set_yticklabels([shorten(arm) for arm in rates], color=INK, parse_math=False)
        axes.tick_params(axis="y", pad=6)
        _scale(axes)
        return inline_svg(figure, key, "; ".join(f"{arm} {with_interval(rate)}" for arm, rate in rates.items()))


def _row(axes: Axes, y: float, rate: Rate, colour: str) -> None:
    if not rate.n:
        axes.text(0.5, y, "can't tell", color=MUTED, va="center", ha="center", transform=axes.get_yaxis_transform())
        return
    axes.plot([rate.low, rate.high], [y, y], color=colour, linewidth=2.6, solid_capstyle="butt", zorder=3)
    axes.plot(rate.share, y, "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)


def _scale(axes: Axes) -> None:
    """Percent along the bottom, a quiet grid, no frame."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))
    axes.xaxis.grid(True, color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
