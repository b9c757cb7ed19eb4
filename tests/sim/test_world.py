"""A world: markets that do not touch, pools that depend on no arm, and what the shop may see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from sim import draws
from sim.habits import pages_wanted
from sim.records import Items, Users
from sim.world import World, build
from tests.asserts import assert_distinct_in_rows, assert_proportion, assert_same_columns
from tests.worlds import scenario, small_world


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(300)


def test_pools_hold_distinct_items_of_the_market(world: World) -> None:
    for market in range(2):
        mine = small_world(np.arange(market, 20, 2), market=market, n_markets=2)
        pools = mine.pools(3)
        assert_distinct_in_rows(pools)
        assert (pools % 2 == market).all()
        assert np.isin(pools, mine.item).all()
    assert world.pools(0).shape == (8 * 4, 100)


def test_markets_share_out_all_items() -> None:
    parts = [small_world(3, market=market, n_markets=3).item for market in range(3)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1200))


def test_item_and_user_are_the_same_in_every_market() -> None:
    one, other = (small_world(np.array([4, 9]), market=market, n_markets=2) for market in (0, 1))
    assert_same_columns(one.catalogue, other.catalogue)
    assert_same_columns(one.items, other.items)
    assert np.array_equal(one.people.taste, other.people.taste)


def test_pools_change_from_day_to_day_and_stay_within_it(world: World) -> None:
    assert np.array_equal(world.pools(5), world.pools(5))
    assert (world.pools(5) != world.pools(6)).any()


def test_pools_do_not_depend_on_the_users() -> None:
    assert np.array_equal(small_world(3).pools(2), small_world(50).pools(2))


def test_retrieval_prefers_what_the_segment_liked() -> None:
    def liking(sharpness: float) -> float:
        world = small_world(3, browse={"pool_sharpness": sharpness})
        pools = world.pools(0)
        segment = np.arange(len(pools)) // world.scenario.browse.pools_per_segment
        return float(world.items.popularity[pools, segment[:, None]].mean())

    assert liking(0.0) < liking(0.4) < liking(2.0)
    assert liking(0.0) == pytest.approx(float(small_world(3).items.popularity.mean()), abs=0.1)


def test_one_user_more_changes_nobody(world: World) -> None:
    more = small_world(301)
    for name in ("taste", "price_sensitivity", "spender", "patience", "habit", "loyalty"):
        assert getattr(more.people, name)[:300].tobytes() == getattr(world.people, name).tobytes()
    for name, response in world.funnel.log_odds.items():
        assert response.by_item.tobytes() == more.funnel.log_odds[name].by_item.tobytes()
        assert response.by_user.tobytes() == more.funnel.log_odds[name].by_user[:300].tobytes()
    assert_same_columns(world.items, more.items)


def test_public_tables_hold_no_hidden_column(world: World) -> None:
    assert set(Users.__slots__) == {"user", "segment", "price_band"}
    assert set(Items.__slots__) == {"category", "price", "rating", "popularity", "length"}
    for hidden in (world.catalogue.quality, world.catalogue.appeal):
        for public in (world.items.rating, *world.items.popularity.T):
            assert abs(np.corrcoef(hidden, public)[0, 1]) < 0.99


def test_popularity_is_a_noisy_reading_of_what_segments_click() -> None:
    """Correlation with the mean log-odds of a click over the segment's members, noise 0.9 against 0."""

    def closeness(noise: float) -> float:
        world = small_world(2000, catalogue={"popularity_noise": noise})
        mine = np.flatnonzero(world.people.public.segment == 2)
        taste = world.people.taste[mine].mean(axis=0)
        drivers = world.scenario.funnel.actions["click"].drivers
        liked = (
            drivers["match"] * np.sqrt(8) * world.catalogue.topic @ taste
            + drivers["appeal"] * world.catalogue.appeal
            + drivers["quality"] * world.catalogue.quality
            + drivers["price"] * world.catalogue.price_z
        )
        return float(np.corrcoef(liked, world.items.popularity[:, 2])[0, 1])

    assert closeness(0.0) > 0.95
    assert 0.4 < closeness(0.9) < 0.9


def test_pages_wanted_are_log_normal_rounded_up_and_capped() -> None:
    world = small_world(20_000, people={"patience_sd": 0.0})
    keys = draws.fold(draws.root(0, "pages"), world.people.user)
    pages = pages_wanted(world.scenario.browse, world.people, keys)
    assert pages.min() == 1
    assert pages.max() == 5
    for most in range(1, 5):  # P(ceil(0.8 exp(1.1 z)) <= most)
        assert_proportion(pages <= most, float(norm.cdf(np.log(most / 0.8) / 1.1)))


def test_patient_people_read_more_pages() -> None:
    world = small_world(5000)
    keys = draws.fold(draws.root(0, "pages"), world.people.user)
    pages = pages_wanted(world.scenario.browse, world.people, keys)
    patient = world.people.patience > 0
    assert pages[patient].mean() > 1.2 * pages[~patient].mean()


def test_too_few_candidates_for_the_pages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"browse.candidates must be at least pages x slots = 50, got 40"):
        scenario(browse={"candidates": 40})


def test_market_of_too_few_items_is_refused() -> None:
    spec = scenario(catalogue={"items": 199})
    with pytest.raises(
        ValueError, match=r"at least browse.candidates = 100 items on day 0, market 1 of 2 has 99; raise"
    ):
        build(spec, 1, np.arange(4), market=1, n_markets=2)


@pytest.mark.parametrize("seed", [0, 7])
def test_seeds_build_worlds_of_their_own(world: World, seed: int) -> None:
    other = small_world(300, seed=seed)
    assert (world.people.spender != other.people.spender).all()
    assert (world.pools(0) != other.pools(0)).mean() > 0.9
