"""The cells of a summary: by arm, what it says of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from experiments.analysis.joint import Metric
from experiments.tables.cells import CellError, Floats, names, numbers
from experiments.tables.moments import Moments
from experiments.tables.reading import Table, TableError

N, COLUMN, MEAN, VARIANCE, COVARIANCE = "n", "metric", "mean", "variance", "covariance"
LONG = (N, COLUMN, MEAN, VARIANCE)


def is_long(table: Table) -> bool:
    """Whether a summary has a row per arm and column, instead of a row per arm."""
    return set(LONG) <= set(table.columns)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A summary's rows. arm: of each. column: of each, of a long summary. values: by header, shape (rows,)."""

    path: str
    arm: tuple[str, ...]
    column: tuple[str, ...]
    values: Mapping[str, Floats]

    def rows_of(self, arm: str) -> list[int]:
        return [row for row, name in enumerate(self.arm) if name == arm]


def told(table: Table, arm: str, decimal: str) -> list[str]:
    """The columns that a summary tells of, in their order."""
    if is_long(table):
        return list(dict.fromkeys(read_sheet(table, arm, (), decimal).column))
    start = f"{MEAN}_"
    return [header.removeprefix(start) for header in table.columns if header.startswith(start)]


def moments_by_arm(table: Table, arm: str, metrics: Sequence[Metric], decimal: str) -> dict[str, Moments]:
    """
    Raises:
        TableError: with a line for everything that is missing or cannot be.
    """
    columns = tuple(dict.fromkeys(column for metric in metrics for column in metric.columns))
    if is_long(table):
        sheet = read_sheet(table, arm, [COVARIANCE] if COVARIANCE in table.columns else [], decimal)
        found = {name: _long(sheet, name, columns, metrics) for name in dict.fromkeys(sheet.arm)}
    else:
        sheet = read_sheet(table, arm, _headers(table, columns), decimal)
        found = {name: _wide(sheet, name, columns) for name in dict.fromkeys(sheet.arm)}
    _check(sheet.path, found, metrics)
    return found


def read_sheet(table: Table, arm: str, headers: Sequence[str], decimal: str) -> Sheet:
    """All rows, with the numbers under some headers beside those that every summary has."""
    always = (N, MEAN, VARIANCE) if is_long(table) else (N,)
    texts = (arm, COLUMN) if is_long(table) else (arm,)
    wanted = (*always, *headers)
    missing = [header for header in (*texts, *wanted) if header not in table.columns]
    if missing:
        there = ", ".join(table.columns)
        raise TableError(*(f"{table.path}: must have a column {h!r}, found none; there are {there}" for h in missing))
    whole = pa.Table.from_batches(list(table.pieces([*texts, *wanted])))
    read = {header: _texts(whole, header, table) for header in texts}
    values = {header: _numbers(whole, header, table, decimal) for header in wanted}
    return Sheet(str(table.path), read[arm], read.get(COLUMN, ()), values)


def _texts(whole: pa.Table, header: str, table: Table) -> tuple[str, ...]:
    index, named = names(whole[header].combine_chunks())
    if (index < 0).any():
        row = int(np.flatnonzero(index < 0)[0]) + 1
        raise TableError(f"{table.path}: row {row} below the header must have a {header!r}, found none; add it")
    return tuple(named[n] for n in index)


def _numbers(whole: pa.Table, header: str, table: Table, decimal: str) -> Floats:
    try:
        return numbers(whole[header].combine_chunks(), decimal)
    except CellError as problem:
        row = problem.row + 1
        raise TableError(f"{table.path}: row {row} below the header, column {header!r}: {problem}") from None


def _headers(table: Table, columns: Sequence[str]) -> list[str]:
    """What a wide summary must say of some columns, and what it may."""
    needed = [f"{what}_{column}" for column in columns for what in (MEAN, VARIANCE)]
    pairs = [header for a, b in combinations(columns, 2) for header in _either(a, b)]
    return [*needed, *(header for header in pairs if header in table.columns)]


def _either(a: str, b: str) -> tuple[str, str]:
    return f"{COVARIANCE}_{a}_{b}", f"{COVARIANCE}_{b}_{a}"


def _wide(sheet: Sheet, arm: str, columns: Sequence[str]) -> Moments:
    rows = sheet.rows_of(arm)
    if len(rows) > 1:
        raise TableError(f"{sheet.path}: arm {arm} must have one row, found {len(rows)}; sum up its units first")
    value = {header: float(values[rows[0]]) for header, values in sheet.values.items()}
    covariance = {
        frozenset((a, b)): value[header]
        for a, b in combinations(columns, 2)
        for header in _either(a, b)
        if np.isfinite(value.get(header, np.nan))
    }
    mean, variance = ({c: value[f"{what}_{c}"] for c in columns} for what in (MEAN, VARIANCE))
    return Moments(_count(sheet.path, arm, value[N]), mean, variance, covariance, 1)


def _long(sheet: Sheet, arm: str, columns: Sequence[str], metrics: Sequence[Metric]) -> Moments:
    at = {sheet.column[row]: row for row in sheet.rows_of(arm)}
    rows = len(sheet.rows_of(arm))
    if len(at) < rows:
        raise TableError(f"{sheet.path}: arm {arm} must have a row per metric, found {rows} of {len(at)} metrics")
    missing = [column for column in columns if column not in at]
    if missing:
        text = f"{sheet.path}: arm {arm} must have a row for {{}}, found {', '.join(at)}; add it"
        raise TableError(*(text.format(column) for column in missing))
    counts = {_count(sheet.path, arm, float(sheet.values[N][at[column]])) for column in columns}
    if len(counts) > 1:
        said = ", ".join(map(str, sorted(counts)))
        raise TableError(f"{sheet.path}: arm {arm} must have one n, of the same units in all rows, got {said}")
    mean, variance = ({c: float(sheet.values[what][at[c]]) for c in columns} for what in (MEAN, VARIANCE))
    covariance = dict[frozenset[str], float]()
    for metric in metrics if COVARIANCE in sheet.values else ():
        value = float(sheet.values[COVARIANCE][at[metric.numerator]])
        if metric.denominator is not None and np.isfinite(value):
            covariance[frozenset((metric.numerator, metric.denominator))] = value
    return Moments(counts.pop(), mean, variance, covariance, rows)


def _count(path: str, arm: str, n: float) -> int:
    if not (n >= 0 and float(n).is_integer()):
        raise TableError(f"{path}: arm {arm}: n must be a whole number of units, got {n:g}; mend it")
    return int(n)


def _check(path: str, by_arm: Mapping[str, Moments], metrics: Sequence[Metric]) -> None:
    problems = [f"arm {arm}: {text}" for arm, one in by_arm.items() for text in one.problems()]
    for metric in metrics:
        columns = metric.columns
        lacking = [arm for arm, one in by_arm.items() if not one.knows(columns)]
        if lacking:
            named = " and ".join(columns)
            text = f"the covariance of {named} must be known for {metric.name}, found none for {', '.join(lacking)}"
            problems.append(f"{text}; add {_either(*columns[:2])[0]} (or, of a long summary, {COVARIANCE})")
    if problems:
        raise TableError(*(f"{path}: {text}" for text in problems))
