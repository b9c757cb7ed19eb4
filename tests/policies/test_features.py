from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.features import ITEM_DENSE, PRIOR_CLICKS, USER_DENSE, Features, Rows, clicks_over_expected
from sim.records import Log, Users
from tests.logs import FEED, RECRUITING, SHOP, STRANGER, Shop, asking, flipped, hand_made, random_feed, table_of_items

COEC, IMPRESSIONS, BAND, MEAN_PRICE = range(len(USER_DENSE))


def random_log(seed: int = 0, n: int = 600) -> Log:
    """Requests of ten rows by 12 users who come five times each."""
    rng = np.random.default_rng(seed)
    request = np.arange(n) // 10
    click = (rng.random(n) < 0.3).astype(np.int8)
    cart = click * (rng.random(n) < 0.4)
    return hand_made(click, cart=cart.astype(np.int8), user=request % 12, item=rng.integers(20, size=n))


def dense_of(rows: Rows, row: int) -> np.ndarray:
    return rows.dense()[row]


@pytest.mark.parametrize("row", [0, 7, 299, 300, 309, 310, 451, 599])
def test_a_rows_own_click_is_in_none_of_its_features(row: int) -> None:
    """The leak test: with a click on the row and without, its features have the same bits."""
    log = random_log()
    before = Features().fit(log).training_rows(log)
    other = flipped(log, row)
    after = Features().fit(other).training_rows(other)
    np.testing.assert_array_equal(dense_of(before, row), dense_of(after, row))


def test_no_click_of_its_half_is_in_a_rows_features() -> None:
    """All clicks of the early half flipped: early rows see the same, late rows do not."""
    log = random_log()
    early = log.time <= np.median(log.time)
    other = flipped(log, early)
    before, after = (Features().fit(a).training_rows(a).dense() for a in (log, other))
    np.testing.assert_array_equal(before[early], after[early])
    assert (before[~early] != after[~early]).any(axis=1).all()


def test_a_training_row_sees_what_a_server_with_the_other_half_of_the_log_would() -> None:
    log = random_log()
    early = log.time <= np.median(log.time)
    rows = Features().fit(log).training_rows(log)
    for own, other in ((early, ~early), (~early, early)):
        server = Features().fit(log.take(other))
        mine = np.flatnonzero(own)
        asked = asking(log.users.take(log.user[mine]), log.item[mine][:, None], log.items)
        inputs = server.inputs(asked)
        np.testing.assert_array_equal(rows.user_dense[mine], inputs.user_dense)
        np.testing.assert_array_equal(rows.pair_dense[mine], inputs.pair_dense[:, 0])
        np.testing.assert_array_equal(rows.item_dense[mine], server.item_dense()[inputs.item[:, 0]])
        np.testing.assert_array_equal(rows.user[mine], inputs.user)
        np.testing.assert_array_equal(rows.segment[mine], inputs.segment)


def test_a_stranger_gets_row_0_and_a_history_of_nothing() -> None:
    log = random_log()
    features = Features().fit(log)
    stranger = Users(np.array([STRANGER]), np.array([1]), np.array([2]))
    seen = features.inputs(asking(stranger, [[0, 1]], log.items))
    assert seen.user[0] == 0
    assert seen.user_dense[0, COEC] == 0  # log of 1: clicks as the slots alone would bring
    assert seen.user_dense[0, MEAN_PRICE] == 0  # the mean price, standardised
    assert seen.user_dense[0, BAND] == 1  # what the shop knows of them remains
    assert seen.user_dense[0, IMPRESSIONS] == features.history_.user[:, 1].min()
    np.testing.assert_array_equal(seen.pair_dense[0, :, 1], 0)


def test_known_users_have_rows_of_their_own_between_gaps_in_the_ids() -> None:
    log = random_log()
    features = Features().fit(log)
    features.user_ids_ = np.array([10, 20, 30])
    np.testing.assert_array_equal(features.user_row(np.array([30, 10, 20, 9, 11, 31, -1])), [3, 1, 2, 0, 0, 0, 0])


def test_without_a_user_table_everyone_is_a_stranger() -> None:
    features = Features().fit(random_log())
    features.user_ids_ = np.zeros(0, dtype=np.int64)
    np.testing.assert_array_equal(features.user_row(np.array([0, 5])), [0, 0])


def test_clicks_over_expected_is_one_where_everything_is_average() -> None:
    """Every slot is clicked in every second request, and every key has as many requests of both kinds."""
    log = hand_made(np.repeat(np.arange(40) % 2, 10))
    np.testing.assert_array_equal(clicks_over_expected(log, log.request // 2, 20), 1)


def test_clicks_over_expected_is_one_for_keys_without_impressions() -> None:
    log = random_log()
    assert (clicks_over_expected(log, log.item, 25)[20:] == 1).all()


def test_clicks_over_expected_shrinks_to_one_with_less_data() -> None:
    """A key clicked twice as often as its slots: the ratio rises with impressions, and never reaches 2."""
    ratios = []
    for n in (1, 10, 100, 1000):
        click = np.r_[np.tile([1, 0, 0, 0], n), np.tile([1, 1, 0, 0], n)]  # keys 0 and 1 at 1/4 and 1/2, mean 3/8
        log = hand_made(click, slot=np.zeros(len(click), dtype=np.int8))
        ratios.append(clicks_over_expected(log, np.repeat([0, 1], 4 * n), 2)[1])
        assert ratios[-1] == pytest.approx((2 * n + PRIOR_CLICKS) / (1.5 * n + PRIOR_CLICKS))
    assert 1 < ratios[0] < ratios[1] < ratios[2] < ratios[3] < 4 / 3


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=60))
def test_clicks_over_expected_agrees_with_a_loop(rows: list[tuple[int, int, bool]]) -> None:
    """(clicks + 3) / (expected + 3) by key, expected from the mean click rate of each slot."""
    slot, key, click = (np.array(column) for column in zip(*rows, strict=True))
    log = hand_made(click, slot=slot.astype(np.int8))
    ratio = clicks_over_expected(log, key, 3)
    for k in range(3):
        expected = sum(click[slot == s].mean() for s in slot[key == k])
        assert ratio[k] == pytest.approx((click[key == k].sum() + PRIOR_CLICKS) / (expected + PRIOR_CLICKS))


def test_the_same_slot_of_another_page_is_another_slot() -> None:
    """Page 0 is always clicked, page 1 never: both keys do as well as their pages, so neither stands out."""
    page = np.repeat([0, 1], 50).astype(np.int8)
    log = hand_made(1 - page, page=page, slot=np.zeros(100, dtype=np.int8))
    np.testing.assert_allclose(clicks_over_expected(log, page.astype(np.int64), 2), 1)


def test_long_lists_do_not_overflow_the_logs_narrow_columns() -> None:
    """Page and slot are bytes in the log: place 149 of five pages of thirty must not wrap to a negative one."""
    place = np.arange(300) % 150
    page, slot = (place // 30).astype(np.int8), (place % 30).astype(np.int8)
    log = hand_made(place % 2, page=page, slot=slot, request=np.arange(300) // 150)
    np.testing.assert_allclose(clicks_over_expected(log, log.request, 2), 1)


def test_the_price_gap_is_the_item_against_what_the_user_clicked() -> None:
    """A user who clicks only dear items finds cheap ones below their mean, in standardised log prices."""
    items = table_of_items(20)
    dear = int(items.price.argmax())
    log = hand_made(np.ones(200), item=np.full(200, dear), user=np.zeros(200, dtype=np.int64), items=items)
    features = Features().fit(log)
    gap = features.inputs(asking(log.users, [np.arange(20)], items)).pair_dense[0, :, 2]
    mean = features.history_.user[1, 2]
    assert mean == pytest.approx(features.log_price_[dear] * 200 / (200 + PRIOR_CLICKS), rel=1e-6)
    np.testing.assert_allclose(gap, features.log_price_ - mean, rtol=1e-6)


def test_reactions_per_click_rise_with_carts() -> None:
    click = np.ones(200)
    item = np.arange(200) % 2
    log = hand_made(click, item=item, cart=(item == 1).astype(np.int8))
    reactions = Features().fit(log).history_.item[:, 1]
    assert reactions[1] > 0 > reactions[0]
    assert reactions[2] == 0  # never shown: average


def test_a_log_of_one_instant_gives_rows_without_history() -> None:
    """Nothing lies in the other half of it, so every row looks average."""
    log = hand_made(np.arange(100) % 3 == 0, time=np.zeros(100, dtype=np.int64))
    rows = Features().fit(log).training_rows(log)
    np.testing.assert_array_equal(rows.user_dense[:, [COEC, MEAN_PRICE]], 0)
    np.testing.assert_array_equal(rows.item_dense[:, 2:], 0)


def test_equal_prices_do_not_divide_by_zero() -> None:
    items = table_of_items(20)
    level = replace(items, price=np.full(20, 999))
    features = Features().fit(hand_made(np.arange(100) % 3 == 0, items=level))
    assert np.abs(features.log_price_).max() < 1e-3


@pytest.mark.parametrize(("after", "deep"), [(SHOP, "buy"), (FEED, "hate"), (RECRUITING, "interview")])
def test_any_action_after_the_click_is_a_reaction(after: tuple[str, ...], deep: str) -> None:
    item = np.arange(200) % 2
    reacted = Features().fit(hand_made(np.ones(200), after=after, item=item, **{deep: item})).history_.item[:, 1]
    assert reacted[1] > 0 > reacted[0]


def test_several_reactions_to_one_click_are_one() -> None:
    yes = np.arange(200) % 2
    once = hand_made(np.ones(200), after=FEED, like=yes)
    thrice = hand_made(np.ones(200), after=FEED, like=yes, share=yes, follow=yes)
    one, other = (Features().fit(log).history_.item for log in (once, thrice))
    np.testing.assert_array_equal(one, other)


def test_a_log_without_actions_after_the_click_has_equal_reactions_per_click_for_equal_clicks() -> None:
    reactions = Features().fit(hand_made(np.ones(200), after=())).history_.item[:, 1]
    assert np.isfinite(reactions).all()
    assert len(set(reactions.tolist())) == 1


def test_goods_without_a_length_have_no_column_for_it() -> None:
    features = Features().fit(random_log())
    assert features.item_names == ITEM_DENSE
    assert features.item_dense().shape == (20, len(ITEM_DENSE))


def test_lengths_are_one_more_column_in_standardised_logs_and_0_for_an_item_without() -> None:
    length = np.array([0, 5_000, 20_000, 80_000] * 5)
    log = hand_made(np.arange(100) % 3 == 0, items=replace(table_of_items(20), length=length))
    features = Features().fit(log)
    assert features.item_names == (*ITEM_DENSE, "item_length")
    column = features.item_dense()[:4, -1]
    np.testing.assert_allclose(column, [0, -np.sqrt(1.5), 0, np.sqrt(1.5)], atol=1e-6)
    rows = features.training_rows(log)
    np.testing.assert_array_equal(rows.item_dense[:, -1], features.item_dense()[rows.item, -1])
    assert rows.dense().shape[1] == len(features.names)


def test_equal_lengths_do_not_divide_by_zero() -> None:
    items = replace(table_of_items(20), length=np.full(20, 7_000))
    np.testing.assert_allclose(Features().fit(hand_made([1], items=items)).item_dense()[:, -1], 0, atol=1e-6)


def test_items_without_a_price_have_none_of_its_features() -> None:
    """No logarithm of 0: RuntimeWarnings are errors here."""
    log = random_feed(400)
    features = Features().fit(log)
    np.testing.assert_array_equal(features.log_price_, 0)
    np.testing.assert_array_equal(features.inputs(asking(log.users, [[0, 1]] * 40, log.items)).pair_dense[:, :, 2], 0)


def test_restored_features_of_lengths_give_the_same_columns() -> None:
    features = Features().fit(random_feed(400))
    restored = Features().restore(features.learned())
    assert restored.item_names == features.item_names
    np.testing.assert_array_equal(restored.item_dense(), features.item_dense())


def test_restored_features_give_the_same_inputs(shop: Shop) -> None:
    requests = shop.requests(20)
    features = Features().fit(shop.log)
    ours, theirs = features.inputs(requests), Features().restore(features.learned()).inputs(requests)
    for f in fields(ours):
        np.testing.assert_array_equal(getattr(ours, f.name), getattr(theirs, f.name))
