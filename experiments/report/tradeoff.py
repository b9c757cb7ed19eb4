"""Two metrics at once: what each arm gains on one and pays on the other, with joint ellipses, beside the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes

from experiments.analysis.ellipse import Ellipse, ellipses
from experiments.report.drawing import INK, MUTED, darker, limits, paler, scale_across, scale_upward, whisker
from experiments.report.figures import arm_colours
from experiments.report.format import Span, share, span
from experiments.report.front import FRONT, Place, attainable
from experiments.report.labels import Line, write_names
from experiments.report.rows import challengers
from experiments.results import Results

WIDER = 2.5  # times: as far as an axis is widened to show the true front


def tradeoff_pair(results: Results) -> tuple[str, str] | None:
    """The metrics of the trade-off, the first goal first: two goals, or a goal and what it may cost."""
    names = [*results.goals, *results.guardrails, *(m for m in results.metrics() if m not in results.goals)]
    pair = list(dict.fromkeys(names))[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else None


def joint_ellipses(results: Results) -> dict[str, Ellipse]:
    """By arm, of the trade-off's two metrics; arms of which one cannot be told, and all without a joint estimate, are
    left out."""
    pair = tradeoff_pair(results)
    if pair is None or results.joint is None or not set(pair) <= set(results.joint.metrics):
        return {}
    found = ellipses(results.joint.only(metrics=pair))
    return {arm: ellipse for arm, ellipse in found.items() if all(map(math.isfinite, ellipse.center))}


def tradeoff(axes: Axes, results: Results, level: float) -> None:
    """Control at the origin, each arm its joint ellipse, joined to its truth; without a joint estimate, a cross.

    Beside a name stands the probability that the arm lies on the front. The true front lies behind, unless it is so
    far away that the arms could not be told apart beside it.

    Args:
        level: of the ellipses, such as 0.95.
    """
    pair = tradeoff_pair(results)
    if pair is None:
        return
    upward, across = pair
    arms = challengers(results)
    xs = {arm: span(results.row(arm, across)) for arm in arms}
    ys = {arm: span(results.row(arm, upward)) for arm in arms}
    rims = {arm: _rim(ellipse, level) for arm, ellipse in joint_ellipses(results).items()}
    line = attainable(results) if front_is_near(results) else []
    axes.set_xlim(*limits([_across(xs[arm], rims.get(arm)) for arm in arms], [x for x, _ in line]))
    axes.set_ylim(*limits([_upward(ys[arm], rims.get(arm)) for arm in arms], [y for _, y in line]))
    colours = arm_colours(results)
    _origin(axes)
    _front(axes, line)
    _plug_in_front(axes, results, xs, ys)
    for arm in arms:
        if arm in rims:
            _ellipse(axes, rims[arm], colours[arm])
        else:
            _cross(axes, xs[arm], ys[arm], colours[arm])
        _points(axes, xs[arm], ys[arm], colours[arm])
    _goals_as_axes(axes, upward, across)
    places = {arm: (xs[arm].lift, ys[arm].lift) for arm in arms}
    seen = {arm: place for arm, place in places.items() if all(map(math.isfinite, place))}
    marks = [point for arm in seen for point in _join(xs[arm], ys[arm])]
    lines = [cut for arm in seen if arm not in rims for cut in _arms_of_cross(xs[arm], ys[arm])]
    lines += [edge for rim in rims.values() for edge in pairwise(rim)]
    _names(axes, results, seen, line, marks, lines)


def front_is_near(results: Results) -> bool:
    """Whether the true front fits into the trade-off, with axes not much wider than the arms need."""
    line, pair = attainable(results), tradeoff_pair(results)
    if not line or pair is None:
        return False
    upward, across = pair
    for metric, values in ((across, [x for x, _ in line]), (upward, [y for _, y in line])):
        spans = [span(results.row(arm, metric)) for arm in challengers(results)]
        alone = [Span(told.lift, told.low, told.high, told.truth) for told in spans]
        (low, high), (lowest, highest) = limits(alone, []), limits(alone, values)
        if highest - lowest > WIDER * (high - low):
            return False
    return True


def front_from_afar(axes: Axes, results: Results) -> None:
    """The true front and the arms' true points, without estimates; for fronts that are far from the arms."""
    upward, across = results.goals[:2]
    line = attainable(results)
    points = {
        arm: (results.row(arm, across).true_lift, results.row(arm, upward).true_lift) for arm in challengers(results)
    }
    points = {arm: point for arm, point in points.items() if all(map(math.isfinite, point))}
    axes.set_xlim(*_room([0.0, *(x for x, _ in [*line, *points.values()])], 0.18))  # for names on both sides
    axes.set_ylim(*_room([0.0, *(y for _, y in [*line, *points.values()])], 0.08))
    _origin(axes)
    _front(axes, line)
    colours = arm_colours(results)
    for arm, place in points.items():  # close together, as seen from afar: told apart by colour
        axes.plot(*place, "D", color=colours[arm], markersize=5, markeredgecolor="white", zorder=6)
    _goals_as_axes(axes, upward, across)
    _names(axes, results, points, line, [], [], notes={})


def _names(
    axes: Axes,
    results: Results,
    points: Mapping[str, Place],
    line: Sequence[Place],
    marks: Sequence[Place],
    lines: Sequence[Line],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Names of the control, the arms and the front, with the probabilities of lying on it."""
    named = {**points, results.control: (0.0, 0.0)} | ({FRONT: line[len(line) // 2]} if line else {})
    colours = {arm: darker(colour) for arm, colour in {**arm_colours(results), FRONT: MUTED}.items()}
    known = [place for place in [*marks, *line] if all(map(math.isfinite, place))]
    shares = on_front(results) if notes is None else notes
    write_names(axes, named, colours=colours, marks=known, lines=lines, notes=shares)


def on_front(results: Results) -> dict[str, str]:
    """By arm, the probability of lying on the front, as it stands beside a name."""
    told = results.tradeoff
    return {arm: share(p) for arm, p in told.on_front.items()} if told else {}


def _rim(ellipse: Ellipse, level: float) -> list[Place]:
    """The ellipse's edge as the figure has it: across, upward."""
    return [(float(across), float(upward)) for upward, across in ellipse.path(level)]


def _across(told: Span, rim: Sequence[Place] | None) -> Span:
    """What a lift needs of the horizontal axis: with an ellipse its width, without one the interval."""
    if not rim:
        return Span(told.lift, told.low, told.high, told.truth)
    return Span(told.lift, min(x for x, _ in rim), max(x for x, _ in rim), told.truth)


def _upward(told: Span, rim: Sequence[Place] | None) -> Span:
    return _across(told, [(y, x) for x, y in rim] if rim else None)


def _ellipse(axes: Axes, rim: Sequence[Place], colour: str) -> None:
    xs, ys = zip(*rim, strict=True)
    axes.fill(xs, ys, facecolor=paler(colour), alpha=0.22, linewidth=0, zorder=2)
    axes.plot(xs, ys, color=colour, linewidth=1.3, zorder=3)


def _plug_in_front(axes: Axes, results: Results, xs: Mapping[str, Span], ys: Mapping[str, Span]) -> None:
    """The arms that no other beats by the estimates, dashed; of one arm there is no line."""
    told = results.tradeoff
    if told is None or len(told.plug_in) < 2:
        return
    places = {arm: (xs[arm].lift, ys[arm].lift) for arm in told.plug_in if arm in xs}
    places |= {results.control: (0.0, 0.0)} if results.control in told.plug_in else {}
    axes.plot(*zip(*sorted(places.values()), strict=True), "--", color=INK, linewidth=0.9, alpha=0.75, zorder=2)


def _origin(axes: Axes) -> None:
    """The control."""
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.plot(0, 0, "s", color=INK, markersize=5, zorder=6)


def _front(axes: Axes, line: Sequence[Place]) -> None:
    if line:
        xs, ys = zip(*line, strict=True)
        axes.plot(xs, ys, "-o", color=MUTED, linewidth=1.1, markersize=2.6, alpha=0.8, zorder=2)


def _goals_as_axes(axes: Axes, upward: str, across: str) -> None:
    scale_across(axes)
    scale_upward(axes)
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.set_xlabel(f"lift of {across} →", parse_math=False)
    axes.set_ylabel(f"lift of {upward} →", parse_math=False)


def _room(values: Sequence[float], part: float) -> Place:
    low, high = min(values), max(values)
    room = part * (high - low) or 0.01
    return low - room, high + room


def _cross(axes: Axes, x: Span, y: Span, colour: str) -> None:
    if math.isfinite(x.lift) and math.isfinite(y.lift):
        alone = [Span(told.lift, told.low, told.high, told.truth) for told in (x, y)]
        whisker(axes, alone[0], y.lift, colour, across=True)
        whisker(axes, alone[1], x.lift, colour, across=False)


def _points(axes: Axes, x: Span, y: Span, colour: str) -> None:
    """The estimate, joined to the truth."""
    estimated = math.isfinite(x.lift) and math.isfinite(y.lift)
    true = math.isfinite(x.truth) and math.isfinite(y.truth)
    if estimated and true:
        axes.plot([x.lift, x.truth], [y.lift, y.truth], color=INK, linewidth=0.7, zorder=4)
    if estimated:
        axes.plot(x.lift, y.lift, "o", color=colour, markersize=7.5, markeredgecolor="white", zorder=5)
    if true:
        axes.plot(x.truth, y.truth, "D", color=INK, markersize=4.5, markeredgewidth=0, zorder=6)


def _join(x: Span, y: Span) -> list[Place]:
    """Points on the line from an estimate to its truth, the truth last."""
    steps = (0.25, 0.5, 0.75, 1.0)
    return [(x.lift + t * (x.truth - x.lift), y.lift + t * (y.truth - y.lift)) for t in steps]


def _arms_of_cross(x: Span, y: Span) -> list[Line]:
    """Both intervals of an arm, as lines that names should keep clear of."""
    across = ((x.low, y.lift), (x.high, y.lift))
    upward = ((x.lift, y.low), (x.lift, y.high))
    return [across, upward]
