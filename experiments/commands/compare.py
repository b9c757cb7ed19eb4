"""`seesaw compare`: policies of several runs, worlds and seeds side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from experiments.commands.exits import fail, refuse
from experiments.store import write_text

LONGEST = 64  # characters of a folder's name


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the comparison. [default: comparisons/NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(runs: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Set policies of several finished runs side by side: RUN is a run's folder, or a quoted pattern of folders.

    Policies are the same where every key of theirs is, whatever their arms are called. Over the runs, each has a mean
    true lift with its spread, ranks, who dominates it, and how often the test decided as the truth would.
    """
    from experiments.compare.comparison import compare
    from experiments.compare.folders import RunsError, expanded, read_runs
    from experiments.report.compare import page, poster, show

    try:
        found = read_runs(expanded(runs))
    except RunsError as problem:
        refuse(problem.lines)
    compared = compare(found)
    folder = out or Path("comparisons") / name_of([run.name for run in found])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        refuse([f"{folder}: must be a folder that can be written, got {problem.strerror}; choose another with --out"])
    try:
        _write_table(folder / "compare.csv", [row for c in compared.comparisons for row in c.to_dicts()])
        _write_table(folder / "compare-runs.csv", [row for c in compared.comparisons for row in c.trial_dicts()])
        write_text(folder / "compare.html", page(compared))
        poster(compared, folder / "compare.png")
    except OSError as problem:
        fail(f"{folder}: cannot be written ({problem.strerror or problem}); free some space or choose another --out")
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **compared.to_dict()}, indent=1))
        return
    show(compared)
    files = {"report": "compare.html", "figure": "compare.png", "tables": "compare.csv", "": "compare-runs.csv"}
    for what, name in files.items():
        click.echo(f"{what:<8} {folder / name}")


def name_of(names: Sequence[str]) -> str:
    """A folder for runs of these names: theirs if it is one, else all of them joined."""
    return "+".join(sorted(set(names)))[:LONGEST]


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    write_text(path, pd.DataFrame(rows).to_csv(index=False))
