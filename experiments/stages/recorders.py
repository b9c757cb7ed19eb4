"""Recorders of a test: totals as they stood on a day, and orders that the log knows nothing of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.stages.common import TOTALS, save_totals
from sim.ledger import Totals
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
