"""What every command that simulates a spec is asked: which experiment, where to, by how many processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from experiments.commands.exits import INTERRUPTED, fail, refuse
from experiments.spec import Experiment, SpecError, load_experiment

if TYPE_CHECKING:
    from experiments.report.progress import AbstractProgress

Decorated = TypeVar("Decorated", bound=Callable[..., object])
_ASKED = (
    click.argument("spec"),
    click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override any key, such as world.users=2000."
    ),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Set all three seeds."),
    click.option("--out", type=click.Path(path_type=Path), help="Folder of the run. [default: runs/NAME]"),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=lambda: min(os.cpu_count() or 1, 8),
        help="Processes; the result does not depend on it. [default: one per core, at most 8]",
    ),
    click.option("--quick", is_flag=True, help="A tenth of the users and half the days, for a first look."),
)


def about_a_run(command: Decorated) -> Decorated:
    """Give a command SPEC and --set, --seed, --out, --workers and --quick."""
    for asked in reversed(_ASKED):
        command = asked(command)
    return command


def experiment_of(spec: str, sets: Sequence[str], seed: int | None, quick: bool) -> Experiment:
    """The experiment that is asked for; ends with its problems if it has any."""
    try:
        experiment = load_experiment(spec, sets, seed)
    except SpecError as problem:
        refuse(problem.lines)
    return experiment.quick() if quick else experiment


def folder_of(experiment: Experiment, seed: int | None, out: Path | None) -> Path:
    """Where its run goes."""
    return out or Path("runs") / (experiment.name if seed is None else f"{experiment.name}-seed{seed}")


def shown_progress(quiet: bool = False) -> AbstractProgress:
    """Progress on a terminal, unless nobody wants to see it."""
    from experiments.report.progress import Live, Silent

    return Silent() if quiet or not sys.stderr.isatty() else Live()


@contextmanager
def ending_well(folder: Path, kept: str, cure: str = "", refused: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Let a command that works in a folder end with a line and its exit code, whatever happens.

    Args:
        kept: what is said of an interrupt, after "interrupted; ". cure: what a failed task's line ends with, after how
            to continue. refused: errors besides those of the folder that are the input's.
    """
    from experiments.executors import TaskError
    from experiments.store import FolderError

    wrong: tuple[type[Exception], ...] = (FolderError, *refused)
    try:
        yield
    except wrong as problem:
        refuse([str(problem)])
    except TaskError as problem:
        fail(f"{problem}\nwhat was finished is kept in {folder}; run the same command again to continue{cure}")
    except OSError as problem:
        fail(f"{folder}: cannot be written ({problem.strerror or problem}); free some space and run again to continue")
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; {kept}", err=True)
        raise SystemExit(INTERRUPTED) from None


ANEW = ", or, once something is mended, with --force to start anew"  # the cure where there is --force
