"""From rows to units, and from units to statistics: one pass over a table of any length, in memory by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.stats import SufficientStats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
BLOCK = 1 << 14  # rows of one arm at a time: 16 columns of them stay in the cache; 1.3 times as fast as all at once


@dataclass(frozen=True, slots=True)
class Levels:
    """What units are divided by. names: of the levels. level: shape (n,), by index; -1: of none."""

    names: tuple[str, ...]
    level: Ints

    def masks(self) -> dict[str, Bools]:
        """By level, which units are on it."""
        return {name: self.level == n for n, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class Units:
    """Units that have one arm.

    arm: shape (n,), by index into `arms`. used: shape (n,), whether nothing of a unit is unknown.
    columns: by name, shape (n,), sums over a unit's rows. rows: shape (n,), how many these are.
    segments: by column. day: on which a unit first came; None where nobody asked.
    """

    arms: tuple[str, ...]
    arm: Ints
    used: Bools
    columns: Mapping[str, Floats]
    rows: Ints
    segments: Mapping[str, Levels]
    day: Levels | None

    def counts(self, some: Bools | None = None) -> dict[str, int]:
        """Units by arm, of all or of some; used or not."""
        arm = self.arm if some is None else self.arm[some]
        return dict(zip(self.arms, np.bincount(arm, minlength=len(self.arms)).tolist(), strict=True))

    def groups(self, columns: Mapping[str, Floats], some: Bools | None = None) -> dict[str, SufficientStats]:
        """By arm, statistics of the units that are used, of all of them or of some."""
        chosen = self.used if some is None else self.used & some
        return stats_of(columns, np.where(chosen, self.arm, -1), self.arms)


def stats_of(
    columns: Mapping[str, Floats], arm_codes: NDArray[np.integer], arms: Sequence[str]
) -> dict[str, SufficientStats]:
    """Statistics of units by arm, in one pass over each arm's rows.

    Args:
        columns: by name, shape (n,), numbers of any type.
        arm_codes: shape (n,), by index into `arms`; units below 0 are left out.
    """
    return {arm: _moments(columns, np.flatnonzero(arm_codes == n)) for n, arm in enumerate(arms)}


def _moments(columns: Mapping[str, Floats], rows: Ints) -> SufficientStats:
    names = tuple(columns)
    total = SufficientStats.of(names, np.zeros((0, len(names))))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        values = np.empty((len(names), len(block)))
        for place, column in zip(values, columns.values(), strict=True):
            place[:] = column[block]
        total = total + SufficientStats.of(names, values.T)
    return total
