"""The funnel: chances against enumeration and against draws, delays against the published curve, and its laws."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import draws
from sim.actions import Action, Delay, Drivers, FunnelSpec, Stay
from sim.catalogue import Catalogue
from sim.clock import DAY, HOUR
from sim.funnel import Encounter, Funnel, Response, encounter, logistic, response
from sim.world import World
from tests.asserts import (
    assert_between_zero_and_one,
    assert_mean,
    assert_never_lower,
    assert_proportion,
    assert_somewhere_higher,
)
from tests.worlds import ecommerce, scenario, small_world, with_action

N = 200_000
CHAPELLE = Delay(short_share=0.43, short_mean_hours=0.6, long_mean_days=9.5)


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(300)


@pytest.fixture(scope="module")
def crowd(world: World) -> Encounter:
    """Everybody meets forty items."""
    none = np.zeros((1, 1), dtype=np.float32)
    return encounter(world.people, world.catalogue, np.arange(300)[:, None], np.arange(40)[None, :], none)


def keys(n: int, seed: int = 0) -> draws.Keys:
    return draws.fold(draws.root(seed, "test"), np.arange(n))


def one(met: Encounter, row: int, column: int, n: int) -> Encounter:
    """One person and one item, n times over."""
    user, item = np.full(n, row), np.full(n, column)
    match, price = np.full(n, met.match[row, column]), np.full(n, met.price[row, column])
    return Encounter(user, item, match, match, price, np.zeros(n, np.float32))


# Probabilities -------------------------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_log_odds_are_the_sum_of_drivers_and_the_personal_term(world: World, crowd: Encounter) -> None:
    """Cells of the linear predictor, written out; two cells share the intercept, whatever it is."""
    drivers = ecommerce().funnel.actions["cart"].drivers
    people, items = world.people, world.catalogue

    def by_hand(u: int, i: int) -> float:
        suits = float(people.taste[u] @ items.topic[i]) * np.sqrt(len(items.topic[i]))
        return float(
            drivers["match"] * suits
            + drivers["quality"] * items.quality[i]
            + drivers["appeal"] * items.appeal[i]
            + drivers["price"] * people.price_sensitivity[u] * items.price_z[i]
            + drivers["spender"] * people.spender[u]
            + people.style_shift["cart"][u]
        )

    found = world.funnel.log_odds["cart"](crowd)
    for u, i in ((200, 31), (3, 7), (120, 30)):
        assert found[17, 5] - found[u, i] == pytest.approx(by_hand(17, 5) - by_hand(u, i), abs=1e-5)


def test_probability_of_a_lifted_action_is_the_sum_over_its_lifters(world: World, crowd: Encounter) -> None:
    """P(buy | click) by enumeration: with the cart and without it."""
    lift = ecommerce().funnel.actions["buy"].lifted_by["cart"]
    base = world.funnel.log_odds["buy"](crowd).astype(np.float64)
    cart = sigmoid(world.funnel.log_odds["cart"](crowd).astype(np.float64))
    expected = cart * sigmoid(base + lift) + (1 - cart) * sigmoid(base)
    np.testing.assert_allclose(world.funnel.probability("buy", crowd), expected, rtol=1e-5)


def test_probability_with_two_lifters_is_the_sum_over_four_cases() -> None:
    world = small_world(50, funnel=with_action("buy", lifted_by={"cart": 2.0, "collect": -1.0}))
    none = np.zeros((1, 1), dtype=np.float32)
    met = encounter(world.people, world.catalogue, np.arange(50)[:, None], np.arange(20)[None, :], none)
    chance = {name: sigmoid(world.funnel.log_odds[name](met).astype(np.float64)) for name in ("cart", "collect")}
    base = world.funnel.log_odds["buy"](met).astype(np.float64)
    expected = np.zeros(base.shape)
    for cart, collect in product((0, 1), repeat=2):
        weight = np.where(cart, chance["cart"], 1 - chance["cart"])
        weight = weight * np.where(collect, chance["collect"], 1 - chance["collect"])
        expected += weight * sigmoid(base + 2.0 * cart - 1.0 * collect)
    np.testing.assert_allclose(world.funnel.probability("buy", met), expected, rtol=1e-5)


def test_probability_after_click_multiplies_the_chain_of_parents() -> None:
    world = small_world(50, funnel=with_action("buy", parent="cart", lifted_by={}))
    none = np.zeros((1, 1), dtype=np.float32)
    met = encounter(world.people, world.catalogue, np.arange(50)[:, None], np.arange(20)[None, :], none)
    chain = world.funnel.probability("buy", met) * world.funnel.probability("cart", met)
    np.testing.assert_allclose(world.funnel.probability_after_click("buy", met), chain)
    assert (world.funnel.probability_after_click("click", met) == 1).all()


def test_chances_are_probabilities(world: World, crowd: Encounter) -> None:
    assert_between_zero_and_one(world.funnel.attraction(crowd))
    for action in world.scenario.funnel.actions:
        assert_between_zero_and_one(world.funnel.probability(action, crowd))
        assert_between_zero_and_one(world.funnel.probability_after_click(action, crowd))


@pytest.mark.parametrize("x", [-200.0, -80.0, 80.0, 200.0])
def test_logistic_has_its_limits(x: float) -> None:
    assert logistic(np.array([x], dtype=np.float32))[0] == pytest.approx(float(x > 0), abs=1e-30)


# Draws ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["collect", "cart", "buy"])
@pytest.mark.parametrize("pair", [(3, 7), (120, 30)])
def test_actions_are_drawn_at_their_probabilities(
    world: World, crowd: Encounter, action: str, pair: tuple[int, int]
) -> None:
    met = one(crowd, *pair, N)
    expected = float(world.funnel.probability_after_click(action, met.at(np.array([0])))[0])
    assert_proportion(world.funnel.draw_actions(met, keys(N))[action], expected)


def test_cart_lifts_buying_in_the_draws(world: World, crowd: Encounter) -> None:
    met = one(crowd, 3, 7, N)
    happened = world.funnel.draw_actions(met, keys(N))
    base = float(world.funnel.log_odds["buy"](met.at(np.array([0])))[0])
    assert_proportion(happened["buy"][happened["cart"]], sigmoid(base + 2.0))
    assert_proportion(happened["buy"][~happened["cart"]], sigmoid(base))


def test_action_never_happens_without_its_parent() -> None:
    world = small_world(50, funnel=with_action("buy", parent="cart", lifted_by={}, rate=0.5))
    none = np.zeros((1, 1), dtype=np.float32)
    met = one(encounter(world.people, world.catalogue, np.arange(5)[:, None], np.arange(5)[None, :], none), 2, 2, N)
    happened = world.funnel.draw_actions(met, keys(N))
    assert happened["buy"].any()
    assert not (happened["buy"] & ~happened["cart"]).any()


def test_luck_of_actions_is_unrelated(world: World, crowd: Encounter) -> None:
    met = one(crowd, 3, 7, N)
    happened = world.funnel.draw_actions(met, keys(N))
    p, q = happened["collect"].mean(), happened["cart"].mean()
    assert_mean((happened["collect"] - p) * (happened["cart"] - q), 0)


def test_draws_of_a_click_do_not_depend_on_the_other_clicks(world: World, crowd: Encounter) -> None:
    met = one(crowd, 3, 7, 500)
    some = np.arange(0, 500, 7)
    together, few = (world.funnel.draw_actions(met.at(rows), keys(500)[rows]) for rows in (np.arange(500), some))
    assert all(np.array_equal(together[name][some], few[name]) for name in few)
    assert np.array_equal(
        world.funnel.draw_stay(met, keys(500))[some], world.funnel.draw_stay(met.at(some), keys(500)[some])
    )


@pytest.mark.parametrize("pair", [(3, 7), (120, 30)])
def test_mean_stay_is_the_mean_of_draws(world: World, crowd: Encounter, pair: tuple[int, int]) -> None:
    met = one(crowd, *pair, N)
    assert_mean(world.funnel.draw_stay(met, keys(N)) / 1000, float(world.funnel.mean_stay(met.at(np.array([0])))[0]))


def test_stay_is_log_normal_around_its_driven_median(world: World, crowd: Encounter) -> None:
    met = one(crowd, 3, 7, N)
    logs = np.log(world.funnel.draw_stay(met, keys(N)) / 1000) - float(world.funnel.stay(met.at(np.array([0])))[0])
    assert_mean(logs, 0)
    spread = world.scenario.funnel.stay.log_sd
    assert spread is not None
    assert_mean(logs**2, spread**2)


# Delays --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def delays() -> np.ndarray:
    key = keys(N)
    return CHAPELLE.draw(draws.uniform(draws.fold(key, 1)), draws.uniform(draws.fold(key, 2)))


@pytest.mark.parametrize("seconds", [1, 600, HOUR, 6 * HOUR, DAY, 7 * DAY, 14 * DAY, 60 * DAY])
def test_landed_probability_is_the_share_of_draws_that_landed(delays: np.ndarray, seconds: int) -> None:
    assert_proportion(delays < seconds, float(CHAPELLE.landed_probability(seconds)))


def test_delays_are_whole_seconds_from_zero(delays: np.ndarray) -> None:
    assert delays.dtype == np.int64
    assert delays.min() >= 0


@pytest.mark.parametrize(("within", "published"), [(HOUR, 0.35), (DAY, 0.50), (14 * DAY, 0.87)])
def test_delays_have_the_published_quantiles(within: int, published: float) -> None:
    """Chapelle 2014: 35 % in an hour, 50 % in a day, 87 % in 14 days; a mixture of two fits them to 2 points."""
    shop = ecommerce().funnel.actions["buy"].delay
    assert shop == CHAPELLE
    assert float(shop.landed_probability(within)) == pytest.approx(published, abs=0.02)


def test_nothing_lands_before_it_is_clicked() -> None:
    assert CHAPELLE.landed_probability(np.array([-5, 0])).tolist() == [0, 0]


def test_everything_lands_in_the_end() -> None:
    assert float(CHAPELLE.landed_probability(10_000 * DAY)) == 1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mixture_of_one_kind_is_an_exponential(share: float) -> None:
    delay = replace(CHAPELLE, short_share=share)
    mean = 0.6 * HOUR if share else 9.5 * DAY
    assert float(delay.landed_probability(mean)) == pytest.approx(1 - np.exp(-1))


# Laws ----------------------------------------------------------------------------------------------------------


@cache
def small(seed: int) -> World:
    return small_world(20, seed=seed, catalogue={"items": 100})


WORLDS = st.builds(small, st.integers(0, 5))  # half a second each to calibrate
FEW_WORLDS = settings(max_examples=10, deadline=None)


def facing(world: World) -> Encounter:
    none = np.zeros((1, 1), dtype=np.float32)
    return encounter(world.people, world.catalogue, np.arange(20)[:, None], np.arange(60)[None, :], none)


@FEW_WORLDS
@given(WORLDS, st.floats(0.01, 3.0))
def test_better_match_never_lowers_any_chance(world: World, step: float) -> None:
    met = facing(world)
    closer = replace(met, match=met.match + np.float32(step), after=met.after + np.float32(step))
    assert_never_lower(world.funnel.attraction(closer), world.funnel.attraction(met))
    assert_somewhere_higher(world.funnel.attraction(closer), world.funnel.attraction(met))
    for action in ("collect", "cart", "buy"):
        assert_never_lower(world.funnel.probability(action, closer), world.funnel.probability(action, met))
        assert_somewhere_higher(world.funnel.probability(action, closer), world.funnel.probability(action, met))


@FEW_WORLDS
@given(WORLDS)
def test_more_appeal_at_equal_quality_raises_clicks_and_lowers_what_follows(world: World) -> None:
    """Clickbait: it attracts, and then disappoints."""
    met, appeal = facing(world), world.catalogue.appeal
    promising = replace(world.catalogue, appeal=appeal + np.float32(1))
    funnel = refit(world, promising)
    assert (funnel.attraction(met) > world.funnel.attraction(met)).all()
    assert (funnel.probability("buy", met) < world.funnel.probability("buy", met)).all()
    assert (funnel.enjoyment(met) < world.funnel.enjoyment(met)).all()


@FEW_WORLDS
@given(WORLDS, st.floats(0.01, 2.0))
def test_higher_price_never_raises_clicks_or_buying(world: World, step: float) -> None:
    met = facing(world)
    sensitivity = world.people.price_sensitivity[:, None]
    dearer = replace(met, price=met.price + sensitivity * np.float32(step))
    assert_never_lower(world.funnel.attraction(met), world.funnel.attraction(dearer))
    assert_never_lower(world.funnel.probability("buy", met), world.funnel.probability("buy", dearer))
    assert_somewhere_higher(world.funnel.probability("buy", met), world.funnel.probability("buy", dearer))


@FEW_WORLDS
@given(WORLDS)
def test_better_quality_raises_everything_after_the_click(world: World) -> None:
    met = facing(world)
    funnel = refit(world, replace(world.catalogue, quality=world.catalogue.quality + np.float32(1)))
    for action in ("collect", "cart", "buy"):
        assert (funnel.probability(action, met) > world.funnel.probability(action, met)).all()
    assert (funnel.mean_stay(met) > world.funnel.mean_stay(met)).all()


def refit(world: World, catalogue: Catalogue) -> Funnel:
    """The world's funnel over a changed catalogue, intercepts kept."""
    funnel, spec = world.funnel, world.scenario

    def moved(known: Response, drivers: Drivers) -> Response:
        before, after = (response(drivers, world.people, items) for items in (world.catalogue, catalogue))
        return replace(known, by_item=known.by_item + (after.by_item - before.by_item))

    return Funnel(
        spec=funnel.spec,
        log_odds={name: moved(funnel.log_odds[name], action.drivers) for name, action in spec.funnel.actions.items()},
        stay=moved(funnel.stay, spec.funnel.stay.drivers),
        enjoyment=moved(funnel.enjoyment, spec.satisfaction.drivers),
        fit=funnel.fit,
    )


# Refusals ------------------------------------------------------------------------------------------------------

CLICK = Action(parent="shown", rate=0.05)
STAY = Stay(median_seconds=30, log_sd=0.7)


def test_funnel_must_begin_with_click() -> None:
    with pytest.raises(ValueError, match=r"actions must begin with click, whose parent is shown, got \['buy'\]"):
        FunnelSpec({"buy": Action(parent="shown", rate=0.1)}, STAY)
    with pytest.raises(ValueError, match="actions must begin with click"):
        FunnelSpec({}, STAY)


def test_parent_must_stand_above() -> None:
    with pytest.raises(ValueError, match=r"actions.buy.parent must be an action above it, got 'cart'"):
        FunnelSpec({"click": CLICK, "buy": Action(parent="cart", rate=0.1), "cart": CLICK}, STAY)


def test_lifter_must_stand_above() -> None:
    with pytest.raises(ValueError, match=r"actions.buy.lifted_by must name actions above it, got 'like'"):
        FunnelSpec({"click": CLICK, "buy": Action(parent="click", rate=0.1, lifted_by={"like": 1.0})}, STAY)


@pytest.mark.parametrize(
    "lifter",
    [
        Action(parent="shown", rate=0.1),
        Action(parent="click", rate=0.1, lifted_by={"collect": 1.0}),
        Action(parent="click", rate=0.1, delay=CHAPELLE),
    ],
)
def test_lifter_without_a_closed_form_is_refused(lifter: Action) -> None:
    actions = {
        "click": CLICK,
        "collect": Action(parent="click", rate=0.1),
        "cart": lifter,
        "buy": Action(parent="click", rate=0.1, lifted_by={"cart": 1.0}),
    }
    with pytest.raises(ValueError, match="cart"):
        FunnelSpec(actions, STAY)


def test_units_must_sum_to_one() -> None:
    with pytest.raises(ValueError, match=r"units must be probabilities that sum to 1, got \[0.5, 0.4\], sum 0.9"):
        Action(parent="click", rate=0.1, delay=CHAPELLE, units=(0.5, 0.4))


def test_money_without_a_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="units need a delay"):
        Action(parent="click", rate=0.1, units=(1.0,))


def test_mean_units_is_the_expectation() -> None:
    assert Action(parent="click", rate=0.1, delay=CHAPELLE, units=(0.8, 0.14, 0.06)).mean_units() == pytest.approx(1.26)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_rate_must_be_possible(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be"):
        replace(CLICK, rate=rate)


def test_shift_of_an_action_that_does_not_exist_is_refused() -> None:
    """A style that says `colect` would otherwise change nothing, in silence."""
    styles = ecommerce().people.styles
    with pytest.raises(ValueError, match="colect"):
        scenario(people={"styles": {"plain": replace(styles["silent"], shifts={"colect": 1.0})}})
