"""The result on the terminal: arms by metrics, policies ranked per goal, and one sentence."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.report.format import cell, percent
from experiments.results import Results
from experiments.run import Run
from experiments.spec import Experiment


def show(experiment: Experiment, run: Run) -> None:
    """Print a finished run on standard output."""
    # Not a terminal: wide enough that no cell is folded, so that a saved table can be read and searched.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    results = run.results
    console.print(lift_table(experiment, results))
    for line in rankings(results):
        console.print(escape(line))
    for warning in results.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    for note in results.notes:
        console.print(f"note: {escape(note)}")
    console.print()
    console.print(f"[bold]{escape(results.decision.sentence)}[/]")
    console.print()
    for line in next_steps(experiment, run):
        console.print(escape(line), soft_wrap=True)


def lift_table(experiment: Experiment, results: Results) -> Table:
    """Arms by metrics; each cell "lift +- half-width (truth)", bold where it is sure after correction."""
    alpha = experiment.analysis.alpha
    table = Table(box=box.SIMPLE_HEAD, title=_title(experiment, results), title_justify="left")
    table.add_column("metric")
    table.add_column("role")
    table.add_column(f"{results.control} (control)", justify="right")
    arms = [arm for arm in results.arms if arm != results.control]
    for arm in arms:
        table.add_column(escape(arm), justify="right")
    for metric in results.metrics():
        rows = [results.row(arm, metric) for arm in arms]
        cells = [f"[bold]{cell(row)}[/]" if row.p_adjusted < alpha else cell(row) for row in rows]
        table.add_row(metric, rows[0].role, f"{rows[0].control_mean:.4g}", *cells)
    users = [f"{results.n_users[arm]}" for arm in arms]
    table.add_section()
    table.add_row("users", "", f"{results.n_users[results.control]}", *users)
    table.add_row("orders", "", f"{results.orders[results.control]}", *(f"{results.orders[arm]}" for arm in arms))
    return table


def rankings(results: Results) -> list[str]:
    """Policies ranked per goal, as estimated and in truth; and what tracks hidden satisfaction."""
    lines = []
    for goal in results.goals:
        rows = [results.row(arm, goal) for arm in results.arms if arm != results.control]
        estimated = [(results.control, 0.0), *((row.arm, row.lift) for row in rows)]
        true = [(results.control, 0.0), *((row.arm, row.true_lift) for row in rows)]
        lines.append(f"{goal}: {_ranked(estimated)}")
        lines.append(f"{' ' * len(goal)}  in truth {_ranked(true)}")
    if results.satisfaction_correlation:
        metric, r = next(iter(results.satisfaction_correlation.items()))
        lines.append(f"Of what can be observed, {metric} tracks hidden satisfaction best (r = {r:.2f} over users).")
    return lines


def next_steps(experiment: Experiment, run: Run) -> list[str]:
    """Where the report is, and what to type next."""
    again = "  (finished before; shown again)" if run.reused else ""
    return [
        f"report   {run.folder / 'report.html'}{again}",
        f"tables   {run.folder / 'results.csv'}",
        "next     seesaw run ecommerce --set experiment.arms.esmm.policy.fusion.exponents.price=0.5 --out runs/cheaper",
        "         seesaw new my.yaml      your own experiment",
        "         seesaw list policies    what else can be an arm",
    ]


def _title(experiment: Experiment, results: Results) -> str:
    kind = "adjusted by the warm-up (CUPED)" if results.estimator == "cuped" else "unadjusted"
    return (
        f"{escape(experiment.name)}: lift over {escape(results.control)} ± half of the "
        f"{1 - experiment.analysis.alpha:.0%} Fieller interval per test, {kind}, (truth); bold: sure after Holm"
    )


def _ranked(pairs: list[tuple[str, float]]) -> str:
    known = sorted(pairs, key=lambda pair: -pair[1] if pair[1] == pair[1] else float("inf"))
    return " > ".join(f"{name} {percent(value)}" if value else name for name, value in known)
