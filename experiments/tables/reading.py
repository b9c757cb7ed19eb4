"""Tables from files, a piece at a time: CSV or Parquet, of which no more than a piece is ever in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from experiments.document import is_there, shortened

PIECE_BYTES = 8 << 20  # of a CSV file: large enough that a piece costs more than its overhead
PIECE_ROWS = 1 << 17  # of a Parquet file: about as much
HEADER_BYTES = 1 << 20
SEPARATORS = (",", ";", "\t", "|")
_PARQUET = b"PAR1"
_OTHERS = {b"PK\x03\x04": "a ZIP or Excel file", b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text"}


class TableError(ValueError):
    """A table that cannot be read or understood; `lines` holds one complete line per problem."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is not read yet. columns: as in its header. separator: of CSV; None for Parquet."""

    path: Path
    columns: tuple[str, ...]
    separator: str | None

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows with some of its columns; of CSV as text, whose meaning is for others to find.

        Raises:
            TableError: a row with too few or too many values, bytes that are no text, or a broken file.
        """
        wanted = list(dict.fromkeys(columns))
        pieces = _parquet_pieces(self, wanted) if self.separator is None else _csv_pieces(self, wanted)
        try:
            yield from pieces
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as problem:
            if "UTF8" in str(problem):
                raise TableError(f"{self.path}: must be UTF-8 text, found other bytes; save it as UTF-8") from None
            raise TableError(f"{self.path}: must be a whole table, got: {_one_line(problem)}; mend the file") from None


def open_table(path: Path, separator: str | None = None) -> Table:
    """A table by its file: Parquet where it says so itself, else CSV.

    Args:
        separator: of CSV; None takes the one that divides the header into most columns.

    Raises:
        TableError: no file, not readable, empty, or neither CSV nor Parquet.
    """
    name = shortened(str(path))
    if not is_there(path):
        raise TableError(f"{name}: must exist, found nothing; name a CSV or Parquet file")
    if path.is_dir():
        raise TableError(f"{name}: must be a CSV or Parquet file, found a folder; name a file in it")
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == _PARQUET:
            return Table(path, tuple(pa.parquet.read_schema(path).names), None)
        header = _header(path, start)
    except pa.ArrowInvalid as problem:
        raise TableError(f"{name}: must be Parquet, got: {_one_line(problem)}; mend the file") from None
    except OSError as problem:
        raise TableError(f"{name}: must be readable, got {problem.strerror or _one_line(problem)}") from None
    return _csv_table(path, header, separator)


def _header(path: Path, start: bytes) -> str:
    """The first bytes of a CSV file as text, of a compressed one too."""
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            raise TableError(f"{path}: must be CSV in UTF-8, or Parquet, found {kind}; save it as one of them")
    with pa.input_stream(str(path), compression="detect") as stream:
        head: bytes = stream.read(HEADER_BYTES)
    return head.decode("utf-8-sig", errors="replace")  # of columns that are used, the bytes are checked


def _csv_table(path: Path, header: str, separator: str | None) -> Table:
    tried = [separator] if separator else SEPARATORS
    found = {mark: _first_row(header, mark) for mark in tried}
    best = max(found, key=lambda mark: len(found[mark]))
    if not found[best]:
        raise TableError(f"{path}: must hold a header and rows, found an empty file")
    return Table(path, tuple(found[best]), best)


def _first_row(text: str, separator: str) -> list[str]:
    """The names in the header; empty lines before it are skipped."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return next((row for row in rows if row), [])
    except csv.Error:  # such as a field of a megabyte, where a quote never ends
        return []


def _csv_pieces(table: Table, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    ragged: list[Any] = []
    with pa.input_stream(str(table.path), compression="detect") as stream:
        counted = _QuoteCounter(stream)
        try:
            yield from pa.csv.open_csv(
                counted,
                read_options=pa.csv.ReadOptions(block_size=PIECE_BYTES, use_threads=False),  # so that rows have numbers
                parse_options=pa.csv.ParseOptions(
                    delimiter=table.separator, newlines_in_values=True, invalid_row_handler=_keeper(ragged)
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            if not ragged:
                raise
            row = ragged[0]
            raise TableError(
                f"{table.path}: row {row.number - 1} below the header must have {row.expected_columns} values, as the "
                f"header has, found {row.actual_columns}: {shortened(row.text)}; quote values that hold "
                f"{table.separator!r}"
            ) from None
    if counted.quotes % 2:
        _refuse_an_open_quote(table)


def _keeper(ragged: list[Any]) -> Callable[[Any], str]:
    def keep(row: Any) -> str:
        ragged.append(row)
        return "error"

    return keep


class _QuoteCounter(io.RawIOBase):
    """A stream that counts the quotes which pass. Arrow ends an open quote with the file, and all rows after it are
    then one value of one row, in silence; of quotes that all end, there is an even number."""

    def __init__(self, stream: Any) -> None:
        self.quotes = 0
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk: bytes = self._stream.read(size if size >= 0 else None)
        self.quotes += chunk.count(b'"')
        return chunk


def _refuse_an_open_quote(table: Table) -> None:
    """An odd number of quotes may also come of one within a value, such as 5" of a screen: looked at row by row."""
    rows = 0
    with pa.input_stream(str(table.path), compression="detect") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        try:
            for _ in csv.reader(text, delimiter=str(table.separator), strict=True):
                rows += 1
        except csv.Error:
            place = f"{table.path}: row {rows} below the header"
            raise TableError(f"{place} has a quote that never ends; end it, or double a quote within a value") from None


def _parquet_pieces(table: Table, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pa.parquet.ParquetFile(table.path) as file:
        yield from file.iter_batches(batch_size=PIECE_ROWS, columns=list(columns), use_threads=False)


def _one_line(problem: Exception) -> str:
    return shortened(" ".join(str(problem).split()))
