"""How far people read and when they return: draws against their probabilities, without and with chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim import draws
from sim.habits import gap_days, median_gap_days, pages_probability, pages_wanted, return_probability
from sim.scenario import BrowseSpec, SatisfactionSpec
from sim.world import World
from tests.asserts import assert_proportion
from tests.worlds import small_world

N = 40_000


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(20)


def keys(n: int) -> draws.Keys:
    return draws.fold(draws.root(3, "habits"), np.arange(n))


@pytest.mark.parametrize("user", [0, 7])
def test_pages_are_read_at_their_probability(world: World, user: int) -> None:
    browse, rows = world.scenario.browse, np.full(N, user)
    wanted = pages_wanted(browse, world.people, keys(N), rows)
    for page in range(browse.pages + 1):
        expected = float(pages_probability(browse, world.people.patience[[user]], np.array([page]))[0])
        assert_proportion(wanted > page, expected)


def test_the_first_page_is_always_read_and_none_beyond_the_last() -> None:
    browse, patience = BrowseSpec(pages=3), np.array([-50.0, 0.0, 50.0])
    assert pages_probability(browse, patience, np.zeros(3, int)).tolist() == [1.0, 1.0, 1.0]
    assert pages_probability(browse, patience, np.full(3, 3)).tolist() == [0.0, 0.0, 0.0]


def test_more_patience_never_reads_less() -> None:
    patience = np.linspace(-5, 5, 101)
    for page in range(5):
        assert (np.diff(pages_probability(BrowseSpec(), patience, np.full(101, page))) >= 0).all()


def test_without_spread_pages_are_certain() -> None:
    browse = BrowseSpec(median_pages=2.5, pages_log_sd=0.0)
    assert pages_probability(browse, np.zeros(4), np.arange(4)).tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("mood", [0.2, 0.5, 0.8])
def test_people_return_at_their_probability(world: World, mood: float) -> None:
    spec, rows, moods = world.scenario.satisfaction, np.full(N, 3), np.full(N, mood)
    gaps = gap_days(world.people, spec, rows, keys(N), moods)
    for days in (0.5, 2.0, 10.0):
        chance = float(return_probability(world.people, spec, rows[:1], moods[:1], np.array([days]))[0])
        assert_proportion(gaps <= days, chance)


def test_half_return_within_the_median(world: World) -> None:
    spec, rows = world.scenario.satisfaction, np.arange(20)
    mood = np.linspace(0, 1, 20)
    median = median_gap_days(world.people, spec, rows, mood)
    np.testing.assert_allclose(return_probability(world.people, spec, rows, mood, median), 0.5)


def test_the_satisfied_return_sooner_and_without_strength_mood_is_nothing(world: World) -> None:
    spec, rows, mood = world.scenario.satisfaction, np.full(11, 2), np.linspace(0, 1, 11)
    assert (np.diff(median_gap_days(world.people, spec, rows, mood)) < 0).all()
    calm = replace(spec, return_strength=0.0)
    assert len(set(median_gap_days(world.people, calm, rows, mood).tolist())) == 1


def test_without_spread_a_gap_is_its_median(world: World) -> None:
    spec = SatisfactionSpec(drivers={}, gap_log_sd=0.0)
    rows, mood = np.arange(5), np.full(5, 0.5)
    found = gap_days(world.people, spec, rows, keys(5), mood)
    np.testing.assert_allclose(found, world.people.habit[:5])
    assert return_probability(world.people, spec, rows, mood, found).tolist() == [1.0] * 5
