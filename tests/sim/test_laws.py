"""Monotone truths over random worlds: drivers of the right sign and any strength, under one luck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import draws
from sim.actions import Driver
from sim.attention import Cascade
from sim.catalogue import Catalogue
from sim.funnel import Encounter, Funnel, encounter, response
from sim.habits import pages_wanted
from sim.served import Served
from sim.visits import VisitDesk
from sim.world import World
from tests.asserts import assert_never_lower, assert_somewhere_higher
from tests.worlds import WARMUP, ecommerce, small_world

N_USERS, N_ITEMS = 60, 80
SOME = settings(max_examples=40, deadline=None)
FEW = settings(max_examples=8, deadline=None)
Weights = Mapping[Driver, float]
UP, DOWN = st.floats(0.05, 3), st.floats(-3, -0.05)


@cache
def known(attention: Any = None) -> World:
    """One calibrated world; random ones keep its people and goods, and change what drives them."""
    return small_world(N_USERS, catalogue={"items": 150}, attention=attention or ecommerce().attention)


@dataclass(frozen=True)
class Laws:
    """Driver weights of a random world, each of the sign that the law needs."""

    click: Weights
    cart: Weights
    buy: Weights
    enjoyment: Weights
    lift: float
    intercept: float

    def funnel(self, catalogue: Catalogue | None = None) -> Funnel:
        world = known()
        items, people = catalogue or world.catalogue, world.people
        odds = {
            name: response(drivers, people, items, at_first_sight=name == "click").shifted(self.intercept)
            for name, drivers in (("click", self.click), ("cart", self.cart), ("buy", self.buy))
        }
        spec, actions = world.scenario.funnel, world.scenario.funnel.actions
        chosen = {name: actions[name] for name in odds}
        chosen["buy"] = replace(actions["buy"], lifted_by={"cart": self.lift})
        return Funnel(
            spec=replace(spec, actions=chosen),
            log_odds=odds,
            stay=world.funnel.stay,
            enjoyment=response(self.enjoyment, people, items),
            fit=world.funnel.fit,
        )


def drivers(appeal: st.SearchStrategy[float]) -> st.SearchStrategy[Weights]:
    return st.fixed_dictionaries({"match": UP, "quality": UP, "appeal": appeal, "price": DOWN, "spender": UP})


LAWS = st.builds(Laws, drivers(UP), drivers(DOWN), drivers(DOWN), drivers(DOWN), st.floats(0, 4), st.floats(-4, 2))


def facing(catalogue: Catalogue | None = None) -> Encounter:
    none = np.zeros((1, 1), dtype=np.float32)
    users, items = np.arange(N_USERS)[:, None], np.arange(N_ITEMS)[None, :]
    return encounter(known().people, catalogue or known().catalogue, users, items, none)


@SOME
@given(LAWS, st.floats(0.01, 3))
def test_better_match_never_lowers_a_click_nor_a_purchase_after_it(laws: Laws, step: float) -> None:
    funnel, met = laws.funnel(), facing()
    closer = replace(met, match=met.match + np.float32(step), after=met.after + np.float32(step))
    assert_never_lower(funnel.attraction(closer), funnel.attraction(met))
    assert_somewhere_higher(funnel.attraction(closer), funnel.attraction(met))
    assert_never_lower(funnel.probability("buy", closer), funnel.probability("buy", met))
    assert_never_lower(funnel.satisfaction(closer), funnel.satisfaction(met))


@SOME
@given(LAWS, st.floats(0.05, 2))
def test_more_appeal_at_equal_quality_raises_clicks_and_lowers_satisfaction_per_click(laws: Laws, step: float) -> None:
    catalogue = known().catalogue
    promising = replace(catalogue, appeal=catalogue.appeal + np.float32(step))
    plain, shiny = laws.funnel(), laws.funnel(promising)
    met = facing()
    assert_never_lower(shiny.attraction(met), plain.attraction(met))
    assert_somewhere_higher(shiny.attraction(met), plain.attraction(met))
    assert_never_lower(plain.satisfaction(met), shiny.satisfaction(met))
    assert_somewhere_higher(plain.satisfaction(met), shiny.satisfaction(met))
    assert_never_lower(plain.probability("buy", met), shiny.probability("buy", met))


@SOME
@given(LAWS, st.floats(0.05, 2))
def test_higher_price_never_raises_a_purchase(laws: Laws, step: float) -> None:
    """Neither P(buy | click), over carts that it also moves, nor the click."""
    catalogue = known().catalogue
    dear = replace(catalogue, price_z=catalogue.price_z + np.float32(step))
    funnel, met, dearer = laws.funnel(), facing(), facing(dear)
    assert_never_lower(funnel.probability("buy", met), funnel.probability("buy", dearer))
    assert_somewhere_higher(funnel.probability("buy", met), funnel.probability("buy", dearer))
    assert_never_lower(funnel.attraction(met), funnel.attraction(dearer))


@SOME
@given(st.integers(0, 2**32), st.floats(0, 3), st.floats(0.05, 50), st.floats(0, 3), st.integers(1, 10))
def test_more_patience_never_wants_fewer_pages(seed: int, step: float, median: float, sd: float, most: int) -> None:
    people = known().people
    browse = replace(known().scenario.browse, median_pages=median, pages_log_sd=sd, pages=most)
    keys = draws.fold(draws.root(seed, "pages"), people.user)
    patient = replace(people, patience=people.patience + step)
    before, after = pages_wanted(browse, people, keys), pages_wanted(browse, patient, keys)
    assert_never_lower(after, before)
    assert after.max() <= most
    assert before.min() >= 1


def visit(world: World, luck: int) -> Served:
    n = len(world.people)
    desk = VisitDesk(world, [(WARMUP.ranker, WARMUP.temperature)], luck)
    nobody = np.zeros(n, dtype=np.int64)
    return desk.serve(np.arange(n), nobody + 1000, nobody, np.full(n, 0.5), nobody)


@FEW
@given(st.sampled_from([None, Cascade(10, 0.02, 0.3)]), st.integers(0, 1000), st.floats(0.1, 3))
def test_more_patience_never_shortens_a_visit(attention: Any, luck: int, step: float) -> None:
    """The same visit under the same luck: every page that was read is read, and every click happens again."""
    world = known(attention)
    eager = replace(world, people=replace(world.people, patience=world.people.patience + step))
    short, long = visit(world, luck), visit(eager, luck)
    pages = [np.bincount(wave.visit_of, minlength=N_USERS) for wave in (short, long)]
    assert_never_lower(pages[1], pages[0])
    assert clicks(short) <= clicks(long)


def clicks(wave: Served) -> set[tuple[int, int]]:
    return set(zip(wave.click_user.tolist(), wave.met.item.tolist(), strict=True))


@FEW
@given(st.integers(0, 1000), st.floats(0.1, 3))
def test_more_attractive_shop_loses_no_click_under_equal_luck(luck: int, step: float) -> None:
    """Where a look does not depend on the clicks above: luck below a chance is below any higher one."""
    world = known()
    odds = dict(world.funnel.log_odds)
    odds["click"] = odds["click"].shifted(step)
    eager = replace(world, funnel=replace(world.funnel, log_odds=odds))
    assert clicks(visit(world, luck)) <= clicks(visit(eager, luck))


def test_patience_shows_in_some_visits() -> None:
    """The laws above are not those of a constant."""
    world = known()
    eager = replace(world, people=replace(world.people, patience=world.people.patience + 1))
    pages = [len(visit(some, 5).page) for some in (world, eager)]
    assert pages[1] > 1.3 * pages[0]


def test_shipped_drivers_have_the_signs_of_the_laws() -> None:
    actions = ecommerce().funnel.actions
    assert actions["click"].drivers["match"] > 0 < actions["click"].drivers["appeal"]
    assert ecommerce().satisfaction.drivers["appeal"] < 0
    assert actions["buy"].drivers["price"] < 0 > actions["cart"].drivers["price"]
    assert actions["buy"].lifted_by["cart"] > 0
