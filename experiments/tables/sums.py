"""Sums by unit over the pieces of a table, in memory by unit and not by row."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

UNIT = "unit"
LEAST = 1 << 20  # rows that wait to be merged: fewer would merge more often than it saves memory


class Sums:
    """Pieces merged whenever as many rows wait as there are units: each row is then merged about twice.

    functions: by column, what makes one value of a unit's several: sum, min or max.
    """

    def __init__(self, functions: Mapping[str, str]) -> None:
        self.functions = dict(functions)
        self._merged: list[pa.Table] = []
        self._waiting: list[pa.Table] = []

    def add(self, piece: pa.Table) -> None:
        """Rows of a piece; their column `unit` is nowhere null."""
        self._waiting.append(self._by_unit(piece))
        if sum(table.num_rows for table in self._waiting) > max(LEAST, sum(t.num_rows for t in self._merged)):
            self._merge()

    def table(self) -> pa.Table | None:
        """A row per unit, in no order that means anything; None where no piece was added."""
        self._merge()
        return self._merged[0] if self._merged else None

    def _merge(self) -> None:
        if self._waiting:
            tables = [*self._merged, *self._waiting]
            self._merged = [self._by_unit(pa.concat_tables(tables)) if len(tables) > 1 else tables[0]]
            self._waiting = []

    def _by_unit(self, table: pa.Table) -> pa.Table:
        # One thread: sums then add in the order of the rows, and are the same bits every time.
        found = table.group_by(UNIT, use_threads=False).aggregate(list(self.functions.items()))
        columns = {column: found[f"{column}_{function}"] for column, function in self.functions.items()}
        return pa.table({UNIT: found[UNIT], **columns})


class Alone:
    """Rows that are units each, behind the same interface."""

    def __init__(self) -> None:
        self._pieces: list[pa.Table] = []

    def add(self, piece: pa.Table) -> None:
        self._pieces.append(piece)

    def table(self) -> pa.Table | None:
        return pa.concat_tables(self._pieces) if self._pieces else None
