"""The test: all arms side by side, in one market or, where markets are coupled, in all of them under one clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stages.branch import Branch, Test, market_folder
from experiments.stages.calendar import stories_of
from experiments.stages.common import ASSIGNED, TOTALS, DayCounter, Needs, Progress, save_totals
from sim.engine import Market, simulate_markets
from sim.state import State

__all__ = ["VISITS", "market_folder", "run"]

VISITS = "visits.npz"


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves, by market: log, totals, assignment, state, and what the calendar did to the arms."""
    test = Test(arguments, needs, out)
    branches = [test.branch(market) for market in arguments["markets"]]
    start, days = branches[0].state.day, arguments["days"]
    counter = DayCounter(progress, days, len(branches))
    stops: dict[str, dict[str, Any]] = {}
    arms = test.arms()
    after = simulate_markets(
        [
            Market(b.world, b.state, b.traffic, b.recorders(counter), test.section.tick(len(b.world.people)))
            for b in branches
        ],
        start + days,
        arms,
        arguments["seed"]["luck"],
        novelty=test.novelty(start),
        stories=stories_of(test, branches, start, stops),
    )
    checksums = [_leave(branch, test, state) for branch, state in zip(branches, after, strict=True)]
    return {
        "checksum": checksums[0] if len(checksums) == 1 else ",".join(checksums),
        "impressions": counter.n_impressions,
        "stopped": stops,
        "orphans": {
            name: [sum(int(b.orphans.lost[n]) for b in branches), sum(int(b.orphans.landed_[n]) for b in branches)]
            for n, name in enumerate(test.names)
        },
        "sides": [branch.sides.table(state) for branch, state in zip(branches, after, strict=True)],
    }


def _leave(branch: Branch, test: Test, after: State) -> str:
    folder, world = branch.folder, branch.world
    checksum = branch.book.finish()
    save_totals(folder / TOTALS, world, branch.totals.columns, branch.totals.totals, after.satisfaction)
    np.savez(folder / ASSIGNED, user=world.people.user, arm=branch.assigned, names=np.array(test.names))
    if test.arguments["assign"]["unit"] in ("user", "market"):
        branch.moments.save(folder)
    if branch.visits is not None:
        request, arm, time, totals = branch.visits.table()
        np.savez(
            folder / VISITS,
            request=request,
            arm=arm,
            time=time,
            totals=totals,
            columns=np.array(branch.visits.columns),
            names=np.array(test.names),
        )
    return checksum
