"""`seesaw evaluate`: what another policy would have earned, from a table of one's own log."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.commands.exits import refuse

if TYPE_CHECKING:
    from experiments.offpolicy.reading import Evaluation


@click.command("evaluate")
@click.argument("spec", required=False)
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="CSV or Parquet.")
@click.option("--map", "mapping", metavar="KEY=COLUMN,...", help="What the columns mean; keys below.")
@click.option(
    "--policy",
    type=click.Choice(["uniform", "columns"]),
    help="All items alike, or as target_rank or target_propensity say.  [default: columns if mapped]",
)
@click.option("--estimator", metavar="NAME", help="One alone.  [default: all that the log has columns for]")
@click.option("--beside", type=click.Path(path_type=Path), help="A log of the policy itself, to compare with.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="With SPEC: override any key.")
@click.option("--out", type=click.Path(path_type=Path), help="With SPEC: folder.  [default: runs/NAME-rehearsal]")
@click.option("--workers", type=click.IntRange(1, 256), default=lambda: min(os.cpu_count() or 1, 8), help="With SPEC.")
@click.option("--quick", is_flag=True, help="With SPEC: a tenth of the users.")
@click.option("--json", "as_json", is_flag=True, help="Print estimates and diagnostics as JSON.")
def command(
    spec: str | None,
    log_path: Path | None,
    mapping: str | None,
    policy: str | None,
    estimator: str | None,
    beside: Path | None,
    sets: tuple[str, ...],
    out: Path | None,
    workers: int,
    quick: bool,
    as_json: bool,
) -> None:
    """Evaluate another policy on a log with propensities; or, with SPEC, rehearse estimators beside the truth.

    SPEC is an experiment with `tune`: a grid of its settings is valued by each of tune.log.rehearse.estimators, on
    logs of each of its temperatures, and held against what the settings truly do.

    Without request=, every row stands by itself. With request=, rows are of slates, and what the policy would show is
    given by target_rank= or target_propensity=.

    \b
    Keys of --map:
      reward=             what is earned, such as clicks
      propensity=         P(this item at this slot), given the items above it where rows are of slates
      marginal=           P(this item at this slot), whatever stands above it
      marginals=          start of columns with P(this item at slot 0), at slot 1, ...
      action= slot=       item and place
      user= request=      what rows belong together
      target_rank=        slot at which the policy shows the item; empty: it does not
      target_propensity=  what propensity or marginal are, under the policy

    \b
      seesaw evaluate --log men.csv --policy uniform \\
          --map reward=click,propensity=propensity_score,slot=position,action=item_id
    """
    if spec is not None:
        if log_path or mapping:
            refuse([f"{spec}: must stand without --log and --map, which are for a table; drop one of them"])
        from experiments.commands.rehearse import rehearse_spec

        rehearse_spec(spec, sets, out, workers, quick=quick, as_json=as_json)
        return
    if log_path is None or mapping is None:
        refuse(["must have --log and --map, or an experiment; such as: seesaw evaluate ope_vs_truth"])
    from experiments.offpolicy.reading import evaluate
    from experiments.tables.reading import TableError

    try:
        found = evaluate(log_path, mapping, policy, estimator, beside)
    except TableError as problem:
        refuse(problem.lines)
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
    else:
        _show(found)


def _plain(found: Evaluation) -> dict[str, object]:
    """As JSON holds it: no number is null, and a refused estimate has none."""

    def number(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    rows = []
    for row in found.rows:
        answer = {name: number(value) for name, value in asdict(row.answer).items()}
        if row.refused:
            answer |= dict.fromkeys(("value", "se", "low", "high"))
        overlap = {name: number(value) for name, value in asdict(row.overlap).items()}
        rows.append({**answer, "refused": row.refused, "weights": overlap})
    beside = {name: number(value) for name, value in asdict(found.beside).items()} if found.beside else None
    return {"log": found.log, "rows": found.n, "per": found.per, "estimates": rows, "on_policy": beside}


def _show(found: Evaluation) -> None:
    import sys

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)
    title = f"{found.log}: reward per {found.per} under the policy, of {found.n:,} rows, 95 % intervals"
    console.print(f"[italic]{escape(title)}[/]", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("estimator", "estimate", "interval", "effective size", "mean weight", "largest"):
        table.add_column(name, justify="left" if name == "estimator" else "right", no_wrap=True)
    for row in found.rows:
        a, o = row.answer, row.overlap
        told = ("refused", "") if row.refused else (f"{a.value:.6g}", f"{a.low:.4g} to {a.high:.4g}")
        table.add_row(a.estimator, *told, f"{o.ess:.1f}", f"{o.mean:.3f} ± {1.96 * o.mean_se:.3f}", f"{o.largest:.4g}")
    if found.beside:
        a = found.beside
        table.add_row(a.estimator, f"{a.value:.6g}", f"{a.low:.4g} to {a.high:.4g}", "", "", "")
    console.print(table)
    for line in dict.fromkeys(row.refused for row in found.rows if row.refused):
        console.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)
