"""The steps of a run, each a function from plain arguments and folders to a folder.

They run in any process, in any order that their needs allow, with the same bytes as a result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.assignment import assign
from experiments.policy_spec import build_policy
from experiments.sections.world import WorldSection
from policies.base import AbstractPolicy
from sim import draws
from sim.clock import DAY
from sim.engine import Arm, State, opening, simulate
from sim.ledger import Expectations, Totals
from sim.logbook import Logbook, read_log, write_public
from sim.records import Ints
from sim.served import Orders, Recorder, Served
from sim.world import World

Progress = Callable[[int, int, int], None]  # (done, of, impressions so far)
Needs = Mapping[str, Path]
STATE, TOTALS, EXPECTED, ASSIGNED = "state.npz", "totals.npz", "expected.npz", "arms.npz"


class DayCounter:
    """A recorder that tells how far the simulation has come."""

    def __init__(self, progress: Progress, first_day: int, days: int) -> None:
        self.progress, self.first_day, self.days, self.n_impressions = progress, first_day, days, 0

    def served(self, wave: Served) -> None:
        self.n_impressions += wave.item.size

    def landed(self, orders: Orders) -> None:
        """Orders are no progress."""

    def closed(self, day: int) -> None:
        self.progress(day + 1 - self.first_day, self.days, self.n_impressions)


def warmup(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """The logging policy serves all users of one market, with exploration; leaves log, state and totals."""
    section, market, days = _world(arguments), arguments["market"], arguments["days"]
    world = section.build(arguments["seed"]["world"], market)
    arm = Arm("warm-up", build_policy(arguments["policy"]), arguments["temperature"])
    luck = arguments["seed"]["luck"]
    notes = _period(
        section, world, opening(world, luck), days, [arm], np.zeros(len(world.people), int), luck, out, progress
    )
    write_public(out, world.people.public, world.items)
    return notes


def fit(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Fit one policy on the frozen training log, from the models it needs."""
    policy = build_policy(arguments["policy"])
    fitted = {name: model.restore_from(needs[f"model {name}"]) for name, model in policy.needs().items()}
    if fitted or not policy.learns:
        policy.assemble(fitted).save(out)
        return {"notes": [], "rows": 0}
    log_folders = [needs[role] for role in sorted(needs) if role.startswith("log ")]
    log = read_log(log_folders, arguments["max_train_rows"], arguments["seed"]["luck"])
    policy.fit(log).save(out)
    return {"notes": policy.notes(), "rows": len(log)}


def arms(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """All arms of one market side by side; each user is served by the arm that the hash gives."""
    section, market = _world(arguments), arguments["market"]
    world = section.build(arguments["seed"]["world"], market)
    state = load_state(needs["warm-up"] / STATE)
    names = list(arguments["arms"])
    assigned = assign(
        world.people.user,
        {name: arm["share"] for name, arm in arguments["arms"].items()},
        arguments["salt"],
        arguments["seed"]["split"],
    )
    serving = [Arm(name, *_served_by(arguments["arms"][name], needs[f"arm {name}"])) for name in names]
    serving.append(
        Arm("unclaimed", *_served_by(arguments["arms"][arguments["control"]], needs[f"arm {arguments['control']}"]))
    )
    arm_of = np.where(assigned < 0, len(names), assigned)
    luck = arguments["seed"]["luck"]
    notes = _period(section, world, state, arguments["days"], serving, arm_of, luck, out, progress)
    np.savez(out / ASSIGNED, user=world.people.user, arm=assigned, names=np.array(names))
    return notes


def truth(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """One arm over the truth users of one market, with their own luck: what this arm does to everyone."""
    section, market, days = _world(arguments), arguments["market"], arguments["days"]
    users = section.users_of(market)
    rows = truth_rows(users, arguments["truth"], arguments["seed"]["split"])
    world = section.build(arguments["seed"]["world"], market, users[rows])
    state = load_state(needs["warm-up"] / STATE).take(rows)
    start, horizon = state.day, state.day + days
    totals, expected = Totals(world, start * DAY), Expectations(world, horizon * DAY)
    counter = DayCounter(progress, start, days)
    arm = Arm(arguments["name"], *_served_by(arguments["arm"], needs["policy"]))
    recorders: Sequence[Recorder] = (totals, expected, counter)
    everyone = np.zeros(len(rows), dtype=np.int64)
    luck = arguments["seed"]["luck"]
    after = simulate(world, state, horizon, [arm], everyone, luck, recorders, section.tick(len(rows)))
    save_totals(out / TOTALS, world, totals.columns, totals.totals, after)
    save_totals(out / EXPECTED, world, expected.columns, expected.totals, after)
    return {"impressions": counter.n_impressions}


def truth_rows(users: Ints, share: float, seed: int) -> Ints:
    """Rows of the users that live through every arm: a keyed share, at least two."""
    luck = draws.uniform(draws.fold(draws.root(seed, "truth users"), users))
    rows = np.flatnonzero(luck < share)
    return rows if len(rows) >= 2 else np.sort(np.argsort(luck)[:2])


def save_totals(path: Path, world: World, columns: Sequence[str], totals: np.ndarray, after: State) -> None:
    """Totals per user with their ids and, as of now, their hidden satisfaction."""
    np.savez(path, user=world.people.user, columns=np.array(columns), totals=totals, satisfaction=after.satisfaction)


def save_state(path: Path, state: State) -> None:
    orders = {f"orders.{name}": getattr(state.orders, name) for name in Orders.__slots__}
    np.savez(
        path,
        day=np.array(state.day),
        next_visit=state.next_visit,
        visits=state.visits,
        satisfaction=state.satisfaction,
        **orders,
    )


def load_state(path: Path) -> State:
    with np.load(path, allow_pickle=False) as saved:
        orders = Orders(*(saved[f"orders.{name}"] for name in Orders.__slots__))
        return State(int(saved["day"]), saved["next_visit"], saved["visits"], saved["satisfaction"], orders)


def _period(
    section: WorldSection,
    world: World,
    state: State,
    days: int,
    serving: Sequence[Arm],
    arm_of: Ints,
    luck: int,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Simulate some days with a log, and leave log, totals and state."""
    start, horizon = state.day, state.day + days
    names = [arm.name for arm in serving]
    book = Logbook(out, world, names, start * DAY, horizon * DAY)
    totals, counter = Totals(world, start * DAY), DayCounter(progress, start, days)
    after = simulate(
        world, state, horizon, serving, arm_of, luck, (totals, book, counter), section.tick(len(world.people))
    )
    checksum = book.finish()
    save_totals(out / TOTALS, world, totals.columns, totals.totals, after)
    save_state(out / STATE, after)
    return {"checksum": checksum, "impressions": counter.n_impressions}


def _world(arguments: Mapping[str, Any]) -> WorldSection:
    values = {**arguments["world"], "tick_minutes": arguments["tick_minutes"]}
    return WorldSection.model_validate_json(json.dumps(values), strict=True)


def _served_by(arm: Mapping[str, Any], folder: Path) -> tuple[AbstractPolicy, float]:
    return build_policy(arm["policy"]).restore_from(folder), arm["explore"]["temperature"]
