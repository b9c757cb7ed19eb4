"""The poster: decision, forest, trade-off, prices, guardrails and the nights of the first goal on one picture."""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP, Guardrail
from experiments.report import words
from experiments.report.drawing import ALARM, INK, MUTED, RULE, darker, style
from experiments.report.figures import arm_colours, forest, forest_metrics, names_width
from experiments.report.format import apart, percent, shorten, typeset
from experiments.report.looks import night_panel
from experiments.report.rows import challengers, nights_of, truth_known
from experiments.report.subject import Subject
from experiments.report.tradeoff import tradeoff, tradeoff_pair
from experiments.report.weightmap import weight_panel
from experiments.results import Results

SIZE, DPI = (16.0, 10.0), 100
LEFT, MIDDLE, RIGHT = 0.025, 0.63, 0.975  # of the figure's width: forest up to the middle, the rest beyond
TOP, BOTTOM = 0.85, 0.06
FINDING, FINDING_STEP = 10.5, 0.0185  # points; height of a line
GOOD, DOUBT = "#00664b", "#7a5200"
VERDICT_COLOURS = {SHIP: GOOD, EXTEND: DOUBT, DO_NOT_SHIP: ALARM, "PASS": GOOD, "UNCLEAR": DOUBT, "FAIL": ALARM}
COLUMNS = 3
LINES = 3  # of the decision's sentence, and of the finding, that fit
SENTENCE = 12.5  # points; a letter is 0.57 of that wide on average
TALLEST, ROW_TALL = 0.09, 0.045  # of the figure's height: a panel of the forest and each of its rows, at most
NIGHTS = 0.27  # of the figure's height: nights below it, if there are any
FEWER, WIDEST = 9, 5  # metrics of the forest above nights; arms whose nights fit


def poster(subject: Subject, results: Results, path: Path) -> None:
    """Save a run's picture as PNG; needs no display."""
    with style():
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
        _heading(figure, subject, results)
        top = TOP - _finding(figure, results)
        figure.add_artist(Line2D([LEFT, RIGHT], [top + 0.013, top + 0.013], color=RULE, linewidth=1))
        floor = NIGHTS if _night_arms(results) else BOTTOM
        _forest(figure, results, subject.alpha, top, floor)
        _nights(figure, subject, results)
        _tradeoff(figure, subject, results, top)
        _guardrails(figure, results)
        _legend(figure, subject, results)
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _heading(figure: Figure, subject: Subject, results: Results) -> None:
    decision = results.decision
    count = sum(results.n_users.values())
    about = "   ·   ".join(
        (
            shorten(subject.name, 70),
            f"{count:,} {words.units(results)}",
            *([f"{subject.days} days"] if subject.days else []),
            f"control: {shorten(results.control, 30)}",
        )
    )
    figure.text(LEFT, 0.972, about, fontsize=10, color=MUTED, va="top", parse_math=False)
    colour = VERDICT_COLOURS.get(decision.verdict, INK)
    verdict = figure.text(LEFT, 0.942, decision.verdict, fontsize=30, weight="bold", color=colour, va="top")
    left = verdict.get_window_extent().x1 / (SIZE[0] * DPI) + 0.014
    letters = int((RIGHT - left) * SIZE[0] * 72 / (0.57 * SENTENCE))
    said = typeset(decision.sentence.removeprefix(decision.verdict).lstrip(" :"))
    lines = textwrap.wrap(said, letters, max_lines=LINES, placeholder=" … (in full in the report)")
    figure.text(left, 0.94, "\n".join(lines), fontsize=SENTENCE, va="top", linespacing=1.35, parse_math=False)
    if results.warnings:
        warning = textwrap.shorten(f"Warning: {results.warnings[0]}", 190, placeholder=" … (more in the report)")
        figure.text(LEFT, 0.878, typeset(warning), fontsize=9, color=DOUBT, va="center", parse_math=False)


def _finding(figure: Figure, results: Results) -> float:
    """The answer to the experiment's question below the decision; how much of the figure's height it takes."""
    if not results.finding:
        return 0.0
    letters = int((RIGHT - LEFT) * SIZE[0] * 72 / (0.57 * FINDING))
    said = typeset(f"Finding: {results.finding}")
    lines = textwrap.wrap(said, letters, max_lines=LINES, placeholder=" … (in full in the report)")
    text = "\n".join(lines)
    figure.text(LEFT, TOP + 0.012, text, fontsize=FINDING, va="top", linespacing=1.35, parse_math=False)
    return FINDING_STEP * len(lines) + 0.006


def _forest(figure: Figure, results: Results, alpha: float, top: float, floor: float) -> None:
    metrics = _forest_metrics(results, floor)
    rows = -(-len(metrics) // COLUMNS)
    wide, tall = (MIDDLE - LEFT) / COLUMNS, min((top - floor) / rows, TALLEST + ROW_TALL * len(results.arms))
    names = names_width(results) / (SIZE[0] * 72)
    panels = {}
    for n, metric in enumerate(metrics):
        row, column = divmod(n, COLUMNS)
        x, y = LEFT + column * wide + names, top - (row + 1) * tall + 0.03
        axes = figure.add_axes((x, y, wide - names - 0.02, tall - 0.062))
        role = results.row(challengers(results)[0], metric).role
        figure.text(x - names, y + tall - 0.055, metric, fontsize=9.5, weight="bold", parse_math=False)
        figure.text(x + wide - names - 0.02, y + tall - 0.055, role, fontsize=8, color=MUTED, ha="right")
        panels[metric] = axes
    forest(panels, results, alpha)


def _forest_metrics(results: Results, floor: float) -> list[str]:
    """Metrics that are drawn, in the order of the table; beside the nights, others only as far as there is room."""
    metrics = forest_metrics(results)
    if floor == BOTTOM or len(metrics) <= FEWER:
        return metrics
    first = challengers(results)[0]
    others = [metric for metric in metrics if results.row(first, metric).role == "secondary"]
    dropped = others[max(FEWER - (len(metrics) - len(others)), 0) :]
    return [metric for metric in metrics if metric not in dropped]


def _night_arms(results: Results) -> list[str]:
    """Arms whose nights on the first goal are drawn, as many as there is room for."""
    return [arm for arm in challengers(results) if nights_of(results, results.goals[0], arm)][:WIDEST]


def _nights(figure: Figure, subject: Subject, results: Results) -> None:
    """How the first goal unfolded, an arm a panel."""
    arms, goal = _night_arms(results), results.goals[0]
    if not arms:
        return
    band = f"{goal}, night by night: {subject.level} repeated interval (O'Brien-Fleming), per arm"
    figure.text(LEFT, NIGHTS - 0.03, band, fontsize=9.5, weight="bold", parse_math=False)
    wide, colours = (MIDDLE - LEFT) / len(arms), arm_colours(results)
    for n, arm in enumerate(arms):
        x = LEFT + n * wide + 0.035
        night_panel(figure.add_axes((x, BOTTOM + 0.022, wide - 0.05, NIGHTS - BOTTOM - 0.08)), results, goal, arm)
        colour = darker(colours[arm])
        figure.text(x, NIGHTS - 0.052, shorten(arm, 20), fontsize=8.5, color=colour, parse_math=False)


def _tradeoff(figure: Figure, subject: Subject, results: Results, top: float) -> None:
    """Two goals at once; below, where their joint estimate is known, which arm wins at which price."""
    pair = tradeoff_pair(results)
    if pair is None:
        return
    left, floor = MIDDLE + 0.055, 0.575 if results.tradeoff else 0.43
    _head(figure, top - 0.025, f"{pair[0]} against {pair[1]}")
    tradeoff(figure.add_axes((left, floor, RIGHT - left, top - 0.04 - floor)), results, 1 - subject.alpha)
    if results.tradeoff:
        _head(figure, 0.508, "How likely each arm is the best, by the price of a point")
        weight_panel(figure.add_axes((left, 0.382, RIGHT - left, 0.114)), results)


def _head(figure: Figure, y: float, text: str) -> None:
    figure.text(MIDDLE + 0.015, y, text, fontsize=9.5, weight="bold", parse_math=False)


def _guardrails(figure: Figure, results: Results) -> None:
    found = [(verdict.arm, guardrail) for verdict in results.decision.arms for guardrail in verdict.guardrails]
    left, top, step = MIDDLE + 0.015, 0.305 if results.tradeoff else 0.36, 0.0215
    rows = int((top - BOTTOM) / step) - 2
    figure.text(left, top, "Guardrails", fontsize=9.5, weight="bold")
    if not found:
        figure.text(left, top - 1.3 * step, "None declared.", color=MUTED, fontsize=9)
        return
    for place, heading in _cells(left, ("", "", "lift", "at worst", "margin", "")):
        figure.text(place, top - step, heading, fontsize=8, color=MUTED, ha="right")
    shown = found[:rows] if len(found) <= rows else found[: rows - 1]
    for n, (arm, guardrail) in enumerate(shown):
        _guardrail(figure, left, top - (n + 2.1) * step, arm, guardrail)
    if len(shown) < len(found):
        rest = f"and {len(found) - len(shown)} more in the report"
        figure.text(left, top - (len(shown) + 2.1) * step, rest, fontsize=8.5, color=MUTED)


def _guardrail(figure: Figure, left: float, y: float, arm: str, guardrail: Guardrail) -> None:
    digits = apart(guardrail.bound, guardrail.margin)
    numbers = (percent(guardrail.lift), percent(guardrail.bound, digits), percent(guardrail.margin))
    figure.text(left, y, shorten(arm, 15), fontsize=9, parse_math=False)
    figure.text(left + 0.08, y, shorten(guardrail.metric), fontsize=9, parse_math=False)
    for place, text in _cells(left, ("", "", *numbers, "")):
        figure.text(place, y, typeset(text), fontsize=9, ha="right")
    colour = VERDICT_COLOURS.get(guardrail.verdict, INK)
    figure.text(RIGHT, y, guardrail.verdict, fontsize=9, weight="bold", color=colour, ha="right")


def _cells(left: float, texts: tuple[str, ...]) -> list[tuple[float, str]]:
    """Right edges of the columns of numbers, with what they hold."""
    places = (left, left + 0.08, left + 0.194, left + 0.238, left + 0.28, RIGHT)
    return [(place, text) for place, text in zip(places, texts, strict=True) if text]


def _legend(figure: Figure, subject: Subject, results: Results) -> None:
    kind, bars = words.estimator(subject, results, results.estimator), words.fieller(results)
    truth = "   ◆ the truth, which the simulator knows" if truth_known(results) else ""
    text = (
        f"Lift over {shorten(results.control, 30)}, {kind}.  Thick bars: {subject.level} {bars} interval per test; "
        f"thin: all goals, all guardrails at once (max-T).  ● sure after correction at {subject.alpha:.3g}   "
        f"○ not sure{truth}"
    )
    figure.text(LEFT, 0.022, text, fontsize=8.5, color=MUTED, parse_math=False)
