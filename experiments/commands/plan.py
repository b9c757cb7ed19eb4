"""`seesaw plan`: from a spec and its warm-up to the users or days that each metric needs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.asked import about_a_run, ending_well, experiment_of, folder_of, shown_progress
from experiments.commands.exits import invoked_as, refuse
from experiments.spec import Experiment

if TYPE_CHECKING:
    from experiments.planning import ExperimentPlan


@click.command("plan")
@about_a_run
@click.option(
    "--mde",
    "effects",
    multiple=True,
    metavar="[METRIC=]LIFT",
    help="The lift to see, such as 5% (of all goals) or ctr=1%; of a guardrail, its margin. [default: 2%]",
)
@click.option(
    "--power",
    type=click.FloatRange(0.1, 0.999),
    default=0.8,
    show_default=True,
    help="Of the whole decision: a goal is won and every guardrail kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    spec: str,
    sets: tuple[str, ...],
    seed: int | None,
    out: Path | None,
    workers: int,
    quick: bool,
    effects: tuple[str, ...],
    power: float,
    as_json: bool,
) -> None:
    """Tell how many users or days a test needs: SPEC is a YAML file or a name of `seesaw list`.

    Only the warm-up is simulated, and kept: `seesaw run` with the same SPEC and folder begins with the test.
    """
    experiment = experiment_of(spec, sets, seed, quick)
    asked = _asked(experiment, effects)
    folder = folder_of(experiment, seed, out)
    _refuse_what_cannot_be_planned(experiment)
    plan = _perform(experiment, folder, workers, power, asked)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **plan.to_dict()}, indent=1))
        return
    from experiments.report.plan_table import show

    show(plan, experiment.metrics.guardrails, [("next", f"{_run_of_this()}   # the warm-up is kept for it")])


def _asked(experiment: Experiment, effects: tuple[str, ...]) -> dict[str, float]:
    """By metric, the lift that is asked for; one without a name is of all goals."""
    from experiments.metrics import nearest
    from experiments.planning import roles_of

    known, asked = roles_of(experiment), dict[str, float]()
    for text in effects:
        name, equals, value = text.rpartition("=")
        lift = _fraction(value)
        if lift is None:
            refuse([f"--mde {text}: must be a lift above 0 and below 1000 %, got {value!r}; try 2%"])
        if equals and name not in known:
            refuse(
                [f"--mde {text}: must name a metric, got {name!r}; {nearest(name, known)}there are {', '.join(known)}"]
            )
        asked |= {name: lift} if equals else dict.fromkeys(experiment.metrics.goals, lift)
    return asked


def _fraction(text: str) -> float | None:
    """A lift as a fraction or in percent; None if it is none. A margin may come with its sign."""
    number = text.strip().removesuffix("%")
    try:
        lift = abs(float(number)) / (100 if number != text.strip() else 1)
    except ValueError:
        return None
    return lift if 0 < lift < 10 else None


def _refuse_what_cannot_be_planned(experiment: Experiment) -> None:
    from experiments.planning import PLANNED

    unit = experiment.experiment.assign.unit
    if unit not in PLANNED:
        refuse(
            [
                f"experiment.assign.unit: must be {' or '.join(PLANNED)} to be planned, got {unit}; a warm-up keeps "
                f"moments of users and markets, not of parts of them"
            ]
        )


def _perform(
    experiment: Experiment, folder: Path, workers: int, power: float, asked: dict[str, float]
) -> ExperimentPlan:
    from experiments.planning import plan_test
    from experiments.warmup_curves import warmed_up

    kept = f"finished steps are kept in {folder}; run the same command to continue"
    with ending_well(folder, kept):
        with shown_progress() as progress:
            curves = warmed_up(experiment, folder, workers, progress.hear)
        return plan_test(experiment, curves, power, asked)


def _run_of_this() -> str:
    """What runs the test that was planned: the same words, without those that `seesaw run` does not know."""
    import sys

    kept, words = list[str](), iter(sys.argv[2:])
    for word in words:
        option = word.partition("=")[0]
        if option in ("--mde", "--power"):
            next(words, None) if option == word else None
        elif option != "--json":
            kept.append(word)
    return shlex.join([invoked_as(), "run", *kept])
