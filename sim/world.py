"""A world: everything that is true of one market, built from a scenario and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sim import draws
from sim.actions import Action, Drivers, FunnelSpec
from sim.calibration import Browsing, solve_funnel
from sim.catalogue import Catalogue, draw_catalogue
from sim.funnel import CERTAIN, Funnel, Response, response
from sim.habits import pages_wanted
from sim.people import People, draw_people, expected_match
from sim.records import Floats, Ints, Items
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class World:
    """One market of a scenario. Users are rows of `people`; items keep their global ids.

    item: shape (m,). Ids of the items that this market sells.
    owner: shape (n_items,). Which recruiter of this market has the item, from 0; -1 for none and other markets'.
    owner_id: shape (n_owners,). Global ids of the recruiters.
    """

    scenario: Scenario
    seed: int
    market: int
    item: Ints
    catalogue: Catalogue
    people: People
    funnel: Funnel
    items: Items
    owner: Ints
    owner_id: Ints

    def pools(self, day: int) -> Ints:
        """The candidate pools of a day, item ids of shape (n_segments * pools_per_segment, C).

        Retrieval draws without replacement, preferring what a segment liked; it depends on no arm.
        """
        browse, n_segments = self.scenario.browse, self.items.n_segments
        here = self.item[self.catalogue.first_day[self.item] <= day]
        pool = np.arange(n_segments * browse.pools_per_segment)
        keys = draws.fold(draws.root(self.seed, "pool"), day)
        noise = draws.gumbel(draws.fold(draws.fold(keys, pool)[:, None], here))
        liking = browse.pool_sharpness * self.items.popularity[here].T[pool // browse.pools_per_segment]
        return here[np.argsort(-(liking + noise), axis=1, kind="stable")[:, : browse.candidates]]


def build(scenario: Scenario, seed: int, user: Ints, market: int = 0, n_markets: int = 1) -> World:
    """Draw one market. Each user and item is the same whoever else is drawn."""
    item = np.arange(scenario.catalogue.items)[market::n_markets]
    scenario = replace(scenario, funnel=_without_idle_intent(scenario))
    catalogue = draw_catalogue(scenario.catalogue, seed)
    there = int((catalogue.first_day[item] == 0).sum())
    if there < scenario.browse.candidates:
        raise ValueError(
            f"every market needs at least browse.candidates = {scenario.browse.candidates} items on day 0, market "
            f"{market} of {n_markets} has {there}; raise catalogue.items or lower world.markets"
        )
    popularity = _popularity(scenario, catalogue, seed)
    items = Items(catalogue.category, catalogue.price, catalogue.rating, popularity, catalogue.length)
    people = draw_people(scenario.people, scenario.catalogue, seed, user)
    owner, owner_id = _owners(scenario, item, market, n_markets)
    solved = calibrate(scenario, seed, catalogue, items, n_markets)
    funnel = _responses(scenario, people, catalogue, solved, _ways(scenario, seed, n_markets))
    return World(scenario, seed, market, item, catalogue, people, funnel, items, owner, owner_id)


def _owners(scenario: Scenario, item: Ints, market: int, n_markets: int) -> tuple[Ints, Ints]:
    """Which recruiter of the market has each item (n_items,), and their global ids (n_owners,)."""
    owner = np.full(scenario.catalogue.items, -1)
    recruiters = scenario.market.recruiters
    if recruiters is None:
        return owner, np.zeros(0, dtype=np.int64)
    owner[item] = np.arange(len(item)) // recruiters.openings
    return owner, np.arange(owner.max() + 1) * n_markets + market


def _ways(scenario: Scenario, seed: int, n_markets: int) -> Ints:
    """The way in which each item's recruiter answers, shape (n_items,); 0 where there are no recruiters."""
    item = np.arange(scenario.catalogue.items)
    recruiters = scenario.market.recruiters
    if recruiters is None:
        return np.zeros(len(item), dtype=np.int64)
    return recruiters.way(seed, item // n_markets // recruiters.openings * n_markets + item % n_markets)


def calibrate(
    scenario: Scenario, seed: int, catalogue: Catalogue, items: Items, n_markets: int = 1
) -> Mapping[str, float]:
    """Intercepts that give the scenario's rates under the shop's history ranking.

    Solved on people of their own (never the users), so that one user more changes nobody.
    """
    key = (repr(scenario), seed, n_markets)
    if key not in _SOLVED:
        if len(_SOLVED) >= MOST_SOLVED:
            _SOLVED.pop(next(iter(_SOLVED)))  # the oldest
        _SOLVED[key] = _solve(scenario, seed, catalogue, items, n_markets)
    return _SOLVED[key]


MOST_SOLVED = 16
_SOLVED: dict[tuple[str, int, int], Mapping[str, float]] = {}  # every task of a run asks for the same


def _solve(scenario: Scenario, seed: int, catalogue: Catalogue, items: Items, n_markets: int) -> Mapping[str, float]:
    n_sample = 12_000  # the rarest rate, of buying, then settles within about 2 % of itself
    people = draw_people(scenario.people, scenario.catalogue, seed, np.arange(n_sample), "calibration")
    wanted = pages_wanted(scenario.browse, people, draws.fold(draws.root(seed, "calibration pages"), people.user))
    browsing = Browsing(
        pages=scenario.browse.pages,
        candidates=scenario.browse.candidates,
        pool_sharpness=scenario.browse.pool_sharpness,
        pages_wanted=wanted,
        attention=scenario.attention,
        intent_sd=scenario.browse.hidden_intent,
        n_markets=n_markets,
    )
    recruiters = scenario.market.recruiters
    return solve_funnel(
        _responses(scenario, people, catalogue, {}, _ways(scenario, seed, n_markets)),
        scenario.satisfaction.start,
        recruiters.mean_fit if recruiters else 0.5,
        people,
        catalogue,
        items,
        browsing,
        seed,
    )


def _responses(
    scenario: Scenario, people: People, catalogue: Catalogue, solved: Mapping[str, float], way: Ints
) -> Funnel:
    """The funnel of these people. way: shape (n_items,). How each item's owner answers."""

    def driven(name: str, drivers: Drivers) -> Response:
        shift = people.style_shift.get(name)
        built = response(drivers, people, catalogue, shift, at_first_sight=name == "click")
        return built.shifted(solved.get(name, 0.0))

    def of(name: str, action: Action) -> Response:
        if action.way is None or scenario.market.recruiters is None:
            return driven(name, action.drivers)
        mine = way == list(scenario.market.recruiters.ways).index(action.way)
        plain = response({}, people, catalogue)
        return replace(plain, by_item=np.where(mine, CERTAIN, -CERTAIN).astype(np.float32))

    stay = driven("stay", scenario.funnel.stay.drivers)
    if "stay" in solved and scenario.funnel.stay.median_share is not None:
        stay = replace(stay, by_item=stay.by_item + np.log(catalogue.length / 1000).astype(np.float32))
    recruiters = scenario.market.recruiters
    return Funnel(
        spec=scenario.funnel,
        log_odds={name: of(name, action) for name, action in scenario.funnel.actions.items()},
        stay=stay,
        enjoyment=driven("enjoyment", scenario.satisfaction.drivers),
        fit=driven("fit", recruiters.fit if recruiters else {}),
    )


def _popularity(scenario: Scenario, catalogue: Catalogue, seed: int) -> Floats:
    """The shop's click history: the typical member's log-odds of a click, with noise; (n_items, n_segments)."""
    click = scenario.funnel.actions["click"].drivers
    suits = click.get("match", 0.0) * expected_match(scenario.people, scenario.catalogue, catalogue, seed)
    own = (
        click.get("appeal", 0.0) * catalogue.appeal
        + click.get("quality", 0.0) * catalogue.quality
        + click.get("price", 0.0) * catalogue.price_z
    )
    item, segment = np.arange(len(catalogue))[:, None], np.arange(scenario.people.segments)
    keys = draws.fold(draws.fold(draws.root(seed, "popularity"), item), segment)
    history = suits + own[:, None] + scenario.catalogue.popularity_noise * draws.normal(keys)
    # What arrives later has no history: it enters at the average.
    return np.where(catalogue.first_day[:, None] > 0, history.mean(axis=0), history)


def _without_idle_intent(scenario: Scenario) -> FunnelSpec:
    """Drop the intent driver where hidden_intent is 0, so that the hot path does not add zeros."""
    if scenario.browse.hidden_intent > 0:
        return scenario.funnel

    def quiet(action: Action) -> Action:
        return replace(action, drivers={d: w for d, w in action.drivers.items() if d != "intent"})

    return replace(scenario.funnel, actions={name: quiet(a) for name, a in scenario.funnel.actions.items()})
