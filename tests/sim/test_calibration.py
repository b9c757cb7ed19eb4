"""Calibration: the rates that a scenario states are the rates that people who were not asked show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sim.scenario import Scenario
from sim.served import Served
from sim.world import World, build, calibrate
from tests.asserts import assert_same_columns
from tests.worlds import EXAMINE_ALL, scenario, serve_once, small_world, with_action

SAMPLE = 12_000  # people in the calibration sample, see sim.world.calibrate
N, DAYS = 12_000, 12


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(N, catalogue={"items": 2000})


@pytest.fixture(scope="module")
def visits(world: World) -> list[Served]:
    """A thousand new users on each of some days, so that many pools are met."""
    return [serve_once(world, day=day, rows=np.arange(N)[day::DAYS]) for day in range(DAYS)]


def per_visit(world: World, served: Served, name: str) -> np.ndarray:
    """Expected counts of an action (or impressions) in each visit."""
    met = served.shown
    click = world.scenario.attention.click_probability(
        world.funnel.attraction(met).astype(np.float64), np.zeros(served.item.shape)
    )
    of: dict[str, Callable[[], np.ndarray]] = {
        "shown": lambda: np.ones_like(click),
        "click": lambda: click,
        "stay": lambda: click * world.funnel.stay(met),
        "enjoyment": lambda: click / (1 + np.exp(-world.funnel.enjoyment(met).astype(np.float64))),
    }
    found = of[name]() if name in of else click * world.funnel.probability_after_click(name, met)
    return np.bincount(served.visit_of, found.sum(axis=1), minlength=len(served.user))


def ratio_and_error(world: World, visits: list[Served], numerator: str, denominator: str) -> tuple[float, float]:
    """A rate over all visits, and the standard error of its difference from the calibration sample's.

    Linearised (delta method). Both samples vary by visit and by pool: a residual's mean over the visits of
    one pool varies more than visits alone explain, since they share their candidates.
    """
    top = np.concatenate([per_visit(world, served, numerator) for served in visits])
    bottom = np.concatenate([per_visit(world, served, denominator) for served in visits])
    pool = np.concatenate([served.requests.pool + 1000 * day for day, served in enumerate(visits)])
    ratio = top.sum() / bottom.sum()
    residual = (top - ratio * bottom) / bottom.mean()
    group = np.unique(pool, return_inverse=True)[1]
    sums = np.bincount(group, residual)
    per_visit_variance = (sums**2).sum() / len(residual)  # clustered, hence with the pools' share
    visits_per_pool = len(residual) / len(sums)
    between = max(0.0, per_visit_variance - residual.var()) / visits_per_pool  # variance of a pool's mean
    own = residual.var() / SAMPLE + between / (world.items.n_segments * 16)
    return float(ratio), float(np.sqrt(per_visit_variance / len(residual) + own))


@pytest.mark.parametrize("action", ["click", "collect", "cart", "buy"])
def test_stated_rate_is_reached_by_people_outside_the_sample(world: World, visits: list[Served], action: str) -> None:
    spec = world.scenario.funnel.actions[action]
    assert spec.rate is not None
    found, error = ratio_and_error(world, visits, action, spec.parent)
    print(f"{action}: {found:.4f}, stated {spec.rate}, standard error {error:.4f}")
    assert abs(found - spec.rate) < 5 * error
    assert error < 0.05 * spec.rate  # a defect of a quarter of the rate would be seen


def test_median_stay_is_reached(world: World, visits: list[Served]) -> None:
    """Stays are log-normal around a driven median; the mean of its log is what was solved for."""
    found, error = ratio_and_error(world, visits, "stay", "click")
    assert abs(found - np.log(world.scenario.funnel.stay.median)) < 5 * error


def test_mean_enjoyment_is_where_satisfaction_starts(world: World, visits: list[Served]) -> None:
    found, error = ratio_and_error(world, visits, "enjoyment", "click")
    assert abs(found - world.scenario.satisfaction.start) < 5 * error


def test_intercepts_do_not_depend_on_the_users() -> None:
    few, many = small_world(3), small_world(50)
    for name, response in few.funnel.log_odds.items():
        assert response.by_item.tobytes() == many.funnel.log_odds[name].by_item.tobytes()
    assert few.funnel.stay.by_item.tobytes() == many.funnel.stay.by_item.tobytes()
    assert few.funnel.enjoyment.by_item.tobytes() == many.funnel.enjoyment.by_item.tobytes()


def test_intercepts_are_equal_in_every_market() -> None:
    a, b = (small_world(np.arange(5), market=market, n_markets=2) for market in (0, 1))
    assert a.funnel.log_odds["buy"].by_item.tobytes() == b.funnel.log_odds["buy"].by_item.tobytes()


def test_a_lower_rate_needs_a_lower_intercept_and_moves_no_other_above_it() -> None:
    spec = scenario(catalogue={"items": 400})
    low = replace(spec, funnel=replace(spec.funnel, **with_action("buy", rate=0.01)))
    one, other = (intercepts(s) for s in (spec, low))
    assert other["buy"] < one["buy"]
    below = ("buy", "return_goods")  # a return is solved for over the orders
    assert {n: v for n, v in one.items() if n not in below} == {n: v for n, v in other.items() if n not in below}


def test_seeing_everything_needs_less_attraction() -> None:
    spec = scenario(catalogue={"items": 400})
    assert intercepts(scenario(catalogue={"items": 400}, attention=EXAMINE_ALL))["click"] < intercepts(spec)["click"]


def test_rate_beyond_attention_is_refused_with_the_limit() -> None:
    spec = scenario(catalogue={"items": 400}, funnel=with_action("click", rate=0.9))
    with pytest.raises(
        ValueError, match=r"click: the rate 0.9 cannot be reached.*must lie between .* and 0\.\d+; change the rate"
    ):
        build(spec, 1, np.arange(3))


def intercepts(spec: Scenario) -> dict[str, float]:
    world = build(spec, 1, np.arange(2))
    return dict(calibrate(world.scenario, 1, world.catalogue, world.items))


def test_same_seed_builds_the_same_world() -> None:
    one, other = small_world(20, seed=0), small_world(20, seed=0)
    assert_same_columns(one.catalogue, other.catalogue)
    assert one.funnel.log_odds["buy"].by_item.tobytes() == other.funnel.log_odds["buy"].by_item.tobytes()


def test_rates_hold_where_many_markets_leave_few_items_to_choose_from() -> None:
    """Calibrated on pools of all items, 40 markets of 100 items each clicked 23 % less than stated."""
    spec, n_markets = scenario(catalogue={"items": 4000}), 40
    clicks = shown = 0
    for market in range(0, n_markets, 5):
        users = np.arange(market, 800 * n_markets, n_markets)
        world = build(spec, 1, users, market, n_markets)
        served = serve_once(world)
        clicks += len(served.click_page)
        shown += served.item.size
    assert clicks / shown == pytest.approx(spec.funnel.actions["click"].rate, rel=0.08)
