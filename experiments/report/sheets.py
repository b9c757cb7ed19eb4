"""Tables on the terminal that only some experiments ask for: designs, looks, the front, the other side."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from experiments.analysis.looks import LookRow
from experiments.report import words
from experiments.report.format import (
    DASH,
    cell,
    dashed,
    design_span,
    look_span,
    percent,
)
from experiments.report.front import gaps
from experiments.report.rows import challengers, look_days, looks_at, rows_by_arm
from experiments.report.sweeps import beaten_by
from experiments.results import Results

Sheet = tuple[str, Table]


def asides(results: Results) -> Iterator[Sheet]:
    """What there is beyond the table of lifts, each with its title; of the metrics only the goals."""
    sheets = (_designs(results), _looks(results), _front(results), _sweeps(results), _sides(results))
    yield from ((title, table) for title, table in sheets if table.row_count)


def _designs(results: Results) -> Sheet:
    title = "the same arms by what was divided between them (truth of serving everyone); bias in standard errors"
    table = _table("goal", "arm", "divided by", right=("estimate", "bias", "in s.e."))
    for goal in results.goals:
        for arm, rows in rows_by_arm(results, goal).items():
            for row in rows:
                told, bias = cell(design_span(row)), _known(row.bias).removesuffix(" %")
                table.add_row(goal, escape(arm), row.design, told, bias, dashed(row.z, 1))
    return title, table


def _looks(results: Results) -> Sheet:
    days = look_days(results)
    heads = [f"day {day}" for day in days]
    title = "the test as it stood after a day, as in the table above (truth as of then)"
    table = _table("goal", "arm", right=tuple(heads))
    for goal in results.goals:
        for arm in challengers(results):
            by_day = {row.day: row for row in looks_at(results, goal, arm)}
            if by_day:
                table.add_row(goal, escape(arm), *(_look(by_day.get(day)) for day in days))
    return title, table


def _look(row: LookRow | None) -> str:
    return DASH if row is None else cell(look_span(row))


def _front(results: Results) -> Sheet:
    found = gaps(results)
    first, second = results.goals[:2] if found else ("", "")
    title = f"share of the {first} that is attainable in truth at the same {second}"
    table = _table("in truth", right=("reached", first, "attainable", f"at {second}"))
    for gap in found:
        share = f"{100 * gap.share:.0f} %" if math.isfinite(gap.share) else DASH
        table.add_row(escape(gap.arm), share, percent(gap.first), _known(gap.best), percent(gap.second))
    return title, table


def _sweeps(results: Results) -> Sheet:
    title = "sweeps, in truth: without traffic, on the same users; dominated by whom on all goals"
    table = _table("sweep", "point", right=results.goals)
    table.add_column("dominated by")
    for point in results.sweeps:
        lifts = (_known(point.lift[goal]) for goal in results.goals)
        table.add_row(escape(point.sweep), escape(point.label), *lifts, escape(beaten_by(point)))
    return title, table


def _sides(results: Results) -> Sheet:
    columns = words.other_side(results)
    heads = tuple(heading.lower() for _, heading in columns)
    title = "the other side of the market, had everyone been served by one arm"
    table = _table("arm", right=heads)
    for side in results.sides if columns else ():
        table.add_row(escape(side.arm), *(dashed(getattr(side, name), 3) for name, _ in columns))
    return title, table


def _table(*left: str, right: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right")
    return table


def _known(x: float) -> str:
    return percent(x) if math.isfinite(x) else DASH
