"""The warm-up: the logging policy serves all users of one market, with exploration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.policy_spec import build_policy
from experiments.stages.common import STATE, TOTALS, DayCounter, Needs, Progress, save_state, save_totals, world_section
from experiments.stages.recorders import DayMoments, measured
from experiments.strangers import supervised
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.ledger import Totals
from sim.logbook import Logbook, write_candidates, write_public
from sim.served import Orders, Served
from sim.world import World

NAME = "warm-up"
REHEARSAL = "rehearsal"  # folder of the second half's moments


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves log, public tables, candidate pools, state and totals, and moments by day: what a test is planned with."""
    section, days, luck = world_section(arguments), arguments["days"], arguments["seed"]["luck"]
    world = section.build(arguments["seed"]["world"], arguments["market"])
    arm = Arm(NAME, supervised(build_policy(arguments["policy"])), arguments["temperature"])
    book, totals, counter = Logbook(out, world, [NAME], 0, days * DAY), Totals(world, 0), DayCounter(progress, days)
    everyone = np.zeros(len(world.people), dtype=np.int64)
    moments = DayMoments(totals, everyone, [NAME], measured(world.scenario), {}, 0, days)
    rehearsal = Rehearsal(totals, world, days)
    start = opening(world, luck, sharing=section.sharing)
    recorders = (totals, moments, rehearsal, book, counter)
    after = simulate(world, start, days, [arm], everyone, luck, recorders, section.tick(len(world.people)))
    checksum = book.finish()
    save_totals(out / TOTALS, world, totals.columns, totals.totals, after.satisfaction)
    save_state(out / STATE, after)
    write_public(out, world.people.public, world.items)
    write_candidates(out, world, range(days))
    moments.save(out)
    rehearsal.save(out / REHEARSAL)
    return {"checksum": checksum, "impressions": counter.n_impressions}


class Rehearsal:
    """A recorder of the warm-up's second half as if it were a test, with the first half as its pre-period.

    How well users' past tells their future, and so what CUPED will cut, cannot be told from sums over the whole.

    Args:
        whole: totals of the warm-up, told of everything before this is.
    """

    def __init__(self, whole: Totals, world: World, days: int) -> None:
        self.whole, self.world, self.start, self.days = whole, world, days // 2, days
        self.totals: Totals | None = None
        self.moments: DayMoments | None = None

    def served(self, wave: Served) -> None:
        if self.totals is not None:
            self.totals.served(wave)

    def landed(self, orders: Orders) -> None:
        if self.totals is not None:
            self.totals.landed(orders)

    def closed(self, day: int) -> None:
        if self.moments is not None:
            self.moments.closed(day)
        elif day + 1 == self.start:
            self._begin()

    def _begin(self) -> None:
        columns = measured(self.world.scenario)
        before = {name: self.whole.totals[:, self.whole.columns.index(name)].copy() for name in columns}
        everyone = np.zeros(len(self.world.people), dtype=np.int64)
        self.totals = Totals(self.world, self.start * DAY)
        self.moments = DayMoments(self.totals, everyone, [NAME], columns, before, self.start, self.days - self.start)

    def save(self, folder: Path) -> None:
        """Moments by day of the second half; nothing of a warm-up of one day, which has no halves."""
        if self.moments is not None:
            folder.mkdir()
            self.moments.save(folder)
