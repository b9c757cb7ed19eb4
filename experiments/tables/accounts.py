"""What became of a table's rows: read, used, and dropped with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that are not used. units: how many they belong to; by_arm: of these, where their arm is known."""

    why: str
    rows: int
    units: int
    by_arm: Mapping[str, int] = field(default_factory=dict)


def dropped(
    why: str, units: NDArray[np.bool_], rows: NDArray[np.int64], by_arm: Mapping[str, int] | None = None
) -> list[Dropped]:
    """What is dropped for one reason; nothing where it is nobody.

    Args:
        units: shape (n,), which. rows: shape (n,), of each unit.
    """
    n = int(units.sum())
    return [Dropped(why, int(rows[units].sum()), n, by_arm or {})] if n else []


@dataclass(frozen=True, slots=True)
class Accounts:
    """Of every row whether it is used; rows = rows_used + the rows of all that is dropped.

    unit: what a unit is called. several: units with more than one row.
    """

    unit: str
    rows: int
    rows_used: int
    units_used: int
    several: int
    dropped: tuple[Dropped, ...]

    def lines(self) -> list[str]:
        """A line for what is used, and one for each reason to drop."""
        used = f"{self.rows:,} rows read, {self.rows_used:,} used"
        if self.several:
            used += f": sums over {self.units_used:,} {self.unit}s"
        return [used, *(f"dropped {_counted(drop, self.unit)}: {drop.why}" for drop in self.dropped)]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _counted(drop: Dropped, unit: str) -> str:
    counts = ", ".join(f"{arm} {n:,}" for arm, n in drop.by_arm.items() if n)
    units = f" of {_plural(drop.units, unit)}" if drop.units != drop.rows and drop.units else ""
    return f"{_plural(drop.rows, 'row')}{units}{f' ({counts})' if counts else ''}"


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
