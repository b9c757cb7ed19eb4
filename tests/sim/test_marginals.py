"""The marginals of the e-commerce world against the bands that public data give; printed, then asserted.

Rates are expectations over what the warm-up shows (popularity, temperature .5), so what chance there is
comes from who visits and what they are shown, not from a few hundred orders.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from policies.baselines import Production, RandomRanking
from sim.clock import DAY, HOUR
from sim.engine import Arm
from sim.oracle import Oracle
from sim.records import Ranker
from sim.world import World
from tests.asserts import assert_proportion, assert_within
from tests.worlds import WARMUP, Run, Waves, ecommerce, examination, run, serve_once, small_world

USERS, DAYS = 5000, 14
JOACHIMS = (0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06)


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(USERS, catalogue={"items": 4000})


@pytest.fixture(scope="module")
def warmup(world: World) -> tuple[Run, Waves]:
    waves = Waves()
    return run(world, DAYS, (WARMUP,), tick=6 * HOUR, also=(waves,)), waves


def rate(found: Run, numerator: str, denominator: str) -> float:
    return float(found.expectation(numerator).sum() / found.expectation(denominator).sum())


def test_world_is_the_shipped_one(world: World) -> None:
    assert world.scenario.catalogue == ecommerce().catalogue
    assert world.scenario.people == ecommerce().people


def test_attention_is_the_eye_tracking_curve(world: World) -> None:
    print("examination", examination(world.scenario), "target", JOACHIMS)
    assert examination(world.scenario) == JOACHIMS


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    [
        ("click", "impressions", 0.03, 0.06),
        ("cart", "click", 0.03, 0.06),
        ("collect", "click", 0.02, 0.032),
        ("eventual_buy", "click", 0.005, 0.036),
    ],
    ids=["ctr", "cart", "collect", "buy"],
)
def test_rates_under_the_warm_up_lie_in_their_bands(
    warmup: tuple[Run, Waves], numerator: str, denominator: str, low: float, high: float
) -> None:
    assert_within(rate(warmup[0], numerator, denominator), low, high, f"{numerator} per {denominator}")


def test_spread_of_order_values_lies_in_its_band(world: World, warmup: tuple[Run, Waves]) -> None:
    """Over every purchase that may happen, weighted by its chance: log(price x units)."""
    weights, logs = [], []
    for wave in warmup[1].waves:
        click = world.scenario.attention.click_probability(
            world.funnel.attraction(wave.shown), np.zeros(wave.item.shape)
        )
        happens = click * world.funnel.probability_after_click("buy", wave.shown)
        for units, share in enumerate(world.scenario.funnel.actions["buy"].units, start=1):
            weights.append((happens * share).ravel())
            logs.append(np.log(world.catalogue.price[wave.item] * units).ravel())
    weight, log = np.concatenate(weights), np.concatenate(logs)
    mean = np.average(log, weights=weight)
    assert_within(float(np.sqrt(np.average((log - mean) ** 2, weights=weight))), 0.73, 0.84, "order value, log sd")


def test_dwell_lies_in_its_bands(warmup: tuple[Run, Waves]) -> None:
    seconds = np.concatenate([wave.stay_ms for wave in warmup[1].waves]) / 1000
    assert_within(float(np.median(seconds)), 30, 55, "dwell, median seconds")
    assert_within(float(np.log(seconds).std()), 0.7, 1.5, "dwell, log sd")


@pytest.mark.parametrize(("within", "share"), [(HOUR, 0.35), (DAY, 0.50), (14 * DAY, 0.87)])
def test_orders_come_as_late_as_published(warmup: tuple[Run, Waves], within: int, share: float) -> None:
    """Chapelle 2014; the mixture fits his quantiles to 2 points, its own shares to chance."""
    delays = np.concatenate([wave.orders.due - wave.orders.clicked for wave in warmup[1].waves])
    buy = ecommerce().funnel.actions["buy"].delay
    assert buy is not None
    own = float(buy.landed_probability(within))
    print(f"orders within {within / HOUR:g} h: sampled {(delays < within).mean():.3f}, own {own:.3f}, target {share}")
    assert_proportion(delays < within, own)
    assert own == pytest.approx(share, abs=0.02)


def test_quartiles_of_the_delay_are_those_of_the_published_mixture(warmup: tuple[Run, Waves]) -> None:
    delays = np.concatenate([wave.orders.due - wave.orders.clicked for wave in warmup[1].waves])
    buy = ecommerce().funnel.actions["buy"].delay
    assert buy is not None
    for quarter, sampled in zip((0.25, 0.5, 0.75), np.quantile(delays, (0.25, 0.5, 0.75)), strict=True):
        target = brentq(lambda s, q=quarter: float(buy.landed_probability(s)) - q, 0, 100 * DAY)
        print(f"delay, quartile {quarter}: sampled {sampled / HOUR:.2f} h, target {target / HOUR:.2f} h")
        landed = float(buy.landed_probability(sampled))
        assert abs(landed - quarter) < 5 * np.sqrt(quarter * (1 - quarter) / len(delays))


def test_pages_wanted_spread_as_measured() -> None:
    """UCI online shoppers: log sd 1.24 over sessions, here over people and over visits of one person."""
    shop = ecommerce()
    assert_within(float(np.hypot(shop.people.patience_sd, shop.browse.pages_log_sd)), 1.1, 1.3, "pages wanted, log sd")


def test_days_between_visits_are_long_tailed(warmup: tuple[Run, Waves]) -> None:
    """Longer than an exponential's: sd above the mean, and a mean far above the median (1.44 for it)."""
    gaps = np.concatenate([wave.next_visit - wave.requests.time for wave in warmup[1].waves]) / DAY
    assert_within(float(gaps.std() / gaps.mean()), 1.05, 10, "days between visits, sd / mean")
    assert_within(float(gaps.mean() / np.median(gaps)), 1.5, 5, "days between visits, mean / median")
    assert_within(float(np.log(gaps).std()), 0.8, 1.5, "days between visits, log sd")


def test_random_ranking_costs_clicks(world: World) -> None:
    """A trained ranker lies between the shop's popularity and the oracle of clicks, which no model can pass."""

    def ctr(ranker: Ranker) -> float:
        wave = serve_once(world, Arm("any", ranker))
        attraction = world.funnel.attraction(wave.shown).astype(np.float64)
        return float(world.scenario.attention.click_probability(attraction, np.zeros(attraction.shape)).mean())

    chance = ctr(RandomRanking())
    upper, lower = ctr(Oracle(world, "ctr")) / chance, ctr(Production()) / chance
    print(f"CTR at random {chance:.4f}; popularity x{lower:.2f}, oracle x{upper:.2f}; target 1.5 to 3 when trained")
    assert upper > 1.5
    assert lower < 3
    assert lower < upper


def test_spread_of_a_binary_over_users_lies_in_its_band(warmup: tuple[Run, Waves]) -> None:
    """Of users who came: put anything in a cart. The source (ASOS) does not name its binary metrics."""
    found, _ = warmup
    carted = found.column("cart")[found.column("visits") > 0] > 0
    assert_within(float(carted.std() / carted.mean()), 1, 3, "put anything in a cart per user, sd / mean")


def test_spread_of_order_value_over_users_lies_in_its_band(warmup: tuple[Run, Waves]) -> None:
    """Of users who came: the value of their orders that had landed."""
    found, _ = warmup
    value = found.column("value_cents")[found.column("visits") > 0]
    assert_within(float(value.std() / value.mean()), 3, 14, "order value per user, sd / mean")
