"""`seesaw validate`: check a spec."""

from __future__ import annotations

import click

from experiments.commands.exits import refuse
from experiments.spec import SpecError, load_experiment


@click.command("validate")
@click.argument("spec")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override any key before checking.")
def command(spec: str, sets: tuple[str, ...]) -> None:
    """Check SPEC and print every problem with its line and cure; writes nothing."""
    try:
        experiment = load_experiment(spec, sets)
    except SpecError as problem:
        refuse(problem.lines)
    test = experiment.experiment
    click.echo(
        f"{spec} is valid: {experiment.world.users} users in {experiment.world.markets} markets, "
        f"{experiment.warmup.days} days of warm-up, {test.days} days of test, "
        f"arms {', '.join(test.arms)} (control {test.control})"
    )
