from __future__ import annotations

import numpy as np
import pytest

from policies.baselines import Popular, Production, RandomRanking
from policies.features import PRIOR_CLICKS
from sim.records import Requests
from tests.logs import Shop, asking, hand_made, table_of_items, table_of_users


def many(n: int, candidates: int) -> Requests:
    items = table_of_items(candidates)
    return asking(table_of_users(n), np.tile(np.arange(candidates), (n, 1)), items)


def test_random_puts_every_item_first_equally_often() -> None:
    """20,000 requests with consecutive ids, 10 items with consecutive ids; each count within 5 standard errors."""
    n, k = 20_000, 10
    first = RandomRanking().score(many(n, k)).argmax(axis=1)
    counts = np.bincount(first, minlength=k)
    assert (np.abs(counts - n / k) < 5 * np.sqrt(n * (1 / k) * (1 - 1 / k))).all()


def test_random_orders_two_requests_independently() -> None:
    """Scores of one item in consecutive requests do not correlate; r within 5 / sqrt(n)."""
    n = 20_000
    scores = RandomRanking().score(many(n, 2))[:, 0].astype(np.float64)
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 5 / np.sqrt(n)


def test_random_does_not_favour_an_item_across_requests() -> None:
    """The mean score of each of 50 items is a half, within 5 standard errors of a uniform's mean."""
    scores = RandomRanking().score(many(2_000, 50)).astype(np.float64)
    assert (np.abs(scores.mean(axis=0) - 0.5) < 5 * np.sqrt(1 / 12 / 2_000)).all()


def test_random_answers_the_same_request_the_same_way_whoever_asks() -> None:
    mine, yours = (
        many(5, 10),
        asking(table_of_users(50).take(np.arange(40, 45)), np.tile(np.arange(10), (5, 1)), table_of_items(10)),
    )
    np.testing.assert_array_equal(RandomRanking().score(mine), RandomRanking().score(yours))


def test_production_scores_the_history_of_the_users_segment() -> None:
    requests = many(6, 20)
    scores = Production().score(requests)
    for row in range(6):
        expected = requests.items.popularity[:, requests.users.segment[row]].astype(np.float32)
        np.testing.assert_array_equal(scores[row], expected)


def test_popular_is_clicks_over_the_clicks_that_its_slots_would_have_brought() -> None:
    """Recomputed row by row: (clicks + 3) / (expected + 3), expected = sum over rows of the slot's mean CTR."""
    rng = np.random.default_rng(0)
    log = hand_made(rng.random(400) < 0.3, item=rng.integers(20, size=400))
    click, slot = log["click"].astype(float), log.slot
    scores = Popular().fit(log).score(many(1, 20))[0]
    for item in range(20):
        mine = log.item == item
        expected = sum(click[slot == s].mean() for s in slot[mine])
        assert scores[item] == pytest.approx((click[mine].sum() + PRIOR_CLICKS) / (expected + PRIOR_CLICKS), rel=1e-6)


def test_popular_gives_items_never_shown_the_average() -> None:
    log = hand_made(np.arange(100) % 7 == 0, item=np.arange(100) % 10)
    assert (Popular().fit(log).score(many(1, 20))[0, 10:] == 1).all()


def test_popular_ranks_alike_for_everyone() -> None:
    log = hand_made(np.random.default_rng(0).random(200) < 0.3)
    scores = Popular().fit(log).score(many(9, 20))
    assert (scores == scores[0]).all()


def test_popular_credits_a_click_far_down_more_than_one_at_the_top() -> None:
    """Slot 0 is clicked in half of the requests, slot 9 in a tenth; item 0 stands there, item 1 here, equally often."""
    request = np.repeat(np.arange(100), 10)
    slot = np.tile(np.arange(10), 100)
    item = np.where(slot == 0, 0, np.where(slot == 9, 1, 2))
    click = ((slot == 0) & (request % 2 == 0)) | ((slot == 9) & (request % 10 == 0))
    extra = hand_made(
        click, item=np.where((slot == 9) & (request < 20), 3, np.where((slot == 0) & (request < 20), 4, item))
    )
    scores = Popular().fit(extra).score(many(1, 20))[0]
    # Of twenty showings each, item 4 was clicked ten times and item 3 twice: as often as their slots are.
    np.testing.assert_allclose(scores[[3, 4]], 1, rtol=1e-6)


def test_policies_that_learn_nothing_say_so(shop: Shop) -> None:
    assert not RandomRanking.learns
    assert not Production.learns
    assert Popular.learns
    assert RandomRanking().fit(shop.log).learned() == Production().fit(shop.log).learned() == {}
