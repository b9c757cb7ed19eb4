"""A log of somebody else's, by a map from what is needed to the columns of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.metrics import nearest
from experiments.tables.reading import Table, TableError, open_table
from sim.records import Column, Floats, Ints

KEYS: Mapping[str, str] = {
    "reward": "what is earned, 0 or more",
    "propensity": "P(this item at this slot), given the items above it where rows are of slates",
    "marginal": "P(this item at this slot), whatever stands above it",
    "marginals": "start of the names of columns with P(this item at slot 0), at slot 1, and so on",
    "action": "item",
    "slot": "place, from the top",
    "user": "whose row it is; rows of a user are not independent",
    "request": "which slate a row is of",
    "target_rank": "slot at which the other policy shows the item, as slots are named; empty: it does not",
    "target_propensity": "what propensity or marginal are, under the other policy",
}
_LABELS = ("action", "user", "request", "slot")
_CHANCES = ("propensity", "marginal", "target_propensity")


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """numbers: by key, shape (n,). labels: by key, codes from 0 in the order of the values, shape (n,).

    levels: by key of `labels`, how many there are. marginals: shape (n, n_slots), None if not given.
    """

    path: Path
    numbers: Mapping[str, Floats]
    labels: Mapping[str, Ints]
    levels: Mapping[str, int]
    marginals: Floats | None

    def __len__(self) -> int:
        return len(self.numbers["reward"])

    def has(self, key: str) -> bool:
        return key in self.numbers or key in self.labels

    @property
    def chance(self) -> Floats:
        """P(row's item at its slot), of either kind, shape (n,)."""
        return self.numbers["propensity" if "propensity" in self.numbers else "marginal"]

    @property
    def cluster(self) -> Ints:
        """What is independent: users, else requests, else rows; shape (n,)."""
        for key in ("user", "request"):
            if key in self.labels:
                return self.labels[key]
        return np.arange(len(self))


def parsed_map(text: str) -> dict[str, str]:
    """`key=column,key=column` as a mapping.

    Raises:
        TableError: a part that is no key=column, an unknown key, or one given twice; a line each.
    """
    found: dict[str, str] = {}
    problems = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, column = (side.strip() for side in part.partition("="))
        if not (equals and column):
            problems.append(f"--map {part}: must be key=column; keys are {', '.join(KEYS)}")
        elif key not in KEYS:
            problems.append(f"--map {key}: {nearest(key, KEYS)}must be one of {', '.join(KEYS)}, got {key!r}")
        elif key in found:
            problems.append(f"--map {key}: must be given once, found {found[key]!r} and {column!r}; remove one")
        else:
            found[key] = column
    if not problems and "reward" not in found:
        problems.append("--map: must name reward=COLUMN, found none; add what is to be earned, such as reward=click")
    if not problems and not {"propensity", "marginal", "marginals"} & set(found):
        problems.append(
            "--map: must name propensity=COLUMN (or marginal=COLUMN), found none; a log that does not hold how likely "
            "it was to show what it showed cannot tell of other policies"
        )
    if problems:
        raise TableError(*problems)
    return found


def read_foreign(path: Path, columns: Mapping[str, str]) -> ForeignLog:
    """Read what the map names.

    Raises:
        TableError: as `open_table`, and for columns that are missing, not numbers, or not possible.
    """
    table = open_table(path)
    several = _marginal_columns(table, columns)
    wanted = {key: column for key, column in columns.items() if key != "marginals"}
    missing = [
        f"{path}: must have the column {column!r} for {key}, found none; {nearest(column, table.columns)}"
        f"its columns are {', '.join(table.columns[:12])}{', ...' * (len(table.columns) > 12)}"
        for key, column in wanted.items()
        if column not in table.columns
    ]
    if missing:
        raise TableError(*missing)
    pieces = list(table.pieces([*wanted.values(), *several]))
    if not pieces or not sum(len(piece) for piece in pieces):
        raise TableError(f"{path}: must hold rows, found a header alone")
    whole = pa.Table.from_batches(pieces)
    numbers = {key: _numbers(path, whole, key, column) for key, column in wanted.items() if key not in _LABELS}
    coded = {key: _codes(whole[column]) for key, column in wanted.items() if key in _LABELS}
    marginals = np.stack([_numbers(path, whole, "marginals", c) for c in several], axis=1) if several else None
    if marginals is not None and "slot" not in coded:
        raise TableError("--map: must name slot=COLUMN beside marginals, found none")
    labels, levels = {k: c for k, (c, _) in coded.items()}, {k: len(ids) for k, (_, ids) in coded.items()}
    if "target_rank" in numbers and "slot" in coded:
        numbers["target_rank"] = _as_codes(numbers["target_rank"], coded["slot"][1])
    return _checked(ForeignLog(path, numbers, labels, levels, marginals), columns)


def _marginal_columns(table: Table, columns: Mapping[str, str]) -> list[str]:
    if "marginals" not in columns:
        return []
    found: list[str] = []
    start = columns["marginals"]
    base = 0 if f"{start}0" in table.columns else 1  # as slots are named
    while f"{start}{base + len(found)}" in table.columns:
        found.append(f"{start}{base + len(found)}")
    if not found:
        raise TableError(f"{table.path}: must have columns {start}0, {start}1, ... for marginals, found none")
    return found


def _numbers(path: Path, whole: pa.Table, key: str, column: str) -> Floats:
    values = whole[column]
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        text = pc.utf8_trim_whitespace(values)
        if key == "target_rank":
            text = pc.if_else(pc.equal(text, ""), "-1e9", text)
        try:
            values = pc.cast(text, pa.float64())
        except pa.ArrowInvalid:
            bad = next((i, t) for i, t in enumerate(text.to_pylist()) if not _is_number(t))
            raise TableError(
                f"{path}: {column!r} must hold numbers for {key}, found {bad[1]!r} in row {bad[0] + 1} below the "
                f"header; mend or drop the row"
            ) from None
    elif not (
        pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    ):
        raise TableError(f"{path}: {column!r} must hold numbers for {key}, found {values.type}; map another column")
    if key == "target_rank":
        values = pc.fill_null(pc.cast(values, pa.float64()), -1e9)
    numbers = np.asarray(pc.cast(values, pa.float64()).to_numpy(), dtype=np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise TableError(
            f"{path}: {column!r} must hold finite numbers for {key}, found {numbers[row]} in row {row + 1} below the "
            f"header; mend or drop the row"
        )
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _codes(values: pa.ChunkedArray) -> tuple[Ints, Column]:
    """Codes from 0 in the order of the values, of numbers as numbers; and the values."""
    if pa.types.is_string(values.type):
        text = np.array(values.to_pylist())
        try:
            ids, codes = np.unique(text.astype(np.float64), return_inverse=True)
        except ValueError:
            ids, codes = np.unique(text, return_inverse=True)
    else:
        ids, codes = np.unique(np.asarray(values.to_numpy()), return_inverse=True)
    return codes.astype(np.int64), ids


def _as_codes(rank: Floats, slots: Column) -> Floats:
    """Ranks as codes of slots; -1 where there is no such slot."""
    if not np.issubdtype(slots.dtype, np.number):
        raise TableError("--map: slot must hold numbers beside target_rank, found text; number the slots from the top")
    place = np.minimum(np.searchsorted(slots, rank), len(slots) - 1)
    return np.where(slots[place] == rank, place, -1).astype(np.float64)


def _checked(log: ForeignLog, columns: Mapping[str, str]) -> ForeignLog:
    problems = []
    for key in (*_CHANCES, "marginals"):
        chances = log.marginals if key == "marginals" else log.numbers.get(key)
        if chances is None:
            continue
        may_be_zero = key in ("target_propensity", "marginals")
        wrong = (chances > 1) | ((chances < 0) if may_be_zero else (chances <= 0))
        if wrong.any():
            where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            bounds = "in [0, 1]" if may_be_zero else "above 0 and at most 1"
            problems.append(
                f"{log.path}: {columns[key]!r} must be a probability {bounds} for {key}, found {chances[where]:g} in "
                f"row {where[0] + 1} below the header and {int(wrong.sum())} in all; log the chance that it had"
            )
    if problems:
        raise TableError(*problems)
    if log.marginals is not None:
        _check_here(log, log.marginals)
    return log


def _check_here(log: ForeignLog, marginals: Floats) -> None:
    """What was shown at a slot had a chance of that slot."""
    slot, n_slots = log.labels["slot"], marginals.shape[1]
    if log.levels["slot"] > n_slots:
        raise TableError(f"{log.path}: marginals must have a column per slot, {log.levels['slot']}, found {n_slots}")
    here = marginals[np.arange(len(log)), slot]
    if (here <= 0).any():
        raise TableError(
            f"{log.path}: marginals must be above 0 at the slot where an item was shown, found 0 in row "
            f"{int(np.argmax(here <= 0)) + 1} below the header; log the chance that it had"
        )
