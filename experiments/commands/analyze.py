"""`seesaw analyze`: a table of one's own experiment, from rows to a decision."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from experiments.commands.exits import fail, refuse

if TYPE_CHECKING:
    from experiments.policy_spec import Place
    from experiments.tables.answers import Answers

FILES = {"report": "report.html", "tables": "results.csv", "question": "question.yaml"}
Told = list[tuple["Place", Any]]  # keys of the question with their values
Typed = list[tuple["Place", Any, str]]  # the same, each with the option as it was typed
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _text(key: str, typed: str) -> Told:
    return [((key,), typed)]


def _flag(key: str, typed: str) -> Told:
    return [((key,), True)]


def _number(key: str, typed: str) -> Told:
    return [((key,), _as_number(typed))]


def _mark(key: str, typed: str) -> Told:
    return [((key,), "\t" if typed in ("tab", "\\t") else typed)]


def _names(key: str, typed: str) -> Told:
    return [((key,), [name.strip() for name in typed.split(",") if name.strip()])]


def _formula(key: str, typed: str) -> Told:
    name, equals, formula = typed.partition("=")
    return [((key, name.strip()), formula.strip() if equals else name.strip())]


def _amounts(key: str, typed: str) -> Told:
    """NAME=NUMBER, or several of them with commas between."""
    parts = [part.rpartition("=") for part in re.split(r",(?=[^,]*=)", typed)]
    return [((key, name.strip()), _as_number(number)) for name, _, number in parts]


def _as_number(typed: str) -> float | str:
    """What is no number stays text, and is refused together with everything else that is wrong."""
    try:
        return float(typed)
    except ValueError:
        return typed.strip()


def _asks(option: str, key: str, told: Callable[[str, str], Told], **shown: Any) -> Callable[[_Command], _Command]:
    """An option that is a key of the question."""

    def remember(context: click.Context, _: click.Parameter, values: Sequence[str] | bool) -> None:
        typed: Typed = context.meta.setdefault(__name__, [])
        for text in [""] if values is True else values or ():
            typed += [(place, value, f"{option} {text}".strip()) for place, value in told(key, text)]

    many = not shown.get("is_flag", False)
    return click.option(option, key, multiple=many, expose_value=False, callback=remember, **shown)


@click.command("analyze")
@click.argument("table")
@_asks("--unit", "unit", _text, metavar="COLUMN", help="What was divided between the arms; its rows are summed.")
@_asks("--clusters", "clusters", _flag, is_flag=True, help="Units are few and large, such as markets.")
@_asks("--arm", "arm", _text, metavar="COLUMN", help="Which arm a unit is in.")
@_asks("--control", "control", _text, metavar="ARM", help="The arm that others are compared with.")
@_asks("--arms", "arms", _names, metavar="A,B,...", help="The only arms to compare.  [default: all]")
@_asks("--metric", "metrics", _formula, metavar="NAME=COLUMN[/COLUMN]", help="A mean per unit, or a ratio.")
@_asks("--pre", "pre", _formula, metavar="METRIC=COLUMN[/COLUMN]", help="The same before the test, for CUPED.")
@_asks("--goal", "goals", _names, metavar="METRIC", help="What decides.  [default: the first metric]")
@_asks("--guardrail", "guardrails", _amounts, metavar="METRIC=MARGIN", help="What must not change, such as ctr=-1%.")
@_asks("--planned", "planned", _amounts, metavar="A=SHARE,B=SHARE", help="Shares, to check units per arm.")
@_asks("--segment", "segments", _names, metavar="COLUMN", help="Known before the test: lifts by level.")
@_asks("--winsor", "winsor", _amounts, metavar="METRIC=QUANTILE", help="Cut at a quantile, such as gmv=0.999.")
@_asks("--day", "day", _text, metavar="COLUMN", help="Check units per arm by the day they first came.")
@_asks("--alpha", "alpha", _number, metavar="LEVEL", help="Of goals and arms together.  [default: 0.05]")
@_asks("--separator", "separator", _mark, metavar="CHAR", help="Of CSV, or tab.  [default: found out]")
@_asks("--decimal", "decimal", _text, metavar="CHAR", help="Point or comma.  [default: .]")
@_asks("--summary", "summary", _flag, is_flag=True, help="TABLE holds counts, means and variances by arm.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the answers.  [default: analyses/TABLE]")
@click.option("--force", is_flag=True, help="Discard another analysis that the folder holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision and every estimate as JSON.")
@click.pass_context
def command(context: click.Context, table: str, out: Path | None, force: bool, as_json: bool) -> None:
    """Analyse an experiment of your own.

    TABLE is CSV or Parquet with a row per unit, or with events of units, which are summed; or a question in YAML,
    whose keys are the options below.

    \b
      seesaw analyze shop.csv --unit user_id --arm arm --control A \\
          --metric ctr=clicks/impressions --metric gmv=value --goal gmv
    """
    answers = _answers(table, context.meta.get(__name__, []))
    folder = out or Path("analyses") / Path(answers.question.table).stem
    _save(answers, folder, force)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **answers.results.to_dict()}, indent=1))
        return
    from experiments.report.terminal import show
    from experiments.tables.saving import subject_of_table

    show(subject_of_table(answers), answers.results, [(what, str(folder / name)) for what, name in FILES.items()])


def _answers(table: str, typed: Typed) -> Answers:
    from experiments.spec import SpecError
    from experiments.tables.answers import answers_to
    from experiments.tables.asking import load_question
    from experiments.tables.reading import TableError

    try:
        return answers_to(load_question(table, _merged(typed)))
    except (SpecError, TableError) as problem:
        refuse(problem.lines)


def _merged(typed: Typed) -> Typed:
    """Lists grow with every option; what is not a list may be given once."""
    found, twice = dict["Place", tuple[Any, str]](), list[str]()
    for place, value, option in typed:
        if place in found and not isinstance(value, list):
            twice.append(f"{option}: must be given once, found {found[place][1]!r} too; remove one of the two")
        before, said = found.get(place, ([], ""))
        found[place] = (before + value, f"{said} {option}".strip()) if isinstance(value, list) else (value, option)
    if twice:
        refuse(twice)
    return [(place, value, option) for place, (value, option) in found.items()]


def _save(answers: Answers, folder: Path, force: bool) -> None:
    from experiments.store import FolderError
    from experiments.tables.saving import save

    try:
        save(answers, folder, force)
    except FolderError as problem:
        refuse([str(problem)])
    except OSError as problem:
        fail(f"{folder}: cannot be written ({problem.strerror or problem}); free some space or choose another --out")
