"""What users share, as arithmetic: the shelf, the pile of applications, answers, and how unequal counts are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from sim.clock import DAY, HOUR
from sim.market import Applications, RecruiterSpec, StockSpec, expected_sales, gini, sold, to_read
from sim.records import Ints
from tests.asserts import assert_mean, assert_never_lower, assert_proportion

# The shelf --------------------------------------------------------------------------------------------------------


def sold_one_by_one(units: Ints, item: Ints, wanted: Ints) -> tuple[Ints, list[bool]]:
    """First come first served, all or nothing, as one would write it down."""
    left, served = units.tolist(), []
    for which, want in zip(item.tolist(), wanted.tolist(), strict=True):
        served.append(want <= left[which])
        left[which] -= want if served[-1] else 0
    return np.array(left), served


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40),
)
def test_sold_is_first_come_first_served_all_or_nothing(shelf: list[int], wishes: list[tuple[int, int]]) -> None:
    units = np.array(shelf, dtype=np.int64)
    item = np.array([which % len(shelf) for which, _ in wishes], dtype=np.int64)
    wanted = np.array([want for _, want in wishes], dtype=np.int64)
    left, served = sold_one_by_one(units, item, wanted)
    assert sold(units, item, wanted).tolist() == served
    assert np.array_equal(units, left)
    assert (units >= 0).all()


def test_who_wants_nothing_gets_it_from_an_empty_shelf() -> None:
    units = np.array([0, 1])
    assert sold(units, np.array([0, 0, 1]), np.array([0, 1, 1])).tolist() == [True, False, True]
    assert units.tolist() == [0, 0]


def test_nobody_buys_nothing() -> None:
    units, nobody = np.array([3]), np.zeros(0, dtype=np.int64)
    assert len(sold(units, nobody, nobody)) == 0
    assert units.tolist() == [3]


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 50.0])
@pytest.mark.parametrize("stock", [0, 1, 5, 60])
def test_expected_sales_are_the_sum_over_demands(mean: float, stock: int) -> None:
    demand = np.arange(400)
    by_hand = (np.minimum(demand, stock) * poisson.pmf(demand, mean)).sum()
    assert expected_sales(mean, stock) == pytest.approx(float(by_hand), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("mean", "stock"), [(4.0, 3), (4.0, 6), (0.5, 1)])
def test_expected_sales_are_the_mean_of_what_poisson_demand_is_sold(mean: float, stock: int) -> None:
    n = 20_000
    demand = np.random.default_rng(0).poisson(mean, n)
    units = np.full(n, stock)
    item = np.repeat(np.arange(n), demand)
    sold(units, item, np.ones(len(item), dtype=np.int64))
    assert_mean(stock - units, expected_sales(mean, stock))


def test_expected_sales_rise_with_demand_and_stock_up_to_either() -> None:
    by_demand = [expected_sales(mean, 5) for mean in (0.1, 1, 5, 20, 200)]
    by_stock = [expected_sales(5.0, stock) for stock in (0, 1, 5, 20, 200)]
    assert by_demand == sorted(by_demand)
    assert by_stock == sorted(by_stock)
    assert by_demand[-1] == pytest.approx(5)
    assert by_stock[-1] == pytest.approx(5)


def test_shelves_hold_at_least_one_unit_around_their_median() -> None:
    item = np.arange(20_000)
    level = StockSpec(median_units=40, log_sd=0.5).level(3, item)
    assert_proportion(level > 40, 0.5 - 0.5 * 0.02, z=6)  # rounding: a unit is a fortieth
    assert (StockSpec(median_units=0.1, log_sd=0).level(3, item) == 1).all()
    assert np.array_equal(level[:7], StockSpec(median_units=40, log_sd=0.5).level(3, item[:7]))


# The pile -----------------------------------------------------------------------------------------------------------


def applications(item: list[int], clicked: list[int]) -> Applications:
    n = len(item)
    none, number = np.zeros(n, dtype=np.int64), np.arange(n)
    when = np.array(clicked, dtype=np.int64)
    keys = number.astype(np.uint64)
    return Applications(number, np.array(item, dtype=np.int64), number, none, none, when, none.astype(np.float32), keys)


OWNER = np.array([0, 0, 1, 2])  # of items 0 to 3
NOON = np.full(3, 12 * HOUR)


def test_recruiters_read_the_oldest_first_up_to_what_they_can() -> None:
    waiting = applications([0, 1, 0, 2, 1], [50, 10, 30, 40, 20])
    read, gone, pile = to_read(waiting, OWNER, np.array([0]), np.array([3, 9, 9]), NOON, 14)
    assert read.tolist() == [1, 4, 2]
    assert gone.tolist() == [False, True, True, False, True]
    assert pile.tolist() == [4, 0, 0]  # who does not read has no pile to be swamped by


def test_those_who_do_not_read_leave_their_pile_alone() -> None:
    waiting = applications([0, 2, 3], [10, 10, 10])
    read, gone, _ = to_read(waiting, OWNER, np.array([1, 2]), np.array([9, 9, 9]), NOON, 14)
    assert read.tolist() == [1, 2]
    assert gone.tolist() == [False, True, True]


def test_what_is_sent_after_the_hour_waits_for_tomorrow() -> None:
    waiting = applications([0, 0], [12 * HOUR, 12 * HOUR + 1])
    read, gone, pile = to_read(waiting, OWNER, np.array([0]), np.array([9, 9, 9]), NOON, 14)
    assert read.tolist() == [0]
    assert gone.tolist() == [True, False]
    assert pile.tolist() == [1, 0, 0]


def test_what_nobody_has_read_in_time_lapses_unread() -> None:
    now = NOON + 20 * DAY
    old, fresh = int(now[0]) - 14 * DAY - 1, int(now[0]) - 14 * DAY
    read, gone, pile = to_read(applications([0, 0], [old, fresh]), OWNER, np.array([0]), np.array([9, 9, 9]), now, 14)
    assert read.tolist() == [1]
    assert gone.tolist() == [True, True]
    assert pile.tolist() == [1, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20 * HOUR)), max_size=60), st.permutations([0, 1, 2]))
def test_reading_does_not_depend_on_the_order_of_the_pile(sent: list[tuple[int, int]], readers: list[int]) -> None:
    waiting = applications([item for item, _ in sent], [when for _, when in sent])
    reads = np.array([1, 2, 5])
    one, gone, _ = to_read(waiting, OWNER, np.arange(3), reads, NOON, 14)
    turned = np.arange(len(sent))[::-1]
    other, _, _ = to_read(waiting.take(turned), OWNER, np.array(readers), reads, NOON, 14)
    assert one.tolist() == turned[other].tolist()
    assert (np.bincount(OWNER[waiting.item[one]], minlength=3) <= reads).all()
    assert sorted(np.flatnonzero(gone)) == sorted(one)


# Answers ------------------------------------------------------------------------------------------------------------

SPEC = RecruiterSpec(swamped=0.7, mood=1.5, mean_fit=0.4)


def test_longer_pile_never_raises_the_odds_of_an_answer_and_a_better_mood_never_lowers_them() -> None:
    zero, waiting = np.zeros(100), np.arange(100)
    reads = np.full(100, 5)
    load = SPEC.answer_log_odds(zero, waiting, reads, zero + 0.4)
    assert_never_lower(load[:-1], load[1:])
    assert (load[:6] == 0).all()  # who can read everything is not swamped
    assert load[6:].max() < 0
    mood = SPEC.answer_log_odds(zero, waiting, reads, np.linspace(0, 1, 100))
    rest = mood - load
    assert (np.diff(rest) > 0).all()


def test_double_of_what_can_be_read_costs_the_log_of_two() -> None:
    found = SPEC.answer_log_odds(np.array([1.0]), np.array([10]), np.array([5]), np.array([0.4]))
    assert found[0] == pytest.approx(1.0 - 0.7 * np.log(2))


def test_unmoved_recruiters_answer_at_their_own_odds() -> None:
    cold = replace(SPEC, swamped=0.0, mood=0.0)
    base = np.array([-1.0, 0.5])
    assert np.array_equal(cold.answer_log_odds(base, np.array([0, 900]), np.array([1, 1]), np.array([0.0, 1.0])), base)


def test_ways_of_recruiters_come_in_their_shares() -> None:
    owner = np.arange(20_000)
    way = RecruiterSpec(ways={"chat": 3.0, "call": 1.0}).way(1, owner)
    assert_proportion(way == 0, 0.75)
    assert set(way.tolist()) == {0, 1}


def test_recruiters_read_in_office_hours_and_at_least_one() -> None:
    owner = np.arange(5000)
    hour = SPEC.hour(1, owner)
    assert hour.min() >= 9 * HOUR
    assert hour.max() < 17 * HOUR
    assert (replace(SPEC, reads_per_day=0.01).reads(1, owner) == 1).all()
    assert_mean(SPEC.willing(1, owner), 0)


# Inequality ---------------------------------------------------------------------------------------------------------


def test_gini_of_equals_is_zero_and_of_one_owner_is_all_but_a_share() -> None:
    for n in (1, 2, 10):
        assert gini(np.full(n, 3)) == pytest.approx(0, abs=1e-15)
        assert gini(np.eye(n, dtype=np.int64)[0] * 7) == pytest.approx((n - 1) / n)


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    x = np.random.default_rng(0).poisson(3, 50)
    by_hand = np.abs(x[:, None] - x).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(by_hand)
    assert gini(x * 10) == pytest.approx(gini(x))
    assert gini(x[::-1]) == gini(x)


def test_gini_of_nothing_is_unknown() -> None:
    assert np.isnan(gini(np.zeros(3)))
    assert np.isnan(gini(np.zeros(0)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ways": {}}, "ways must hold at least one way with a share > 0"),
        ({"ways": {"chat": 0.0}}, "ways must hold at least one way with a share > 0"),
        ({"openings": 0}, "openings must be >= 1, got 0"),
        ({"suitable": 1.5}, "suitable must be <= 1, got 1.5"),
        ({"swamped": -1.0}, "swamped must be >= 0, got -1.0"),
    ],
)
def test_impossible_recruiters_are_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RecruiterSpec(**fields)  # type: ignore[arg-type]
