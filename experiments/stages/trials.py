"""Settings of one arm, lived through side by side by the same users with the same luck: what a tuner compares.

Every setting has a copy of the users. They are simulated as one crowd: a wave of four settings costs little more
than half as much as four waves, and predictions of a fit are made once for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.metrics import USERS
from experiments.policy_spec import build_policy
from experiments.sections.world import WorldSection
from experiments.stages.cached import Predictions, Remembering
from experiments.stages.common import STATE, DayCounter, Needs, Progress, load_state, world_section
from experiments.stages.truth import truth_luck
from experiments.strangers import supervised
from policies.base import AbstractPolicy
from sim import draws
from sim.clock import DAY
from sim.engine import Arm, State, simulate
from sim.ledger import Expectations, Totals
from sim.records import Floats, Ints, Ranker
from sim.served import Recorder
from sim.world import World

TOTALS_OF_SETTINGS = "settings.npz"


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves, for every setting, the totals of its users in the columns asked for: expected, or as they were sampled.

    arguments:
        settings: by setting, `policy` and `explore`; its fit is in the need "policy K", K its number among the fits.
        fits: by setting, the number of its fit.
        population: which users; see `population_rows`. block, blocks: which part of them.
        columns: of the ledger. sampled: as they were drawn, like a test sees them, instead of expected.
        apart: whether each setting has users of its own, like the arms of a test, instead of a copy of all.
    """
    n = len(arguments["settings"])
    section = world_section(arguments)
    world, state, setting_of, rows = _crowd(arguments, needs, section)
    arms = [_arm(arguments, needs, k) for k in range(n)]
    wanted, sampled = arguments["columns"], arguments["sampled"]
    start, days = state.day, arguments["days"]
    made_of = [name for name in wanted if name != USERS]
    recorded = Totals(world, start * DAY) if sampled else Expectations(world, (start + days) * DAY, made_of)
    counter = DayCounter(progress, days)
    luck, tick = arguments["seed"]["luck"], DAY  # no user shares anything here: the longer a wave, the cheaper
    recorders: list[Recorder] = [counter, recorded]
    simulate(world, state, start + days, arms, setting_of, luck, recorders, tick)
    columns = np.stack([_column(recorded, name) for name in wanted], axis=1)
    if arguments["apart"]:
        np.savez(out / TOTALS_OF_SETTINGS, user=rows, setting=setting_of, totals=columns)
    else:
        np.savez(out / TOTALS_OF_SETTINGS, user=rows[: len(rows) // n], totals=columns.reshape(n, -1, len(wanted)))
    return {"impressions": counter.n_impressions}


def shared(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """The same where users share something: everybody, one setting after the other, and what lands late as it was
    sampled, since it depends on everybody's luck together."""
    section, market = world_section(arguments), arguments["market"]
    wanted, found = arguments["columns"], []
    n_impressions = 0
    for k in range(len(arguments["settings"])):
        world = section.build(arguments["seed"]["world"], market)
        state = load_state(needs["warm-up"] / STATE)
        start, days = state.day, arguments["days"]
        totals, expected = Totals(world, start * DAY), Expectations(world, (start + days) * DAY)
        counter = DayCounter(progress, days)
        everyone = np.zeros(len(world.people), dtype=np.int64)
        luck, tick = arguments["seed"]["luck"], section.tick(len(world.people))
        arm = _arm(arguments, needs, k)
        simulate(world, state, start + days, [arm], everyone, luck, [totals, expected, counter], tick)
        late = {*world.scenario.funnel.late, *expected.money}
        of = {name: totals if arguments["sampled"] or name in late else expected for name in wanted}
        found.append(np.stack([_column(of[name], name) for name in wanted], axis=1))
        n_impressions += counter.n_impressions
    np.savez(out / TOTALS_OF_SETTINGS, user=world.people.user, totals=np.stack(found))
    return {"impressions": n_impressions}


def population_rows(users: Ints, population: Mapping[str, float], seed: int) -> Ints:
    """Rows of the users of a population: those whose keyed luck lies in [since, until); at least two.

    Two populations whose stretches do not meet share nobody. [0, share) are the truth users of `truth.users`.
    """
    luck = truth_luck(users, seed)
    rows = np.flatnonzero((population["since"] <= luck) & (luck < population["until"]))
    middle = (population["since"] + population["until"]) / 2
    return rows if len(rows) >= 2 else np.sort(np.argsort(np.abs(luck - middle), kind="stable")[:2])


def load_settings(folder: Path) -> tuple[Ints, Floats]:
    """Users (n,) and totals (S, n, columns) of a task whose settings were lived through by the same users."""
    with np.load(folder / TOTALS_OF_SETTINGS, allow_pickle=False) as saved:
        return saved["user"], saved["totals"]


def load_apart(folder: Path) -> tuple[Ints, Floats]:
    """Setting of each user (n,), and totals (n, columns), of a task whose settings had users of their own."""
    with np.load(folder / TOTALS_OF_SETTINGS, allow_pickle=False) as saved:
        return saved["setting"], saved["totals"]


def _crowd(arguments: Mapping[str, Any], needs: Needs, section: WorldSection) -> tuple[World, State, Ints, Ints]:
    """World and state of the users with their settings, and their ids."""
    users, n = section.users_of(arguments["market"]), len(arguments["settings"])
    rows = population_rows(users, arguments["population"], arguments["seed"]["split"])
    rows = np.array_split(rows, arguments["blocks"])[arguments["block"]]
    if arguments["apart"]:
        luck = draws.uniform(draws.fold(draws.root(arguments["seed"]["split"], arguments["salt"]), users[rows]))
        setting_of = np.minimum((luck * n).astype(np.int64), n - 1)
    else:
        setting_of, rows = np.repeat(np.arange(n), len(rows)), np.tile(rows, n)
    world = section.build(arguments["seed"]["world"], arguments["market"], users[rows])
    return world, load_state(needs["warm-up"] / STATE).take(rows), setting_of, users[rows]


def _arm(arguments: Mapping[str, Any], needs: Needs, setting: int) -> Arm:
    spec, folder = arguments["settings"][setting], needs[f"policy {arguments['fits'][setting]}"]
    policy = build_policy(spec["policy"]).restore_from(folder)
    return Arm(f"setting {setting}", _ranker(policy, arguments, folder), spec["explore"]["temperature"])


def _ranker(policy: AbstractPolicy, arguments: Mapping[str, Any], folder: Path) -> Ranker:
    serving = supervised(policy)
    if serving is not policy:  # of a stranger, nobody knows what its predictions depend on
        return serving
    who = {name: arguments[name] for name in ("market", "population", "block", "blocks", "apart", "salt")}
    return Remembering(policy, _remembered(str(folder), json.dumps([who, arguments["seed"]], sort_keys=True)))


@lru_cache(maxsize=8)
def _remembered(folder: str, of: str) -> Predictions:
    """Predictions of one fit for some users, kept while the process lives; they change no result."""
    return Predictions()


def _column(recorder: Totals | Expectations, name: str) -> Floats:
    if name == USERS:
        return np.ones(len(recorder.totals))
    values: Sequence[str] = recorder.columns
    return recorder.totals[:, values.index(name)].astype(np.float64)
