"""Which arm is best at what price: the probability of each over the exchange rates between two goals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from experiments.analysis.weightmap import WeightMap
from experiments.report.drawing import INK, MUTED, RULE, paler
from experiments.report.figures import arm_colours
from experiments.report.format import shorten
from experiments.report.labels import dots_per_inch
from experiments.results import Results

Floats = NDArray[np.float64]
ENDS = (1 / 30, 30.0)  # rates that are drawn: beyond, one goal decides alone
TICKS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
TALL, LETTER = 13.0, 5.4  # points: that a name in an area needs, and that one of its letters is wide


def weight_panel(axes: Axes, results: Results) -> None:
    """Areas that fill the height, one an arm, in the arms' order: each as high as the arm is likely to be best.

    Across, how many points of the first goal one point of the second is worth; even in the middle.
    """
    told = results.tradeoff
    assert told is not None
    rates, best = _rising(told.weights)
    colours = [arm_colours(results)[arm] for arm in told.arms]
    axes.set_xscale("log")
    axes.set_xlim(*ENDS)
    axes.set_ylim(0, 1)
    axes.stackplot(rates, best.T, colors=[paler(colour) for colour in colours], linewidth=0, zorder=1)
    for edge in best.cumsum(axis=1).T[:-1]:
        axes.plot(rates, edge, color="white", linewidth=1.4, zorder=2)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":", zorder=3)
    _names(axes, told.arms, rates, best)
    _scales(axes)
    first, second = told.goals[:2]
    axes.set_xlabel(f"points of {shorten(first)} that a point of {shorten(second)} is worth →", parse_math=False)


def at_even(weights: WeightMap) -> int:
    """The step at which a point of either goal is worth a point of the other."""
    return int(np.argmin(np.abs(weights.weight - 0.5)))


def _rising(weights: WeightMap) -> tuple[Floats, Floats]:
    """Rates from low to high, cut at the ends, and the probabilities there; shapes (K,), (K, A)."""
    fine = np.isfinite(weights.rate) & (weights.rate > 0)
    order = np.argsort(weights.rate[fine])
    rate, best = weights.rate[fine][order], weights.best[fine][order]
    inside = rate[(rate > ENDS[0]) & (rate < ENDS[1])]
    rates = np.concatenate([[ENDS[0]], inside, [ENDS[1]]])
    columns = [np.interp(np.log(rates), np.log(rate), column) for column in best.T]
    return rates, np.column_stack(columns)


def _names(axes: Axes, arms: Sequence[str], rates: Floats, best: Floats) -> None:
    """Names where the areas are tallest; an area that is too low has none, and is found by its colour."""
    extent, scale = axes.get_window_extent(), 72 / dots_per_inch(axes)
    wide, tall = extent.width * scale, extent.height * scale
    across = (np.log(rates) - np.log(ENDS[0])) / (np.log(ENDS[1]) - np.log(ENDS[0])) * wide
    top = best.cumsum(axis=1) * tall
    for a, arm in enumerate(arms):
        name = shorten(arm)
        half = LETTER * len(name) / 2
        at, floor, ceiling = _roomiest(across, top[:, a] - best[:, a] * tall, top[:, a], half)
        if ceiling - floor >= TALL:
            place = (float(rates[at]), (floor + ceiling) / 2 / tall)
            axes.text(*place, name, ha="center", va="center", color=INK, zorder=4, parse_math=False)


def _roomiest(across: Floats, floor: Floats, ceiling: Floats, half: float) -> tuple[int, float, float]:
    """Where a text of some half-width has most height within an area: the step, and the height's two ends."""
    found = (0, 0.0, 0.0)
    for at in np.flatnonzero((across > half + 3) & (across < across[-1] - half - 3)):
        beside = np.abs(across - across[at]) <= half
        low, high = float(floor[beside].max()), float(ceiling[beside].min())
        if high - low > found[2] - found[1]:
            found = (int(at), low, high)
    return found


def _scales(axes: Axes) -> None:
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.yaxis.set_major_locator(FixedLocator((0, 0.25, 0.5, 0.75, 1)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{100 * p:.0f} %"))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=MUTED)
    axes.grid(True, color=RULE, linewidth=0.5, alpha=0.6)
