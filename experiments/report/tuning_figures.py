"""Figures of a tuning: the front that can be believed, promises beside confirmations, how flat the pick is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from experiments.report.drawing import (
    ALARM,
    COLOURS,
    INK,
    MUTED,
    ROUND,
    RULE,
    darker,
    scale_across,
    scale_upward,
    style,
    tick,
)
from experiments.report.format import shorten
from experiments.report.svg import inline_svg
from experiments.report.tuning_table import cell
from experiments.sections.tune import Parameter
from experiments.tuning.answer import Row, Told
from experiments.tuning.picks import Z95
from experiments.tuning.question import Quantity
from experiments.tuning.sensitivity import Profile
from experiments.tuning.tuned import Tuned

Floats = NDArray[np.float64]
FRONT, PICK, PRESENT = COLOURS[0], COLOURS[1], COLOURS[2]
TRADEOFF, STRIP, PROFILE, HISTORY = (6.4, 4.4), 3.8, (2.6, 1.9), (6.4, 1.9)  # inches; of a strip, the width


def tradeoff_svg(tuned: Tuned, answer: Told) -> Markup:
    """The first two goals of every trial, as believed; of one goal, its lift beside the chance that limits hold."""
    with style():
        figure = Figure(figsize=TRADEOFF)
        tradeoff(figure.add_axes((0.12, 0.12, 0.85, 0.84)), tuned, answer)
        return inline_svg(figure, "front", _told(tuned, answer))


def tradeoff(axes: Axes, tuned: Tuned, answer: Told) -> None:
    """Draws into axes."""
    found, goals = tuned.belief.found, tuned.question.goals
    able, front = tuned.belief.feasible >= tuned.question.confidence, tuned.belief.front
    x = found.mean[:, 1] if len(goals) > 1 else tuned.belief.feasible
    y = found.mean[:, 0]
    axes.axhline(0, color=RULE, linewidth=0.8)
    if len(goals) > 1:
        axes.axvline(0, color=RULE, linewidth=0.8)
        in_order = front[np.argsort(x[front])]
        axes.step(x[in_order], y[in_order], where="pre", color=FRONT, linewidth=1, alpha=0.5, zorder=2)
    axes.plot(x[~able], y[~able], "x", color=ALARM, markersize=5, alpha=0.7, zorder=2, label="may break a limit")
    axes.plot(x[able], y[able], "o", color=MUTED, markersize=4, alpha=0.6, zorder=3, label="holds the limits")
    axes.plot(x[front], y[front], "o", color=FRONT, markersize=5.5, zorder=4, label="on the front")
    for n, row in enumerate(answer.rows):
        _mark(axes, tuned, row, below=n % 2 == 1)
    _named(axes, tuned)
    _framed(axes, tuned, answer, x, y)
    axes.legend(frameon=False, fontsize=7, loc="best")


def _mark(axes: Axes, tuned: Tuned, row: Row, *, below: bool) -> None:
    """A setting with the intervals of its promise, and where its confirmation was; named above or below."""
    colour = PICK if row.tastes else PRESENT
    goals = [f"lift({goal})" for goal in tuned.question.goals]
    y = row.promised[goals[0]]
    if len(goals) > 1:
        x = row.promised[goals[1]]
        axes.plot([x.low, x.high], [y.value, y.value], color=colour, linewidth=1.4, zorder=5)
        axes.plot([x.value, x.value], [y.low, y.high], color=colour, linewidth=1.4, zorder=5)
        if row.confirmed:
            shown = row.confirmed[goals[1]].value, row.confirmed[goals[0]].value
            axes.plot(*shown, "D", color="white", markeredgecolor=colour, markersize=5.5, zorder=6)
        at = (x.value, y.value)
    else:
        at = (row.feasible, y.value)
        axes.plot([at[0], at[0]], [y.low, y.high], color=colour, linewidth=1.4, zorder=5)
    axes.plot(*at, "s" if not row.tastes else "o", color=colour, markersize=6, markeredgecolor="white", zorder=6)
    place = (6, -11) if below else (6, 5)
    axes.annotate(
        row.name, at, place, textcoords="offset points", color=darker(colour), fontsize=7.5, zorder=7, parse_math=False
    )


def _framed(axes: Axes, tuned: Tuned, answer: Told, x: Floats, y: Floats) -> None:
    """The part of the plane where settings hold the limits or are marked; how many lie elsewhere is said."""
    several, goals = len(tuned.question.goals) > 1, [f"lift({goal})" for goal in tuned.question.goals]
    able = tuned.belief.feasible >= tuned.question.confidence
    marked = [told for row in answer.rows for told in (row.promised, row.confirmed) if told]
    ends = [(0.0, *y[able], *(end for told in marked for end in (told[goals[0]].low, told[goals[0]].high)))]
    if several:
        ends.append((0.0, *x[able], *(end for told in marked for end in (told[goals[1]].low, told[goals[1]].high))))
    outside = np.zeros(len(y), dtype=bool)
    for n, (values, found) in enumerate(zip((y, x), ends, strict=False)):
        room = 0.08 * (max(found) - min(found)) or 0.01
        low, high = min(found) - room, max(found) + room
        axes.set_xlim(low, high) if n else axes.set_ylim(low, high)
        outside |= (values < low) | (values > high)
    if outside.any():
        told = f"{int(outside.sum())} of {len(y)} settings lie outside"
        axes.text(0.99, 0.01, told, transform=axes.transAxes, ha="right", va="bottom", color=MUTED, fontsize=7)


def _named(axes: Axes, tuned: Tuned) -> None:
    goals, control = tuned.question.goals, tuned.experiment.experiment.control
    scale_upward(axes)
    axes.set_ylabel(f"{goals[0]}, lift over {control}")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if len(goals) > 1:
        scale_across(axes)
        axes.set_xlabel(f"{goals[1]}, lift over {control}")
    else:
        axes.set_xlabel("chance that every limit holds")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))


def _told(tuned: Tuned, answer: Told) -> str:
    first = tuned.question.quantities[0]
    return "; ".join(
        f"{row.name}: {cell(tuned, first, row.promised[first.name])} {first.metric}" for row in answer.rows
    )


def promise_svg(tuned: Tuned, answer: Told, quantity: Quantity, key: str) -> Markup:
    """One quantity, setting by setting: promised above, confirmed below."""
    rows = answer.rows
    height = 0.36 + 0.42 * len(rows)
    with style():
        figure = Figure(figsize=(STRIP, height))
        axes = figure.add_axes((0.2, 0.28 / height, 0.76, 1 - 0.36 / height))
        promises(axes, rows, quantity)
        said = "; ".join(
            f"{row.name} promised {cell(tuned, quantity, row.promised[quantity.name])}"
            + (f", confirmed {cell(tuned, quantity, row.confirmed[quantity.name])}" if row.confirmed else "")
            for row in rows
        )
        return inline_svg(figure, key, said)


def promises(axes: Axes, rows: Sequence[Row], quantity: Quantity) -> None:
    """Draws into axes."""
    for y, row in enumerate(rows):
        colour = PICK if row.tastes else PRESENT
        for at, number, marker in ((y - 0.14, row.promised, "o"), (y + 0.14, row.confirmed, "D")):
            if quantity.name in number:
                told = number[quantity.name]
                axes.plot([told.low, told.high], [at, at], color=colour, linewidth=2.2, zorder=3, solid_capstyle="butt")
                face = colour if marker == "o" else "white"
                axes.plot(told.value, at, marker, color=face, markeredgecolor=colour, markersize=5, zorder=4)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([shorten(row.name) for row in rows], color=INK, parse_math=False)
    scale_across(axes)
    if quantity.of == "value":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.4g}"))


def profile_svg(tuned: Tuned, profile: Profile, m: int, key: str) -> Markup:
    """One quantity along one parameter, less that at the pick, within two standard deviations of the posterior."""
    with style():
        figure = Figure(figsize=PROFILE)
        along(figure.add_axes((0.2, 0.19, 0.75, 0.75)), tuned, profile, m)
        cost = f"{100 * profile.cost[m]:+.2f} points a tenth of the range away at worst"
        return inline_svg(figure, key, f"{tuned.question.quantities[m].name} along {profile.name}: {cost}")


def along(axes: Axes, tuned: Tuned, profile: Profile, m: int) -> None:
    """Draws into axes."""
    parameter = tuned.space.parameters[profile.name]
    mean, sd = profile.mean[m], Z95 * profile.sd[m]
    axes.axhline(0, color=RULE, linewidth=0.8)
    if parameter.choices is None:
        x = np.array([float(v) for v in profile.values])
        axes.fill_between(x, mean - sd, mean + sd, color=FRONT, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=FRONT, linewidth=1.4)
        at = float(profile.values[profile.at])
        _scale_of(axes, parameter)
    else:
        x = np.arange(len(profile.values), dtype=np.float64)
        axes.errorbar(x, mean, yerr=sd, fmt="o", color=FRONT, markersize=4, linewidth=1.4)
        axes.set_xticks(x, [shorten(str(v)) for v in profile.values])
        at = float(profile.at)
    axes.plot(at, 0, "o", color=PICK, markersize=5, markeredgecolor="white", zorder=4)
    scale_upward(axes, 4)
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _scale_of(axes: Axes, parameter: Parameter) -> None:
    if parameter.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def history_svg(tuned: Tuned) -> Markup:
    """Hypervolume of the believed front after each batch."""
    with style():
        figure = Figure(figsize=HISTORY)
        history(figure.add_axes((0.1, 0.22, 0.87, 0.72)), tuned)
        first, last = (100 ** len(tuned.question.goals) * volume for volume in (tuned.volumes[0], tuned.volumes[-1]))
        return inline_svg(figure, "history", f"from {first:.3g} to {last:.3g}")


def history(axes: Axes, tuned: Tuned) -> None:
    """Draws into axes."""
    n, of = len(tuned.trials), len(tuned.volumes)
    trials = [round(n * (k + 1) / of) for k in range(of)]
    exponent = len(tuned.question.goals)
    axes.step(trials, [100**exponent * v for v in tuned.volumes], where="post", color=FRONT, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("trials")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=ROUND))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=ROUND))
    axes.yaxis.grid(True, color=RULE, linewidth=0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
