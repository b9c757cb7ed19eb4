"""Figures of a comparison: every run as a dot, the mean over runs with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes

from experiments.compare.comparison import Comparison
from experiments.compare.summary import Spread
from experiments.report.drawing import COLOURS, INK, MUTED, darker, limits, scale_across, scale_upward, whisker
from experiments.report.format import Span, shorten
from experiments.report.labels import write_names


def policy_colours(comparison: Comparison) -> Mapping[str, str]:
    """A colour per policy; the control is grey."""
    colours = {policy: COLOURS[n % len(COLOURS)] for n, policy in enumerate(comparison.challengers)}
    return {comparison.control: MUTED} | colours


def dots(comparison: Comparison, policy: str, metric: str) -> list[float]:
    """The lifts of a policy, run by run."""
    trials = (trial for trial in comparison.trials if trial.policy == policy and trial.counted)
    return [lift for trial in trials if math.isfinite(lift := trial.lift.get(metric, math.nan))]


def _cloud(comparison: Comparison, policy: str) -> list[tuple[float, float]]:
    """The runs of a policy: lifts of the second and of the first goal."""
    upward, across = comparison.goals[:2]
    trials = [trial for trial in comparison.trials if trial.policy == policy and trial.counted]
    places = [(trial.lift[across], trial.lift[upward]) for trial in trials]
    return [place for place in places if all(map(math.isfinite, place))]


def spread_span(spread: Spread) -> Span:
    """Mean and interval over runs."""
    return Span(spread.mean, spread.low, spread.high, math.nan)


def strip(axes: Axes, comparison: Comparison, metric: str) -> None:
    """One metric: policies as rows, every run a pale dot, the mean a dark one with its t interval."""
    colours, rows = policy_colours(comparison), comparison.challengers
    found = {policy: comparison.standing(policy, metric) for policy in rows}
    spans = {policy: spread_span(standing.spread) for policy, standing in found.items() if standing}
    every = [lift for policy in rows for lift in dots(comparison, policy, metric)]
    axes.set_xlim(*limits([*spans.values()], every))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for y, policy in enumerate(rows):
        lifts = dots(comparison, policy, metric)
        axes.plot(lifts, [y + 0.18] * len(lifts), "o", color=colours[policy], markersize=3.6, alpha=0.55, zorder=4)
        if policy in spans and math.isfinite(spans[policy].lift):
            whisker(axes, spans[policy], y - 0.14, colours[policy], across=True)
            axes.plot(spans[policy].lift, y - 0.14, "D", color=INK, markersize=4.4, zorder=5)
    scale_across(axes)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([shorten(policy) for policy in rows], color=INK, parse_math=False)
    axes.tick_params(axis="y", pad=7)


def mean_tradeoff(axes: Axes, comparison: Comparison) -> None:
    """The first two goals at once: each run a pale dot, each policy's mean a diamond with its intervals."""
    upward, across = comparison.goals[:2]
    colours, places = policy_colours(comparison), dict[str, tuple[float, float]]()
    spans: dict[str, tuple[Span, Span]] = {}
    clouds = {policy: _cloud(comparison, policy) for policy in comparison.challengers}
    for policy in comparison.challengers:
        x, y = (comparison.standing(policy, goal) for goal in (across, upward))
        if x and y and math.isfinite(x.spread.mean) and math.isfinite(y.spread.mean):
            spans[policy] = (spread_span(x.spread), spread_span(y.spread))
            places[policy] = (x.spread.mean, y.spread.mean)
    points = [place for cloud in clouds.values() for place in cloud]
    axes.set_xlim(*limits([x for x, _ in spans.values()], [x for x, _ in points]))
    axes.set_ylim(*limits([y for _, y in spans.values()], [y for _, y in points]))
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.plot(0, 0, "s", color=INK, markersize=5, zorder=6)
    for policy, (x_span, y_span) in spans.items():
        for place in clouds[policy]:
            axes.plot(*place, "o", color=colours[policy], markersize=4, alpha=0.5, markeredgewidth=0, zorder=3)
        whisker(axes, x_span, places[policy][1], colours[policy], across=True)
        whisker(axes, y_span, places[policy][0], colours[policy], across=False)
        axes.plot(*places[policy], "D", color=colours[policy], markersize=6.5, markeredgecolor="white", zorder=6)
    scale_across(axes)
    scale_upward(axes)
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.set_xlabel(f"true lift of {across} →", parse_math=False)
    axes.set_ylabel(f"true lift of {upward} →", parse_math=False)
    named = {**places, comparison.control: (0.0, 0.0)}
    shades = {policy: darker(colour) for policy, colour in colours.items()}
    write_names(axes, named, colours=shades, marks=points, lines=[])
