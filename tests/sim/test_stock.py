"""Shelves that users share: nothing is sold twice, what is lost leaves no trace, and plenty is as good as no shelf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.baselines import Production
from sim.actions import Delay
from sim.attention import PositionBased
from sim.clock import DAY, HOUR, Process
from sim.engine import Arm, Market, State, opening, simulate_markets
from sim.ledger import Totals
from sim.logbook import impression_id, read_log
from sim.market import MarketSpec, Shared, StockSpec, expected_sales
from sim.records import Ints
from sim.season import Season
from sim.served import Orders, Served
from sim.shop import Shop
from sim.traffic import Traffic
from sim.visits import VisitDesk
from sim.world import World
from tests.asserts import assert_mean, assert_same_columns
from tests.worlds import WARMUP, Waves, ecommerce, run, run_logged, small_world

USERS, DAYS = 500, 6


def bare(**stock: Any) -> dict[str, Any]:
    """A shop of few goods that many want."""
    actions = dict(ecommerce().funnel.actions)
    actions["buy"] = replace(actions["buy"], rate=0.5)
    actions["return_goods"] = replace(actions["return_goods"], rate=0.4)
    return {
        "people": {"habit_days": 1.0},
        "funnel": {"actions": actions},
        "shares": MarketSpec(stock=StockSpec(**{"median_units": 2, "log_sd": 0.3, "refill_days": 3, **stock})),
        "catalogue": {"items": 120},
    }


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(USERS, **bare())


@dataclass
class Lived:
    waves: Waves
    shop: Shop
    state: State
    totals: Totals
    shelves: list[tuple[Served, Ints]]  # every wave, with the shelf that it found


def live(world: World, days: int, start: State | None = None, tick: int = HOUR, arm: Arm = WARMUP) -> Lived:
    """Some days of a shared market, seen from inside."""
    waves, totals = Waves(), Totals(world, 0)
    start = start or opening(world, 2, sharing=True)
    shelves: list[tuple[Served, Ints]] = []
    found: list[Shop] = []

    def watch(shops: Sequence[Shop]) -> Process:
        (shop,) = shops
        found.append(shop)
        serve = shop.serve

        def noted(wave: Ints) -> Served:
            assert shop.shared is not None
            before = shop.shared.units.copy()
            shelves.append((serve(wave), before))
            return shelves[-1][0]

        shop.serve = noted  # type: ignore[method-assign]
        yield shop.env.event()

    traffic = Traffic.fixed(np.zeros(len(world.people), dtype=np.int64))
    market = Market(world, start, traffic, (waves, totals), tick)
    (state,) = simulate_markets([market], start.day + days, [arm], 2, stories=[watch])
    return Lived(waves, found[0], state, totals, shelves)


@pytest.fixture(scope="module")
def lived(world: World) -> Lived:
    return live(world, DAYS)


def shared(state: State) -> Shared:
    assert state.shared is not None
    return state.shared


def order_set(orders: Orders) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(orders, f.name).tolist() for f in fields(Orders)), strict=True))


def impressions(orders: Orders) -> Ints:
    return impression_id(orders.request, orders.rank)


def due_orders(lived: Lived, days: int = DAYS) -> Orders:
    made = Orders.concatenate([wave.orders for wave in lived.waves.waves])
    return made.take(made.due < days * DAY)


# Between refills ----------------------------------------------------------------------------------------------------


def test_never_more_is_sold_than_was_there_between_refills(world: World, lived: Lived) -> None:
    spec = world.scenario.market.stock
    assert spec is not None
    level = spec.level(world.seed, np.arange(len(world.catalogue)))
    landed = Orders.concatenate(lived.waves.landings)
    for period in range(DAYS // 3):
        mine = landed.take(landed.due // (3 * DAY) == period)
        sold = np.bincount(mine.item, mine.units, minlength=len(level))
        assert (sold <= level).all()
        assert (sold == level).sum() > 20  # many shelves are emptied


def test_shelf_holds_what_was_not_sold_since_the_refill(world: World) -> None:
    found = live(world, 5)
    spec = world.scenario.market.stock
    assert spec is not None
    level = spec.level(world.seed, np.arange(len(world.catalogue)))
    landed = Orders.concatenate(found.waves.landings)
    since = landed.take(landed.due >= 3 * DAY)
    sold = np.bincount(since.item, since.units, minlength=len(level)).astype(np.int64)
    assert np.array_equal(shared(found.state).units, level - sold)


def test_shelves_are_full_on_the_morning_after_a_refill(world: World) -> None:
    spec = world.scenario.market.stock
    assert spec is not None
    assert np.array_equal(shared(live(world, 3).state).units, spec.level(world.seed, np.arange(len(world.catalogue))))
    assert (shared(live(world, 2).state).units < spec.level(world.seed, np.arange(len(world.catalogue)))).any()


def test_first_due_is_first_served(lived: Lived) -> None:
    """A lost order found too little left after all that landed before it in its period."""
    landed = set(impressions(Orders.concatenate(lived.waves.landings)).tolist())
    due = due_orders(lived)
    due = due.take((due.action == 0) & (due.due < 3 * DAY))
    level = lived.shop.world.scenario.market.stock
    assert level is not None
    left = level.level(lived.shop.world.seed, np.arange(len(lived.shop.world.catalogue)))
    for row in np.lexsort((due.rank, due.request, due.due)).tolist():
        got = due.units[row] <= left[due.item[row]]
        assert (int(impressions(due)[row]) in landed) == got
        left[due.item[row]] -= due.units[row] * got


# Lost orders -------------------------------------------------------------------------------------------------------


def test_lost_orders_and_their_returns_leave_no_trace(lived: Lived) -> None:
    due = due_orders(lived)
    landed = Orders.concatenate(lived.waves.landings)
    got = np.isin(impressions(due), impressions(landed))
    lost = due.take(~got)
    assert lived.shop.n_unfilled == (lost.action == 0).sum() > 100
    assert order_set(due.take(got)) == order_set(landed)
    assert (lost.action == 1).sum() > 5  # returns that would have come of them
    kept = landed.take(landed.attributed > 0)
    for name, action in (("buy", 0), ("return_goods", 1)):
        count = np.bincount(kept.user[kept.action == action], minlength=USERS)
        assert np.array_equal(lived.totals.totals[:, lived.totals.columns.index(name)], count)
    net = np.where(kept.action == 0, kept.value, -kept.value)
    column = lived.totals.totals[:, lived.totals.columns.index("net_cents")]
    assert np.array_equal(column, np.bincount(kept.user, net, minlength=USERS))


def test_log_holds_the_orders_that_were_filled(world: World, lived: Lived, tmp_path: Path) -> None:
    run_logged(tmp_path, world, DAYS, state=opening(world, 2, sharing=True))
    log = read_log([tmp_path])
    landed = Orders.concatenate(lived.waves.landings)
    kept = landed.take(landed.attributed > 0)
    assert log["buy"].sum() == (kept.action == 0).sum()
    assert log["return_goods"].sum() == (kept.action == 1).sum()
    assert log["value"].sum() == kept.value[kept.action == 0].sum()


# Listing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", [WARMUP, Arm("greedy", Production())], ids=["exploring", "greedy"])
def test_sold_out_items_are_not_listed_while_enough_others_are_there(world: World, arm: Arm) -> None:
    spec = bare(median_units=3)
    wide = small_world(USERS, **{**spec, "browse": {"pages": 2}})
    found = live(wide, 3, arm=arm)
    hidden = 0
    for wave, units in found.shelves:
        candidates = wave.requests.candidates[wave.visit_of]  # (pages, C)
        enough = (units[candidates] > 0).sum(axis=1) >= 20
        assert (units[wave.item][enough] > 0).all()
        hidden += int((units[candidates][enough] == 0).sum())
        assert (wave.propensity >= 0).all()
    assert hidden > 1000


# Plenty ------------------------------------------------------------------------------------------------------------


def test_plentiful_stock_is_as_good_as_none_bit_for_bit() -> None:
    world = small_world(USERS, **bare(median_units=1e6))
    alone, together = run(world, DAYS), run(world, DAYS, state=opening(world, 2, sharing=True))
    assert alone.totals.totals.tobytes() == together.totals.totals.tobytes()
    assert alone.expected.totals.tobytes() == together.expected.totals.tobytes()
    assert_same_columns(alone.state, together.state, ("next_visit", "visits", "satisfaction"))
    assert order_set(alone.state.orders) == order_set(together.state.orders)
    assert len(shared(together.state).unfilled) == 0


def test_market_that_shares_nothing_cannot_be_opened_for_sharing() -> None:
    world = small_world(3, shares=MarketSpec())
    with pytest.raises(
        ValueError, match=r"scenario 'ecommerce' has nothing to share; give it market\.stock or \.recruiters"
    ):
        opening(world, 2, sharing=True)


# Parts and ticks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_shared_days_in_two_parts_are_the_days_in_one(world: World, lived: Lived, cut: int) -> None:
    """In two parts another order of booking once let orders land before the visits of their tick, or after."""
    first = live(world, cut)
    second = live(world, DAYS - cut, start=first.state)
    assert np.array_equal(shared(second.state).units, shared(lived.state).units)
    unfilled = [np.sort(shared(part.state).unfilled) for part in (second, lived)]
    assert np.array_equal(unfilled[0], unfilled[1])
    same_orders = order_set(second.state.orders) == order_set(lived.state.orders)  # thousands: no need to print them
    assert same_orders
    assert_same_columns(second.state, lived.state, ("next_visit", "visits", "satisfaction"))


# Known demand --------------------------------------------------------------------------------------------------------


def test_one_item_of_poisson_demand_sells_as_expected() -> None:
    """Many who seldom come to one item and buy a unit of it: weekly demand is Poisson's, sales are E[min(D, S)].

    The item is shown even when it has run out, since there is no other; so demand is the same with the shelf and
    without it, and each week's sales are the lesser of demand and stock.
    """
    actions = dict(ecommerce().funnel.actions)
    soon = replace(
        actions["buy"],
        rate=0.5,
        units=(1.0,),
        lifted_by={},
        drivers={},
        delay=Delay(1.0, 0.6, 1.0),
    )
    lone = {
        "catalogue": {"items": 1},
        "browse": {"candidates": 1, "pages": 1},
        "attention": PositionBased((1.0,)),
        "funnel": {
            "actions": {
                "click": replace(actions["click"], rate=0.3, drivers={}),
                "cart": actions["cart"],
                "collect": actions["collect"],
                "buy": soon,
            }
        },
        "season": Season(),
        "people": {
            "habit_days": 100.0,
            "heavy_share": 0.0,
            "styles": {"plain": replace(ecommerce().people.styles["silent"], shifts={})},
        },
        "satisfaction": {"return_strength": 0.0},
        "metrics": {"ctr": ecommerce().metrics["ctr"]},
    }
    stock, weeks = 6, 60
    market = MarketSpec(stock=StockSpec(median_units=stock, log_sd=0, refill_days=7))
    world = small_world(900, **lone, shares=market)  # type: ignore[arg-type]
    weekly = {}
    for sharing in (False, True):
        waves = Waves()
        run(world, 7 * weeks, state=opening(world, 2, sharing=sharing), tick=DAY, also=(waves,))
        landed = Orders.concatenate(waves.landings)
        weekly[sharing] = np.bincount(landed.due // (7 * DAY), minlength=weeks)[20:]  # once visits are spread
    demand, sales = weekly[False], weekly[True]
    assert np.array_equal(sales, np.minimum(demand, stock))
    assert 3 < demand.mean() < 12
    assert_mean(sales, expected_sales(float(demand.mean()), stock))
    assert sales.mean() < demand.mean() - 0.2


def test_cold_exploration_shows_what_has_sold_out_last_too() -> None:
    """Utilities are scores over temperature: at 1e-6 they spread wider than what was taken off the sold out, and a
    fifth of what was shown was not there any more."""
    world = small_world(300, catalogue={"items": 400})
    desk = VisitDesk(world, [(Production(), 1e-6)], 2)
    desk.listed = np.arange(400) % 4 > 0
    user, noon = np.arange(300), np.full(300, DAY // 2)
    served = desk.serve(user, noon, user * 0, np.full(300, 0.5), user * 0)
    assert len(served.item) > 300
    assert desk.listed[served.item].all()
