"""A tuning on the terminal: picks and the present setting, promised and confirmed, and what follows."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.tuning.answer import HandRow, Number, Row, Told
from experiments.tuning.question import Quantity
from experiments.tuning.study import params_text, value_text
from experiments.tuning.tuned import Tuned


def show(tuned: Tuned, answer: Told, steps: Sequence[tuple[str, str]]) -> None:
    """Print a tuning on standard output; `steps` come last, as (what, text)."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(f"[italic]{escape(title(tuned))}[/]", soft_wrap=True)
    console.print(settings(tuned, answer))
    console.print(f"{len(tuned.belief.front)} of {len(tuned.trials)} trials are on the front that can be believed:")
    console.print(front(tuned))
    if answer.hand:
        console.print("[italic]the same by hand: one parameter after the other, an online test of each[/]")
        console.print(by_hand(tuned, answer.hand))
    for note in answer.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    for line in answer.lines:
        console.print(escape(line), soft_wrap=True)
    console.print(f"\n[bold]{escape(answer.headline)}[/]\n", soft_wrap=True)
    for what, text in steps:
        console.print(escape(f"{what:<8} {text}"), soft_wrap=True)


def title(tuned: Tuned) -> str:
    control = tuned.experiment.experiment.control
    return (
        f"{tuned.experiment.name}: {len(tuned.trials)} settings by {tuned.sampler}, each {tuned.searched_on}; "
        f"over {control} with 95 % intervals; confirmed on users whom no search had seen"
    )


def settings(tuned: Tuned, answer: Told) -> Table:
    """Two lines a setting: promised, and confirmed."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("setting", "best for", ""):
        table.add_column(name, no_wrap=name != "best for")
    for quantity in tuned.question.quantities:
        table.add_column(escape(heading(quantity)), justify="right", no_wrap=True)
    table.add_column("P(limits hold)", justify="right", no_wrap=True)
    for row in answer.rows:
        table.add_row(
            escape(row.name), escape("; ".join(row.tastes)), "promised", *_cells(tuned, row.promised), chance(row)
        )
        if row.confirmed:
            table.add_row(escape(params_text(row.params)), "", "confirmed", *_cells(tuned, row.confirmed), held(row))
        table.add_section()
    return table


def heading(quantity: Quantity) -> str:
    return f"{quantity.metric} itself" if quantity.of == "value" else quantity.metric


def chance(row: Row) -> str:
    return "" if math.isnan(row.feasible) else f"{row.feasible:.0%}"


def held(row: Row) -> str:
    return "" if row.holds is None else "held" if row.holds else "broken"


def cell(tuned: Tuned, quantity: Quantity, number: Number) -> str:
    """A lift in points with half its interval; a value in the metric's unit; of the log, a share."""
    if quantity.of == "log":
        return f"{100 * number.value:.0f} %"
    if quantity.of == "lift":
        return f"{100 * number.value:+.2f} % ± {100 * (number.high - number.value):.2f}"
    scale = tuned.question.metrics[quantity.metric].scale
    return f"{scale * number.value:.4g} ± {scale * (number.high - number.value):.2g}"


def _cells(tuned: Tuned, found: Mapping[str, Number]) -> list[str]:
    return [
        cell(tuned, quantity, found[quantity.name]) if quantity.name in found else ""
        for quantity in tuned.question.quantities
    ]


def front(tuned: Tuned) -> Table:
    """Trials on the believed front, from most of the first goal to least."""
    table, found = Table(box=box.SIMPLE_HEAD), tuned.belief.found
    table.add_column("trial", justify="right")
    for name in tuned.space.parameters:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for quantity in tuned.question.quantities:
        table.add_column(escape(heading(quantity)), justify="right", no_wrap=True)
    table.add_column("P(limits hold)", justify="right", no_wrap=True)
    for trial in sorted(tuned.belief.front.tolist(), key=lambda t: -found.mean[t, 0]):
        params = tuned.trials[trial]
        values = [
            cell(tuned, quantity, Number(float(found.mean[trial, m]), float(found.sd[trial, m])))
            for m, quantity in enumerate(tuned.question.quantities)
        ]
        shown = [value(params.get(name)) for name in tuned.space.parameters]
        table.add_row(str(trial), *shown, *values, f"{tuned.belief.feasible[trial]:.0%}")
    return table


def value(setting: object) -> str:
    return "" if setting is None else escape(value_text(setting))


def by_hand(tuned: Tuned, rows: Sequence[HandRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("test of", "kept", "user-days so far"):
        table.add_column(name, justify="left" if name == "test of" else "right")
    for quantity in tuned.question.quantities:
        table.add_column(escape(heading(quantity)), justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(tuned, row.confirmed)
        table.add_row(escape(row.parameter), value(row.kept), f"{row.user_days:,}", *cells)
    return table
