"""`seesaw run`: from a spec to a decision."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.asked import ANEW, about_a_run, ending_well, experiment_of, folder_of, shown_progress
from experiments.commands.exits import invoked_as, refuse
from experiments.spec import Experiment

if TYPE_CHECKING:
    from experiments.run import Run


@click.command("run")
@about_a_run
@click.option(
    "--seeds", metavar="A..B", help="A run per seed, such as 1..200 or 1,2,5..9: what this design covers and sees."
)
@click.option("--reports", is_flag=True, help="With --seeds: every run's own page too.")
@click.option("--force", is_flag=True, help="Discard what the folder holds and start anew.")
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision and every estimate as JSON.")
def command(
    spec: str,
    sets: tuple[str, ...],
    seed: int | None,
    seeds: str | None,
    reports: bool,
    out: Path | None,
    workers: int,
    quick: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run an experiment: SPEC is a YAML file or a name of `seesaw list`.

    An unfinished run continues where it stopped; a finished one is only shown again.
    """
    if seeds is not None and seed is not None:
        refuse([f"--seeds {seeds}: must stand without --seed, got --seed {seed}; drop one of them"])
    if reports and seeds is None:
        refuse(["--reports: must stand with --seeds; a single run has its page anyway"])
    experiment = experiment_of(spec, sets, seed, quick)
    if seeds is not None:
        _perform_many(experiment, seeds, out, workers, force=force, reports=reports, quiet=quiet, as_json=as_json)
        return
    folder = folder_of(experiment, seed, out)
    _perform(experiment, folder, workers=workers, force=force, quiet=quiet, as_json=as_json)


def _perform(experiment: Experiment, folder: Path, *, workers: int, force: bool, quiet: bool, as_json: bool) -> None:
    from experiments.report.subject import subject_of
    from experiments.report.terminal import show
    from experiments.run import run

    kept = f"finished steps are kept in {folder}. To continue: {_same_command()}"
    with ending_well(folder, kept, ANEW), shown_progress(quiet) as progress:
        done = run(experiment, folder, workers=workers, force=force, listen=progress.hear, announce=progress.announce)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **done.results.to_dict()}, indent=1))
        return
    show(subject_of(experiment, done.results), done.results, next_steps(done))


def _perform_many(
    experiment: Experiment,
    seeds: str,
    out: Path | None,
    workers: int,
    *,
    force: bool,
    reports: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    from experiments.commands.many import Wish, run_seeds
    from experiments.many.variants import Variant

    def page_of(variant: Variant) -> str:
        return _same_command(f"--seed={variant.experiment.seed.world}", f"--out={variant.folder}")

    run_seeds(experiment, seeds, out, Wish(workers, force, reports, quiet, as_json, _same_command(), page_of))


def next_steps(run: Run) -> list[tuple[str, str]]:
    """Where the report is, and what to type next."""
    seesaw = invoked_as()
    another = _same_command(f"--seed={max(run.manifest['seed'].values()) + 4}")
    return [
        ("report", str(run.folder / "report.html") + ("   (finished before; shown again)" if run.reused else "")),
        ("tables", str(run.folder / "results.csv")),
        ("next", f"{another}   # does it hold in another world?"),
        ("", f"{seesaw} new my.yaml   # your own experiment"),
        ("", f"{seesaw} list policies   # what else can be an arm"),
    ]


def _same_command(*more: str) -> str:
    """What the user typed, without --force; with more options, also without the folder and seed of this run."""
    import sys

    kept = [argument for argument in sys.argv[1:] if argument != "--force"]
    if more:
        kept = [argument for argument in kept if argument not in ("--reports", "--json")]
    for option in ("--out", "--seed", "--seeds") if more else ():
        kept = [
            a
            for n, a in enumerate(kept)
            if not a.startswith(f"{option}=") and option not in kept[max(0, n - 1) : n + 1]
        ]
    return shlex.join([invoked_as(), *kept, *more])
