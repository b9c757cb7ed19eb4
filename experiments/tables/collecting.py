"""From a table to units: who got which arm, what came of it, and what cannot be used and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.tables.accounts import Accounts, Dropped, dropped
from experiments.tables.asking import Asked
from experiments.tables.assigning import assign
from experiments.tables.reading import Table, TableError
from experiments.tables.rows import DAY, RowReader, before, level, total
from experiments.tables.sums import UNIT, Alone, Sums
from experiments.tables.units import Floats, Ints, Levels, Units

EMPTY = "(empty)"  # the level of units whose segment is unknown
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Collected:
    """A table's units, with what became of its rows.

    unasked: by arm, units of arms that are not compared. crossed: units in several arms; named: in at least one.
    unadjusted: by arm, used units whose time before the test is unknown. once: columns of that time that are one and
    the same on all rows of a unit, and were taken once instead of summed.
    """

    units: Units
    accounts: Accounts
    unasked: Mapping[str, int]
    crossed: int
    named: int
    unadjusted: Mapping[str, int]
    once: tuple[str, ...]


def unit_word(column: str | None) -> str:
    """What a unit is called by its column: user for user_id or userId."""
    if column is None:
        return "row"
    word = re.sub(r"[ _.-][iI][dD]$|(?<=[a-z])I[dD]$", "", column.strip()).strip().lower()
    return "unit" if word in ("", "id", "uid", "uuid", "key") else word


def collect(table: Table, asked: Asked) -> Collected:
    """Read a table once.

    Raises:
        TableError: cells that are not what their column is, too many levels, or no rows.
        SpecError: an arm that is asked for is not there.
    """
    question = asked.question
    reader = RowReader(table, question)
    sums = Sums(reader.functions) if question.unit else Alone()
    nobody = 0
    for piece in table.pieces(list(question.places().values())):
        rows = reader.read(piece)
        if question.unit and rows[UNIT].null_count:
            nobody += rows[UNIT].null_count
            rows = rows.filter(rows[UNIT].is_valid())
        sums.add(rows)
    found = sums.table()
    if found is None or not found.num_rows:
        raise TableError(f"{table.path}: must hold rows below the header that name a unit, found none")
    lost = [Dropped(f"{question.unit} is empty", nobody, 0)] if nobody else []
    return _collected(found, reader, asked, lost)


def _collected(found: pa.Table, reader: RowReader, asked: Asked, lost: list[Dropped]) -> Collected:
    least, most, rows = (_ints(found, column) for column in ("least arm", "most arm", "rows"))
    assigned = assign(asked, list(reader.arms.names), least, most, rows)
    arm = assigned.arm
    if not assigned.keep.all():
        found, arm, rows = found.filter(pa.array(assigned.keep)), arm[assigned.keep], rows[assigned.keep]
    columns = {column: _floats(found, total(column)) for column in reader.tested}
    used, unknown = _used(columns, arm, assigned.arms, rows)
    earlier = {column: _earlier(found, column, rows) for column in reader.before}
    told = {column: np.isfinite(values) for column, (values, _) in earlier.items()}
    columns |= {column: _filled(values, told[column], used) for column, (values, _) in earlier.items()}
    segments = {column: _levels(found, column, list(coder.names)) for column, coder in reader.segments.items()}
    units = Units(assigned.arms, arm, used, columns, rows, segments, _days(found, reader))
    accounts = Accounts(
        unit_word(asked.question.unit),
        reader.rows,
        int(rows[used].sum()),
        int(used.sum()),
        int((rows[used] > 1).sum()),
        (*lost, *assigned.lost, *unknown),
    )
    return Collected(
        units,
        accounts,
        assigned.unasked,
        assigned.crossed,
        assigned.named,
        units.counts(used & ~np.logical_and.reduce([np.ones(len(arm), dtype=np.bool_), *told.values()])),
        tuple(column for column, (_, once) in earlier.items() if once),
    )


def _used(columns: Mapping[str, Floats], arm: Ints, arms: Sequence[str], rows: Ints) -> tuple[Bools, list[Dropped]]:
    """Units whose every metric is known. Of the others, each is dropped for the first column that is not."""
    used, lost = np.ones(len(arm), dtype=np.bool_), list[Dropped]()
    for column, values in columns.items():
        for why, bad in (("is empty", np.isnan(values)), ("is infinite", np.isinf(values))):
            mine = used & bad
            by_arm = dict(zip(arms, np.bincount(arm[mine], minlength=len(arms)).tolist(), strict=True))
            lost += dropped(f"{column} {why}", mine, rows, by_arm)
            used &= ~bad
    return used, lost


def _earlier(found: pa.Table, column: str, rows: Ints) -> tuple[Floats, bool]:
    """A column of the time before the test, and whether it was taken once.

    In a table of events it may stand on each of a unit's rows. Its sum would grow with the number of rows, on which
    the arm may act, and an adjustment by it would take the effect away.
    """
    least, most = (_floats(found, f"{end} {before(column)}") for end in ("least", "most"))
    several = rows > 1
    told = several & np.isfinite(least)
    if least[told].any() and (least[told] == most[told]).all():
        return np.where(several, least, _floats(found, total(column))), True
    return _floats(found, total(column)), False


def _filled(values: Floats, told: Bools, used: Bools) -> Floats:
    """Unknown ones at the mean of the known: what is not known of a unit then adjusts nothing, for any theta."""
    if told.all() or not (told & used).any():
        return np.where(told, values, 0.0)
    return np.where(told, values, values[told & used].mean())


def _days(found: pa.Table, reader: RowReader) -> Levels | None:
    """The days on which units first came, in their order."""
    if not reader.question.day:
        return None
    day = _ints(found, DAY)
    known = np.unique(day[day >= 0])
    names = [str(np.datetime64(int(d), "D")) if reader.dates else str(d) for d in known]
    return Levels(tuple(names), np.where(day >= 0, np.searchsorted(known, day), -1))


def _levels(found: pa.Table, column: str, names: list[str]) -> Levels:
    """Units on several levels are on none; those whose level is unknown have one of their own."""
    least, most = (_ints(found, f"{end} {level(column)}") for end in ("least", "most"))
    if (least < 0).any():
        least, most = (np.where(side < 0, len(names), side) for side in (least, most))
        names = [*names, EMPTY]
    order = np.argsort(names)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return Levels(tuple(names[n] for n in order), np.where(least == most, place[least], -1))


def _ints(found: pa.Table, column: str) -> Ints:
    """Null is -1."""
    values = found[column].combine_chunks()
    return np.asarray(values.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _floats(found: pa.Table, column: str) -> Floats:
    """Null is NaN."""
    values = found[column].combine_chunks()
    return np.asarray(values.fill_null(float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)
