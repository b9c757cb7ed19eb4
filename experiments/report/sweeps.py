"""Sweeps in the true trade-off: each a curve through its points, beside the arms' truths and what is attainable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis.swept import SweepPoint
from experiments.report.drawing import COLOURS, INK, MUTED, darker, scale_across, scale_upward, style
from experiments.report.figures import arm_colours
from experiments.report.format import percent
from experiments.report.front import FRONT, Place, attainable
from experiments.report.labels import write_names
from experiments.report.rows import challengers
from experiments.report.svg import inline_svg
from experiments.report.tradeoff import WIDER, tradeoff_pair
from experiments.results import Results

SIZE = (5.6, 4.4)  # inches
SMALL = 6.5  # points: labels of a curve's points
SHOWN = 3  # of those who dominate a point, in a table


def sweep_colours(results: Results) -> Mapping[str, str]:
    """A colour per sweep, after those of the arms."""
    taken, names = len(challengers(results)), list(dict.fromkeys(point.sweep for point in results.sweeps))
    return {name: COLOURS[(taken + n) % len(COLOURS)] for n, name in enumerate(names)}


def sweep_tables(results: Results) -> dict[str, list[SweepPoint]]:
    """By sweep, its points in the order of the curve."""
    return {name: [p for p in results.sweeps if p.sweep == name] for name in sweep_colours(results)}


def beaten_by(point: SweepPoint) -> str:
    """Who dominates a point, in brief; an en dash where nobody does."""
    named, rest = "; ".join(point.dominated_by[:SHOWN]), len(point.dominated_by) - SHOWN
    return f"{named} and {rest} more" if rest > 0 else named or "\N{EN DASH}"


def sweep_figure(results: Results) -> Markup | None:
    """The true trade-off with every sweep; nothing where there are no sweeps or but one metric."""
    pair = tradeoff_pair(results)
    if pair is None or not results.sweeps:
        return None
    upward, across = pair
    lifts = {p.name: (percent(p.lift[across]), percent(p.lift[upward])) for p in results.sweeps}
    said = "; ".join(f"{name} {across} {x}, {upward} {y}" for name, (x, y) in lifts.items())
    with style():
        figure = Figure(figsize=SIZE)
        draw_sweeps(figure.add_axes((0.125, 0.105, 0.845, 0.88)), results)
        return inline_svg(figure, "sweep", f"True lift of {upward} against true lift of {across}; {said}")


def draw_sweeps(axes: Axes, results: Results) -> None:
    """True lifts on two metrics: control at the origin, arms as diamonds, sweeps as curves, the front if it is near."""
    pair = tradeoff_pair(results)
    assert pair is not None
    upward, across = pair
    arms = {a: (results.row(a, across).true_lift, results.row(a, upward).true_lift) for a in challengers(results)}
    arms = {arm: place for arm, place in arms.items() if all(map(math.isfinite, place))}
    curves = {name: _places(points, pair) for name, points in sweep_tables(results).items()}
    line = _front_if_near(results, [*arms.values(), *(place for curve in curves.values() for place in curve.values())])
    everything = [(0.0, 0.0), *arms.values(), *line, *(place for curve in curves.values() for place in curve.values())]
    axes.set_xlim(*_room([x for x, _ in everything]))
    axes.set_ylim(*_room([y for _, y in everything]))
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.plot(0, 0, "s", color=INK, markersize=5, zorder=6)
    if line:
        axes.plot(*zip(*line, strict=True), "-o", color=MUTED, linewidth=1.1, markersize=2.6, alpha=0.8, zorder=2)
    colours, sweeps = arm_colours(results), sweep_colours(results)
    for arm, place in arms.items():
        axes.plot(*place, "D", color=colours[arm], markersize=6, markeredgecolor="white", zorder=6)
    beaten = {point.name for point in results.sweeps if point.dominated_by}
    for name, curve in curves.items():
        _curve(axes, curve, sweeps[name], beaten)
    scale_across(axes)
    scale_upward(axes)
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.set_xlabel(f"true lift of {across} →", parse_math=False)
    axes.set_ylabel(f"true lift of {upward} →", parse_math=False)
    _write(axes, results, arms, curves, line)


def _places(points: Sequence[SweepPoint], pair: tuple[str, str]) -> dict[str, Place]:
    """By name, across and upward, of points that are known on both."""
    upward, across = pair
    places = {point.name: (point.lift[across], point.lift[upward]) for point in points}
    return {name: place for name, place in places.items() if all(map(math.isfinite, place))}


def front_beside_sweeps(results: Results) -> bool:
    """Whether the front is near enough to be drawn beside the sweeps."""
    pair = tradeoff_pair(results)
    if pair is None:
        return False
    places = _places(results.sweeps, pair).values()
    arms = [(results.row(a, pair[1]).true_lift, results.row(a, pair[0]).true_lift) for a in challengers(results)]
    return bool(_front_if_near(results, [*places, *(place for place in arms if all(map(math.isfinite, place)))]))


def _front_if_near(results: Results, places: Sequence[Place]) -> list[Place]:
    """The front, unless everything else could not be told apart beside it."""
    line = attainable(results)
    for axis in (0, 1):
        needed = [0.0, *(place[axis] for place in places)]
        whole = [*needed, *(place[axis] for place in line)]
        if max(whole) - min(whole) > WIDER * (max(needed) - min(needed)):
            return []
    return line


def _curve(axes: Axes, curve: Mapping[str, Place], colour: str, beaten: set[str]) -> None:
    """A line through the points; those that are dominated are hollow."""
    if not curve:
        return
    axes.plot(*zip(*curve.values(), strict=True), "-", color=colour, linewidth=1.6, zorder=4)
    for name, place in curve.items():
        fill = "white" if name in beaten else colour
        axes.plot(*place, "o", markerfacecolor=fill, markeredgecolor=colour, markersize=4.6, zorder=5)


def _write(
    axes: Axes,
    results: Results,
    arms: Mapping[str, Place],
    curves: Mapping[str, Mapping[str, Place]],
    line: Sequence[Place],
) -> None:
    """Names of control, arms and front, and small labels at the points of the curves."""
    points = {name: place for curve in curves.values() for name, place in curve.items()}
    named = {**arms, results.control: (0.0, 0.0)} | ({FRONT: line[len(line) // 2]} if line else {}) | points
    sweeps = {point.name: point for point in results.sweeps}
    colours = {**arm_colours(results), FRONT: MUTED} | {
        name: sweep_colours(results)[sweeps[name].sweep] for name in points
    }
    write_names(
        axes,
        named,
        colours={name: darker(colour) for name, colour in colours.items()},
        marks=list(line),
        lines=[],
        brief={name: _brief(sweeps[name]) for name in points},
        brief_size=SMALL,
    )


def _brief(point: SweepPoint) -> str:
    """A label that fits a curve: of several keys the values alone, in their order."""
    return point.label if len(point.changes) == 1 else "/".join(str(value) for value in point.changes.values())


def _room(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.1 * (high - low) or 0.01
    return low - room, high + room
