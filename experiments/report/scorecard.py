"""The scorecard on the page: what each policy predicts, beside what happened and beside the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from experiments.report.drawing import INK, MUTED, RULE, style
from experiments.report.figures import arm_colours
from experiments.report.format import dashed
from experiments.report.svg import inline_svg
from experiments.results import Results
from experiments.scorecard import CurvePoint, Scorecard, ScoreRow

CURVE_SIZE, ATTENTION_SIZE = (2.75, 2.1), (2.75, 1.9)
MOST_CURVES = 6  # goals that are drawn


@dataclass(frozen=True, slots=True)
class Line:
    """One policy's predictions of one goal: on the log, and beside the truth of clicked and of all impressions."""

    arms: Sequence[str]
    log: ScoreRow
    clicked: ScoreRow | None
    everything: ScoreRow


@dataclass(frozen=True, slots=True)
class Ranking:
    """One policy's orders of whole requests, and what they cost; NaN where a run's manifest does not tell."""

    arms: Sequence[str]
    ndcg: float
    aucs: Mapping[str, float]
    training: float
    scoring: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure. title: the goal, or the curve's name. said: what it is of."""

    title: str
    said: str
    figure: Markup


def scorecard_parts(results: Results, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the section is rendered from; nothing where no policy learns or nobody came to be judged."""
    card = results.scorecard
    if card is None or not card.rows:
        return {"scorecard": None}
    return {
        "scorecard": card,
        "card_lines": _lines(card),
        "card_rankings": _rankings(card, manifest.get("scorecard", {})),
        "card_outcomes": _ranked_outcomes(card),
        "card_curves": _curves(results, card),
        "card_attention": _attention(results, card),
        "card_errors": {p: e for p in card.policies if math.isfinite(e := card.attention_error(p))},
        "card_intent": unseen_intent(card),
        "card_n": max((row.n for row in card.rows if row.impressions == "all"), default=0),
        "card_requests": max((row.n for row in card.rows if row.impressions == "requests"), default=0),
    }


def unseen_intent(card: Scorecard) -> str:
    """Where clicks tell of a mood that no log holds: how far predictions lie from P(action | do click)."""
    if not card.hidden_intent > 0:
        return ""
    found = [r for r in card.rows if (r.against, r.impressions) == ("truth", "all") and r.goal not in _OTHER]
    if not found:
        return ""
    goal = "cvr" if any(r.goal == "cvr" for r in found) else found[0].goal
    outcome = next(r.outcome for r in found if r.goal == goal)
    rows = [r for r in found if (r.goal, r.outcome) == (goal, outcome)]
    said = ", ".join(f"{_share(r.mean_prediction)} by {r.policy} ({dashed(r.ratio)} times)" for r in rows)
    return (
        f"This world has a mood that nobody sees (sd {card.hidden_intent:g}) and that drives {outcome} together with "
        f"the click. Over all impressions the true mean of P({outcome} | do click) is {_share(rows[0].mean_truth)}; "
        f"predicted are {said}. A log shows {outcome} only of those whose mood let them click, so no model that is "
        f"trained on it reaches the oracle, whose ratio is 1."
    )


_OTHER = ("ctr", "ctcvr", "stay", "score")


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _lines(card: Scorecard) -> dict[tuple[str, str], list[Line]]:
    """By goal and outcome, the policies that predict it."""
    lines: dict[tuple[str, str], list[Line]] = {}
    for policy in card.policies:
        for goal in dict.fromkeys(row.goal for row in card.rows if row.policy == policy and row.goal != "score"):
            log = card.find(policy, goal, "log", "clicked") or card.find(policy, goal, "log", "all")
            everything = card.find(policy, goal)
            assert log is not None
            assert everything is not None
            clicked = card.find(policy, goal, "truth", "clicked")
            lines.setdefault((goal, log.outcome), []).append(Line(policy.split(", "), log, clicked, everything))
    return lines


def _ranked_outcomes(card: Scorecard) -> list[str]:
    """Actions that orders are judged by."""
    rows = [row for row in card.rows if row.goal == "score"]
    return [
        o
        for o in dict.fromkeys(r.outcome for r in rows)
        if any(math.isfinite(r.auc_best) for r in rows if r.outcome == o)
    ]


def _rankings(card: Scorecard, costs: Mapping[str, Mapping[str, float]]) -> list[Ranking]:
    found = []
    for policy in card.policies:
        rows = [row for row in card.rows if (row.policy, row.goal) == (policy, "score")]
        ndcg = next((row.ndcg for row in rows if row.outcome == card.value), math.nan)
        cost = costs.get(policy, {})
        training, scoring = (cost.get(key, math.nan) for key in ("train_cpu_seconds", "scoring_us_per_candidate"))
        found.append(Ranking(policy.split(", "), ndcg, {row.outcome: row.auc for row in rows}, training, scoring))
    return found


def _curves(results: Results, card: Scorecard) -> list[Curve]:
    """Reliability over all impressions, one figure a goal."""
    points = [point for point in card.reliability if point.impressions == "all"]
    goals = list(dict.fromkeys((point.goal, point.outcome) for point in points))[:MOST_CURVES]
    return [
        _curve(results, [p for p in points if (p.goal, p.outcome) == of], of, f"r{n}") for n, of in enumerate(goals)
    ]


def _curve(results: Results, points: Sequence[CurvePoint], of: tuple[str, str], key: str) -> Curve:
    goal, outcome = of
    drawn = [p for p in points if p.mean_prediction > 0 and p.mean_truth > 0]
    with style():
        figure = Figure(figsize=CURVE_SIZE)
        axes = figure.add_axes((0.2, 0.19, 0.75, 0.78))
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = [value for p in drawn for value in (p.mean_prediction, p.mean_truth)] or [0.1, 1.0]
        low, high = min(ends) / 1.3, max(ends) * 1.3
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle="--", zorder=1)
        for policy in dict.fromkeys(p.policy for p in drawn):
            mine = [p for p in drawn if p.policy == policy]
            across, upward = [p.mean_prediction for p in mine], [p.mean_truth for p in mine]
            colour = _colour(results, policy)
            axes.plot(across, upward, "-o", color=colour, linewidth=1.2, markersize=3.2, markeredgewidth=0, zorder=3)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(numticks=4, subs=(1.0, 3.0)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
            axis.set_minor_formatter(NullFormatter())
        _quiet(axes)
        axes.set_xlabel("predicted →")
        axes.set_ylabel("in truth →")
        heard = "; ".join(f"{p.policy} {_share(p.mean_prediction)} is {_share(p.mean_truth)}" for p in points)
        said = {"ctr": "P(click | shown)", "ctcvr": f"P(click and {outcome} | shown)"}
        figure_svg = inline_svg(figure, key, f"Reliability of {goal}: {heard}")
    return Curve(goal, said.get(goal, f"P({outcome} | click)"), figure_svg)


def _attention(results: Results, card: Scorecard) -> Curve | None:
    """The attention that policies inferred, beside the true one; nothing where none did."""
    if not card.attention:
        return None
    policies = list(dict.fromkeys(point.policy for point in card.attention))
    with style():
        figure = Figure(figsize=ATTENTION_SIZE)
        axes = figure.add_axes((0.2, 0.2, 0.75, 0.77))
        for policy in policies:
            mine = [p for p in card.attention if p.policy == policy]
            slots = [p.slot + 1 for p in mine]
            axes.plot(slots, [p.true for p in mine], "-D", color=INK, linewidth=1.0, markersize=3.4, zorder=4)
            colour = _colour(results, policy)
            axes.plot(slots, [p.inferred for p in mine], "-o", color=colour, linewidth=1.2, markersize=3.6, zorder=3)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        _quiet(axes)
        axes.set_xlabel("slot")
        heard = "; ".join(f"{p.policy} slot {p.slot + 1}: {p.inferred:.2f}, truth {p.true:.2f}" for p in card.attention)
        drawing = inline_svg(figure, "att", f"Attention by slot: {heard}")
    return Curve("Attention", "How much likelier a slot is to be looked at than the top one", drawing)


def _colour(results: Results, policy: str) -> str:
    return arm_colours(results)[policy.split(", ")[0]]


def _quiet(axes: Axes) -> None:
    """A quiet grid, no frame."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(True, color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
