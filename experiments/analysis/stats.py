"""Sufficient statistics of units: count, means and scatter, which add over disjoint units.

A unit is what was assigned: a user, a visit, or a cluster of them (a market, a market in a block of time),
whose columns are then sums over the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SufficientStats:
    """Moments of k columns over n units.

    columns: names. n: units. mean: shape (k,). scatter: shape (k, k), sums of centred cross-products.
    """

    columns: tuple[str, ...]
    n: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, columns: Sequence[str], values: Floats) -> SufficientStats:
        """values: shape (n, k), one row per user. Centred before squaring, so that an offset costs no digits."""
        n = len(values)
        if n == 0:
            k = len(columns)
            return cls(tuple(columns), 0, np.zeros(k), np.zeros((k, k)))
        with np.errstate(invalid="ignore", over="ignore"):  # what is infinite is told by the result
            mean = values.mean(axis=0)
            centred = values - mean
            mean = mean + centred.mean(axis=0)  # what rounding left behind
            return cls(tuple(columns), n, mean, centred.T @ centred)

    def __add__(self, other: SufficientStats) -> SufficientStats:
        """The statistics of both groups of units together (Chan, Golub and LeVeque 1979).

        Raises:
            ValueError: the columns differ.
        """
        if self.columns != other.columns:
            raise ValueError(f"columns must be equal, got {self.columns} and {other.columns}")
        n = self.n + other.n
        if n == 0:
            return self
        with np.errstate(invalid="ignore", over="ignore"):
            gap = other.mean - self.mean
            mean = self.mean + gap * (other.n / n)
            scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        return SufficientStats(self.columns, n, mean, scatter)

    @property
    def unmeasured(self) -> NDArray[np.bool_]:
        """Columns that cannot be reckoned with, shape (k,): a value is missing, infinite, or its square is."""
        return ~(np.isfinite(self.mean) & np.isfinite(np.diagonal(self.scatter)))

    def __sub__(self, part: SufficientStats) -> SufficientStats:
        """What is left of the units without some of them; loses digits where the part is nearly all.

        Raises:
            ValueError: the columns differ, or the part has more units.
        """
        if self.columns != part.columns or part.n > self.n:
            raise ValueError(f"must be a part of the same columns, got {part.n} of {self.n} units of {part.columns}")
        n = self.n - part.n
        if n == 0:
            return SufficientStats.of(self.columns, np.zeros((0, len(self.columns))))
        mean = self.mean + (self.mean - part.mean) * (part.n / n)
        gap = part.mean - mean
        scatter = self.scatter - part.scatter - np.outer(gap, gap) * (part.n * n / self.n)
        return SufficientStats(self.columns, n, mean, scatter)

    @cached_property
    def covariance(self) -> Floats:
        """Of one unit's columns, shape (k, k); NaN for fewer than two units, which tell nothing of spread."""
        return self.scatter / (self.n - 1) if self.n > 1 else np.full_like(self.scatter, np.nan)

    def only(self, columns: Sequence[str]) -> SufficientStats:
        """The same units with some of their columns."""
        keep = [self.at(column) for column in columns]
        return SufficientStats(tuple(columns), self.n, self.mean[keep], self.scatter[np.ix_(keep, keep)])

    def as_one(self, count: str) -> SufficientStats:
        """All units as one, with their sums and, as a further column, how many they are; none of none."""
        values = np.array([[*(self.n * self.mean), float(self.n)]])
        return SufficientStats.of((*self.columns, count), values[: 1 if self.n else 0])

    def with_unmeasured(self, columns: Sequence[str]) -> SufficientStats:
        """The same units with further columns of which nothing is known: NaN."""
        more = [column for column in columns if column not in self.columns]
        k, n = len(self.columns), len(self.columns) + len(more)
        mean, scatter = np.full(n, np.nan), np.full((n, n), np.nan)
        mean[:k], scatter[:k, :k] = self.mean, self.scatter
        return SufficientStats((*self.columns, *more), self.n, mean, scatter)

    def at(self, column: str) -> int:
        """Position of a column; KeyError lists the columns there are."""
        try:
            return self.columns.index(column)
        except ValueError:
            raise KeyError(f"no column {column!r}; there are {', '.join(self.columns)}") from None


def pooled(groups: Sequence[SufficientStats]) -> SufficientStats:
    """All units of all groups as one."""
    total = groups[0]
    for group in groups[1:]:
        total = total + group
    return total
