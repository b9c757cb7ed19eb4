"""Ticks, markets and company: what groups wake-ups changes nothing, or, where something is shared, nothing but luck."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.attention import Cascade, DynamicBayesian
from sim.clock import DAY, HOUR
from sim.engine import Market, State, opening, simulate, simulate_markets
from sim.ledger import Totals
from sim.logbook import HIDDEN_FILE, LOG_FILE
from sim.market import MarketSpec, StockSpec
from sim.scenario import Scenario
from sim.served import Orders
from sim.traffic import Traffic
from sim.world import World, build
from tests.asserts import assert_same_columns, assert_same_parquet, assert_zero_mean_per_column
from tests.worlds import WARMUP, Run, Waves, ecommerce, recruiting, run, run_logged, small_world, with_action

BUSY: dict[str, Any] = {"people": {"habit_days": 1.0}, "funnel": with_action("buy", rate=0.3)}
SHELF = MarketSpec(stock=StockSpec(median_units=2, log_sd=0.3, refill_days=2))


def same_state(a: State, b: State) -> None:
    assert_same_columns(a, b, ("next_visit", "visits", "satisfaction"))
    same = order_set(a.orders) == order_set(b.orders)
    assert same
    if a.shared is not None and b.shared is not None:
        assert_same_columns(a.shared, b.shared, ("units", "active", "satisfaction", "suitable_at"))


def order_set(orders: Orders) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(orders, f.name).tolist() for f in fields(Orders)), strict=True))


# Ticks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attention",
    [ecommerce().attention, Cascade(10, 0.05, 0.4), DynamicBayesian(10, 0.9)],
    ids=["position", "cascade", "bayesian"],
)
def test_half_a_tick_leaves_the_same_bytes_where_nothing_is_shared(attention: Any, tmp_path: Path) -> None:
    """With the shop's season, its returns, and people who read from the top."""
    world = small_world(250, **BUSY, attention=attention)
    assert not world.scenario.season.flat
    whole, checksum = run_logged(tmp_path / "hour", world, 3, tick=HOUR)
    half, other = run_logged(tmp_path / "half", world, 3, tick=HOUR // 2)
    assert checksum == other
    assert (tmp_path / "hour" / LOG_FILE).read_bytes() == (tmp_path / "half" / LOG_FILE).read_bytes()
    assert_same_parquet(tmp_path / "hour" / HIDDEN_FILE, tmp_path / "half" / HIDDEN_FILE)
    same_state(whole.state, half.state)
    assert whole.totals.totals.tobytes() == half.totals.totals.tobytes()
    assert whole.expected.totals.tobytes() == half.expected.totals.tobytes()
    assert whole.column("return_goods").sum() > 0


def shared_run(world: World, tick: int) -> Run:
    return run(world, 5, state=opening(world, 2, sharing=True), tick=tick)


@pytest.mark.parametrize("kind", ["stock", "recruiters"])
def test_half_a_tick_moves_no_metric_beyond_luck_where_something_is_shared(kind: str) -> None:
    """Who finds the last unit changes; how much is clicked, sold and answered on average does not."""
    if kind == "stock":
        world = small_world(1200, **BUSY, shares=SHELF, catalogue={"items": 150})
        names: tuple[str, ...] = ("click", "buy", "value_cents", "visits")
    else:
        world = build(recruiting(), 1, np.arange(800))
        names = ("click", "apply", "answer", "interview", "visits")
    one, other = shared_run(world, HOUR), shared_run(world, HOUR // 2)
    gap = np.stack([one.column(name) - other.column(name) for name in names], axis=1).astype(np.float64)
    assert_zero_mean_per_column(gap, names)
    assert one.column(names[1]).sum() > 100


# New items -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arriving() -> World:
    return small_world(300, people={"habit_days": 0.7}, catalogue={"new_share": 0.4, "new_days": 5})


def test_items_arrive_on_the_days_that_are_stated(arriving: World) -> None:
    first = arriving.catalogue.first_day
    assert (first > 0).mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / 400))
    assert set(first.tolist()) == {0, 1, 2, 3, 4, 5}


def test_new_items_are_never_shown_before_their_first_day_and_are_shown_after(arriving: World) -> None:
    waves = Waves()
    run(arriving, 8, also=(waves,))
    first, shown_new = arriving.catalogue.first_day, np.zeros(400, dtype=bool)
    for wave in waves.waves:
        day = int(wave.requests.time[0]) // DAY
        assert (first[wave.requests.pools] <= day).all()
        assert (first[wave.item] <= day).all()
        shown_new[wave.item.ravel()] = True
    assert shown_new[first > 0].mean() > 0.9


def test_new_items_have_no_history(arriving: World) -> None:
    """They enter at the average: popularity says nothing of them, and no more of one than of another."""
    new = arriving.catalogue.first_day > 0
    popularity = arriving.items.popularity
    assert (popularity[new] == popularity[new][0]).all()
    assert (popularity[~new].std(axis=0) > 0.5).all()
    # What a new item would be liked like must not have leaked into it.
    assert np.abs(popularity[new][0]).max() < np.abs(popularity[~new]).max() / 3


def test_shop_without_new_items_has_all_from_the_beginning() -> None:
    assert (small_world(3).catalogue.first_day == 0).all()


def test_new_items_leave_the_others_as_they_were(arriving: World) -> None:
    plain = small_world(300, people={"habit_days": 0.7})
    for name in ("topic", "quality", "appeal", "price", "rating"):
        assert getattr(plain.catalogue, name).tobytes() == getattr(arriving.catalogue, name).tobytes()
    old = arriving.catalogue.first_day == 0
    assert np.array_equal(plain.items.popularity[old], arriving.items.popularity[old])


def test_too_few_items_on_the_first_day_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least browse\.candidates = 100 items on day 0.*raise catalogue.items"):
        small_world(3, catalogue={"items": 150, "new_share": 0.9})


# Markets and company --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", [False, True])
def test_two_markets_under_one_clock_are_two_markets_bit_for_bit(sharing: bool) -> None:
    worlds = [small_world(np.arange(m, 300, 2), market=m, n_markets=2, **BUSY, shares=SHELF) for m in range(2)]
    starts = [opening(world, 2, sharing=sharing) for world in worlds]
    alone, together = ([Totals(world, 0) for world in worlds] for _ in range(2))
    arm_of = np.zeros(150, dtype=np.int64)
    ends = [
        simulate(world, start, 4, [WARMUP], arm_of, 2, [totals])
        for world, start, totals in zip(worlds, starts, alone, strict=True)
    ]
    markets = [
        Market(world, start, Traffic.fixed(arm_of), [totals])
        for world, start, totals in zip(worlds, starts, together, strict=True)
    ]
    both = simulate_markets(markets, 4, [WARMUP], 2)
    for one, other in zip(ends, both, strict=True):
        same_state(one, other)
        assert_same_columns(one.orders, other.orders)
    for mine, theirs in zip(alone, together, strict=True):
        assert mine.totals.tobytes() == theirs.totals.tobytes()
    assert alone[0].totals.sum() != alone[1].totals.sum()


@pytest.mark.parametrize("scenario", [None, recruiting()], ids=["shop", "recruiting"])
def test_one_user_more_changes_nobody_else_where_nothing_is_shared(scenario: Scenario | None) -> None:
    def lived(users: int) -> Run:
        world = (
            small_world(users, **BUSY, attention=Cascade(10, 0.05, 0.4))
            if scenario is None
            else build(scenario, 1, np.arange(users))
        )
        return run(world, 3)

    few, many = lived(150), lived(151)
    assert few.totals.totals.tobytes() == many.totals.totals[:150].tobytes()
    assert few.expected.totals.tobytes() == many.expected.totals[:150].tobytes()
    same_state(few.state, many.state.take(np.arange(150)))
