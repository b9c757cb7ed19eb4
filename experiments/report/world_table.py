"""The marginals of a world on the terminal and in a file: simulated, target, verdict, source."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.marginals.table import Row, meaning
from sim.scenario import Target

STYLES = {"PASS": "green", "OFF": "bold red", "-": "dim"}
COLUMNS = ("marginal", "value", "low", "high", "kind", "verdict", "source", "meaning")


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table and one sentence on standard output."""
    # Not a terminal: wide enough that no cell is folded, so that a saved table can be read and searched.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(f"[italic]{escape(title)}[/]")
    console.print(_table(rows))
    console.print(escape(sentence(rows)), soft_wrap=True)


def sentence(rows: Sequence[Row]) -> str:
    """How many bands are kept, and by name those that are not."""
    if all(row.target is None for row in rows):
        return "the scenario names no targets: nothing is judged; add targets to hold it to published numbers"
    parts = []
    for kind, what in (("judged", "with a source"), ("assumed", "assumed")):
        judged = [row for row in rows if row.target is not None and row.target.kind == kind]
        missed = [row.name for row in judged if row.verdict == "OFF"]
        if judged:
            off = f" (OFF: {', '.join(missed)})" if missed else ""
            parts.append(f"{len(judged) - len(missed)} of {len(judged)} bands {what} are kept{off}")
    return "; ".join(parts) or "nothing is judged: every target is only reported"


def write(rows: Sequence[Row], path: Path) -> None:
    """The table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            target = row.target or Target("")
            kind = row.target.kind if row.target else ""
            low, high = ("" if limit is None else limit for limit in (target.low, target.high))
            line = (row.name, f"{row.value:.6g}", low, high, kind, row.verdict, target.source, meaning(row.name))
            writer.writerow(line)


def number(value: float) -> str:
    """Three digits that count."""
    return "none" if value != value else f"{value:.3g}"


def band(target: Target | None) -> str:
    """A band in words."""
    if target is None or (target.low is None and target.high is None):
        return ""
    if target.low is None:
        return f"up to {target.high:g}"
    return f"from {target.low:g}" if target.high is None else f"{target.low:g} to {target.high:g}"


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("marginal", no_wrap=True)
    table.add_column("simulated", justify="right", no_wrap=True)
    if all(row.target is None for row in rows):
        table.add_column("meaning")
        for row in rows:
            table.add_row(row.name, number(row.value), escape(meaning(row.name)))
        return table
    table.add_column("target", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("source")
    for row in rows:
        kind = row.target.kind if row.target else ""
        source = row.target.source if row.target else ""
        table.add_row(
            row.name,
            number(row.value),
            band(row.target),
            f"[{STYLES[row.verdict]}]{row.verdict}[/]",
            "" if kind == "judged" else f"[dim]{kind}[/]",
            f"[dim]{escape(source)}[/]",
        )
    return table
