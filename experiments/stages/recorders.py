"""Recorders of a test: totals and moments as they stood on a day, and orders that the log knows nothing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.analysis.stats import SufficientStats
from experiments.stages.common import PRE, TOTALS, save_totals
from sim.ledger import Totals
from sim.records import Ints
from sim.scenario import Scenario, ledger_columns
from sim.served import Counts, Orders, Served
from sim.world import World


class Snapshots:
    """A recorder that saves totals as they stood after some days of the test."""

    def __init__(self, totals: Totals, world: World, start: int, days: Sequence[int], folder: Path) -> None:
        self.totals, self.world, self.start, self.days, self.folder = totals, world, start, days, folder

    def served(self, wave: Served) -> None:
        """Totals hear it themselves."""

    def landed(self, orders: Orders) -> None:
        """Totals hear it themselves."""

    def closed(self, day: int) -> None:
        if day + 1 - self.start in self.days:
            self.save(day + 1 - self.start)

    def save(self, day: int) -> None:
        """Totals after `day` days of the test; satisfaction is of no day but the last."""
        nobody = np.full(len(self.totals.totals), np.nan)
        save_totals(self.folder / f"day{day}-{TOTALS}", self.world, self.totals.columns, self.totals.totals, nobody)


MOMENTS = "moments.npz"
MOST_DAYS = 92  # of which moments are kept; of a longer test, evenly spread ones


def measured(scenario: Scenario) -> list[str]:
    """Columns of totals that metrics are made of, and visits."""
    asked = {name for metric in scenario.metrics.values() for name in (metric.numerator, metric.denominator)}
    return [name for name in ledger_columns(scenario) if name in asked or name == "visits"]


class DayMoments:
    """A recorder of how the test stands each midnight: by arm, moments of the users who have come so far.

    Moments instead of totals: a day costs the same few kilobytes however many users there are.

    Args:
        assigned: shape (n,). Each user's arm, an index into `names`; others, such as -1, are in none.
        columns: of the totals that are kept. before: the same users' columns of the pre-period.
        looks: days that are kept however long the test is.
    """

    def __init__(
        self,
        totals: Totals,
        assigned: Ints,
        names: Sequence[str],
        columns: Sequence[str],
        before: Mapping[str, Ints],
        start: int,
        days: int,
        looks: Sequence[int] = (),
    ) -> None:
        self.totals, self.start = totals, start
        self.names = list(names)
        self.rows = [np.flatnonzero(assigned == arm) for arm in range(len(names))]
        self.at = np.array([totals.columns.index(column) for column in columns])
        self.columns = (*columns, *(PRE + name for name in before))
        self.before = np.column_stack([*before.values()]) if before else np.zeros((len(assigned), 0), dtype=np.int64)
        step = -(-days // MOST_DAYS)
        self.wanted = {day for day in range(1, days + 1) if (days - day) % step == 0 or day in looks}
        self.kept: dict[int, list[SufficientStats]] = {}

    def served(self, wave: Served) -> None:
        """Totals hear it themselves."""

    def landed(self, orders: Orders) -> None:
        """Totals hear it themselves."""

    def closed(self, day: int) -> None:
        if day + 1 - self.start in self.wanted:
            self.keep(day + 1 - self.start)

    def keep(self, day: int) -> None:
        """Moments after `day` days."""
        self.kept[day] = [self._came(rows) for rows in self.rows]

    def _came(self, rows: Ints) -> SufficientStats:
        rows = rows[self.totals.totals[rows, 0] > 0]  # visits come first
        now = self.totals.totals[rows[:, None], self.at]
        return SufficientStats.of(self.columns, np.hstack([now, self.before[rows]]).astype(np.float64))

    def save(self, folder: Path) -> None:
        """Everything as one file of plain arrays."""
        days = sorted(self.kept)
        table = [[self.kept[day][arm] for arm in range(len(self.rows))] for day in days]
        np.savez(
            folder / MOMENTS,
            columns=np.array(self.columns),
            names=np.array(self.names),
            day=np.array(days),
            n=np.array([[stats.n for stats in row] for row in table]),
            mean=np.array([[stats.mean for stats in row] for row in table]),
            scatter=np.array([[stats.scatter for stats in row] for row in table]),
        )


def load_moments(path: Path) -> dict[int, dict[str, SufficientStats]]:
    """By day and arm, statistics of the users who had come, as `DayMoments` left them."""
    with np.load(path, allow_pickle=False) as saved:
        columns, names, days = tuple(saved["columns"].tolist()), saved["names"].tolist(), saved["day"].tolist()
        n, mean, scatter = saved["n"], saved["mean"], saved["scatter"]
    return {
        day: {arm: SufficientStats(columns, int(n[d, a]), mean[d, a], scatter[d, a]) for a, arm in enumerate(names)}
        for d, day in enumerate(days)
    }


class Orphans:
    """A recorder that counts orders by arm, and those whose visit the log has lost: what payments know of the log."""

    def __init__(self, counts: Counts, n_arms: int, since: int) -> None:
        self.counts, self.since = counts, since
        self.landed_, self.lost = np.zeros(n_arms, dtype=np.int64), np.zeros(n_arms, dtype=np.int64)

    def served(self, wave: Served) -> None:
        """Visits are known to the log alone."""

    def landed(self, orders: Orders) -> None:
        orders = orders.take((orders.clicked >= self.since) & (orders.action == 0))
        gone = ~self.counts(orders.request, orders.arm)
        self.landed_ += np.bincount(orders.arm, minlength=len(self.landed_))
        self.lost += np.bincount(orders.arm[gone], minlength=len(self.lost))

    def closed(self, day: int) -> None:
        """Nothing to do: counts are always up to date."""
