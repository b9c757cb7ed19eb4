"""A test that is simulated in stretches is the test simulated at once: its calendar carries over midnight too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from policies.baselines import Production, RandomRanking
from sim.clock import DAY
from sim.engine import Arm, Market, Story, opening, simulate_markets
from sim.records import Floats, Ints, Requests, Scores
from sim.stories import guard, ramp, retrain
from sim.traffic import Traffic
from tests.worlds import Waves, small_world

N = 1500
ENTRY: Floats = np.random.default_rng(0).random(N)
ARMS = [Arm("rest", Production()), Arm("one", RandomRanking()), Arm("two", Production())]


class Constant:
    """A ranker to whom everything is alike."""

    def score(self, requests: Requests) -> Scores:
        return np.zeros(requests.candidates.shape, dtype=np.float32)


def by_turns(rows: Ints, visit: Ints, time: Ints) -> Ints:
    return 1 + rows % 2


def arm_of_visits(stretches: Sequence[int], stories: Sequence[Story]) -> dict[int, int]:
    """The arm of every visit, by request, of a test that is simulated until each of these days in turn."""
    world, waves = small_world(N, people={"habit_days": 0.5}), Waves()
    state, traffic = opening(world, 2), Traffic(by_turns, 3, rest=0, entry=ENTRY)
    for day in stretches:
        state = simulate_markets([Market(world, state, traffic, [waves])], day, ARMS, 2, stories=stories)[0]
    served = [np.stack([wave.requests.request, wave.arm], axis=1) for wave in waves.waves]
    return dict(np.concatenate(served).tolist())


@pytest.mark.parametrize("stretches", [[2, 5], [3, 5], [4, 5], [1, 2, 3, 4, 5]])
def test_ramp_of_a_continued_test_is_where_it_was(stretches: list[int]) -> None:
    """Steps that were past were taken one event after the other, and the first wave of the stretch did not wait for
    the third of them: users who had been in the test for days were sent back to the rest for one tick."""
    steps: Story = partial(ramp, steps={0: 0.1, 1: 0.4, 2: 0.7, 3: 1.0})
    assert arm_of_visits(stretches, [steps]) == arm_of_visits([5], [steps])


def test_guard_stops_an_arm_once_however_often_the_test_is_continued() -> None:
    """Every stretch put a stopped arm back on the air, to be stopped again: its day of stopping moved on."""
    stops: list[tuple[int, int, str]] = []
    watch: Story = partial(
        guard,
        judge=lambda day: {1: "ctr fell"} if day >= 2 else {},
        arms=[1, 2],
        stopped=lambda arm, day, cause: stops.append((arm, day, cause)),
    )
    once = arm_of_visits([5], [watch])
    assert stops == [(1, 2, "ctr fell")]
    stops.clear()
    assert arm_of_visits([3, 4, 5], [watch]) == once
    assert stops == [(1, 2, "ctr fell")]


def test_who_is_served_like_the_control_is_served_by_what_the_control_has_learned() -> None:
    """A control that learned on the way left those behind who return to it, and those who are not in the test."""
    world, waves = small_world(300, people={"habit_days": 0.5}), Waves()
    traffic = Traffic(by_turns, 3, rest=0)
    learned = Constant()
    story: Story = partial(retrain, arm=1, every_days=2, fit=lambda day: learned, like=[0])
    traffic.stop(2)  # arm 2 is served by the rest
    simulate_markets([Market(world, opening(world, 2), traffic, [waves])], 4, ARMS, 2, stories=[story])
    for wave in waves.waves:
        assert (wave.score == 0).all() == (wave.requests.time[0] >= 2 * DAY)
