"""A world: everything that is true of one market, built from a scenario and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from sim import draws
from sim.attention import PositionBased
from sim.bounds import Count, Moderate, Rate, Share, Spread, check
from sim.calibration import Browsing, solve_funnel
from sim.catalogue import FORBID_EXTRA, Catalogue, CatalogueSpec, draw_catalogue
from sim.funnel import Action, Drivers, Funnel, FunnelSpec, response
from sim.people import People, PeopleSpec, draw_people, expected_match
from sim.records import Floats, Ints, Items


@dataclass(frozen=True, slots=True)
class BrowseSpec:
    """How a visit is served and how far people read.

    candidates: items that the ranker orders per visit.
    pools_per_segment: candidate pools that a market draws per segment and day.
    pool_sharpness: how much retrieval prefers what the segment has liked; 0, any item.
    pages: most pages that one visit can show; pages x slots may not exceed the candidates.
    median_pages, pages_log_sd: pages wanted in a visit, log-normal; pages_log_sd is over visits of one person.
    seconds_per_page: between one page and the next.
    hidden_intent: sd over visits of a mood that drives click and buy together and that nobody sees.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    candidates: Annotated[int, Ge(1), Le(10_000)] = 100
    pools_per_segment: Count = 4
    pool_sharpness: Spread = 0.5
    pages: Count = 5
    median_pages: Moderate = 0.8
    pages_log_sd: Spread = 1.1
    seconds_per_page: Count = 30
    hidden_intent: Spread = 0.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class SatisfactionSpec:
    """Hidden satisfaction in [0, 1], and what it does to the next visit.

    drivers: of the logit of one click's enjoyment, whose mean under the shop's history ranking is `start`.
    start: where everybody begins.
    learning: weight of the last visit in a person's satisfaction.
    found_nothing: experience of a visit without a click.
    return_strength: how many times (in log) one unit of satisfaction shortens the time to the next visit.
    gap_log_sd: sd of the log of days between visits of one person.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    drivers: Drivers
    start: Rate = 0.5
    learning: Share = 0.2
    found_nothing: Share = 0.4
    return_strength: Spread = 1.5
    gap_log_sd: Spread = 1.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of shop: what a scenario file holds."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    name: str
    catalogue: CatalogueSpec
    people: PeopleSpec
    browse: BrowseSpec
    attention: PositionBased
    funnel: FunnelSpec
    satisfaction: SatisfactionSpec

    def __post_init__(self) -> None:
        shown = self.browse.pages * self.attention.slots
        if shown > self.browse.candidates:
            raise ValueError(
                f"browse.candidates must be at least pages x slots = {shown}, got {self.browse.candidates}; "
                f"raise candidates or lower browse.pages"
            )
        for name, style in self.people.styles.items():
            unknown = sorted(set(style.shifts) - set(self.funnel.actions))
            if unknown:
                raise ValueError(
                    f"people.styles.{name}.shifts must name actions out of {', '.join(self.funnel.actions)}, "
                    f"got {', '.join(unknown)}"
                )


@dataclass(frozen=True, slots=True)
class World:
    """One market of a scenario. Users are rows of `people`; items keep their global ids.

    item: shape (m,). Ids of the items that this market sells.
    """

    scenario: Scenario
    seed: int
    market: int
    item: Ints
    catalogue: Catalogue
    people: People
    funnel: Funnel
    items: Items

    def pools(self, day: int) -> Ints:
        """The candidate pools of a day, item ids of shape (n_segments * pools_per_segment, C).

        Retrieval draws without replacement, preferring what a segment liked; it depends on no arm.
        """
        browse, n_segments = self.scenario.browse, self.items.n_segments
        pool = np.arange(n_segments * browse.pools_per_segment)
        keys = draws.fold(draws.root(self.seed, "pool"), day)
        noise = draws.gumbel(draws.fold(draws.fold(keys, pool)[:, None], self.item))
        liking = browse.pool_sharpness * self.items.popularity[self.item].T[pool // browse.pools_per_segment]
        return self.item[np.argsort(-(liking + noise), axis=1, kind="stable")[:, : browse.candidates]]


def build(scenario: Scenario, seed: int, user: Ints, market: int = 0, n_markets: int = 1) -> World:
    """Draw one market. Each user and item is the same whoever else is drawn."""
    item = np.arange(scenario.catalogue.items)[market::n_markets]
    if len(item) < scenario.browse.candidates:
        raise ValueError(
            f"every market needs at least browse.candidates = {scenario.browse.candidates} items, market {market} of "
            f"{n_markets} has {len(item)}; raise catalogue.items or lower world.markets"
        )
    scenario = replace(scenario, funnel=_without_idle_intent(scenario))
    catalogue = draw_catalogue(scenario.catalogue, seed)
    items = Items(catalogue.category, catalogue.price, catalogue.rating, _popularity(scenario, catalogue, seed))
    people = draw_people(scenario.people, scenario.catalogue, seed, user)
    funnel = _responses(scenario, people, catalogue, calibrate(scenario, seed, catalogue, items, n_markets))
    return World(scenario, seed, market, item, catalogue, people, funnel, items)


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
    funnel = _responses(scenario, people, catalogue, {})
    browsing = Browsing(
        slots=scenario.attention.slots,
        pages=scenario.browse.pages,
        candidates=scenario.browse.candidates,
        pool_sharpness=scenario.browse.pool_sharpness,
        pages_wanted=pages_wanted(
            scenario.browse, people, draws.fold(draws.root(seed, "calibration pages"), people.user)
        ),
        examination=scenario.attention.examination_probability(),
        intent_sd=scenario.browse.hidden_intent,
        n_markets=n_markets,
    )
    targets = {name: action.rate for name, action in scenario.funnel.actions.items()}
    return solve_funnel(
        funnel,
        targets,
        scenario.funnel.stay.median_seconds,
        scenario.satisfaction.start,
        people,
        catalogue,
        items,
        browsing,
        seed,
    )


def pages_wanted(browse: BrowseSpec, people: People, keys: draws.Keys, rows: Ints | None = None) -> Ints:
    """How many pages each visit reads, 1 to `pages`; one key per visit of the users in `rows`."""
    patience = people.patience if rows is None else people.patience[rows]
    wanted = np.log(browse.median_pages) + patience + browse.pages_log_sd * draws.normal(keys)
    return np.clip(np.ceil(np.exp(wanted)), 1, browse.pages).astype(np.int64)


def _responses(scenario: Scenario, people: People, catalogue: Catalogue, solved: Mapping[str, float]) -> Funnel:
    def build_response(name: str, drivers: Drivers) -> Any:
        shift = people.style_shift.get(name)
        return response(drivers, people, catalogue, shift).shifted(solved.get(name, 0.0))

    actions = scenario.funnel.actions
    return Funnel(
        spec=scenario.funnel,
        log_odds={name: build_response(name, action.drivers) for name, action in actions.items()},
        stay=build_response("stay", scenario.funnel.stay.drivers),
        enjoyment=build_response("enjoyment", scenario.satisfaction.drivers),
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
    return suits + own[:, None] + scenario.catalogue.popularity_noise * draws.normal(keys)


def _without_idle_intent(scenario: Scenario) -> FunnelSpec:
    """Drop the intent driver where hidden_intent is 0, so that the hot path does not add zeros."""
    if scenario.browse.hidden_intent > 0:
        return scenario.funnel

    def quiet(action: Action) -> Action:
        return replace(action, drivers={d: w for d, w in action.drivers.items() if d != "intent"})

    return replace(scenario.funnel, actions={name: quiet(a) for name, a in scenario.funnel.actions.items()})
