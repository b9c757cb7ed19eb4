"""Many runs of one design on the terminal: what it covers, what it sees, what it ships."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.analysis.operating import Operating, Rate
from experiments.many.decisions import VERDICTS
from experiments.many.sentence import percent as share
from experiments.many.sentence import sentence, with_interval
from experiments.many.summary import FAMILIES, Characteristics, OperatingRow
from experiments.report.format import DASH, percent, points


def show(found: Characteristics, steps: Sequence[tuple[str, str]]) -> None:
    """Print the characteristics of a design on standard output; `steps` come last, as (what, text)."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(f"[italic]{escape(_title(found))}[/]", soft_wrap=True)
    console.print(_lifts(found))
    for line in (*_together(found), *_worth(found)):
        console.print(escape(line), soft_wrap=True)
    console.print(_verdicts(found))
    console.print(f"[bold]{escape(sentence(found))}[/]\n", soft_wrap=True)
    for what, text in steps:
        console.print(escape(f"{what:<8} {text}"), soft_wrap=True)


def _title(found: Characteristics) -> str:
    return (
        f"{found.name}: {found.n_runs} {found.what}, lifts over {found.control}, {found.decider} estimates (raw in "
        f"brackets); 95 % intervals of shares"
    )


def _lifts(found: Characteristics) -> Table:
    """Goals and guardrails; the files tell of the rest."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("metric", "arm"):
        table.add_column(name, no_wrap=True)
    level = f"{100 * (1 - found.alpha):g} %"
    for name in (
        "true lift ± between worlds",
        f"{level} intervals hold",
        "sure and right",
        "sure and wrong",
        "claimed",
    ):
        table.add_column(name, justify="right")
    rows = [row for row in found.by(found.decider) if row.pair.role in FAMILIES]
    for metric in dict.fromkeys(row.pair.metric for row in rows):  # arms of one metric beside each other
        for row in (row for row in rows if row.pair.metric == metric):
            table.add_row(*_cells(found, row))
        table.add_section()
    return table


def _cells(found: Characteristics, row: OperatingRow) -> list[str]:
    pair, told = row.pair, row.found
    raw = found.of(pair.arm, pair.metric, "raw") if found.decider != "raw" else None
    endless = f", {told.unbounded} endless" if told.unbounded else ""
    return [
        escape(pair.metric),
        escape(pair.arm),
        true_lift(told),
        f"{held(told)}{endless}{_beside(raw.coverage if raw else None)}",
        f"{counted(told.power)}{_beside(raw.power if raw else None)}",
        f"{counted(wrong(told))}",
        exaggerated(told),
    ]


def true_lift(told: Operating) -> str:
    """Mean of the true lifts and their spread over worlds, the truth's own error among it; a twin's is 0."""
    if told.false_alarm.n:
        return "0, the same policy"
    return (
        f"{percent(told.true_mean)} ± {points(told.true_sd)}"
        if math.isfinite(told.true_sd)
        else percent(told.true_mean)
    )


def held(told: Operating) -> str:
    """Intervals that hold the truth; where its own error matters, also with that allowed for."""
    aside = told.coverage_allowing
    return counted(told.coverage) + (f", allowing {share(aside)}" if share(aside) != share(told.coverage) else "")


def wrong(told: Operating) -> Rate:
    """Of a twin, false alarms; else signs that were wrong among the sure ones."""
    return told.false_alarm if told.false_alarm.n else told.wrong_sign


def counted(rate: Rate) -> str:
    """A share with its interval; a dash where there is nothing to count."""
    return with_interval(rate) if rate.n else DASH


def exaggerated(told: Operating) -> str:
    """How many times the truth the sure ones claim."""
    return f"{told.exaggeration:.2f} x true" if math.isfinite(told.exaggeration) else DASH


def _beside(rate: Rate | None) -> str:
    return f" ({share(rate)})" if rate is not None and rate.n else ""


def _together(found: Characteristics) -> list[str]:
    """Families: what holds at once, and false alarms among twins."""
    lines = []
    for role, told in found.families.items():
        if told.coverage.n:
            aside = share(told.coverage_allowing)
            also = f", {aside} with the truth's own error allowed for" if aside != share(told.coverage) else ""
            lines.append(
                f"All simultaneous intervals of {role}s hold at once in {with_interval(told.coverage)} of runs{also}."
            )
        if told.false_alarm.n:
            lines.append(
                f"Some {role} is surely moved, where nothing differs, in {with_interval(told.false_alarm)} of runs."
            )
    return lines if found.twins else [*lines, "No arm is the control by another name: false alarms have no null here."]


def _worth(found: Characteristics) -> list[str]:
    """What the decisions cost."""
    told, goal, lines = found.decisions, found.goals[0], list[str]()
    if told.best.n:
        runs = f"{with_interval(told.best)} of {told.best.n} runs"
        lines.append(f"What is shipped is in truth the best on {goal} in {runs}.")
    if math.isfinite(told.regret):
        forgone = f"decisions forgo {points(told.regret, 2)} points of {goal} on average"
        lines.append(f"Beside always knowing the best arm, {forgone}, as far as the truth's users tell.")
    return lines


def _verdicts(found: Characteristics) -> Table:
    told = found.decisions
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("share of runs", no_wrap=True)
    for verdict in (*VERDICTS, "shipped"):
        table.add_column(verdict, justify="right")
    for arm, given in told.verdicts.items():
        table.add_row(escape(arm), *(share(given[v]) for v in VERDICTS), f"in {told.shipped.get(arm, 0)} runs")
    table.add_section()
    total = sum(told.shipped.values())
    table.add_row("the experiment", *(share(told.experiment[v]) for v in VERDICTS), f"in {total} runs")
    return table
