"""Small worlds, built fast: the e-commerce scenario with some of its numbers changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from experiments.document import read_document
from experiments.spec import SCENARIOS
from policies.baselines import Production
from sim.actions import Action, Delay, FunnelSpec, Stay
from sim.attention import PositionBased
from sim.catalogue import CatalogueSpec
from sim.clock import DAY, HOUR
from sim.engine import Arm, State, opening, simulate
from sim.ledger import Expectations, Totals
from sim.logbook import Logbook, write_public
from sim.market import MarketSpec, RecruiterSpec
from sim.people import PeopleSpec
from sim.records import Floats, Ints
from sim.scenario import BrowseSpec, MetricSpec, SatisfactionSpec, Scenario
from sim.served import Orders, Recorder, Served
from sim.visits import VisitDesk
from sim.world import World, build

WARMUP = Arm("warm-up", Production(), 0.5)  # the logging policy of the library's experiments
EXAMINE_ALL = {"examination": (1.0,) * 10}
ONE_PAGE = {"pages": 1}
NO_DYNAMICS = {"return_strength": 0.0}
RECRUITER_WAYS = {"chat": "by chat", "call": "by call", "invitation": "by letter"}


@cache
def ecommerce() -> Scenario:
    """The scenario as it is shipped."""
    values = read_document(SCENARIOS / "ecommerce.yaml").values
    return TypeAdapter(Scenario).validate_json(json.dumps(values), strict=True)


def scenario(**overrides: Any) -> Scenario:
    """The e-commerce scenario with sections, or fields of them, replaced.

    `scenario(browse={"pages": 1}, season=Season())`.
    """
    shipped = ecommerce()
    changed = {
        section: replace(getattr(shipped, section), **given)
        if isinstance(given, Mapping) and section != "metrics"
        else given
        for section, given in overrides.items()
    }
    return replace(shipped, **changed)


def examination(scenario: Scenario) -> tuple[float, ...]:
    """The curve of a scenario whose slots are looked at by their position alone."""
    assert isinstance(scenario.attention, PositionBased)
    return scenario.attention.examination


def with_action(name: str, **fields: Any) -> dict[str, Any]:
    """An override of `funnel` that changes one action: `scenario(funnel=with_action("buy", rate=0.02))`."""
    actions = ecommerce().funnel.actions
    return {"actions": {**actions, name: replace(actions[name], **fields)}}


def recruiting(
    *, attention: Any = None, browse: Mapping[str, Any] | None = None, click: float = 0.2, **recruiters: Any
) -> Scenario:
    """A small market of openings: people apply, recruiters answer in their own way, some come to an interview.

    recruiters: fields of `RecruiterSpec` that are changed.
    """
    soon, later = Delay(0.5, 1, 1), Delay(0.0, 1, 4)
    asked = Action("apply", 0.5, {"match": 0.5, "skill": 0.5}, delay=soon, decided_by="recruiters")
    actions = {
        "click": Action("shown", click, {"match": 0.8, "appeal": 0.6}),
        "apply": Action("click", 0.4, {"match": 0.7}),
        "answer": asked,
        **{name: Action("answer", way=way) for name, way in RECRUITER_WAYS.items()},
        "interview": Action("answer", 0.4, {"skill": 0.8}, delay=later),
    }
    spec = RecruiterSpec(**{"ways": {"by chat": 2.0, "by call": 1.0, "by letter": 1.0}, **recruiters})
    return Scenario(
        name="recruiting",
        catalogue=CatalogueSpec(items=200),
        people=PeopleSpec(segments=4, habit_days=1.0),
        browse=BrowseSpec(**{"candidates": 50, "pages": 1, **(browse or {})}),
        attention=attention or PositionBased((0.9,) * 5),
        funnel=FunnelSpec(actions, Stay(median_seconds=30, log_sd=0.7)),
        satisfaction=SatisfactionSpec(drivers={"match": 1.0}),
        metrics={"ctr": MetricSpec("click", "impressions", "clicks per impression")},
        market=MarketSpec(recruiters=spec),
    )


def small_world(
    users: int | Ints = 300,
    seed: int = 1,
    market: int = 0,
    n_markets: int = 1,
    *,
    shares: MarketSpec | None = None,
    **overrides: Any,
) -> World:
    """A market of some users (a number, or their ids) and, unless overridden, 400 items; `shares` is its `market`."""
    overrides["catalogue"] = {"items": 400 * n_markets, **overrides.get("catalogue", {})}
    if shares is not None:
        overrides["market"] = shares
    ids = np.arange(users) if isinstance(users, int) else users
    return build(scenario(**overrides), seed, ids, market, n_markets)


@dataclass
class Run:
    """What recorders and arrays hold after some days."""

    state: State
    totals: Totals
    expected: Expectations

    def column(self, name: str) -> Ints:
        """Sampled totals per user, by name."""
        return self.totals.totals[:, self.totals.columns.index(name)]

    def expectation(self, name: str) -> Floats:
        """Expected totals per user, by name."""
        return self.expected.totals[:, self.expected.columns.index(name)]


def run(
    world: World,
    days: int,
    arms: Sequence[Arm] = (WARMUP,),
    arm_of: Ints | None = None,
    *,
    state: State | None = None,
    luck: int = 2,
    tick: int = HOUR,
    also: Sequence[Recorder] = (),
) -> Run:
    """Simulate some days, from the beginning or from a state, with totals of sampled and expected outcomes."""
    start = state or opening(world, luck)
    horizon = start.day + days
    arm_of = np.zeros(len(world.people), dtype=np.int64) if arm_of is None else arm_of
    totals, expected = Totals(world, start.day * DAY), Expectations(world, horizon * DAY)
    after = simulate(world, start, horizon, arms, arm_of, luck, (totals, expected, *also), tick)
    return Run(after, totals, expected)


def run_logged(
    folder: Path, world: World, days: int, arms: Sequence[Arm] = (WARMUP,), arm_of: Ints | None = None, **how: Any
) -> tuple[Run, str]:
    """`run`, with the log and the public tables in `folder`; also the log's checksum."""
    start = how.get("state")
    first = start.day if start else 0
    folder.mkdir(parents=True, exist_ok=True)
    book = Logbook(folder, world, [arm.name for arm in arms], first * DAY, (first + days) * DAY)
    found = run(world, days, arms, arm_of, also=(book,), **how)
    write_public(folder, world.people.public, world.items)
    return found, book.finish()


def serve_once(world: World, arm: Arm = WARMUP, *, luck: int = 2, day: int = 0, rows: Ints | None = None) -> Served:
    """One visit of everybody (or of `rows`) at the noon of a day, in one wave."""
    wave = np.arange(len(world.people)) if rows is None else rows
    desk = VisitDesk(world, [(arm.ranker, arm.temperature)], luck)
    noon = np.full(len(wave), day * DAY + DAY // 2)
    satisfaction = np.full(len(wave), world.scenario.satisfaction.start)
    nobody = np.zeros(len(wave), dtype=np.int64)
    return desk.serve(wave, noon, nobody, satisfaction, nobody)


class Waves:
    """A recorder that keeps every wave, every landing and every closed day."""

    def __init__(self) -> None:
        self.waves: list[Served] = []
        self.landings: list[Orders] = []
        self.days: list[int] = []

    def served(self, wave: Served) -> None:
        self.waves.append(wave)

    def landed(self, orders: Orders) -> None:
        self.landings.append(orders)

    def closed(self, day: int) -> None:
        self.days.append(day)
