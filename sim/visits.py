"""One wave of visits, from ranking to departure, for everyone who came in the same tick.

Nothing here knows the clock: a wave is a function of who came, when, in what mood, and their luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from sim import draws
from sim.clock import DAY
from sim.funnel import Encounter, encounter, logistic
from sim.ranking import explored, propensities, ranked, utilities
from sim.records import Bools, Floats, Ints, Ranker, Requests, Scores
from sim.world import World, pages_wanted

VISIT_BITS = 20  # a request's id is user << 20 | visit
SOONEST_RETURN = 600  # seconds; sooner is the same visit

_POOL, _EXPLORE, _EXAMINE, _CLICK, _PAGES, _INTENT, _GAP = (
    draws.purpose(name) for name in ("pool", "explore", "examine", "click", "pages", "intent", "gap")
)


@dataclass(frozen=True, slots=True)
class Orders:
    """Delayed actions under way, such as purchases; one row each.

    user: row of the world's people. request, rank: which impression led to it.
    action: index into the funnel's delayed actions. clicked, due: seconds. value: cents.
    """

    user: Ints
    request: Ints
    rank: Ints
    action: Ints
    clicked: Ints
    due: Ints
    value: Ints

    @classmethod
    def empty(cls) -> Orders:
        return cls(*(np.zeros(0, dtype=np.int64) for _ in fields(cls)))

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Orders:
        return Orders(*(getattr(self, f.name)[rows] for f in fields(self)))

    def append(self, other: Orders) -> Orders:
        return Orders(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


@dataclass(frozen=True)
class Served:
    """What happened in a wave. R visits, P pages of S slots, K clicks.

    user: shape (R,). Rows of the world's people. requests: R of them. arm: shape (R,). visit: shape (R,).
    visit_of, page: shape (P,). Which visit a page belongs to, and its number in it.
    item, score, propensity, examined: shape (P, S).
    click_page, click_slot: shape (K,). Where the clicks are.
    met: shape (K,). The encounters that were clicked.
    actions: by name, shape (K,). stay_ms: shape (K,).
    orders: what is under way because of this wave.
    satisfaction, next_visit: shape (R,). After the visit.
    """

    world: World
    user: Ints
    requests: Requests
    arm: Ints
    visit: Ints
    visit_of: Ints
    page: Ints
    item: Ints
    score: Scores
    propensity: Scores
    examined: Bools
    intent: Scores
    click_page: Ints
    click_slot: Ints
    met: Encounter
    actions: Mapping[str, Bools]
    stay_ms: Ints
    orders: Orders
    satisfaction: Floats
    next_visit: Ints

    @property
    def page_time(self) -> Ints:
        """Second at which each page was shown, shape (P,)."""
        return self.requests.time[self.visit_of] + self.page * self.world.scenario.browse.seconds_per_page

    @property
    def click_user(self) -> Ints:
        """Row of the person behind each click, shape (K,)."""
        return self.user[self.visit_of[self.click_page]]

    @cached_property
    def shown(self) -> Encounter:
        """Everyone against everything they were shown, shape (P, S): hidden truth, for recorders of truth only."""
        user = self.user[self.visit_of][:, None]
        return encounter(self.world.people, self.world.catalogue, user, self.item, self.intent[self.visit_of][:, None])


class Recorder(Protocol):
    """Whoever wants to know what happens in the shop."""

    def served(self, wave: Served) -> None: ...
    def landed(self, orders: Orders) -> None: ...
    def closed(self, day: int) -> None: ...


class VisitDesk:
    """Serves waves of visits in one world.

    Args:
        rankers: (ranker, temperature) of each arm.
        arm_of: shape (n_users,). Which of them serves whom.
        luck: seed of all chance.
    """

    def __init__(self, world: World, rankers: Sequence[tuple[Ranker, float]], arm_of: Ints, luck: int) -> None:
        self.world = world
        self.rankers = [ranker for ranker, _ in rankers]
        self.temperature = np.array([temperature for _, temperature in rankers])
        self.arm_of = arm_of
        self.luck = draws.root(luck, "visit")
        self.delayed = [name for name, action in world.scenario.funnel.actions.items() if action.delay]
        self._pools: dict[int, Ints] = {}

    def first_visit(self) -> Ints:
        """Second of everybody's first visit: somewhere within a usual gap."""
        people = self.world.people
        keys = draws.fold(draws.root(0, "first visit") ^ self.luck, people.user)
        gap = self._gap_days(np.arange(len(people)), keys, np.full(len(people), self._start))
        return np.floor(draws.uniform(keys) * gap * DAY).astype(np.int64)

    def serve(self, wave: Ints, time: Ints, visit: Ints, satisfaction: Floats) -> Served:
        """Serve the users `wave` (R,), who come at second `time` for the `visit`-th time."""
        world, browse = self.world, self.world.scenario.browse
        keys = draws.fold(draws.fold(self.luck, world.people.user[wave]), visit)
        requests = self._requests(wave, time, visit, keys)
        arm = self.arm_of[wave]
        scores = self._scores(requests, arm)
        order, propensity = self._order(scores, requests, arm, keys)

        n_pages = pages_wanted(browse, world.people, draws.fold(keys, _PAGES), wave)
        # A visit ends at midnight: what belongs to a day is in its log, and no page outlives the period.
        n_pages = np.minimum(n_pages, 1 + (DAY - 1 - time % DAY) // browse.seconds_per_page)
        visit_of = np.repeat(np.arange(len(wave)), n_pages)
        page = np.arange(len(visit_of)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
        slots = world.scenario.attention.slots
        rank = page[:, None] * slots + np.arange(slots)  # (pages, slots)
        position = order.reshape(len(wave), -1, slots)[visit_of, page]
        n_candidates = scores.shape[1]
        place = visit_of[:, None] * n_candidates + position
        item = requests.pools.ravel().take(requests.pool[visit_of][:, None] * n_candidates + position)

        examine_luck = draws.uniform(draws.fold(draws.fold(keys, _EXAMINE)[visit_of][:, None], rank))
        examined = world.scenario.attention.draw(examine_luck)
        intent = self._intent(keys)
        looked_page, looked_slot = np.nonzero(examined)
        looked_visit = visit_of[looked_page]
        seen_item = item[looked_page, looked_slot]
        met = encounter(world.people, world.catalogue, wave[looked_visit], seen_item, intent[looked_visit])
        item_keys = draws.fold(keys[looked_visit], seen_item)
        clicked = draws.uniform(draws.fold(item_keys, _CLICK)) < world.funnel.attraction(met)

        met, item_keys = met.at(clicked), item_keys[clicked]
        click_page, click_slot = looked_page[clicked], looked_slot[clicked]
        click_visit = visit_of[click_page]
        actions = world.funnel.draw_actions(met, item_keys)
        after = self._satisfaction_after(satisfaction, click_visit, met)
        click_time = time[click_visit] + page[click_page] * browse.seconds_per_page
        return Served(
            world=world,
            user=wave,
            requests=requests,
            arm=arm,
            visit=visit,
            visit_of=visit_of,
            page=page,
            item=item,
            score=scores.ravel().take(place),
            propensity=np.ones(item.shape, np.float32) if propensity is None else propensity.ravel().take(place),
            examined=examined,
            intent=intent,
            click_page=click_page,
            click_slot=click_slot,
            met=met,
            actions=actions,
            stay_ms=world.funnel.draw_stay(met, item_keys),
            orders=self._orders(
                actions,
                met,
                item_keys,
                requests.request[click_visit],
                page[click_page] * slots + click_slot,
                click_time,
            ),
            satisfaction=after,
            next_visit=self._next_visit(wave, time, keys, after),
        )

    @property
    def _start(self) -> float:
        return self.world.scenario.satisfaction.start

    def _requests(self, wave: Ints, time: Ints, visit: Ints, keys: draws.Keys) -> Requests:
        world = self.world
        users = world.people.public.take(wave)
        day = int(time[0]) // DAY  # a wave never spans midnight
        if day not in self._pools:
            self._pools = {day: world.pools(day)}
        per_segment = world.scenario.browse.pools_per_segment
        pool = users.segment * per_segment
        pool += (draws.uniform(draws.fold(keys, _POOL)) * per_segment).astype(np.int64)
        request = users.user << VISIT_BITS | visit
        return Requests(request, time, users, pool, self._pools[day], world.items)

    def _scores(self, requests: Requests, arm: Ints) -> Scores:
        scores = np.empty((len(requests), requests.pools.shape[1]), dtype=np.float32)
        for index, ranker in enumerate(self.rankers):
            rows = np.flatnonzero(arm == index)
            if len(rows) == len(arm):  # one arm alone: no need to copy its requests and scores
                return _checked(ranker, index, requests)
            if len(rows):
                scores[rows] = _checked(ranker, index, requests.take(rows))
        return scores

    def _order(self, scores: Scores, requests: Requests, arm: Ints, keys: draws.Keys) -> tuple[Ints, Scores | None]:
        """Positions best first, as far down as anyone reads, shape (R, pages * slots), and the propensity of
        every candidate where it stands, shape (R, C); None where nobody explores and all are 1."""
        depth = self.world.scenario.browse.pages * self.world.scenario.attention.slots
        temperature = self.temperature[arm]
        exploring = np.flatnonzero(temperature > 0)
        if not len(exploring):
            return ranked(scores, depth), None
        order, propensity = ranked(scores, depth), np.ones_like(scores)
        utility = utilities(scores[exploring], temperature[exploring])
        noise = draws.fold(draws.fold(keys[exploring], _EXPLORE)[:, None], requests.candidates[exploring])
        whole = explored(utility, noise)
        order[exploring] = whole[:, :depth]
        here = np.empty_like(propensity[exploring])
        np.put_along_axis(here, whole, propensities(utility, whole), axis=1)
        propensity[exploring] = here
        return order, propensity

    def _intent(self, keys: draws.Keys) -> Scores:
        sd = self.world.scenario.browse.hidden_intent
        if sd == 0:
            return np.zeros(len(keys), dtype=np.float32)
        return (sd * draws.normal(draws.fold(keys, _INTENT))).astype(np.float32)

    def _satisfaction_after(self, before: Floats, click_visit: Ints, met: Encounter) -> Floats:
        spec = self.world.scenario.satisfaction
        n_clicks = np.bincount(click_visit, minlength=len(before))
        joy = np.bincount(click_visit, logistic(self.world.funnel.enjoyment(met)), minlength=len(before))
        experience = np.where(n_clicks > 0, joy / np.maximum(n_clicks, 1), spec.found_nothing)
        return before + spec.learning * (experience - before)

    def _gap_days(self, rows: Ints, keys: draws.Keys, satisfaction: Floats) -> Floats:
        people, spec = self.world.people, self.world.scenario.satisfaction
        spread = np.exp(spec.gap_log_sd * draws.normal(draws.fold(keys, _GAP)))
        eager = np.exp(-spec.return_strength * people.loyalty[rows] * (satisfaction - spec.start))
        return people.habit[rows] * spread * eager

    def _next_visit(self, wave: Ints, time: Ints, keys: draws.Keys, satisfaction: Floats) -> Ints:
        seconds = np.rint(self._gap_days(wave, keys, satisfaction) * DAY)
        return time + np.maximum(SOONEST_RETURN, seconds).astype(np.int64)

    def _orders(
        self, actions: Mapping[str, Bools], met: Encounter, keys: draws.Keys, request: Ints, rank: Ints, clicked: Ints
    ) -> Orders:
        orders = Orders.empty()
        for index, name in enumerate(self.delayed):
            rows = np.flatnonzero(actions[name])
            action = self.world.scenario.funnel.actions[name]
            assert action.delay is not None
            luck = draws.fold(keys[rows], draws.purpose(name))
            which, size, how_many = (draws.uniform(draws.fold(luck, n)) for n in (1, 2, 3))
            units = np.searchsorted(np.cumsum(action.units)[:-1], how_many, side="right") + 1 if action.units else 0
            orders = orders.append(
                Orders(
                    user=met.user[rows],
                    request=request[rows],
                    rank=rank[rows],
                    action=np.full(len(rows), index),
                    clicked=clicked[rows],
                    due=clicked[rows] + action.delay.draw(which, size),
                    value=self.world.catalogue.price[met.item[rows]] * units,
                )
            )
        return orders


def _checked(ranker: Ranker, index: int, requests: Requests) -> Scores:
    """What a ranker says, if it can be ranked by."""
    given = ranker.score(requests)
    wanted = (len(requests), requests.pools.shape[1])
    if given.shape != wanted or not np.isfinite(given).all():
        raise ValueError(
            f"arm {index} ({type(ranker).__name__}): score must return finite numbers of shape {wanted}, "
            f"got shape {given.shape}{'' if np.isfinite(given).all() else ' with NaN or infinity'}"
        )
    return given
