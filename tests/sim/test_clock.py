"""The clock: crowds wake in order, in waves, at no cost for quiet hours; a day ends before the next begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.clock import DAY, HOUR, Agenda, Midnight


def listen(env: simpy.Environment, agenda: Agenda) -> list[tuple[int, list[int]]]:
    """Start a process that notes every wave; the list that it fills."""
    heard: list[tuple[int, list[int]]] = []

    def story() -> Any:
        while True:
            wave = yield agenda.get()
            heard.append((int(env.now), wave.tolist()))

    env.process(story())
    return heard


def count_events(env: simpy.Environment) -> int:
    """Run to the end by hand, to see how many events that took."""
    steps = 0
    while env.peek() != float("inf"):
        env.step()
        steps += 1
    return steps


def test_wave_holds_everybody_of_a_tick_sorted_by_id() -> None:
    env = simpy.Environment()
    agenda = Agenda(env, HOUR)
    heard = listen(env, agenda)
    agenda.book(np.array([9, 4, 7]), np.array([10, 3599, 3600]))
    agenda.book(np.array([2]), np.array([0]))
    env.run()
    assert heard == [(0, [2, 4, 9]), (3600, [7])]


def test_order_of_booking_does_not_matter() -> None:
    heard = []
    for order in ([0, 1, 2], [2, 0, 1]):
        env = simpy.Environment()
        agenda = Agenda(env, 60)
        heard.append(listen(env, agenda))
        ids, at = np.array([5, 3, 8]), np.array([70, 65, 10])
        for row in order:
            agenda.book(ids[[row]], at[[row]])
        env.run()
    assert heard[0] == heard[1] == [(0, [8]), (60, [3, 5])]


def test_one_alarm_rings_per_tick_however_many_are_booked() -> None:
    def events(n: int) -> int:
        env = simpy.Environment()
        agenda = Agenda(env, HOUR)
        listen(env, agenda)
        for user in range(n):
            agenda.book(np.array([user]), np.array([HOUR + user]))
        return count_events(env)

    assert events(1) == events(500)


def test_empty_ticks_cost_no_events() -> None:
    def events(at: int) -> int:
        env = simpy.Environment()
        agenda = Agenda(env, 1)
        listen(env, agenda)
        agenda.book(np.array([0]), np.array([at]))
        return count_events(env)

    assert events(5) == events(300 * DAY)


def test_booking_in_the_past_fires_now() -> None:
    env = simpy.Environment(initial_time=10 * HOUR)
    agenda = Agenda(env, HOUR)
    heard = listen(env, agenda)
    agenda.book(np.array([1]), np.array([3 * HOUR]))
    agenda.book(np.array([2]), np.array([-5]))
    env.run()
    assert sorted(heard) == [(10 * HOUR, [1]), (10 * HOUR, [2])]


def test_booking_within_the_tick_that_is_being_served_makes_a_second_wave() -> None:
    env = simpy.Environment()
    agenda = Agenda(env, HOUR)
    heard = []

    def browse() -> Any:
        while True:
            wave = yield agenda.get()
            heard.append((int(env.now), wave.tolist()))
            if len(heard) == 1:
                agenda.book(wave, np.full(len(wave), 1800))

    env.process(browse())
    agenda.book(np.array([3]), np.array([100]))
    env.run()
    assert heard == [(0, [3]), (0, [3])]


def test_booking_nobody_does_nothing() -> None:
    env = simpy.Environment()
    agenda = Agenda(env, HOUR)
    agenda.book(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    assert env.peek() == float("inf")


@settings(max_examples=50, deadline=None)
@given(
    at=st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=60),
    tick=st.sampled_from([1, 600, HOUR, DAY]),
)
def test_everybody_wakes_once_in_their_own_tick(at: list[int], tick: int) -> None:
    env = simpy.Environment()
    agenda = Agenda(env, tick)
    heard = listen(env, agenda)
    agenda.book(np.arange(len(at)), np.array(at))
    env.run()
    assert sorted(user for _, wave in heard for user in wave) == list(range(len(at)))
    assert all(second == at[user] // tick * tick for second, wave in heard for user in wave)
    assert all(wave == sorted(wave) for _, wave in heard)
    assert len(heard) == len({second // tick for second in at})


@pytest.mark.parametrize("tick", [0, -1, 7 * 60 * 3 + 1, 5 * HOUR, 2 * DAY])
def test_tick_must_divide_a_day(tick: int) -> None:
    with pytest.raises(ValueError, match=rf"tick must divide a day of 86400 s, got {tick}"):
        Agenda(simpy.Environment(), tick)


def test_patience_works_as_with_any_store() -> None:
    env = simpy.Environment()
    agenda = Agenda(env, HOUR)
    seen = []

    def impatient() -> Any:
        wave = agenda.get()
        found = yield wave | env.timeout(600)
        seen.append(wave in found)

    env.process(impatient())
    agenda.book(np.array([1]), np.array([2 * HOUR]))
    env.run()
    assert seen == [False]


def test_midnight_comes_before_anything_else_at_that_second() -> None:
    env = simpy.Environment()
    told = []

    def tell(what: str, event: simpy.Event) -> Any:
        yield event
        told.append((int(env.now), what))

    env.process(tell("visit", env.timeout(DAY)))
    env.process(tell("midnight", Midnight(env)))
    env.process(tell("order", env.timeout(DAY)))
    env.run()
    assert told == [(DAY, "midnight"), (DAY, "visit"), (DAY, "order")]


def test_midnight_ends_the_day_after_the_last_wave_of_that_day() -> None:
    env = simpy.Environment()
    agenda = Agenda(env, 1)
    told = []

    def visits() -> Any:
        while True:
            yield agenda.get()
            told.append((int(env.now), "visit"))

    def close() -> Any:
        yield Midnight(env)
        told.append((int(env.now), "midnight"))

    env.process(visits())
    env.process(close())
    agenda.book(np.array([1, 2]), np.array([DAY - 1, DAY]))
    env.run()
    assert told == [(DAY - 1, "visit"), (DAY, "midnight"), (DAY, "visit")]


@pytest.mark.parametrize(("now", "ends"), [(0, DAY), (1, DAY), (DAY - 1, DAY), (DAY, 2 * DAY), (5 * DAY + 7, 6 * DAY)])
def test_midnight_is_the_end_of_the_present_day(now: int, ends: int) -> None:
    env = simpy.Environment(initial_time=now)
    env.run(until=Midnight(env))
    assert env.now == ends
