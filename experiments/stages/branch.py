"""One market of a test, ready to be simulated: its users' arms, its recorders, and what of it is logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.assignment import assign, assign_markets
from experiments.sections.world import WorldSection
from experiments.stages.common import (
    STATE,
    TOTALS,
    DayCounter,
    Needs,
    Sides,
    load_state,
    served_by,
    world_section,
)
from experiments.stages.recorders import DayMoments, Orphans, Snapshots, measured
from sim import draws
from sim.clock import DAY, HOUR
from sim.engine import Arm
from sim.ledger import Totals, VisitTotals
from sim.logbook import Logbook
from sim.records import Bools, Ints
from sim.served import Counts, Recorder
from sim.state import State
from sim.traffic import Traffic
from sim.visits import Novelty
from sim.world import World

UNCLAIMED = "unclaimed"


def market_folder(out: Path, market: int) -> Path:
    """Where a task leaves what belongs to one market."""
    return out / f"market{market:06d}"


@dataclass
class Branch:
    """One market of a test, with its recorders and the folder of its results."""

    market: int
    folder: Path
    world: World
    state: State
    assigned: Ints
    traffic: Traffic
    totals: Totals
    visits: VisitTotals | None
    book: Logbook
    snapshots: Snapshots
    moments: DayMoments
    orphans: Orphans
    sides: Sides

    def recorders(self, counter: DayCounter) -> list[Recorder]:
        own: list[Recorder] = [self.totals, self.book, self.snapshots, self.moments, self.orphans]
        own += [self.sides, counter]
        return own if self.visits is None else [*own, self.visits]


@dataclass
class Test:
    """What a task is to do, read from its arguments. The arm after the last serves whoever is not in the test."""

    arguments: Mapping[str, Any]
    needs: Needs
    out: Path
    section: WorldSection = field(init=False)

    def __post_init__(self) -> None:
        self.section = world_section(self.arguments)

    @property
    def names(self) -> list[str]:
        return list(self.arguments["arms"])

    @property
    def rest(self) -> int:
        return len(self.names)

    @property
    def shares(self) -> dict[str, float]:
        return {name: arm["share"] for name, arm in self.arguments["arms"].items()}

    def arms(self) -> list[Arm]:
        spec, control = self.arguments["arms"], self.arguments["control"]
        serving = [Arm(name, *served_by(spec[name], self.needs[f"arm {name}"])) for name in self.names]
        return [*serving, Arm(UNCLAIMED, *served_by(spec[control], self.needs[f"arm {control}"]))]

    def branch(self, market: int) -> Branch:
        """One market, ready to be simulated."""
        folder = market_folder(self.out, market)
        folder.mkdir()
        world = self.section.build(self.arguments["seed"]["world"], market)
        state = load_state(self.needs[f"warm-up {market:06d}"] / STATE)
        since, until = state.day * DAY, (state.day + self.arguments["days"]) * DAY
        assigned, traffic = self.traffic(world)
        counts = self.counts()
        totals = Totals(world, since, counts)
        by_visit = self.arguments["assign"]["unit"] in ("visit", "switchback")
        return Branch(
            market=market,
            folder=folder,
            world=world,
            state=state,
            assigned=assigned,
            traffic=traffic,
            totals=totals,
            visits=VisitTotals(world, since, counts) if by_visit else None,
            book=Logbook(folder, world, [*self.names, UNCLAIMED], since, until, self.logged()),
            snapshots=Snapshots(totals, world, state.day, self.arguments["half"], folder),
            moments=self.moments(totals, assigned, market, state.day),
            orphans=Orphans(self.logged(), len(self.names) + 1, since),
            sides=Sides(world),
        )

    def moments(self, totals: Totals, assigned: Ints, market: int, start: int) -> DayMoments:
        """How the test stands each midnight; where users are in several arms, of none of them."""
        columns = measured(self.section.scenario)
        with np.load(self.needs[f"warm-up {market:06d}"] / TOTALS, allow_pickle=False) as saved:
            before = dict(zip(saved["columns"].tolist(), saved["totals"].T, strict=True))
        pre = {name: before[name] for name in columns if name in before}
        days, looks = self.arguments["days"], self.arguments["looks"]
        return DayMoments(totals, assigned, self.names, columns, pre, start, days, looks)

    def traffic(self, world: World) -> tuple[Ints, Traffic]:
        """Each user's arm (-1: in none, or in several), and the way from visits to arms."""
        assign_, split = self.arguments["assign"], self.arguments["seed"]["split"]
        user, salt = world.people.user, assign_["salt"]
        several = np.full(len(user), -1)
        match assign_["unit"]:
            case "visit":
                # The id of a request: user and visit in one number.
                return several, self._drawn(lambda rows, visit, time: user[rows] << 20 | visit)
            case "switchback":
                block = assign_["block_hours"] * HOUR
                return several, self._drawn(lambda rows, visit, time: world.market << 32 | time // block)
            case "market":
                arm = assign_markets(self.section.markets, self.shares, salt, split)[world.market]
                assigned = np.full(len(user), arm)
            case _:
                assigned = assign(user, self.shares, salt, split)
        arm_of = np.where(assigned < 0, self.rest, assigned)
        entry = None
        if self.arguments["ramp"]:
            entry = draws.uniform(draws.fold(draws.root(split, f"ramp {salt}"), user))
        return assigned, Traffic(lambda rows, visit, time: arm_of[rows], self.rest + 1, self.rest, entry)

    def _drawn(self, unit: Any) -> Traffic:
        salt, split = self.arguments["assign"]["salt"], self.arguments["seed"]["split"]

        def assigned(rows: Ints, visit: Ints, time: Ints) -> Ints:
            arm = assign(np.broadcast_to(unit(rows, visit, time), rows.shape), self.shares, salt, split)
            return np.where(arm < 0, self.rest, arm)

        return Traffic(assigned, self.rest + 1, self.rest)

    def logged(self) -> Counts:
        """Which visits the log has not lost."""
        lost = self.arguments["faults"]["lost_rows"]
        if lost is None:
            return lambda request, arm: np.ones(len(arm), dtype=bool)
        arm_index, key = self.names.index(lost["arm"]), draws.root(self.arguments["seed"]["luck"], "lost rows")

        def kept(request: Ints, arm: Ints) -> Bools:
            return (arm != arm_index) | (draws.uniform(draws.fold(key, request)) >= lost["share"])

        return kept

    def counts(self) -> Counts:
        """Which visits are in the test, as far as the log knows."""
        logged = self.logged()
        return lambda request, arm: (arm != self.rest) & logged(request, arm)

    def novelty(self, start: int) -> Novelty | None:
        fault = self.arguments["faults"]["novelty"]
        if fault is None:
            return None
        new = tuple(n for n, name in enumerate(self.names) if name != self.arguments["control"])
        return Novelty(fault["lift"], fault["half_life_days"], start * DAY, new)
