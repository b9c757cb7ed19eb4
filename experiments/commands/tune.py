"""`seesaw tune`: from a spec with `tune` to settings that can be believed."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.asked import ANEW, about_a_run, ending_well, experiment_of, shown_progress
from experiments.commands.exits import invoked_as, refuse
from experiments.sections.tune import MOST_TRIALS, SAMPLERS
from experiments.spec import Experiment

if TYPE_CHECKING:
    from experiments.tuning.tuned import Tuned


@click.command("tune")
@about_a_run
@click.option("--trials", type=click.IntRange(1, MOST_TRIALS), help="Settings to try. [default: tune.budget.trials]")
@click.option("--sampler", type=click.Choice(SAMPLERS), help="What proposes them. [default: tune.sampler]")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="Evaluate on the warm-up log of a run of this experiment, such as runs/NAME.",
)
@click.option("--force", is_flag=True, help="Discard what the folder holds and start anew.")
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(
    spec: str,
    sets: tuple[str, ...],
    seed: int | None,
    out: Path | None,
    workers: int,
    quick: bool,
    trials: int | None,
    sampler: str | None,
    log: Path | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Tune the parameters that SPEC names under `tune`, offline, and confirm the picks on users of their own.

    An unfinished tuning continues where it stopped, with the same result; more --trials extend it.
    """
    more = [f"tune.budget.trials={trials}"] if trials else []
    more += [f"tune.sampler={sampler}"] if sampler else []
    more += ["tune.evaluate=log"] if log else []
    experiment = experiment_of(spec, (*sets, *more), seed, quick)
    if experiment.tune is None:
        refuse([f"{spec}: must have a section tune, found none; add tune: {{arm: ..., parameters: {{...}}}}"])
    folder = out or Path("runs") / (f"{experiment.name}-tune" + ("" if seed is None else f"-seed{seed}"))
    tuned = _perform(experiment, folder, workers, log, force=force, quiet=quiet)
    _show(tuned, folder, as_json=as_json)


def _perform(
    experiment: Experiment, folder: Path, workers: int, log: Path | None, *, force: bool, quiet: bool
) -> Tuned:
    from experiments.store import RunFolder
    from experiments.tuning.question import QuestionError
    from experiments.tuning.tune import tune

    assert experiment.tune is not None
    points = 100.0 ** len(experiment.tune.maximise or experiment.metrics.goals)  # points, or points times points
    again = shlex.join([invoked_as(), *(a for a in sys.argv[1:] if a != "--force")])
    kept = f"finished trials are kept in {folder}. To continue: {again}"
    with ending_well(folder, kept, ANEW, (QuestionError,)), shown_progress(quiet) as progress:
        return tune(
            experiment,
            folder,
            workers=workers,
            force=force,
            listen=progress.hear,
            source=None if log is None else RunFolder(log),
            announce=lambda n, of, volume: progress.announce(f"{n} of {of} trials, hypervolume {points * volume:.3g}"),
        )


def _show(tuned: Tuned, folder: Path, *, as_json: bool) -> None:
    from experiments.plain import nulled
    from experiments.report.tuning_table import show
    from experiments.tuning.answer import answer_of
    from experiments.tuning.outputs import PAGE, TABLE, YAML, as_plain

    answer = answer_of(tuned)
    if as_json:
        click.echo(json.dumps(nulled({"folder": str(folder), **as_plain(tuned, answer)}), indent=1))
        return
    steps = [("report", str(folder / PAGE)), ("trials", str(folder / TABLE))]
    if tuned.picks:
        steps.append(("next", f"{invoked_as()} run {folder / YAML}   # the picks as arms of a test"))
    show(tuned, answer, steps)
