"""`seesaw world`: a scenario's simulated people against what is known of real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.exits import FAILED, refuse

if TYPE_CHECKING:
    from sim.scenario import Scenario


class ScenarioError(ValueError):
    """A scenario that cannot be used; `lines` holds one complete line per problem."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@click.command("world")
@click.argument("scenario")
@click.option(
    "--users",
    type=click.IntRange(100, 1_000_000),
    default=6000,
    show_default=True,
    help="How many people; with fewer, chance decides over verdicts.",
)
@click.option("--days", type=click.IntRange(1, 365), default=14, show_default=True, help="How long they are watched.")
@click.option("--seed", type=click.IntRange(0, 2**62), default=1, show_default=True, help="Of the world and its luck.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the table (CSV) and the figure (PNG).")
def command(scenario: str, users: int, days: int, seed: int, out: Path | None) -> None:
    """Hold the simulated world of SCENARIO against published numbers.

    SCENARIO is a YAML file or a name of `seesaw list scenarios`. The shop's own ranking serves everyone, and every
    target of the scenario is measured: PASS within its band, OFF outside. Without targets, every marginal is printed.

    Ends with 1 if a band that has a source is missed; one that is assumed or only reported is no failure.
    """
    try:
        loaded = load_scenario(scenario)
    except ScenarioError as problem:
        refuse(problem.lines)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            refuse([f"{out}: must be a folder that can be written, got {problem.strerror}; choose another with --out"])
    _perform(loaded, users, days, seed, out)


def load_scenario(source: str) -> Scenario:
    """The scenario of a name or a file, with every target known.

    Raises:
        ScenarioError: neither, or not a scenario.
    """
    from pydantic import TypeAdapter, ValidationError

    from experiments.document import DocumentError, is_there, read_document, shortened
    from experiments.marginals.table import unknown_targets
    from experiments.metrics import nearest
    from experiments.problems import translate
    from experiments.spec import SCENARIOS, sorted_lines
    from sim.scenario import Scenario

    known = {file.stem: file for file in sorted(SCENARIOS.glob("*.yaml"))}
    path = known.get(source, Path(source))
    if not is_there(path):
        raise ScenarioError(
            [
                f"{shortened(source)}: must be a scenario or a YAML file, found neither; "
                f"{nearest(source, known)}the scenarios are {', '.join(known)}"
            ]
        )
    try:
        document = read_document(path, path.name if source in known else source)
    except DocumentError as problem:
        raise ScenarioError([str(problem)]) from None
    adapter = TypeAdapter(Scenario)
    try:
        scenario = adapter.validate_json(json.dumps(document.values), strict=True)
    except ValidationError as invalid:
        schema = adapter.json_schema()
        found = [problem for error in invalid.errors() for problem in translate(dict(error), (), schema)]
        raise ScenarioError(sorted_lines(document, found)) from None
    if unknown := unknown_targets(scenario):
        raise ScenarioError(sorted_lines(document, unknown))
    return scenario


def _perform(scenario: Scenario, users: int, days: int, seed: int, out: Path | None) -> None:
    from experiments.marginals.simulated import Simulated
    from experiments.marginals.table import measured
    from experiments.report.world_table import show, write

    of = Simulated(scenario, users, days, seed)
    try:
        of.world  # noqa: B018  # a rate that cannot be reached is found here
    except ValueError as problem:
        refuse([f"{scenario.name}: {problem}"])
    rows = measured(of)
    title = f"{scenario.name}: {users} users, {days} days, seed {seed}"
    show(title, rows)
    if out is not None:
        from experiments.report.world import draw

        table, figure = out / f"{scenario.name}.csv", out / f"{scenario.name}.png"
        write(rows, table)
        draw(of, rows, title, figure)
        click.echo(f"table  {table}\nfigure {figure}")
    if any(row.fails for row in rows):
        raise SystemExit(FAILED)
