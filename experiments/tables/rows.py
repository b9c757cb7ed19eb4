"""Rows of a table as numbers and codes: what is summed by unit, column by column."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa

from experiments.tables.cells import CellError, days, keys, names, numbers
from experiments.tables.question import Question
from experiments.tables.reading import Table, TableError
from experiments.tables.sums import UNIT

MOST_LEVELS = 50  # of a segment, and of arms: more are no levels but ids
DAY = "day"
_Parsed = TypeVar("_Parsed")


def total(column: str) -> str:
    """The sum of a column. Names for the sums are made up, so that no column of a table can clash with another."""
    return f"sum {column}"


def before(column: str) -> str:
    return f"before {column}"


def level(column: str) -> str:
    return f"level {column}"


class Coder:
    """Names as whole numbers, in the order in which they first come in the table."""

    def __init__(self, table: Table, column: str) -> None:
        self.names: dict[str, int] = {}
        self._where = f"{table.path}: column {column!r}"

    def codes(self, cells: pa.Array) -> pa.Array:
        """A code for each cell, null where it is empty.

        Raises:
            TableError: more names than levels can be told apart.
        """
        index, told = names(cells)
        place = np.array([self.names.setdefault(name, len(self.names)) for name in told] + [-1], dtype=np.int64)
        if len(self.names) > MOST_LEVELS:
            raise TableError(
                f"{self._where} must have at most {MOST_LEVELS} different values, found more, such as "
                f"{', '.join(list(self.names)[:3])}; name another column, or group them in the table"
            )
        codes = place[index]
        return pa.array(codes, mask=codes < 0)


class RowReader:
    """Pieces of a table as the sums take them.

    tested: columns of metrics. before: columns of the time before the test alone. arms, segments: their names so
    far. functions: by column of what `read` returns, how a unit's several rows make one value. Unknown numbers are
    NaN, so that a sum with one of them is unknown; for least and most they are null. dates: whether days are dates;
    None as long as there was none.
    """

    def __init__(self, table: Table, question: Question) -> None:
        self.question = question
        self.tested = tuple(dict.fromkeys(c for f in question.formulas.values() for c in f.columns))
        earlier = dict.fromkeys(c for f in question.pre_formulas.values() for c in f.columns)
        self.before = tuple(column for column in earlier if column not in self.tested)
        self.arms = Coder(table, question.arm)
        self.segments = {column: Coder(table, column) for column in question.segments}
        self.rows = 0
        self._path = table.path
        self.dates: bool | None = None

    @property
    def functions(self) -> dict[str, str]:
        ranged = ("arm", *map(before, self.before), *map(level, self.segments))
        return {
            "rows": "sum",
            **{total(column): "sum" for column in (*self.tested, *self.before)},
            **{f"least {name}": "min" for name in ranged},
            **{f"most {name}": "max" for name in ranged},
            **({DAY: "min"} if self.question.day else {}),
        }

    def read(self, piece: pa.RecordBatch) -> pa.Table:
        """
        Raises:
            TableError: a line for each column with a cell that is not what it must be.
        """
        made = {"rows": pa.array(np.ones(piece.num_rows, dtype=np.int64))}
        _put(made, "arm", self.arms.codes(piece.column(self.question.arm)))
        self._read_numbers(piece, made)
        for column, coder in self.segments.items():
            _put(made, level(column), coder.codes(piece.column(column)))
        if self.question.day:
            made[DAY] = self._read_days(piece, self.question.day)
        if self.question.unit:
            made[UNIT] = keys(piece.column(self.question.unit))
        self.rows += piece.num_rows
        return pa.table(made)

    def _read_numbers(self, piece: pa.RecordBatch, made: dict[str, pa.Array]) -> None:
        problems = list[str]()
        for column in (*self.tested, *self.before):
            try:
                found = self._parsed(piece, column, lambda cells: numbers(cells, self.question.decimal))
            except TableError as problem:
                problems += problem.lines
                continue
            made[total(column)] = pa.array(found)
            if column in self.before:
                _put(made, before(column), pa.array(found, mask=~np.isfinite(found)))
        if problems:
            raise TableError(*problems)

    def _read_days(self, piece: pa.RecordBatch, column: str) -> pa.Array:
        found, dates = self._parsed(piece, column, days)
        if found.null_count < len(found):
            if self.dates not in (None, dates):
                raise TableError(f"{self._path}: column {column!r} must hold dates or numbers of days, found both")
            self.dates = dates
        return found

    def _parsed(self, piece: pa.RecordBatch, column: str, parse: Callable[[pa.Array], _Parsed]) -> _Parsed:
        try:
            return parse(piece.column(column))
        except CellError as problem:
            row = self.rows + problem.row + 1
            raise TableError(f"{self._path}: row {row} below the header, column {column!r}: {problem}") from None


def _put(made: dict[str, pa.Array], name: str, cells: pa.Array) -> None:
    made |= {f"least {name}": cells, f"most {name}": cells}
