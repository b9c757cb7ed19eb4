"""The result on the terminal: arms by metrics, policies ranked per goal, and one sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from experiments.report import words
from experiments.report.chances import winners
from experiments.report.format import cell, number, percent, span, with_half_width
from experiments.report.rows import truth_known
from experiments.report.sheets import asides
from experiments.report.subject import Subject
from experiments.results import Results, Row


def show(subject: Subject, results: Results, steps: Sequence[tuple[str, str]]) -> None:
    """Print what a test says on standard output; `steps` come last, as (what, text)."""
    # Not a terminal: wide enough that no cell is folded, so that a saved table can be read and searched.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(f"[italic]{_title(subject, results)}[/]")
    for table in lift_tables(subject, results, console):
        console.print(table)
    for line in rankings(results):
        console.print(escape(line), soft_wrap=True)
    for title, table in asides(results):
        console.print(f"\n[italic]{escape(title)}[/]", soft_wrap=True)
        console.print(table)
    for line in words.stopped(results):
        console.print(f"[red]{escape(line)}[/]", soft_wrap=True)
    for warning in words.warnings(results):
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    for note in results.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    console.print()
    for verdict in results.decision.arms:
        console.print(f"{escape(verdict.arm)}: {verdict.verdict}, {escape(verdict.reason)}", soft_wrap=True)
    console.print()
    console.print(f"[bold]{escape(results.decision.sentence)}[/]", soft_wrap=True)
    for line in beside_the_decision(results):
        console.print(escape(line), soft_wrap=True)
    if results.finding:
        console.print()
        console.print(f"[bold]Finding:[/] {escape(results.finding)}", soft_wrap=True)
    console.print()
    for what, text in steps:
        console.print(escape(f"{what:<8} {text}"), soft_wrap=True)


def lift_tables(subject: Subject, results: Results, console: Console) -> list[Table]:
    """Arms by metrics, as many arms to a table as the terminal is wide."""
    arms, tables = [arm for arm in results.arms if arm != results.control], []
    while arms:
        fitting = [n for n in range(1, len(arms) + 1) if _width(subject, results, arms[:n], console) <= console.width]
        n = max(fitting, default=1)
        tables.append(lift_table(subject, results, arms[:n]))
        arms = arms[n:]
    return tables


def _width(subject: Subject, results: Results, arms: Sequence[str], console: Console) -> int:
    unlimited = console.options.update(width=10_000)
    return Measurement.get(console, unlimited, lift_table(subject, results, arms)).maximum


def lift_table(subject: Subject, results: Results, arms: Sequence[str]) -> Table:
    """Arms by metrics; each cell "lift +- half-width (truth)", starred where it is sure after correction."""
    alpha = subject.alpha
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True)
    table.add_column("role", no_wrap=True)
    table.add_column(escape(results.control), justify="right", no_wrap=True)
    for arm in arms:
        table.add_column(escape(arm), justify="right", no_wrap=True)
    for metric in results.metrics():
        rows = [results.row(arm, metric) for arm in arms]
        said = [_cell(results, row) for row in rows]
        cells = [f"[bold]{t} *[/]" if r.p_adjusted < alpha else f"{t}  " for t, r in zip(said, rows, strict=True)]
        table.add_row(metric, rows[0].role, number(rows[0].control_mean), *cells)
    table.add_section()
    control = results.control
    counts = ((words.counted(subject, results), results.n_users), (words.conversions(results), results.conversions))
    for name, count in (pair for pair in counts if pair[1]):
        table.add_row(name, "", f"{count[control]:,}", *(f"{count[arm]:,}  " for arm in arms))
    return table


def beside_the_decision(results: Results) -> list[str]:
    """What the decision rests on: the best arm corrected for having been chosen, and the goals together."""
    lines = []
    if (repeated := words.repetition(results)) and results.selected is not None:
        lines.append(f"Expected of {results.selected.arm} on repetition: {repeated}.")
    if (told := winners(results)) and len(results.arms) > 2:
        lines.append(told)
    return lines


def _cell(results: Results, row: Row) -> str:
    return cell(span(row)) if truth_known(results) else with_half_width(span(row))


def rankings(results: Results) -> list[str]:
    """Policies ranked per goal, as estimated and in truth; and what tracks hidden satisfaction."""
    lines = []
    for goal in results.goals:
        rows = [results.row(arm, goal) for arm in results.arms if arm != results.control]
        estimated = [(results.control, 0.0), *((row.arm, row.lift) for row in rows)]
        lines.append(f"{goal}: {_ranked(estimated)}")
        if truth_known(results):
            true = [(results.control, 0.0), *((row.arm, row.true_lift) for row in rows)]
            lines.append(f"{' ' * len(goal)}  in truth {_ranked(true)}")
    if results.satisfaction_correlation:
        metric, r = next(iter(results.satisfaction_correlation.items()))
        what = f"{metric} tracks hidden satisfaction best" if r > 0 else "nothing rises with hidden satisfaction"
        lines.append(f"Of what can be observed, {what} (r = {r:.2f} over {words.units(results)}).")
    return lines


def _title(subject: Subject, results: Results) -> str:
    kind, truth = words.estimator(subject, results, results.estimator), ", (truth)" if truth_known(results) else ""
    return (
        f"{escape(subject.name)}: lift over {escape(results.control)} ± half of the "
        f"{subject.level} {words.fieller(results)} interval per test, {kind}{truth}; *: sure after correction"
    )


def _ranked(pairs: list[tuple[str, float]]) -> str:
    """Names from best to worst with their lifts; equal ones joined by =, those without a number last."""
    ordered = sorted(pairs, key=lambda pair: -pair[1] if pair[1] == pair[1] else float("inf"))
    text = ""
    for n, (name, value) in enumerate(ordered):
        if n:
            text += " = " if value == ordered[n - 1][1] else " > "
        text += f"{name} {percent(value)}" if value else name
    return text
