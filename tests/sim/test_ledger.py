"""Totals and expectations: every event counted once, in whole numbers, and each expectation where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from sim.clock import DAY
from sim.engine import opening
from sim.ledger import EVENTUAL, Expectations, Totals
from sim.scenario import ledger_columns
from sim.served import Orders
from sim.world import World
from tests.worlds import Run, Waves, ecommerce, examination, run, serve_once, small_world, with_action


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(300, people={"habit_days": 1.0}, funnel=with_action("buy", rate=0.3))


@pytest.fixture(scope="module")
def lived(world: World) -> tuple[Run, Waves]:
    waves = Waves()
    return run(world, 5, also=(waves,)), waves


def order(user: int, clicked: int, value: int) -> Orders:
    """A purchase of one unit that lands a second after its click."""
    none = np.zeros(1, dtype=np.int64)
    one, who, when = none + 1, none + user, none + clicked
    return Orders(who, none, none, none, none, none, when, when + 1, none + value, one, one)


def test_columns_are_visits_days_actions_stay_and_money() -> None:
    days = ("active_days", "returned_1", "returned_7")
    actions = ("click", "collect", "cart", "buy", "return_goods")
    assert ledger_columns(ecommerce()) == (
        "visits",
        "impressions",
        *days,
        *actions,
        "stay_ms",
        "value_cents",
        "net_cents",
    )


def test_totals_are_a_recount_of_the_waves(lived: tuple[Run, Waves]) -> None:
    found, heard = lived
    n = len(found.state.visits)
    visits, impressions, stay = np.zeros(n), np.zeros(n), np.zeros(n)
    actions = {name: np.zeros(n) for name in ("click", "collect", "cart")}
    for wave in heard.waves:
        for row, user in enumerate(wave.user):
            visits[user] += 1
            impressions[user] += wave.item[wave.visit_of == row].size
        for click, user in enumerate(wave.click_user):
            stay[user] += wave.stay_ms[click]
            for name in actions:
                actions[name][user] += wave.actions[name][click]
    counted = {"visits": visits, "impressions": impressions, "stay_ms": stay, **actions}
    for name, column in counted.items():
        assert np.array_equal(found.column(name), column), name
    assert found.totals.n_impressions == impressions.sum()
    assert np.array_equal(found.state.visits, visits)


def test_landed_orders_are_counted_with_their_value(lived: tuple[Run, Waves]) -> None:
    found, heard = lived
    buys, value = np.zeros(300), np.zeros(300)
    returns, refunded = np.zeros(300), np.zeros(300)
    for landing in heard.landings:
        for action, count, cents in ((0, buys, value), (1, returns, refunded)):
            mine = landing.take(landing.action == action)
            np.add.at(count, mine.user, 1)
            np.add.at(cents, mine.user, mine.value)
    assert buys.sum() > 100
    assert returns.sum() > 5
    assert np.array_equal(found.column("buy"), buys)
    assert np.array_equal(found.column("return_goods"), returns)
    assert np.array_equal(found.column("value_cents"), value)
    assert np.array_equal(found.column("net_cents"), value - refunded)


def test_totals_are_whole_numbers(lived: tuple[Run, Waves]) -> None:
    assert lived[0].totals.totals.dtype == np.int64


def test_two_orders_of_one_person_in_one_landing_both_count(world: World) -> None:
    totals = Totals(world, 0)
    totals.landed(Orders.concatenate([order(4, 10, 500), order(4, 20, 700)]))
    assert totals.totals[4, totals.columns.index("buy")] == 2
    assert totals.totals[4, totals.columns.index("value_cents")] == 1200


def test_order_of_an_earlier_click_belongs_to_an_earlier_period(world: World) -> None:
    totals = Totals(world, 2 * DAY)
    totals.landed(Orders.concatenate([order(4, 2 * DAY - 1, 500), order(5, 2 * DAY, 700)]))
    assert totals.totals[:, totals.columns.index("buy")].sum() == 1
    assert totals.totals[5, totals.columns.index("value_cents")] == 700


def test_order_of_landings_does_not_matter(world: World) -> None:
    one, other = Totals(world, 0), Totals(world, 0)
    orders = [order(user % 3, 5, user * 7) for user in range(20)]
    for landing in orders:
        one.landed(landing)
    for landing in reversed(orders):
        other.landed(landing)
    assert one.totals.tobytes() == other.totals.tobytes()


def test_visits_and_impressions_are_expected_as_they_happened(lived: tuple[Run, Waves]) -> None:
    found, _ = lived
    for name in ("visits", "impressions"):
        assert np.array_equal(found.expectation(name), found.column(name))


def test_expected_clicks_are_examination_times_attraction(world: World) -> None:
    wave = serve_once(world)
    expected = Expectations(world, DAY)
    expected.served(wave)
    looked = np.array(examination(world.scenario))
    by_hand = np.zeros(300)
    for page, visit in enumerate(wave.visit_of):
        chance = world.funnel.attraction(wave.shown)[page].astype(np.float64)
        by_hand[wave.user[visit]] += (looked * chance).sum()
    np.testing.assert_allclose(expected.totals[:, expected.columns.index("click")], by_hand, rtol=1e-12)


def test_expected_orders_count_as_far_as_they_land_before_the_horizon(world: World) -> None:
    wave = serve_once(world)  # at noon of day 0
    buy = world.scenario.funnel.actions["buy"]
    assert buy.delay is not None
    for horizon in (DAY, 5 * DAY, 20 * DAY):
        expected = Expectations(world, horizon)
        expected.served(wave)
        within, eventual = (expected.totals[:, expected.columns.index(n)] for n in ("buy", EVENTUAL + "buy"))
        share = within.sum() / eventual.sum()
        landed, counted = buy.delay.landed_probability(np.array([horizon - DAY // 2, world.scenario.funnel.window]))
        # Pages are up to two minutes apart; the share falls by less than 0.2 % in that time.
        assert share == pytest.approx(float(landed / counted), rel=2e-3)


def test_visit_after_the_horizon_is_expected_to_bring_no_order(world: World) -> None:
    wave = serve_once(world, day=3)
    expected = Expectations(world, DAY)
    expected.served(wave)
    assert expected.totals[:, expected.columns.index("buy")].sum() == 0
    assert expected.totals[:, expected.columns.index(EVENTUAL + "buy")].sum() > 0


def test_expected_value_is_expected_orders_times_price_and_units(world: World) -> None:
    wave = serve_once(world)
    expected = Expectations(world, DAY)
    expected.served(wave)
    met = wave.shown
    looked = np.array(examination(world.scenario))
    happens = looked * world.funnel.attraction(met) * world.funnel.probability_after_click("buy", met)
    worth = (happens * world.catalogue.price[wave.item] * (0.8 + 2 * 0.14 + 3 * 0.06)).sum()
    buy = world.scenario.funnel.actions["buy"]
    assert buy.delay is not None
    counted = float(buy.delay.landed_probability(world.scenario.funnel.window))
    found = expected.totals[:, expected.columns.index(EVENTUAL + "value_cents")].sum()
    assert found == pytest.approx(worth * counted, rel=1e-6)


def test_recorders_start_from_zero(world: World) -> None:
    assert not Totals(world, 0).totals.any()
    assert not Expectations(world, DAY).totals.any()
    assert opening(world, 2).day == 0


def test_expectations_of_a_few_columns_are_those_of_all(world: World, lived: tuple[Run, Waves]) -> None:
    _, heard = lived
    wanted = ["value_cents", "click", "impressions", "stay_ms", EVENTUAL + "buy"]
    whole, few = Expectations(world, 5 * DAY), Expectations(world, 5 * DAY, wanted)
    for wave in heard.waves:
        whole.served(wave)
        few.served(wave)
    assert few.columns == tuple(wanted)
    at = [whole.columns.index(name) for name in wanted]
    np.testing.assert_array_equal(few.totals, whole.totals[:, at])
