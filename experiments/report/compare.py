"""A comparison of runs as a page, a picture and a table on the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.compare.comparison import ALL, Compared, Comparison, Winner
from experiments.compare.summary import Spread
from experiments.report.compare_figures import mean_tradeoff, policy_colours, strip
from experiments.report.drawing import style
from experiments.report.format import DASH, percent, points, shorten, typeset
from experiments.report.page import templates
from experiments.report.svg import inline_svg

TEMPLATE = "compare.html.j2"
WIDTH, HEAD, ROW = 3.8, 0.42, 0.34  # inches of a strip
TRADEOFF = (5.6, 4.4)  # inches


def page(compared: Compared) -> str:
    """The comparison as one self-contained file: the same bytes for the same runs."""
    environment = templates()
    filters: dict[str, Callable[..., str]] = {
        "mean": lambda spread: typeset(mean(spread)),
        "se": lambda spread: typeset(with_se(spread)),
        "ends": lambda spread: typeset(ends(spread)),
        "points_or_dash": lambda x: points(x) if math.isfinite(x) else DASH,
    }
    environment.filters |= filters
    comparisons = [_shown(comparison, f"c{n}") for n, comparison in enumerate(compared.comparisons)]
    return environment.get_template(TEMPLATE).render(
        notes=compared.notes, comparisons=comparisons, headline=headline(compared), all_worlds=ALL
    )


def _shown(comparison: Comparison, key: str) -> dict[str, Any]:
    return {
        "told": comparison,
        "colours": policy_colours(comparison),
        "judged": judged(comparison),
        "strips": {metric: _strip(comparison, metric, f"{key}m{n}") for n, metric in enumerate(judged(comparison))},
        "tradeoff": _tradeoff(comparison, key),
        "worlds": list(dict.fromkeys(comparison.worlds.values())),
        "seeds": {run.folder: ", ".join(f"{k} {v}" for k, v in run.spec["seed"].items()) for run in comparison.runs},
        "winners": {g: [w for w in comparison.winners if w.goal == g] for g in _goals(comparison)},
        "single": len(set(comparison.worlds.values())) == 1,
    }


def _goals(comparison: Comparison) -> list[str]:
    """Goals of any run."""
    return list(dict.fromkeys(winner.goal for winner in comparison.winners))


def headline(compared: Compared) -> str:
    """Who leads on the first goal of each comparison, in one sentence each."""
    return " ".join(_leads(comparison) for comparison in compared.comparisons)


def _leads(comparison: Comparison) -> str:
    goal = comparison.runs[0].goals[0]
    here = [s for s in comparison.standings if s.world == ALL and s.metric == goal and s.rank == 1]
    if not here:
        return f"Of {goal}, nothing can be told of all runs together."
    best, worlds = here[0], len(set(comparison.worlds.values()))
    over = f"over {_many(best.spread.n, 'run')} in {_many(worlds, 'world')}"
    if best.policy == comparison.control:
        return f"{over[0].upper()}{over[1:]}, no policy has more {goal} than {comparison.control} on average."
    beaten = any(d.worse == best.policy and d.in_mean for d in comparison.dominances)
    doubt = "" if best.spread.low > 0 else ", which these runs cannot tell from zero" if best.spread.n > 1 else ""
    return (
        f"{best.policy} has the most {goal} {over}: in truth {percent(best.spread.mean)} over {comparison.control}"
        f"{doubt}{', though it is dominated in the mean' if beaten else ''}."
    )


def judged(comparison: Comparison) -> list[str]:
    """Goals and guardrails."""
    roles = {standing.metric: standing.role for standing in comparison.standings}
    return [metric for metric in comparison.metrics() if roles[metric] != "other"]


def mean(spread: Spread) -> str:
    """A mean lift; a dash where no run has one."""
    return percent(spread.mean) if spread.n else DASH


def with_se(spread: Spread) -> str:
    """A mean lift and its standard error over runs, in percentage points."""
    return f"{mean(spread)} ± {points(spread.se)}" if math.isfinite(spread.se) else mean(spread)


def ends(spread: Spread) -> str:
    """The interval of a mean; a dash where one run says nothing of spread."""
    span = f"{percent(spread.low)} to {percent(spread.high)}"
    return span if math.isfinite(spread.low) and math.isfinite(spread.high) else DASH


def _strip(comparison: Comparison, metric: str, key: str) -> Markup:
    height = HEAD + ROW * len(comparison.challengers)
    told = {policy: comparison.standing(policy, metric) for policy in comparison.challengers}
    said = "; ".join(f"{policy} {with_se(standing.spread)}" for policy, standing in told.items() if standing)
    with style():
        figure = Figure(figsize=(WIDTH, height))
        left, bottom = _names_width(comparison) / (WIDTH * 72), 0.26 / height
        strip(figure.add_axes((left, bottom, 0.94 - left, 0.98 - bottom)), comparison, metric)
        return inline_svg(figure, key, f"{metric}: {said}")


def _tradeoff(comparison: Comparison, key: str) -> Markup | None:
    if len(comparison.goals) < 2:
        return None
    with style():
        figure = Figure(figsize=TRADEOFF)
        mean_tradeoff(figure.add_axes((0.125, 0.105, 0.845, 0.88)), comparison)
        label = f"Mean true lift of {comparison.goals[0]} against that of {comparison.goals[1]}; numbers in the table"
        return inline_svg(figure, f"{key}t", label)


def _names_width(comparison: Comparison) -> float:
    """Points to keep free beside a strip for the names of the policies."""
    return 16 + 5.2 * max(len(shorten(policy)) for policy in comparison.challengers)


def poster(compared: Compared, path: Path) -> None:
    """Save the figures of all comparisons as PNG: the trade-off and a strip per goal and guardrail."""
    rows = [(c, max(4.6, 0.8 + sum(_strip_height(c) for _ in judged(c)))) for c in compared.comparisons]
    height = sum(tall for _, tall in rows) + 0.7
    with style():
        figure = Figure(figsize=(13, height), dpi=110, facecolor="white")
        figure.text(0.02, 1 - 0.3 / height, typeset(headline(compared)), fontsize=10, va="center", parse_math=False)
        top = height - 0.7
        for comparison, tall in rows:
            _poster_row(figure, comparison, top, height)
            top -= tall
        draft = path.with_name(f".{path.name}")
        figure.savefig(draft, format="png", dpi=110, metadata={"Software": None})
        draft.replace(path)


def _strip_height(comparison: Comparison) -> float:
    return 0.75 + ROW * len(comparison.challengers)


def _poster_row(figure: Figure, comparison: Comparison, top: float, height: float) -> None:
    """One comparison on the poster; top: inches from the bottom."""
    if len(comparison.goals) > 1:
        axes = figure.add_axes((0.055, (top - 4.1) / height, 0.42, 3.8 / height))
        mean_tradeoff(axes, comparison)
    left = 0.53 + _names_width(comparison) / (13 * 72)
    for metric in judged(comparison):
        tall = _strip_height(comparison)
        figure.text(0.53, (top - 0.12) / height, metric, fontsize=9.5, weight="bold", va="center", parse_math=False)
        axes = figure.add_axes((left, (top - tall + 0.3) / height, 0.97 - left, (tall - 0.55) / height))
        strip(axes, comparison, metric)
        top -= tall


def show(compared: Compared) -> None:
    """Print a comparison on standard output."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    for note in compared.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    for comparison in compared.comparisons:
        console.print(f"\n[italic]{escape(_title(comparison))}[/]", soft_wrap=True)
        console.print(_lifts(comparison))
        for line in _lines(comparison):
            console.print(escape(line), soft_wrap=True)
    console.print(f"\n[bold]{escape(headline(compared))}[/]\n", soft_wrap=True)


def _title(comparison: Comparison) -> str:
    runs, worlds = len(comparison.runs), len(set(comparison.worlds.values()))
    return (
        f"{_many(runs, 'run')} in {_many(worlds, 'world')}: mean true lift over {comparison.control} ± standard error "
        f"over runs (rank)"
    )


def _lifts(comparison: Comparison) -> Table:
    """Policies by goals and guardrails, and how the tests decided."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("policy", no_wrap=True)
    for name in ("runs", *judged(comparison), "attainable reached", "tests right, wrong, undecided"):
        table.add_column(name, justify="right")
    agreed = {a.policy: a for a in comparison.agreements}
    for policy in comparison.policies:
        cells = [_cell(comparison, policy, metric) for metric in judged(comparison)]
        reached, tests = comparison.reached.get(policy), agreed.get(policy)
        told = f"{tests.agreed}, {tests.erred}, {tests.undecided}" if tests else ""
        count = f"{tests.runs if tests else len(comparison.runs)}"
        table.add_row(escape(policy), count, *cells, f"{100 * reached.mean:.0f} %" if reached else "", told)
    return table


def _cell(comparison: Comparison, policy: str, metric: str) -> str:
    found = comparison.standing(policy, metric)
    if found is None:
        return DASH
    told = with_se(found.spread) if policy != comparison.control else "0"
    return f"{told} ({found.rank or DASH})"


def _lines(comparison: Comparison) -> list[str]:
    """Who dominates whom in more than half of the runs, and who wins where; the page tells the rest."""
    often = [d for d in comparison.dominances if 2 * d.wins > d.runs]
    lines = [
        f"{d.better} dominates {d.worse} in {d.wins} of {_many(d.runs, 'run')}{', and in the mean' * d.in_mean}"
        for d in often
    ]
    fewer = len(comparison.dominances) - len(often)
    if fewer:
        lines.append(f"{_many(fewer, 'pair')} more in at most half of the runs: see the page")
    lines = lines or ["nobody dominates anybody on the goals"]
    return [*lines, *(_won(winner) for winner in comparison.winners)]


def _won(winner: Winner) -> str:
    return f"{winner.world}: {winner.policy} has the most {winner.goal} ({winner.wins} of {_many(winner.runs, 'run')})"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
