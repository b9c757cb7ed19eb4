"""`seesaw evaluate SPEC`: estimators rehearsed beside the truth."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.asked import ending_well, experiment_of, shown_progress
from experiments.commands.exits import refuse
from experiments.spec import Experiment

if TYPE_CHECKING:
    from experiments.tuning.rehearsal import Judged, Rehearsal

TABLE = "rehearsal.csv"


def rehearse_spec(
    spec: str, sets: Sequence[str], out: Path | None, workers: int, *, quick: bool, as_json: bool
) -> None:
    """Rehearse, show, and leave `rehearsal.csv`."""
    experiment = experiment_of(spec, sets, None, quick)
    if experiment.tune is None:
        refuse([f"{spec}: must have a section tune, found none; add tune: {{arm: ..., parameters: {{...}}}}"])
    folder = out or Path("runs") / f"{experiment.name}-rehearsal"
    found = _perform(experiment, folder, workers)
    if as_json:
        from experiments.plain import nulled

        told = {"settings": list(found.settings), "best": found.best, "rows": [row.to_dict() for row in found.rows]}
        click.echo(json.dumps(nulled(told), indent=1))
        return
    _show(found)
    click.echo(f"tables   {folder / TABLE}")


def _perform(experiment: Experiment, folder: Path, workers: int) -> Rehearsal:
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from experiments.executors import Crew
    from experiments.store import RunFolder, write_text
    from experiments.tuning.question import QuestionError
    from experiments.tuning.rehearsal import rehearse
    from experiments.tuning.tune import tune_identity

    run, kept = RunFolder(folder), f"finished steps are kept in {folder}; the same command continues"
    with (
        ending_well(folder, kept, refused=(QuestionError,)),
        shown_progress() as progress,
        run.claimed(tune_identity(experiment), False),
        threadpool_limits(1),
    ):
        with Crew(run, workers, progress.hear) as crew:
            found = rehearse(experiment, run, crew, progress.announce)
        rows = [_row(found, row) for row in found.rows]
        write_text(folder / TABLE, pd.DataFrame(rows).to_csv(index=False))
        return found


def _row(found: Rehearsal, row: Judged) -> dict[str, object]:
    """A row of the table on disk: one column a number."""
    told = row.to_dict()
    error, held = told.pop("error"), told.pop("held")
    goals = found.question.goals
    return (
        {"temperature": told.pop("temperature"), "estimator": told.pop("estimator")}
        | {f"error {goal}": value for goal, value in zip(goals, error, strict=True)}
        | {f"held {goal}": value for goal, value in zip(goals, held, strict=True)}
        | told
    )


def _show(found: Rehearsal) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 170, highlight=False)
    goals, control = found.question.goals, found.experiment.experiment.control
    title = (
        f"{found.experiment.name}: {len(found.settings)} settings valued on logs, beside the truth; errors of lifts "
        f"over {control} in points, and how often 95 % intervals hold the truth"
    )
    console.print(f"[italic]{escape(title)}[/]", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    names = ("temperature", "estimator", *goals, "picks", "regret", "log speaks of", "tune would say", "regret ")
    for name in names:
        table.add_column(name, justify="left" if name == "estimator" else "right", no_wrap=True)
    before = None
    for row in found.rows:
        if before not in (None, row.temperature):
            table.add_section()
        told = [
            f"{100 * e:.1f}  [{h:.0%}]" if e == e else "nothing of the control"
            for e, h in zip(row.error, row.held, strict=True)
        ]
        table.add_row(
            f"{row.temperature:g}" if row.temperature != before else "",
            row.estimator,
            *(escape(text) for text in told),
            _picked(row.picked, row.breaks),
            _points(row.regret),
            f"{row.tells} of {len(found.settings)}",
            "cannot tell" if row.answer < 0 else _picked(row.answer, row.answer_breaks),
            _points(row.answer_regret),
        )
        before = row.temperature
    console.print(table)
    console.print(f"regret: points of {goals[0]} that the pick lacks of the best setting that holds the limits\n")


def _picked(number: int, breaks: bool) -> str:
    return "nothing" if number < 0 else f"setting {number}{', breaks a limit' if breaks else ''}"


def _points(x: float) -> str:
    return f"{100 * x:.2f}" if x == x else ""
