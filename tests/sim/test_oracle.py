"""The oracle: on its own goal nobody can do better, request by request."""

from __future__ import annotations

import numpy as np
import pytest

from policies.baselines import Production, RandomRanking
from sim.engine import Arm
from sim.oracle import ORACLE_GOALS, Oracle
from sim.records import Floats, Ranker
from sim.world import World
from tests.asserts import assert_never_lower
from tests.worlds import NO_DYNAMICS, ONE_PAGE, serve_once, small_world


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(1000, browse=ONE_PAGE, satisfaction=NO_DYNAMICS)


def expected_goal(world: World, ranker: Ranker, goal: str) -> Floats:
    """Sum over slots of examination x value, per request; a request is a page."""
    wave = serve_once(world, Arm("any", ranker))
    met, funnel = wave.shown, world.funnel
    buys = funnel.probability_after_click("buy", met)
    value = {
        "ctr": np.ones(buys.shape),
        "ctcvr": buys,
        "gmv": buys * world.catalogue.price[wave.item],
        "stay": funnel.mean_stay(met),
        "enjoyment": 1 / (1 + np.exp(-funnel.enjoyment(met).astype(np.float64))),
    }[goal]
    clicks = funnel.attraction(met).astype(np.float64)
    return (world.scenario.attention.examination_probability(clicks, clicks) * clicks * value).sum(axis=1)


@pytest.mark.parametrize("goal", ORACLE_GOALS)
def test_oracle_of_a_goal_beats_every_ranker_on_it_per_request(world: World, goal: str) -> None:
    best = expected_goal(world, Oracle(world, goal), goal)
    others: list[Ranker] = [RandomRanking(), Production()]
    others += [Oracle(world, other) for other in ORACLE_GOALS if other != goal]
    for other in others:
        found = expected_goal(world, other, goal)
        assert_never_lower(best * (1 + 1e-6), found)  # scores are float32: two values a bit apart may tie
        assert best.sum() > found.sum()


def test_oracle_is_far_ahead_of_chance(world: World) -> None:
    assert (
        expected_goal(world, Oracle(world, "ctr"), "ctr").mean()
        > 1.5 * expected_goal(world, RandomRanking(), "ctr").mean()
    )


def test_oracle_finds_its_people_in_a_world_of_some(world: World) -> None:
    ids = np.array([3, 500, 900])
    few = small_world(ids, browse=ONE_PAGE, satisfaction=NO_DYNAMICS)
    wave, all_waves = serve_once(few), serve_once(world)
    some = Oracle(few, "gmv").score(wave.requests)
    assert np.array_equal(some, Oracle(world, "gmv").score(all_waves.requests.take(ids)))


def test_oracle_scores_a_row_alike_in_any_wave(world: World) -> None:
    requests = serve_once(world).requests
    oracle = Oracle(world, "ctcvr")
    together = oracle.score(requests.take(np.arange(100)))
    alone = np.concatenate([oracle.score(requests.take(np.array([row]))) for row in range(100)])
    assert together.tobytes() == alone.tobytes()
    assert together.dtype == np.float32


def test_unknown_goal_is_refused_with_those_there_are(world: World) -> None:
    with pytest.raises(ValueError, match=r"goal must be one of ctr, ctcvr, gmv, stay, enjoyment, got 'clicks'"):
        Oracle(world, "clicks")
