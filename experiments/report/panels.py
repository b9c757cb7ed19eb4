"""The page's figures: each drawn at its size, as SVG with its numbers in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.chances import chances, winners
from experiments.report.designs import design_panel, panel_rows
from experiments.report.drawing import style
from experiments.report.figures import forest_metrics, forest_panel, names_width
from experiments.report.format import (
    Span,
    design_span,
    interval,
    joint_interval,
    look_span,
    percent,
    segment_span,
    share,
    shorten,
    span,
)
from experiments.report.front import attainable, gaps
from experiments.report.looks import look_panel, night_panel
from experiments.report.rows import challengers, crossing, design_metrics, looks_at, nights_of, rows_by_arm
from experiments.report.segments import levels_of, panel_height, segment_metrics, segment_panel, segments
from experiments.report.svg import inline_svg
from experiments.report.tradeoff import front_from_afar, on_front, tradeoff, tradeoff_pair
from experiments.report.weightmap import weight_panel
from experiments.results import Results

PANEL_WIDTH, PANEL_HEAD, PANEL_ROW = 3.8, 0.42, 0.29  # inches at 100 pixels each: three panels beside each other
DESIGN_ROW, LOOK_SIZE = 0.235, (2.75, 1.6)
TRADEOFF_SIZE, AFAR_SIZE, WEIGHT_SIZE = (4.7, 3.9), (4.7, 2.8), (4.7, 2.9)


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure among others. role: of its metric, or the arm that it is about."""

    metric: str
    role: str
    meaning: str
    figure: Markup


def forest_panels(results: Results, alpha: float) -> list[Panel]:
    """One per metric that is drawn."""
    return [_forest(results, metric, alpha, f"m{n}") for n, metric in enumerate(forest_metrics(results))]


def design_panels(results: Results) -> list[Panel]:
    """One per metric that the designs are compared on."""
    return [_design(results, metric, f"d{n}") for n, metric in enumerate(design_metrics(results))]


def look_panels(results: Results, goal: str) -> list[Panel]:
    """One per arm that was looked at."""
    at, arms = results.goals.index(goal), [arm for arm in challengers(results) if looks_at(results, goal, arm)]
    return [_look(results, goal, arm, f"l{at}x{n}") for n, arm in enumerate(arms)]


def night_panels(results: Results, goal: str) -> list[Panel]:
    """One per arm, of every night."""
    at, arms = results.goals.index(goal), [arm for arm in challengers(results) if nights_of(results, goal, arm)]
    return [_night(results, goal, arm, f"n{at}x{n}") for n, arm in enumerate(arms)]


def segment_panels(results: Results) -> list[Panel]:
    """One per segment and metric."""
    pairs = [(segment, metric) for metric in segment_metrics(results) for segment in segments(results)]
    return [_segment(results, *pair, f"s{n}") for n, pair in enumerate(pairs) if levels_of(results, *pair)]


def tradeoff_figure(results: Results, level: float) -> Markup | None:
    """Two metrics at once; nothing where there is only one. level: of the ellipses."""
    pair = tradeoff_pair(results)
    if pair is None:
        return None
    upward, across = pair
    shares = on_front(results)
    said = [
        f"{arm}: {across} {percent(results.row(arm, across).lift)}, {upward} {percent(results.row(arm, upward).lift)}"
        + (f", on the front {shares[arm]}" if arm in shares else "")
        for arm in challengers(results)
    ]
    with style():
        figure = Figure(figsize=TRADEOFF_SIZE)
        tradeoff(figure.add_axes((0.145, 0.12, 0.795, 0.86)), results, level)
        return inline_svg(figure, "trade", f"Lift of {upward} against lift of {across}; {'; '.join(said)}")


def weight_figure(results: Results) -> Markup | None:
    """The probability of being best by exchange rate; nothing where there is one goal."""
    told = results.tradeoff
    if told is None:
        return None
    even = "; ".join(f"{chance.arm} {share(chance.best)}" for chance in chances(results))
    with style():
        figure = Figure(figsize=WEIGHT_SIZE)
        weight_panel(figure.add_axes((0.105, 0.16, 0.86, 0.81)), results)
        return inline_svg(figure, "weight", f"{winners(results)} Of even worth, the chances of being best: {even}")


def front_figure(results: Results) -> Markup | None:
    """The true front from afar; nothing where there is none."""
    line = attainable(results)
    if not line:
        return None
    upward, across = results.goals[:2]
    front = "; ".join(f"{across} {percent(x)}, {upward} {percent(y)}" for x, y in line)
    arms = "; ".join(
        f"{gap.arm} {across} {percent(gap.second)}, {upward} {percent(gap.first)}" for gap in gaps(results)
    )
    with style():
        figure = Figure(figsize=AFAR_SIZE)
        front_from_afar(figure.add_axes((0.145, 0.165, 0.795, 0.81)), results)
        return inline_svg(figure, "afar", f"Attainable in truth: {front}. True points of the arms: {arms}")


def _forest(results: Results, metric: str, alpha: float, key: str) -> Panel:
    rows = [results.row(arm, metric) for arm in challengers(results)]
    height = PANEL_HEAD + PANEL_ROW * (len(rows) + (0.55 if metric in results.guardrails else 0))
    said = "; ".join(_aloud(row.arm, span(row)) for row in rows)
    with _named_axes(results, height) as (figure, axes):
        forest_panel(axes, results, metric, alpha)
        return Panel(metric, rows[0].role, _meaning(results, metric), inline_svg(figure, key, f"{metric}: {said}"))


def _design(results: Results, metric: str, key: str) -> Panel:
    height = PANEL_HEAD + DESIGN_ROW * panel_rows(results, metric)
    rows = [row for mine in rows_by_arm(results, metric).values() for row in mine]
    said = "; ".join(_aloud(f"{row.arm} by {row.design}", design_span(row)) for row in rows)
    role = "goal" if metric in results.goals else "guardrail"
    with _named_axes(results, height) as (figure, axes):
        design_panel(axes, results, metric)
        return Panel(metric, role, _meaning(results, metric), inline_svg(figure, key, f"{metric}: {said}"))


def _look(results: Results, goal: str, arm: str, key: str) -> Panel:
    said = "; ".join(_aloud(f"day {row.day}", look_span(row)) for row in looks_at(results, goal, arm))
    return _small(results, goal, arm, key, look_panel, f"{goal} of {arm}: {said}")


def _night(results: Results, goal: str, arm: str, key: str) -> Panel:
    rows = nights_of(results, goal, arm)
    said = "; ".join(_aloud(f"day {row.day}", look_span(row)) for row in rows[-1:])
    first = crossing(rows)
    sure = f"excludes zero from day {first.day}" if first else "never excludes zero"
    return _small(results, goal, arm, key, night_panel, f"{goal} of {arm} by night: {said}; the band {sure}")


def _small(
    results: Results, goal: str, arm: str, key: str, draw: Callable[[Axes, Results, str, str], None], said: str
) -> Panel:
    """One arm and goal over time."""
    with style():
        figure = Figure(figsize=LOOK_SIZE)
        draw(figure.add_axes((0.19, 0.15, 0.75, 0.82)), results, goal, arm)
        return Panel(goal, arm, "", inline_svg(figure, key, said))


def _segment(results: Results, segment: str, metric: str, key: str) -> Panel:
    levels = levels_of(results, segment, metric)
    height = PANEL_HEAD - 0.1 + panel_height(len(levels), len(challengers(results)))
    said = "; ".join(_aloud(f"{level}, {row.arm}", segment_span(row)) for level, rows in levels.items() for row in rows)
    with style():
        figure = Figure(figsize=(PANEL_WIDTH, height))
        left, bottom = (16 + 5.2 * max(len(shorten(level)) for level in levels)) / (PANEL_WIDTH * 72), 0.26 / height
        segment_panel(figure.add_axes((left, bottom, 0.94 - left, 0.98 - bottom)), results, segment, metric)
        return Panel(metric, segment, "", inline_svg(figure, key, f"{metric} by {segment}: {said}"))


@contextmanager
def _named_axes(results: Results, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Axes in a panel of some height with names of arms on the left."""
    with style():
        figure = Figure(figsize=(PANEL_WIDTH, height))
        left, bottom = names_width(results) / (PANEL_WIDTH * 72), 0.26 / height
        yield figure, figure.add_axes((left, bottom, 0.94 - left, 0.98 - bottom))


def _aloud(name: str, told: Span) -> str:
    said = f"{name} {percent(told.lift)}, interval {interval(told)}"
    if not math.isnan(told.joint_low):
        said += f", with others at once {joint_interval(told)}"
    return said + (f", truth {percent(told.truth)}" if math.isfinite(told.truth) else "")


def _meaning(results: Results, metric: str) -> str:
    return results.meanings.get(metric, "")
