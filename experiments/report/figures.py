"""The figures: drawn on axes that are given, so that the page and the poster show the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from experiments.report.drawing import (
    ALARM,
    COLOURS,
    INK,
    MUTED,
    darker,
    limits,
    scale_across,
    scale_upward,
    whisker,
)
from experiments.report.format import CANT_TELL, Span, percent, shorten, span, typeset
from experiments.report.front import FRONT, Place, attainable
from experiments.report.labels import Line, dots_per_inch, write_names
from experiments.report.rows import challengers
from experiments.results import Results

MARGIN_HEIGHT = 11  # points that a margin's number needs
MANY = 12  # metrics, beyond which only those that decide, and the hidden ones, are drawn
WIDER = 2.5  # times: as far as an axis is widened to show the true front


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


def tradeoff_pair(results: Results) -> tuple[str, str] | None:
    """The metrics of the trade-off, the first goal first: two goals, or a goal and what it may cost."""
    names = [*results.goals, *results.guardrails, *(m for m in results.metrics() if m not in results.goals)]
    pair = list(dict.fromkeys(names))[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else None


def tradeoff(axes: Axes, results: Results) -> None:
    """Two metrics at once: control at the origin, each arm a cross of intervals joined to its truth.

    The true front lies behind, unless it is so far away that the arms could not be told apart beside it.
    """
    pair = tradeoff_pair(results)
    if pair is None:
        return
    upward, across = pair
    arms = challengers(results)
    xs = {arm: span(results.row(arm, across)) for arm in arms}
    ys = {arm: span(results.row(arm, upward)) for arm in arms}
    line = attainable(results) if front_is_near(results) else []
    axes.set_xlim(*limits([*xs.values()], [x for x, _ in line]))
    axes.set_ylim(*limits([*ys.values()], [y for _, y in line]))
    colours = arm_colours(results)
    _origin(axes)
    _front(axes, line)
    for arm in arms:
        _cross(axes, xs[arm], ys[arm], colours[arm])
    _goals_as_axes(axes, upward, across)
    places = {arm: (xs[arm].lift, ys[arm].lift) for arm in arms}
    seen = {arm: place for arm, place in places.items() if all(map(math.isfinite, place))}
    marks = [point for arm in seen for point in _join(xs[arm], ys[arm])]
    _names(axes, results, seen, line, marks, [cut for arm in seen for cut in _arms_of_cross(xs[arm], ys[arm])])


def front_is_near(results: Results) -> bool:
    """Whether the true front fits into the trade-off, with axes not much wider than the arms need."""
    line, pair = attainable(results), tradeoff_pair(results)
    if not line or pair is None:
        return False
    upward, across = pair
    for metric, values in ((across, [x for x, _ in line]), (upward, [y for _, y in line])):
        spans = [span(results.row(arm, metric)) for arm in challengers(results)]
        (low, high), (lowest, highest) = limits(spans, []), limits(spans, values)
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
    _names(axes, results, points, line, [], [])


def _names(
    axes: Axes,
    results: Results,
    points: Mapping[str, Place],
    line: Sequence[Place],
    marks: Sequence[Place],
    lines: Sequence[Line],
) -> None:
    """Names of the control, the arms and the front."""
    named = {**points, results.control: (0.0, 0.0)} | ({FRONT: line[len(line) // 2]} if line else {})
    colours = {arm: darker(colour) for arm, colour in {**arm_colours(results), FRONT: MUTED}.items()}
    known = [place for place in [*marks, *line] if all(map(math.isfinite, place))]
    write_names(axes, named, colours=colours, marks=known, lines=lines)


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


def _room(values: Sequence[float], share: float) -> Place:
    low, high = min(values), max(values)
    room = share * (high - low) or 0.01
    return low - room, high + room


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
    if math.isfinite(told.lift):
        whisker(axes, told, y - 0.1, colour, across=True)
        axes.plot(
            told.lift,
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
    if math.isfinite(told.truth):
        axes.plot(told.truth, y + 0.22, "D", color=INK, markersize=3.8, markeredgewidth=0, zorder=6)


def _cross(axes: Axes, x: Span, y: Span, colour: str) -> None:
    estimated = math.isfinite(x.lift) and math.isfinite(y.lift)
    true = math.isfinite(x.truth) and math.isfinite(y.truth)
    if estimated and true:
        axes.plot([x.lift, x.truth], [y.lift, y.truth], color=INK, linewidth=0.7, zorder=4)
    if estimated:
        whisker(axes, x, y.lift, colour, across=True)
        whisker(axes, y, x.lift, colour, across=False)
        axes.plot(x.lift, y.lift, "o", color=colour, markersize=7.5, markeredgecolor="white", zorder=5)
    if true:
        axes.plot(x.truth, y.truth, "D", color=INK, markersize=4.5, markeredgewidth=0, zorder=6)


def _join(x: Span, y: Span) -> list[tuple[float, float]]:
    """Points on the line from an estimate to its truth, the truth last."""
    steps = (0.25, 0.5, 0.75, 1.0)
    return [(x.lift + t * (x.truth - x.lift), y.lift + t * (y.truth - y.lift)) for t in steps]


def _arms_of_cross(x: Span, y: Span) -> list[Line]:
    """Both intervals of an arm, as lines that names should keep clear of."""
    across = ((x.low, y.lift), (x.high, y.lift))
    upward = ((x.lift, y.low), (x.lift, y.high))
    return [across, upward]
