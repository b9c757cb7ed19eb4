"""What comes after the visit: delays in a row, goods sent back, and the window within which an order counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from sim.actions import Delay, both_landed_probability
from sim.clock import DAY, HOUR
from sim.logbook import read_log
from sim.records import Floats, Ints
from sim.served import Orders
from sim.world import World
from tests.asserts import (
    assert_between_zero_and_one,
    assert_mean,
    assert_never_lower,
    assert_proportion,
    assert_zero_mean_per_column,
)
from tests.worlds import Run, Waves, ecommerce, run, run_logged, serve_once, small_world

QUICK = Delay(short_share=0.43, short_mean_hours=0.6, long_mean_days=9.5)
SLOW = Delay(short_share=0.2, short_mean_hours=5, long_mean_days=20)
PLAIN = Delay(short_share=0, short_mean_hours=1, long_mean_days=9.5)
N = 100_000
FAR = 1e12


def seconds(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def sampled(delay: Delay, seed: int) -> Ints:
    rng = np.random.default_rng(seed)
    return delay.draw(rng.random(N), 1 - rng.random(N))


# Two delays in a row ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(QUICK, SLOW), (SLOW, QUICK), (PLAIN, PLAIN), (QUICK, QUICK)])
@pytest.mark.parametrize(
    ("by", "window"),
    [(HOUR, FAR), (3 * DAY, FAR), (30 * DAY, FAR), (30 * DAY, 5 * DAY), (30 * DAY, HOUR), (DAY, 9 * DAY)],
)
def test_both_landed_is_the_share_of_draws_that_did(first: Delay, second: Delay, by: float, window: float) -> None:
    one, other = sampled(first, 1), sampled(second, 2)
    found = float(both_landed_probability(first, second, seconds(by), seconds(window))[0])
    # Draws are whole seconds, each up to one too short: two seconds of a mean of half an hour or more.
    assert_proportion((one + other < by) & (one < window), found, z=5.5)


def test_both_landed_is_the_integral_over_the_first() -> None:
    def density(s: float) -> float:
        return sum(p / m * np.exp(-s / m) for p, m in QUICK.parts())

    def integrand(s: float) -> float:
        return density(s) * float(SLOW.landed_probability(seconds(5 * DAY - s))[0])

    whole = quad(integrand, 0, 2 * HOUR)[0] + quad(integrand, 2 * HOUR, 4 * DAY, limit=200)[0]
    found = float(both_landed_probability(QUICK, SLOW, seconds(5 * DAY), seconds(4 * DAY))[0])
    assert found == pytest.approx(whole, rel=1e-7)


@pytest.mark.parametrize("apart", [0, 1e-12, 1e-9, 1e-6, 1e-4])
def test_equal_means_have_the_law_of_a_gamma(apart: float) -> None:
    """X + Y of equal exponentials: P(X + Y < t) = 1 - exp(-t/m)(1 + t/m); nearly equal ones come close to it."""
    other = Delay(0, 1, 9.5 * (1 + apart))
    for t in (1e-6, 0.1, 1.0, 3.0, 20.0):
        found = float(both_landed_probability(PLAIN, other, seconds(t * 9.5 * DAY), seconds(FAR))[0])
        assert found == pytest.approx(1 - np.exp(-t) * (1 + t), rel=2e-4, abs=1e-9)


def test_window_shorter_than_the_horizon_bounds_the_first_alone() -> None:
    """In the end the second lands for certain: what is left is whether the first kept the window."""
    window = seconds(HOUR, DAY, 7 * DAY)
    found = both_landed_probability(QUICK, SLOW, seconds(FAR), window)
    np.testing.assert_allclose(found, QUICK.landed_probability(window))


def test_without_a_window_both_land_in_the_end() -> None:
    assert float(both_landed_probability(QUICK, SLOW, seconds(FAR), seconds(np.inf))[0]) == 1


def test_window_beyond_the_horizon_changes_nothing() -> None:
    by = seconds(HOUR, DAY, 30 * DAY)
    one, other = (both_landed_probability(QUICK, SLOW, by, by * more) for more in (1, 7))
    np.testing.assert_array_equal(one, other)


def test_chances_never_fall_with_time_nor_exceed_either_alone() -> None:
    by = np.concatenate([[-5.0, 0.0], np.geomspace(1e-3, FAR, 300)])
    for window in (HOUR, 30 * DAY, np.inf):
        found = both_landed_probability(QUICK, SLOW, by, np.minimum(by, window))
        assert_between_zero_and_one(found)
        assert_never_lower(found[1:] + 1e-15, found[:-1])
        assert_never_lower(QUICK.landed_probability(np.minimum(by, window)) + 1e-15, found)
        assert_never_lower(SLOW.landed_probability(by) + 1e-15, found)
    assert (both_landed_probability(QUICK, SLOW, by[:2], by[:2]) == 0).all()


@pytest.mark.parametrize("means", [(1e-4, 1e6), (1e-4, 1e-4), (1e6, 1e6), (1e6, 1e-4)])
def test_extreme_delays_neither_overflow_nor_lose_their_number(means: tuple[float, float]) -> None:
    """RuntimeWarnings are errors in these tests."""
    first, second = (Delay(0.5, mean, mean) for mean in means)
    by = np.geomspace(1e-6, FAR, 50)
    found = both_landed_probability(first, second, by, by)
    assert_between_zero_and_one(found)
    assert_between_zero_and_one(first.landed_probability(by))
    assert_never_lower(found[1:] + 1e-12, found[:-1])


def test_funnel_takes_the_delays_of_the_whole_chain() -> None:
    spec = ecommerce().funnel
    assert [len(spec.delays(name)) for name in ("cart", "buy", "return_goods")] == [0, 1, 2]
    assert spec.late == ("buy", "return_goods")
    buy, back = spec.delays("return_goods")
    by = seconds(DAY, 40 * DAY)
    np.testing.assert_array_equal(spec.landed_probability("buy", by), buy.landed_probability(np.minimum(by, 30 * DAY)))
    expected = both_landed_probability(buy, back, by, np.minimum(by, 30 * DAY))
    np.testing.assert_array_equal(spec.landed_probability("return_goods", by), expected)


# Goods sent back ---------------------------------------------------------------------------------------------------


def funnel(attribution_days: float | None = 30, back: float = 0.4) -> dict[str, Any]:
    """Half of the clicks buy, and so many of the goods come back, mostly soon."""
    actions = dict(ecommerce().funnel.actions)
    actions["buy"] = replace(actions["buy"], rate=0.3)
    actions["return_goods"] = replace(actions["return_goods"], rate=back, delay=Delay(0.5, 5, 3))
    return {"actions": actions, "attribution_days": attribution_days}


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(1500, people={"habit_days": 1.0}, funnel=funnel())


@pytest.fixture(scope="module")
def lived(world: World) -> tuple[Run, Waves]:
    waves = Waves()
    return run(world, 8, also=(waves,)), waves


def by_impression(orders: Orders, action: int) -> dict[tuple[int, int], tuple[int, ...]]:
    mine = orders.take(orders.action == action)
    keys = zip(mine.request.tolist(), mine.rank.tolist(), strict=True)
    rest = (mine.due, mine.value, mine.item, mine.user, mine.units, mine.clicked, mine.attributed)
    return dict(zip(keys, zip(*(column.tolist() for column in rest), strict=True), strict=True))


def test_return_lands_after_its_purchase_only_for_what_was_bought_and_refunds_what_was_earned(
    lived: tuple[Run, Waves],
) -> None:
    orders = Orders.concatenate([wave.orders for wave in lived[1].waves])
    bought, back = by_impression(orders, 0), by_impression(orders, 1)
    assert len(back) > 300
    assert back.keys() < bought.keys()
    for key, (due, value, item, user, units, clicked, attributed) in back.items():
        paid = bought[key]
        assert due >= paid[0]
        assert value == paid[1] > 0
        assert (item, user, clicked, attributed) == (paid[2], paid[3], paid[5], paid[6])
        assert units == 0  # nothing leaves the shelf


def test_returns_happen_at_their_stated_rate_per_purchase() -> None:
    world = small_world(6000, funnel=funnel())
    wave = serve_once(world)
    bought = wave.actions["buy"]
    chance = world.funnel.probability("return_goods", wave.met)
    assert_mean((wave.actions["return_goods"] - chance)[bought], 0)
    assert wave.actions["return_goods"][bought].mean() == pytest.approx(0.4, abs=0.06)


def test_net_value_is_value_without_what_was_refunded(lived: tuple[Run, Waves]) -> None:
    found, waves = lived
    landed = Orders.concatenate(waves.landings)
    landed = landed.take(landed.attributed > 0)
    value = np.bincount(landed.user, landed.value * (landed.action == 0), minlength=1500)
    refund = np.bincount(landed.user, landed.value * (landed.action == 1), minlength=1500)
    assert refund.sum() > 0
    assert np.array_equal(found.column("value_cents"), value)
    assert np.array_equal(found.column("net_cents"), value - refund)


def test_log_holds_the_refund_beside_the_value(world: World, tmp_path: Path) -> None:
    found, _ = run_logged(tmp_path, world, 4)
    log = read_log([tmp_path])
    back = log["return_goods"] == 1
    assert back.sum() > 100
    assert np.array_equal(log["refund"], np.where(back, log["value"], 0))
    assert (log["return_goods_time"][back] >= log["buy_time"][back]).all()
    assert not (back & (log["buy"] == 0)).any()
    net = np.bincount(log.user, log["value"] - log["refund"], minlength=1500)
    assert np.array_equal(found.column("net_cents"), net)


EXPECTED = ("buy", "return_goods", "value_cents", "net_cents")


@pytest.mark.parametrize("window", [30, 0.5, None], ids=["a month", "half a day", "no window"])
def test_returns_and_net_value_agree_with_their_expectations(window: float | None) -> None:
    """Also where the window leaves out half of the orders."""
    some = small_world(3000, people={"habit_days": 1.0}, funnel=funnel(window))
    found = run(some, 6)
    gap = np.stack([found.column(name) - found.expectation(name) for name in EXPECTED], axis=1)
    assert_zero_mean_per_column(gap, EXPECTED)
    assert found.column("return_goods").sum() > 300


# Attribution -------------------------------------------------------------------------------------------------------


def test_order_later_than_the_window_is_on_its_way_and_counts_nowhere(tmp_path: Path) -> None:
    short = small_world(1000, people={"habit_days": 1.0}, funnel=funnel(attribution_days=0.25))
    waves = Waves()
    found = run(short, 6, also=(waves,))
    run_logged(tmp_path, short, 6)
    landed = Orders.concatenate(waves.landings)
    late = (landed.action == 0) & (landed.due - landed.clicked > 0.25 * DAY)
    assert late.sum() > 100
    assert np.array_equal(landed.attributed[landed.action == 0] == 0, late[landed.action == 0])
    counted = landed.take((landed.action == 0) & ~late)
    assert np.array_equal(found.column("buy"), np.bincount(counted.user, minlength=1000))
    log = read_log([tmp_path])
    assert log["buy"].sum() == len(counted)
    bought = log["buy"] == 1
    assert (log["buy_time"] - log.time)[bought].max() <= 0.25 * DAY
    assert (found.state.orders.attributed == 0).any()


def test_window_changes_what_counts_and_nothing_that_happens() -> None:
    fate = {}
    for window in (0.25, None):
        world = small_world(300, people={"habit_days": 1.0}, funnel=funnel(window))
        waves = Waves()
        run(world, 4, also=(waves,))
        fate[window] = Orders.concatenate(waves.landings)
    for name in ("user", "request", "item", "due", "value"):
        assert np.array_equal(getattr(fate[0.25], name), getattr(fate[None], name))
    assert (fate[None].attributed == 1).all()


def test_return_counts_if_its_purchase_does() -> None:
    """Net value would otherwise lose money that was never earned."""
    short = small_world(600, people={"habit_days": 1.0}, funnel=funnel(attribution_days=0.1))
    waves = Waves()
    found = run(short, 8, also=(waves,))
    assert (found.column("net_cents") >= 0).all()
    assert (found.column("return_goods") <= found.column("buy")).all()
    assert found.column("return_goods").sum() > 20


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Delay(-0.1, 1, 1), "short_share must be >= 0, got -0.1"),
        (lambda: Delay(0.5, -1, 1), "short_mean_hours must be > 0, got -1"),
        (lambda: Delay(0.5, 1, 0), "long_mean_days must be > 0, got 0"),
    ],
)
def test_impossible_delays_are_refused(build: Callable[[], Delay], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build()
