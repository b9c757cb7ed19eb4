"""Recruiters: they read what they can, answer in their own way, tire when nobody suits them, and leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from sim.clock import DAY, HOUR, Process
from sim.engine import Market, State, opening, simulate_markets
from sim.ledger import Totals
from sim.market import Shared
from sim.records import Bools, Ints
from sim.scenario import Scenario
from sim.served import Orders, Served
from sim.shop import Shop
from sim.traffic import Traffic
from sim.world import World, build
from tests.asserts import assert_mean, assert_proportion, assert_same_columns, assert_zero_mean_per_column
from tests.worlds import RECRUITER_WAYS, WARMUP, Waves, recruiting, run

LATE = ("answer", "chat", "call", "invitation", "interview")


@dataclass
class Reading:
    """One reading: who read on which day, applications read and lapsed by recruiter, and the answers given."""

    day: int
    readers: Ints
    read: Ints
    lapsed: Ints
    orders: Orders


@dataclass
class Lived:
    world: World
    waves: Waves
    state: State
    totals: Totals
    readings: list[Reading]
    seen: list[tuple[Served, Bools]]  # every wave, with the recruiters who were there

    @property
    def orders(self) -> Orders:
        return Orders.concatenate([reading.orders for reading in self.readings])

    @property
    def n_applied(self) -> int:
        return int(sum(len(wave.applications) for wave in self.waves.waves))


def live(world: World, days: int, start: State | None = None, tick: int = HOUR, luck: int = 2) -> Lived:
    """Some days of a shared market of openings, seen from inside."""
    waves, totals = Waves(), Totals(world, 0)
    start = start or opening(world, luck, sharing=True)
    readings: list[Reading] = []
    seen: list[tuple[Served, Bools]] = []

    def watch(shops: Sequence[Shop]) -> Process:
        (shop,) = shops
        desk, serve = shop.answers, shop.serve
        assert desk is not None
        read = desk.read

        def noted(shared: Shared, readers: Ints, now: Ints) -> tuple[Shared, Orders]:
            after, orders = read(shared, readers, now)
            before = shared.waiting
            gone = ~np.isin(before.key, after.waiting.key)
            owner = world.owner[before.item]
            stale = now[owner] - before.clicked > desk.spec.lapse_days * DAY
            n = len(world.owner_id)
            counts = [np.bincount(owner[gone & which], minlength=n) for which in (~stale, stale)]
            readings.append(Reading(int(shop.env.now) // DAY, readers, counts[0], counts[1], orders))
            return after, orders

        def watched(wave: Ints) -> Served:
            assert shop.shared is not None
            there = shop.shared.active.copy()
            seen.append((serve(wave), there))
            return seen[-1][0]

        desk.read, shop.serve = noted, watched  # type: ignore[method-assign]
        yield shop.env.event()

    traffic = Traffic.fixed(np.zeros(len(world.people), dtype=np.int64))
    market = Market(world, start, traffic, (waves, totals), tick)
    (state,) = simulate_markets([market], start.day + days, [WARMUP], luck, stories=[watch])
    return Lived(world, waves, state, totals, readings, seen)


def market(users: int, scenario: Scenario | None = None) -> World:
    return build(scenario or recruiting(), 1, np.arange(users))


def shared(state: State) -> Shared:
    assert state.shared is not None
    return state.shared


@pytest.fixture(scope="module")
def lived() -> Lived:
    return live(market(600), 10)


@pytest.fixture(scope="module")
def crowded() -> Lived:
    return live(market(3000, recruiting(swamped=2.0, mood=0.0, lapse_days=3)), 6)


# Reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["lived", "crowded"])
def test_recruiters_read_once_a_day_and_no_more_than_they_can(which: str, request: pytest.FixtureRequest) -> None:
    found: Lived = request.getfixturevalue(which)
    spec = found.world.scenario.market.recruiters
    assert spec is not None
    reads = spec.reads(found.world.seed, found.world.owner_id)
    for day in range(found.state.day):
        mine = [reading for reading in found.readings if reading.day == day]
        who = np.concatenate([reading.readers for reading in mine])
        assert len(np.unique(who)) == len(who)
        read = np.sum([reading.read for reading in mine], axis=0)
        assert (read <= reads).all()
        assert read.sum() > 0


def test_crowded_recruiters_read_all_that_they_can(crowded: Lived) -> None:
    """Else the bound above could not be met from below."""
    spec = crowded.world.scenario.market.recruiters
    assert spec is not None
    reads = spec.reads(crowded.world.seed, crowded.world.owner_id)
    last = np.sum([reading.read for reading in crowded.readings if reading.day == 5], axis=0)
    busy = float((last == reads).mean())
    assert busy > 0.6


def test_every_application_is_read_lapses_or_waits(crowded: Lived) -> None:
    read = sum(int(reading.read.sum()) for reading in crowded.readings)
    lapsed = sum(int(reading.lapsed.sum()) for reading in crowded.readings)
    assert lapsed > 100
    assert read + lapsed + len(shared(crowded.state).waiting) == crowded.n_applied


def test_answers_come_after_the_reading_and_at_most_one_to_an_application(lived: Lived) -> None:
    orders = lived.orders
    answers = orders.take(orders.action == LATE.index("answer"))
    assert len(answers) > 300
    keys = answers.request * 1000 + answers.rank
    assert len(np.unique(keys)) == len(keys)
    assert (answers.due > answers.clicked).all()
    hour = lived.world.scenario.market.recruiters
    assert hour is not None
    office = hour.hour(lived.world.seed, lived.world.owner_id)[lived.world.owner[answers.item]]
    first_hour = np.where(answers.clicked % DAY <= office, answers.clicked // DAY * DAY + office, 0)
    assert (answers.due >= first_hour).all()


def test_answers_fall_when_recruiters_are_swamped(crowded: Lived) -> None:
    """The same recruiters with a fifth of the people: of what is read, more is answered."""
    quiet = live(market(600, recruiting(swamped=2.0, mood=0.0, lapse_days=3)), 6)

    def answered(found: Lived) -> tuple[float, float]:
        n = sum(int(reading.read.sum()) for reading in found.readings)
        share = float((found.orders.action == 0).sum() / n)
        return share, share * (1 - share) / n

    (few, few_error), (many, many_error) = answered(quiet), answered(crowded)
    assert few - many > 10 * np.sqrt(few_error + many_error)


# Ways ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", [True, False], ids=["shared", "unshared"])
def test_each_answer_comes_by_the_owners_way_alone(lived: Lived, sharing: bool) -> None:
    world = lived.world
    orders = lived.orders if sharing else Orders.concatenate([wave.orders for wave in unshared(world, 4).waves])
    spec = world.scenario.market.recruiters
    assert spec is not None
    names = list(spec.ways)
    way = spec.way(world.seed, world.owner_id)
    answers = orders.take(orders.action == 0)
    by_way = orders.take((orders.action > 0) & (orders.action < 4))
    assert len(by_way) == len(answers) > 300
    mine = way[world.owner[by_way.item]]
    wanted = np.array([list(RECRUITER_WAYS.values()).index(name) + 1 for name in names])
    assert np.array_equal(by_way.action, wanted[mine])
    assert np.array_equal(np.sort(by_way.request * 1000 + by_way.rank), np.sort(answers.request * 1000 + answers.rank))
    assert len(np.unique(by_way.action)) == 3


def test_interviews_follow_answers_and_come_later(lived: Lived) -> None:
    orders = lived.orders
    answers, interviews = (orders.take(orders.action == LATE.index(name)) for name in ("answer", "interview"))
    due = dict(zip((answers.request * 1000 + answers.rank).tolist(), answers.due.tolist(), strict=True))
    keys = (interviews.request * 1000 + interviews.rank).tolist()
    assert len(keys) > 100
    assert all(due[key] <= when for key, when in zip(keys, interviews.due.tolist(), strict=True))


def test_totals_of_the_ways_sum_to_the_answers(lived: Lived) -> None:
    columns = lived.totals.columns
    ways = sum(lived.totals.totals[:, columns.index(name)] for name in RECRUITER_WAYS)
    assert np.array_equal(ways, lived.totals.totals[:, columns.index("answer")])


# Leaving ------------------------------------------------------------------------------------------------------------


def test_recruiters_without_suitable_people_leave_after_their_patience() -> None:
    """Nobody has a fit of 1: all leave at the first reading more than three days after the beginning."""
    found = live(market(300, recruiting(suitable=1.0, patience_days=3)), 5)
    assert {reading.day for reading in found.readings} == {0, 1, 2, 3}
    assert not shared(found.state).active.any()


def test_recruiters_whom_everybody_suits_stay() -> None:
    found = live(market(600, recruiting(suitable=0.0, patience_days=3)), 6)
    applied = np.unique(found.world.owner[np.concatenate([w.applications.item for w in found.waves.waves])])
    staying = float(shared(found.state).active[applied].mean())
    assert staying > 0.8


def test_openings_of_those_who_left_are_not_shown() -> None:
    """While enough others are there: five slots of fifty candidates."""
    found = live(market(600, recruiting(suitable=0.75, patience_days=2)), 8)
    owner, hidden = found.world.owner, 0
    for wave, there in found.seen:
        candidates = there[owner[wave.requests.candidates[wave.visit_of]]]
        enough = candidates.sum(axis=1) >= 5
        assert there[owner[wave.item]][enough].all()
        hidden += int((~candidates[enough]).sum())
    staying = float(shared(found.state).active.mean())
    assert 0.1 < staying < 0.9
    assert hidden > 1000


def test_mood_follows_the_fit_of_what_was_read() -> None:
    """Satisfaction moves to the fit of the day's applications; nobody's applications move nobody."""
    found = live(market(600, recruiting(learning=1.0)), 1)
    read = np.sum([reading.read for reading in found.readings], axis=0)
    mood = shared(found.state).satisfaction
    assert (mood[read == 0] == 0.4).all()
    assert (mood[read > 0] != 0.4).all()
    assert ((mood > 0) & (mood < 1)).all()


# Not shared -----------------------------------------------------------------------------------------------------------


def unshared(world: World, days: int) -> Waves:
    waves = Waves()
    run(world, days, also=(waves,))
    return waves


def test_where_nothing_is_shared_answers_are_decided_at_once_at_their_stated_rate() -> None:
    world = market(1500)
    applied, answered, chance = [], [], []
    for wave in unshared(world, 5).waves:
        assert len(wave.applications) == 0
        rows = np.flatnonzero(wave.actions["apply"])
        applied.append(rows)
        answered.append(wave.actions["answer"][rows])
        chance.append(world.funnel.probability("answer", wave.met)[rows])
    happened, stated = np.concatenate(answered), np.concatenate(chance)
    assert len(happened) > 1500
    assert_mean(happened - stated, 0)
    assert_proportion(happened, float(stated.mean()))
    assert stated.mean() == pytest.approx(0.5, abs=0.03)


def test_where_nothing_is_shared_all_columns_agree_with_their_expectations() -> None:
    names = ("click", "apply", *LATE, "stay_ms", "fit_milli")
    found = run(market(2500), 6)
    gap = np.stack([found.column(name) - found.expectation(name) for name in names], axis=1)
    assert_zero_mean_per_column(gap, names)


def test_fit_is_expected_where_the_click_itself_is_the_application() -> None:
    """The click was once left out: nobody was expected to fit, while the totals counted everybody's fit."""
    plain = recruiting()
    actions = {name: action for name, action in plain.funnel.actions.items() if name != "apply"}
    actions["answer"] = replace(actions["answer"], parent="click")
    found = run(market(1500, replace(plain, funnel=replace(plain.funnel, actions=actions))), 4)
    gap = np.stack([found.column(name) - found.expectation(name) for name in ("click", "fit_milli")], axis=1)
    assert_zero_mean_per_column(gap, ("click", "fit_milli"))
    assert found.expectation("fit_milli").sum() > 100_000


def test_sharing_changes_nothing_before_the_first_answer() -> None:
    """Clicks and applications are decided by people alone, and their luck is their own."""
    world = market(300)
    alone = Orders.concatenate([w.orders for w in unshared(world, 1).waves])
    together = live(world, 1)
    shared_waves = {w.requests.time[0] // HOUR: w for w in together.waves.waves}
    for wave in unshared(world, 1).waves:
        other = shared_waves.get(wave.requests.time[0] // HOUR)
        if other is not None and len(other.user) == len(wave.user):
            assert np.array_equal(other.actions["apply"], wave.actions["apply"])
            assert len(other.orders) == 0
    assert len(alone) > 0


# Parts ----------------------------------------------------------------------------------------------------------------


def order_set(orders: Orders) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(orders, f.name).tolist() for f in fields(Orders)), strict=True))


@pytest.mark.parametrize("cut", [1, 3])
def test_recruiting_days_in_two_parts_are_the_days_in_one(cut: int) -> None:
    world = market(300, recruiting(suitable=0.8, patience_days=2))
    whole = live(world, 5)
    first = live(world, cut)
    second = live(world, 5 - cut, start=first.state)
    assert_same_columns(second.state, whole.state, ("next_visit", "visits", "satisfaction"))
    assert_same_columns(shared(second.state), shared(whole.state), ("active", "satisfaction", "suitable_at"))
    assert np.array_equal(np.sort(shared(second.state).waiting.key), np.sort(shared(whole.state).waiting.key))
    same_orders = order_set(second.state.orders) == order_set(whole.state.orders)
    assert same_orders
    answers = whole.totals.columns.index("answer")
    assert whole.totals.totals[:, answers].sum() > 50
