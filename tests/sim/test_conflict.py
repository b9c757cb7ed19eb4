"""One number that turns what attracts a click against what satisfies after it."""

from __future__ import annotations

import numpy as np
import pytest

from sim.actions import Driver
from sim.funnel import encounter
from sim.scenario import with_conflict
from sim.world import World, build
from tests.worlds import ecommerce, scenario, small_world

CONFLICTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def world_of(conflict: float, items: int = 800) -> World:
    return build(with_conflict(scenario(catalogue={"items": items}), conflict), 1, np.arange(150))


@pytest.fixture(scope="module")
def worlds() -> dict[float, World]:
    return {conflict: world_of(conflict) for conflict in CONFLICTS}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_items_are_drawn_at_the_correlation_that_is_meant(worlds: dict[float, World], conflict: float) -> None:
    """Exactly: appeal is rho quality + sqrt(1 - rho^2) of a part that is the same whatever the conflict."""
    rho = 1 - 2 * conflict
    found, unrelated = worlds[conflict].catalogue, worlds[0.5].catalogue
    np.testing.assert_allclose(
        found.appeal, rho * unrelated.quality + np.sqrt(1 - rho**2) * unrelated.appeal, atol=1e-6
    )
    assert np.array_equal(found.quality, unrelated.quality)
    np.testing.assert_allclose((found.topic * found.inner_topic).sum(axis=1), rho, atol=1e-6)


@pytest.mark.parametrize("conflict", [0.0, 0.2, 1.0])
def test_item_side_of_a_click_is_appeal_and_of_all_that_follows_quality(conflict: float) -> None:
    turned, plain = with_conflict(ecommerce(), conflict), ecommerce()
    for name, action in turned.funnel.actions.items():
        gone: Driver = "quality" if name == "click" else "appeal"
        kept: Driver = "appeal" if name == "click" else "quality"
        before = plain.funnel.actions[name].drivers
        assert gone not in action.drivers
        assert abs(action.drivers[kept]) == pytest.approx(np.hypot(before.get("appeal", 0), before.get("quality", 0)))
        rest = {driver: weight for driver, weight in action.drivers.items() if driver not in ("appeal", "quality")}
        assert rest == {d: w for d, w in before.items() if d not in ("appeal", "quality")}
    for drivers in (turned.funnel.stay.drivers, turned.satisfaction.drivers):
        assert "appeal" not in drivers
        assert drivers["quality"] > 0


@pytest.mark.parametrize("conflict", [0.0, 0.5, 1.0])
def test_what_quality_did_to_an_action_keeps_its_sign(conflict: float) -> None:
    """Goods of quality are sent back less: a strength without its sign once made them come back more."""
    turned = with_conflict(ecommerce(), conflict).funnel.actions
    assert turned["return_goods"].drivers["quality"] < 0
    assert turned["buy"].drivers["quality"] > 0
    assert turned["click"].drivers["appeal"] > 0


def correlation(world: World) -> float:
    """Over users x items: log-odds of a click with the chance of buying after it."""
    none = np.zeros((1, 1), dtype=np.float32)
    users, items = np.arange(150)[:, None], np.arange(800)[None, :]
    met = encounter(world.people, world.catalogue, users, items, none)
    click, buy = world.funnel.log_odds["click"](met), np.log(world.funnel.probability("buy", met))
    return float(np.corrcoef(click.ravel(), buy.ravel())[0, 1])


def test_clicks_and_purchases_part_as_conflict_grows(worlds: dict[float, World]) -> None:
    found = [correlation(worlds[conflict]) for conflict in CONFLICTS]
    print(dict(zip(CONFLICTS, np.round(found, 3), strict=True)))
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.6
    assert found[-1] < -0.4


def test_rates_stay_as_stated_whatever_the_conflict(worlds: dict[float, World]) -> None:
    """Intercepts are solved for anew: conflict moves who wins, not how much is clicked."""
    for world in worlds.values():
        assert world.scenario.funnel.actions["click"].rate == 0.05
        assert np.isfinite(world.funnel.log_odds["click"].by_item).all()


def test_without_conflict_stated_a_world_keeps_one_match(worlds: dict[float, World]) -> None:
    """No second topic is drawn, and what is liked at first sight is what is liked after it."""
    world = small_world(20)
    assert world.catalogue.inner_topic is world.catalogue.topic
    met = encounter(world.people, world.catalogue, np.arange(20), np.arange(20), np.zeros(20, dtype=np.float32))
    assert met.after is met.match
    turned = worlds[0.25]
    met = encounter(turned.people, turned.catalogue, np.arange(20), np.arange(20), np.zeros(20, dtype=np.float32))
    assert not np.array_equal(met.after, met.match)
    aligned = worlds[0.0].catalogue
    assert np.array_equal(aligned.inner_topic, aligned.topic)


@pytest.mark.parametrize("conflict", [-0.1, 1.1])
def test_conflict_beyond_opposition_is_refused(conflict: float) -> None:
    with pytest.raises(ValueError, match="appeal_quality_correlation must be"):
        with_conflict(ecommerce(), conflict)
