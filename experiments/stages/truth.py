"""The truth: one arm over the truth users of one market, with their own luck: what this arm does to everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sections.world import WorldSection
from experiments.stages.common import (
    EXPECTED,
    STATE,
    TOTALS,
    DayCounter,
    Needs,
    Progress,
    Sides,
    load_state,
    save_totals,
    served_by,
    world_section,
)
from sim import draws
from sim.clock import DAY
from sim.engine import Arm, State, simulate
from sim.ledger import EVENTUAL, Expectations, Totals
from sim.oracle import WeighingOracle
from sim.records import Floats, Ints
from sim.served import Orders, Recorder, Served
from sim.world import World


class Until:
    """Passes on to a recorder what happens before a day."""

    def __init__(self, recorder: Recorder, day: int) -> None:
        self.recorder, self.day = recorder, day

    def served(self, wave: Served) -> None:
        if wave.requests.time[0] < self.day * DAY:  # a wave never spans midnight
            self.recorder.served(wave)

    def landed(self, orders: Orders) -> None:
        self.recorder.landed(orders.take(orders.due < self.day * DAY))

    def closed(self, day: int) -> None:
        self.recorder.closed(day)


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves sampled and expected totals, also as of each look. Where users share something, everyone is simulated,
    and what lands late is taken as it was sampled: it depends on everybody's luck together."""
    section, world, state = _people(arguments, needs, arguments["truth"])
    arm = Arm(arguments["name"], *served_by(arguments["arm"], needs["policy"]))
    return _live(arguments, section, world, state, arm, out, progress)


def front(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """One point of the true front: a ranker that knows the truth and weighs two goals, each in units of what
    an impression of the warm-up brought."""
    section, world, state = _people(arguments, needs, arguments["truth"])
    with np.load(needs["warm-up"] / TOTALS, allow_pickle=False) as saved:
        sums = dict(zip(saved["columns"].tolist(), saved["totals"].sum(axis=0).tolist(), strict=True))
    weights = {c: w * sums["impressions"] / max(sums[c], 1) for c, w in arguments["weights"].items()}
    return _live(arguments, section, world, state, Arm("front", WeighingOracle(world, weights)), out, progress)


def _people(arguments: Mapping[str, Any], needs: Needs, share: float) -> tuple[WorldSection, World, State]:
    section, market = world_section(arguments), arguments["market"]
    users = section.users_of(market)
    rows = np.arange(len(users)) if section.sharing else truth_rows(users, share, arguments["seed"]["split"])
    world = section.build(arguments["seed"]["world"], market, users[rows])
    return section, world, load_state(needs["warm-up"] / STATE).take(rows)


def _live(
    arguments: Mapping[str, Any],
    section: WorldSection,
    world: World,
    state: State,
    arm: Arm,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    start, days, looks = state.day, arguments["days"], arguments["looks"]
    totals, expected = Totals(world, start * DAY), Expectations(world, (start + days) * DAY)
    early = {day: (Totals(world, start * DAY), Expectations(world, (start + day) * DAY)) for day in looks}
    counter, sides = DayCounter(progress, days), Sides(world)
    recorders: Sequence[Recorder] = (
        totals,
        expected,
        counter,
        sides,
        *(Until(recorder, start + day) for day, both in early.items() for recorder in both),
    )
    everyone = np.zeros(len(world.people), dtype=np.int64)
    luck, tick = arguments["seed"]["luck"], section.tick(len(world.people))
    after = simulate(world, state, start + days, [arm], everyone, luck, recorders, tick)
    for day, (sampled, mean) in {0: (totals, expected), **early}.items():
        at = f"day{day}-" if day else ""
        values = _as_sampled(mean, sampled, world) if section.sharing else mean.totals
        save_totals(out / f"{at}{TOTALS}", world, sampled.columns, sampled.totals, after.satisfaction)
        save_totals(out / f"{at}{EXPECTED}", world, mean.columns, values, after.satisfaction)
    return {"impressions": counter.n_impressions, "sides": sides.table(after)}


def _as_sampled(expected: Expectations, totals: Totals, world: World) -> Floats:
    """Expectations with the columns that others have a part in as they were sampled."""
    values = expected.totals.copy()
    for name in (*world.scenario.funnel.late, *expected.money):
        sampled = totals.totals[:, totals.columns.index(name)]
        for column in (name, EVENTUAL + name):
            values[:, expected.columns.index(column)] = sampled
    return values


def truth_rows(users: Ints, share: float, seed: int) -> Ints:
    """Rows of the users that live through every arm: a keyed share, at least two; a smaller share is among them."""
    luck = truth_luck(users, seed)
    rows = np.flatnonzero(luck < share)
    return rows if len(rows) >= 2 else np.sort(np.argsort(luck)[:2])


def truth_luck(users: Ints, seed: int) -> Floats:
    """What decides who lives through the truth, or is searched on, or confirms: in [0, 1), shape (n,)."""
    return draws.uniform(draws.fold(draws.root(seed, "truth users"), users))
