"""One wave of visits, from ranking to departure, for everyone who came in the same tick.

Nothing here knows the clock: a wave is a function of who came, when, in what mood, and their luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim import draws
from sim.clock import DAY
from sim.funnel import Encounter, encounter, logistic
from sim.ranking import explored, propensities, ranked, utilities
from sim.records import Bools, Floats, Ints, Ranker, Requests, Scores
from sim.served import Orders, Served
from sim.world import World, pages_wanted

VISIT_BITS = 20  # a request's id is user << 20 | visit
SOONEST_RETURN = 600  # seconds; sooner is the same visit

_POOL, _EXPLORE, _EXAMINE, _CLICK, _PAGES, _INTENT, _GAP = (
    draws.purpose(name) for name in ("pool", "explore", "examine", "click", "pages", "intent", "gap")
)


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
        world = self.world
        keys = draws.fold(draws.fold(self.luck, world.people.user[wave]), visit)
        requests = self._requests(wave, time, visit, keys)
        arm, intent = self.arm_of[wave], self._intent(keys)
        shown = self._show(wave, requests, arm, keys)
        examined = self._examine(shown, keys)
        clicks = self._click(wave, shown, examined, intent, keys)
        actions = world.funnel.draw_actions(clicks.met, clicks.keys)
        after = self._satisfaction_after(satisfaction, clicks.visit, clicks.met)
        return Served(
            world=world,
            user=wave,
            requests=requests,
            arm=arm,
            visit=visit,
            visit_of=shown.visit_of,
            page=shown.page,
            item=shown.item,
            score=shown.score,
            propensity=shown.propensity,
            examined=examined,
            intent=intent,
            click_page=clicks.page,
            click_slot=clicks.slot,
            met=clicks.met,
            actions=actions,
            stay_ms=world.funnel.draw_stay(clicks.met, clicks.keys),
            orders=self._orders(actions, clicks, shown, requests),
            satisfaction=after,
            next_visit=self._next_visit(wave, time, keys, after),
        )

    def _show(self, wave: Ints, requests: Requests, arm: Ints, keys: draws.Keys) -> _Shown:
        """Rank, and lay out as many pages as each visit reads."""
        browse, slots = self.world.scenario.browse, self.world.scenario.attention.slots
        scores = self._scores(requests, arm)
        order, propensity = self._order(scores, requests, arm, keys)
        n_pages = pages_wanted(browse, self.world.people, draws.fold(keys, _PAGES), wave)
        # A visit ends at midnight: what belongs to a day is in its log, and no page outlives the period.
        n_pages = np.minimum(n_pages, 1 + (DAY - 1 - requests.time % DAY) // browse.seconds_per_page)
        visit_of = np.repeat(np.arange(len(wave)), n_pages)
        page = np.arange(len(visit_of)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
        position = order.reshape(len(wave), -1, slots)[visit_of, page]  # (pages, slots), into the candidates
        n_candidates = scores.shape[1]
        place = visit_of[:, None] * n_candidates + position
        return _Shown(
            visit_of=visit_of,
            page=page,
            rank=page[:, None] * slots + np.arange(slots),
            item=requests.pools.ravel().take(requests.pool[visit_of][:, None] * n_candidates + position),
            score=scores.ravel().take(place),
            propensity=np.ones(place.shape, np.float32) if propensity is None else propensity.ravel().take(place),
        )

    def _examine(self, shown: _Shown, keys: draws.Keys) -> Bools:
        luck = draws.uniform(draws.fold(draws.fold(keys, _EXAMINE)[shown.visit_of][:, None], shown.rank))
        return self.world.scenario.attention.draw(luck)

    def _click(self, wave: Ints, shown: _Shown, examined: Bools, intent: Scores, keys: draws.Keys) -> _Clicks:
        """Who clicks what they look at; luck belongs to the item, wherever it stands."""
        page, slot = np.nonzero(examined)
        visit, item = shown.visit_of[page], shown.item[page, slot]
        met = encounter(self.world.people, self.world.catalogue, wave[visit], item, intent[visit])
        item_keys = draws.fold(keys[visit], item)
        clicked = draws.uniform(draws.fold(item_keys, _CLICK)) < self.world.funnel.attraction(met)
        return _Clicks(visit[clicked], page[clicked], slot[clicked], met.at(clicked), item_keys[clicked])

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
        greedy = np.flatnonzero(temperature <= 0)
        order, propensity = np.empty((len(scores), depth), dtype=np.int64), np.ones_like(scores)
        order[greedy] = ranked(scores[greedy], depth)
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

    def _orders(self, actions: Mapping[str, Bools], clicks: _Clicks, shown: _Shown, requests: Requests) -> Orders:
        seconds = self.world.scenario.browse.seconds_per_page
        orders = []
        for index, name in enumerate(self.delayed):
            rows = np.flatnonzero(actions[name])
            action = self.world.scenario.funnel.actions[name]
            assert action.delay is not None
            luck = draws.fold(clicks.keys[rows], draws.purpose(name))
            which, size, how_many = (draws.uniform(draws.fold(luck, n)) for n in (1, 2, 3))
            units = np.searchsorted(np.cumsum(action.units)[:-1], how_many, side="right") + 1 if action.units else 0
            visit, page = clicks.visit[rows], clicks.page[rows]
            clicked = requests.time[visit] + shown.page[page] * seconds
            orders.append(
                Orders(
                    user=clicks.met.user[rows],
                    request=requests.request[visit],
                    rank=shown.rank[page, clicks.slot[rows]],
                    action=np.full(len(rows), index),
                    clicked=clicked,
                    due=clicked + action.delay.draw(which, size),
                    value=self.world.catalogue.price[clicks.met.item[rows]] * units,
                )
            )
        return Orders.concatenate(orders)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Pages as they are laid out; shapes as in `Served`, rank (P, S) counting from the top of the visit."""

    visit_of: Ints
    page: Ints
    rank: Ints
    item: Ints
    score: Scores
    propensity: Scores


@dataclass(frozen=True, slots=True)
class _Clicks:
    """K clicks: visit, page and slot index the wave's visits, its pages and their slots."""

    visit: Ints
    page: Ints
    slot: Ints
    met: Encounter
    keys: draws.Keys


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
