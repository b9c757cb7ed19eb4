"""`seesaw run --seeds`: the same design in many worlds, and what it does over them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from experiments.commands.exits import INTERRUPTED, fail, invoked_as, refuse
from experiments.many.variants import SeedsError, Variant, foreign, over_seeds, parse_seeds
from experiments.spec import Experiment
from experiments.store import IDENTITY

SHOWN = 10  # failures


@dataclass(frozen=True, slots=True)
class Wish:
    """How it was asked for. again: the command that continues. page_of: by a seed, the command for its page."""

    workers: int
    force: bool
    reports: bool
    quiet: bool
    as_json: bool
    again: str
    page_of: Callable[[Variant], str]


def run_seeds(experiment: Experiment, seeds: str, out: Path | None, wish: Wish) -> None:
    """Run a design once per seed, or go on with it, and say what the runs say together."""
    try:
        wanted = parse_seeds(seeds)
    except SeedsError as problem:
        refuse([str(problem)])
    folder = out or Path("runs") / f"{experiment.name}-seeds"
    variants = over_seeds(experiment, wanted, folder)
    _claim(folder, variants, force=wish.force)
    _perform(experiment, folder, variants, wish)


def _claim(folder: Path, variants: list[Variant], *, force: bool) -> None:
    """Refuse a folder that holds something else."""
    if (folder / IDENTITY).exists():
        refuse([f"{folder}: must be a folder for many runs, found a single run; choose another --out"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [] if force else foreign(variants)
    except FileExistsError:
        refuse([f"{folder}: must be a folder, found a file; choose another --out"])
    except OSError as problem:
        refuse([f"{folder}: must be writable, got {problem.strerror}; choose another --out"])
    if others:
        refuse(
            [
                f"{folder}: must hold runs of this experiment, found another in {others[0].folder.name}; use --out "
                f"{folder}-2 for a new folder or --force to start anew"
            ]
        )


def _perform(experiment: Experiment, folder: Path, variants: list[Variant], wish: Wish) -> None:
    from experiments.many.reading import read_runs
    from experiments.many.running import VariantsError, run_all
    from experiments.many.summary import characteristics
    from experiments.many.writing import as_plain, write_summary
    from experiments.report.operating_table import show

    heard = _Counter() if sys.stderr.isatty() and not wish.quiet else _silent
    try:
        run_all(variants, folder, workers=wish.workers, force=wish.force, pages=wish.reports, heard=heard)
        found = characteristics(experiment, read_runs(variants))
        write_summary(found, folder)
    except VariantsError as problem:
        _failed(problem.lines, folder)
    except OSError as problem:
        fail(f"{folder}: cannot be written ({problem.strerror or problem}); free some space and run again to continue")
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; finished runs and steps are kept in {folder}. To continue: {wish.again}", err=True)
        raise SystemExit(INTERRUPTED) from None
    if wish.as_json:
        click.echo(json.dumps({"folder": str(folder), **as_plain(found)}, indent=1))
        return
    show(found, _steps(folder, variants, wish))


def _failed(lines: list[str], folder: Path) -> None:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    kept = f"what was finished is kept in {folder}; run the same command again to continue"
    fail("\n".join([*lines[:SHOWN], *more, kept]))


def _steps(folder: Path, variants: list[Variant], wish: Wish) -> list[tuple[str, str]]:
    """Where everything is, and what to type next."""
    from experiments.many.writing import PAGE, TABLE

    return [
        ("report", str(folder / PAGE)),
        ("tables", str(folder / TABLE)),
        ("next", f"{wish.page_of(variants[0])}   # the page of one run"),
        ("", f"{invoked_as()} compare '{folder}/seed-*'   # the truth over these worlds"),
    ]


class _Counter:
    """How many runs are finished, on one line of the terminal, and how long the others will take."""

    def __init__(self) -> None:
        self.begun, self.first = time.monotonic(), -1

    def __call__(self, n: int, of: int) -> None:
        if self.first < 0:  # found finished
            self.first = n
        done, seconds = n - self.first, time.monotonic() - self.begun
        left = f", about {_clock(seconds / done * (of - n))} left" if done and n < of else ""
        click.echo(f"\r{n} of {of} runs{left:<24}", nl=n == of, err=True)


def _clock(seconds: float) -> str:
    minutes = round(seconds) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes}:{round(seconds) % 60:02d}"


def _silent(n: int, of: int) -> None:
    """Nothing."""
