"""The processes of a market: without SimPy's events nothing lands, refills, answers, opens, stops or learns anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import simpy

from policies.baselines import Production, RandomRanking
from sim.clock import DAY, HOUR, Agenda, Midnight, Process
from sim.engine import Arm, Market, Story, opening, simulate_markets
from sim.market import MarketSpec, StockSpec
from sim.records import Floats, Ints, Ranker
from sim.served import Orders
from sim.shop import Shop
from sim.stories import checkout, close_the_day, guard, ramp, recruit, refill, retrain
from sim.traffic import Traffic
from sim.world import World
from tests.worlds import Waves, small_world

N = 1000
ENTRY: Floats = np.random.default_rng(0).random(N)
ALL: Ints = np.arange(N)


def split(rows: Ints, visit: Ints, time: Ints) -> Ints:
    """Arms 1 and 2 by turns; 0 is at rest."""
    return 1 + rows % 2


@dataclass
class FakeShop:
    """As much of a shop as a story touches."""

    env: simpy.Environment
    until: int = 10 * DAY
    traffic: Traffic = field(default_factory=lambda: Traffic(split, 3, rest=0, entry=ENTRY))
    recorders: Sequence[Any] = ()
    desk: Any = field(default_factory=lambda: SimpleNamespace(rankers=["a", "b", "c"]))

    def arms(self) -> Ints:
        return self.traffic.arms(ALL, ALL * 0, ALL * 0)


def shops_of(*fakes: FakeShop) -> list[Shop]:
    return cast("list[Shop]", list(fakes))


def at(env: simpy.Environment, second: int, look: Callable[[], None]) -> None:
    """Look at the world at a second, after whatever happens at it."""

    def story() -> Process:
        yield env.timeout(second - int(env.now))
        yield env.timeout(0)
        look()

    env.process(story())


# Ramp ---------------------------------------------------------------------------------------------------------------


def test_ramp_opens_by_steps_to_exactly_the_users_below_the_share() -> None:
    env = simpy.Environment()
    shops = FakeShop(env), FakeShop(env)
    env.process(ramp(shops_of(*shops), {1: 0.1, 3: 0.5, 6: 1.0}))
    seen: dict[int, list[Ints]] = {}
    for day in range(8):
        at(env, day * DAY, lambda day=day: seen.update({day: [shop.arms() for shop in shops]}))  # type: ignore[misc]
    env.run(until=8 * DAY)
    for day, share in enumerate((0, 0.1, 0.1, 0.5, 0.5, 0.5, 1, 1)):
        expected = np.where(share > ENTRY, 1 + ALL % 2, 0)
        assert all(np.array_equal(arm, expected) for arm in seen[day])


def test_ramp_that_starts_late_is_where_it_should_be_by_then() -> None:
    env = simpy.Environment(initial_time=4 * DAY)
    shop = FakeShop(env)
    env.process(ramp(shops_of(shop), {0: 0.1, 3: 0.5, 6: 1.0}))
    env.run(until=4 * DAY + 1)
    assert shop.traffic.open_share == 0.5


def test_first_wave_of_a_day_is_served_by_the_step_of_that_day() -> None:
    """In a market at work: every visit, from the first second of each day."""
    steps = {0: 0.2, 1: 0.6, 2: 1.0}
    waves = lived([partial(ramp, steps=steps)])
    for wave in waves.waves:
        day = int(wave.requests.time[0]) // DAY
        expected = np.where(ENTRY[wave.user] < steps[day], 1 + wave.user % 2, 0)
        assert np.array_equal(wave.arm, expected)
    assert len({int(wave.requests.time[0]) // HOUR for wave in waves.waves}) > 60


WORLD = partial(small_world, N, people={"habit_days": 0.5})


@pytest.fixture(scope="module")
def world() -> World:
    return WORLD()


def lived(stories: Sequence[Story], days: int = 3, recorder: Waves | None = None) -> Waves:
    waves, here = recorder or Waves(), WORLD()
    arms = [Arm("rest", Production()), Arm("one", RandomRanking()), Arm("two", Production())]
    traffic = Traffic(split, 3, rest=0, entry=ENTRY)
    simulate_markets([Market(here, opening(here, 2), traffic, [waves])], days, arms, 2, stories=stories)
    return waves


# Guard --------------------------------------------------------------------------------------------------------------


def test_guard_interrupts_with_its_cause_and_users_return_to_rest() -> None:
    env = simpy.Environment()
    shops = FakeShop(env), FakeShop(env)
    stopped: list[tuple[int, int, str]] = []
    verdicts: dict[int, Mapping[int, str]] = {2: {1: "ctr fell"}, 3: {1: "ctr fell", 2: "gmv fell"}}
    env.process(guard(shops_of(*shops), lambda day: verdicts.get(day, {}), [1, 2], lambda *what: stopped.append(what)))
    served: dict[int, Ints] = {}
    for day in range(1, 5):
        at(env, day * DAY, lambda day=day: served.update({day: shops[1].arms()}))  # type: ignore[misc]
    env.run(until=5 * DAY)
    assert stopped == [(1, 2, "ctr fell"), (2, 3, "gmv fell")]  # once each
    assert np.array_equal(served[1], 1 + ALL % 2)
    assert np.array_equal(served[2], np.where(ALL % 2 == 0, 0, 2))
    assert (served[3] == 0).all()
    assert (shops[0].arms() == 0).all()


def test_guard_that_finds_no_harm_changes_nothing() -> None:
    env = simpy.Environment()
    shop, stopped = FakeShop(env), []
    env.process(guard(shops_of(shop), lambda day: {}, [1, 2], lambda *what: stopped.append(what)))
    env.run(until=9 * DAY)
    assert stopped == []
    assert np.array_equal(shop.arms(), 1 + ALL % 2)


def test_books_are_closed_before_the_guard_judges_and_no_visit_comes_between() -> None:
    """At one second: the day is closed, judged, the arm stopped; only then does the new day begin."""
    waves, judged = Waves(), []

    def judge(day: int) -> Mapping[int, str]:
        assert waves.days == list(range(day))
        assert all(wave.requests.time[0] // DAY < day for wave in waves.waves)
        judged.append(day)
        return {1: "harm"} if day == 1 else {}

    lived([partial(guard, judge=judge, arms=[1, 2], stopped=lambda *what: None)], recorder=waves)
    assert judged == [1, 2, 3]
    for wave in waves.waves:
        day = int(wave.requests.time[0]) // DAY
        assert np.array_equal(wave.arm, np.where((wave.user % 2 == 0) & (day >= 1), 0, 1 + wave.user % 2))


# Retraining ---------------------------------------------------------------------------------------------------------


def test_retraining_exchanges_the_ranker_of_its_arm_on_the_right_midnights() -> None:
    env = simpy.Environment(initial_time=2 * DAY)
    shops = FakeShop(env, until=9 * DAY), FakeShop(env, until=9 * DAY)
    fitted: list[tuple[int, int]] = []

    def fit(day: int) -> Ranker:
        fitted.append((day, int(env.now)))
        return cast("Ranker", f"fitted on day {day}")

    env.process(retrain(shops_of(*shops), 1, 3, fit))
    env.run(until=9 * DAY + 1)
    assert fitted == [(5, 5 * DAY), (8, 8 * DAY)]  # and not when all is over
    for shop in shops:
        assert shop.desk.rankers == ["a", "fitted on day 8", "c"]


def test_retraining_on_the_last_midnight_is_spared() -> None:
    env = simpy.Environment()
    shop, fitted = FakeShop(env, until=2 * DAY), []
    env.process(retrain(shops_of(shop), 0, 1, lambda day: fitted.append(day) or cast("Ranker", None)))  # type: ignore[func-returns-value]
    env.run(until=2 * DAY + 1)
    assert fitted == [1]


class Constant:
    """Ranks by position, whoever asks; its scores tell which fit served."""

    def __init__(self, base: float) -> None:
        self.base = base

    def score(self, requests: Any) -> Any:
        row = np.arange(requests.pools.shape[1], dtype=np.float32) + np.float32(self.base)
        return np.broadcast_to(row, (len(requests), len(row))).copy()


def test_retrained_ranker_has_seen_a_closed_day_and_serves_from_its_first_second() -> None:
    waves = Waves()

    def fit(day: int) -> Ranker:
        assert waves.days == list(range(day))
        return Constant(1000.0 * day)

    lived([partial(retrain, arm=2, every_days=1, fit=fit)], recorder=waves)
    for wave in waves.waves:
        day = int(wave.requests.time[0]) // DAY
        mine = wave.score[wave.arm[wave.visit_of] == 2]
        if day and len(mine):
            assert (mine // 1000 == day).all()
    assert waves.days == [0, 1, 2]


# Orders that land -----------------------------------------------------------------------------------------------------


def orders_due(*due: int) -> Orders:
    n = len(due)
    none = np.zeros(n, dtype=np.int64)
    return Orders(np.arange(n), none, none, none, none, none, none, np.array(due), none + 1, none, none + 1)


def test_orders_land_in_the_tick_in_which_they_are_due() -> None:
    env = simpy.Environment()
    landed: list[tuple[int, list[int]]] = []
    orders = orders_due(50, HOUR + 5, 9 * DAY, HOUR)
    recorder = SimpleNamespace(landed=lambda some: landed.append((int(env.now), some.due.tolist())))
    shop = SimpleNamespace(
        env=env, tills=Agenda(env, HOUR), land=orders.take, fill=lambda some: some, recorders=[recorder]
    )
    shop.tills.book(np.arange(4), orders.due)
    env.process(checkout(cast("Shop", shop)))
    env.run(until=DAY)
    assert landed == [(0, [50]), (HOUR, [HOUR + 5, HOUR])]  # the one of the ninth day is on its way
    env.run(until=10 * DAY)
    assert landed[2:] == [(9 * DAY, [9 * DAY])]


def test_orders_that_the_shelf_cannot_fill_are_told_to_nobody() -> None:
    env = simpy.Environment()
    told: list[int] = []
    recorder = SimpleNamespace(landed=lambda some: told.append(len(some)))
    empty = SimpleNamespace(
        env=env,
        tills=Agenda(env, HOUR),
        land=orders_due(5, 6).take,
        fill=lambda some: some.take(some.due > 5),
        recorders=[recorder],
    )
    empty.tills.book(np.arange(2), orders_due(5, 6).due)
    env.process(checkout(cast("Shop", empty)))
    env.run(until=HOUR)
    assert told == [1]


def test_days_are_closed_at_their_midnights_until_the_end() -> None:
    env = simpy.Environment(initial_time=3 * DAY)
    closed: list[tuple[int, int]] = []
    recorder = SimpleNamespace(closed=lambda day: closed.append((day, int(env.now))))
    shop = FakeShop(env, until=6 * DAY, recorders=[recorder])
    env.run(until=env.process(close_the_day(cast("Shop", shop))))
    assert closed == [(3, 4 * DAY), (4, 5 * DAY), (5, 6 * DAY)]
    assert env.now == 6 * DAY


# Refills and recruiters ---------------------------------------------------------------------------------------------


def test_shelves_are_refilled_every_few_midnights_and_never_between() -> None:
    world = small_world(3, shares=MarketSpec(stock=StockSpec(median_units=5, log_sd=0.5, refill_days=2)))
    env = simpy.Environment()
    full = opening(world, 2, sharing=True).shared
    assert full is not None
    shop = SimpleNamespace(env=env, world=world, shared=full.copy())
    env.process(refill(cast("Shop", shop)))
    seen = []

    def sell() -> Process:
        """A unit of everything goes at every noon; the shelf is seen on the next morning."""
        while True:
            yield env.timeout(DAY // 2 - int(env.now) % DAY)
            shop.shared.units[:] -= 1
            yield Midnight(env)
            yield env.timeout(1)
            seen.append(int((full.units - shop.shared.units).max()))

    env.process(sell())
    env.run(until=5 * DAY)
    assert seen == [1, 0, 1, 0]


def test_recruiters_read_once_a_day_in_their_own_hour_until_they_leave() -> None:
    env = simpy.Environment()
    hour = np.array([9, 13, 9]) * HOUR + 60
    active = np.array([True, True, True])
    read: list[tuple[int, list[int]]] = []
    expected: list[str] = []
    shop = SimpleNamespace(
        env=env,
        offices=Agenda(env, HOUR),
        answers=SimpleNamespace(hour=hour),
        shared=SimpleNamespace(active=active),
        expect=expected.append,
    )

    def answer(readers: Ints) -> str:
        read.append((int(env.now), readers.tolist()))
        if env.now > DAY:
            active[2] = False  # leaves on the second day
        return "answers"

    shop.read = answer
    env.process(recruit(cast("Shop", shop)))
    env.run(until=3 * DAY)
    by_day = [(9 * HOUR, [0, 2]), (13 * HOUR, [1])]
    second = [(DAY + when, who) for when, who in by_day]
    assert read == [*by_day, *second, (2 * DAY + 9 * HOUR, [0]), (2 * DAY + 13 * HOUR, [1])]
    assert len(expected) == len(read)


def test_recruiters_who_are_gone_do_not_come_back_with_a_new_morning() -> None:
    env = simpy.Environment(initial_time=5 * DAY)
    read: list[list[int]] = []
    shop = SimpleNamespace(
        env=env,
        offices=Agenda(env, HOUR),
        answers=SimpleNamespace(hour=np.array([9, 9]) * HOUR),
        shared=SimpleNamespace(active=np.array([False, True])),
        expect=lambda orders: None,
        read=lambda readers: read.append(readers.tolist()),
    )
    env.process(recruit(cast("Shop", shop)))
    env.run(until=7 * DAY)
    assert read == [[1], [1]]
