"""One wave of visits, from ranking to departure, for everyone who came in the same tick.

Nothing here knows the clock: a wave is a function of who came, when, in what mood, and their luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from sim import draws
from sim.attention import AbstractGlance, AbstractReading
from sim.clock import DAY
from sim.funnel import Encounter, encounter, logistic
from sim.habits import gap_days, pages_wanted
from sim.late import Roots, decided_by_recruiters, late_orders
from sim.market import Applications
from sim.ranking import explored, propensities, ranked, utilities
from sim.records import Bools, Floats, Ints, Ranker, Requests, Scores
from sim.served import Served
from sim.world import World

VISIT_BITS = 20  # a request's id is user << 20 | visit
SOONEST_RETURN = 600  # seconds; sooner is the same visit
LAST = np.finfo(np.float32).min  # the score of what cannot be listed: below any that a ranker gives
UNLISTED = 1e6  # utility below the worst of a request, that exploration cannot make up for

_POOL, _EXPLORE, _EXAMINE, _CLICK, _ONWARD, _PAGES, _INTENT = (
    draws.purpose(name) for name in ("pool", "explore", "examine", "click", "onward", "pages", "intent")
)


@dataclass(frozen=True, slots=True)
class Novelty:
    """A fault that real tests have: people click more on what is merely new to them, for a while.

    lift: log-odds added to a click at first. half_life_days: until it has halved. since: second at which it begins.
    arms: indices of the arms that are new.
    """

    lift: float
    half_life_days: float
    since: int
    arms: tuple[int, ...]

    def at(self, time: Ints, arm: Ints) -> Scores:
        """Log-odds added to the clicks of visits; time and arm of shape (R,)."""
        left = 0.5 ** (np.maximum(time - self.since, 0) / (self.half_life_days * DAY))
        return (self.lift * left * (np.isin(arm, self.arms) & (time >= self.since))).astype(np.float32)


class VisitDesk:
    """Serves waves of visits in one world.

    Args:
        rankers: (ranker, temperature) of each arm; a ranker may be exchanged between waves.
        luck: seed of all chance.
        sharing: whether recruiters decide over applications, or nobody does.

    listed: shape (n_items,). What can be shown now; None where nothing ever runs out.
    """

    def __init__(
        self,
        world: World,
        rankers: Sequence[tuple[Ranker, float]],
        luck: int,
        *,
        sharing: bool = False,
        novelty: Novelty | None = None,
    ) -> None:
        self.world = world
        self.rankers = [ranker for ranker, _ in rankers]
        self.temperature = np.array([temperature for _, temperature in rankers])
        self.luck = draws.root(luck, "visit")
        self.decided = decided_by_recruiters(world) if sharing else ()
        self.novelty = novelty
        self.listed: Bools | None = None
        self._pools: dict[int, Ints] = {}

    def first_visit(self) -> Ints:
        """Second of everybody's first visit: somewhere within a usual gap."""
        people = self.world.people
        keys = draws.fold(draws.root(0, "first visit") ^ self.luck, people.user)
        spec = self.world.scenario.satisfaction
        gap = gap_days(people, spec, np.arange(len(people)), keys, np.full(len(people), spec.start))
        start = np.zeros(len(people), dtype=np.int64)
        return self.world.scenario.season.later(start, np.floor(draws.uniform(keys) * gap * DAY))

    def serve(self, wave: Ints, time: Ints, visit: Ints, satisfaction: Floats, arm: Ints) -> Served:
        """Serve the users `wave` (R,), who come at second `time` for the `visit`-th time, by arms `arm`."""
        world = self.world
        keys = draws.fold(draws.fold(self.luck, world.people.user[wave]), visit)
        requests = self._requests(wave, time, visit, keys)
        intent = self._intent(keys)
        novelty = self.novelty.at(time, arm) if self.novelty else None
        shown, examined, clicks = self._look(wave, self._show(wave, requests, arm, keys), intent, novelty, keys)
        actions = world.funnel.draw_actions(clicks.met, clicks.keys, self.decided)
        after = self._satisfaction_after(satisfaction, clicks.visit, clicks.met)
        roots = self._roots(clicks, shown, requests, arm)
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
            orders=late_orders(world, actions, clicks.met, roots),
            applications=self._applications(actions, clicks, roots),
            novelty=novelty,
            satisfaction=after,
            next_visit=self._next_visit(wave, time, keys, after),
        )

    def _show(self, wave: Ints, requests: Requests, arm: Ints, keys: draws.Keys) -> _Shown:
        """Rank, and lay out as many pages as each visit is ready to read."""
        browse, slots = self.world.scenario.browse, self.world.scenario.attention.slots
        scores = self._scores(requests, arm)
        order, propensity = self._order(scores, requests, arm, keys)
        n_pages = pages_wanted(browse, self.world.people, draws.fold(keys, _PAGES), wave)
        # A visit ends at midnight: what belongs to a day is in its log, and no page outlives the period.
        n_pages = np.minimum(n_pages, 1 + (DAY - 1 - requests.time % DAY) // browse.seconds_per_page)
        visit_of = np.repeat(np.arange(len(wave)), n_pages)
        page = np.arange(len(visit_of)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
        position = order.reshape(-1, slots).take(visit_of * browse.pages + page, axis=0)  # (pages, slots), candidates
        n_candidates = scores.shape[1]
        place = (visit_of * n_candidates)[:, None] + position
        position += (requests.pool.take(visit_of) * n_candidates)[:, None]  # now into all pools, end to end
        return _Shown(
            visit_of=visit_of,
            page=page,
            rank=page[:, None] * slots + np.arange(slots),
            item=requests.pools.ravel().take(position),
            score=scores.ravel().take(place),
            propensity=np.ones(place.shape, np.float32) if propensity is None else propensity.ravel().take(place),
        )

    def _look(
        self, wave: Ints, shown: _Shown, intent: Scores, novelty: Scores | None, keys: draws.Keys
    ) -> tuple[_Shown, Bools, _Clicks]:
        """What is shown in the end, what of it is examined, and who clicks; click luck belongs to the item."""
        attention = self.world.scenario.attention
        if isinstance(attention, AbstractGlance):
            luck = draws.uniform(draws.fold(draws.fold(keys, _EXAMINE)[shown.visit_of][:, None], shown.rank))
            examined = attention.draw(luck)
            place = np.flatnonzero(examined)  # then divided: a third of the cost of nonzero in two dimensions
            page, slot = np.divmod(place, examined.shape[1])
            visit = shown.visit_of.take(page)
            met = self._meet(wave, visit, shown.item.ravel().take(place), intent, novelty)
            item_keys = draws.fold(keys.take(visit), met.item)
            chance = attention.clicked_if_examined(self.world.funnel.attraction(met), slot)
            clicked = np.flatnonzero(draws.uniform(draws.fold(item_keys, _CLICK)) < chance)
            clicks = _Clicks(visit[clicked], page[clicked], slot[clicked], met.at(clicked), item_keys[clicked])
            return shown, examined, clicks
        assert isinstance(attention, AbstractReading)
        return self._read(attention, wave, shown, intent, novelty, keys)

    def _read(
        self,
        attention: AbstractReading,
        wave: Ints,
        shown: _Shown,
        intent: Scores,
        novelty: Scores | None,
        keys: draws.Keys,
    ) -> tuple[_Shown, Bools, _Clicks]:
        """Reading from the top down: who stops on a page is shown no further page."""
        visit_of = np.broadcast_to(shown.visit_of[:, None], shown.item.shape)
        met = self._meet(wave, visit_of.ravel(), shown.item.ravel(), intent, novelty)
        attraction = self.world.funnel.attraction(met).reshape(shown.item.shape)
        content = self.world.funnel.satisfaction(met).reshape(shown.item.shape)
        item_keys = draws.fold(keys[shown.visit_of][:, None], shown.item)
        onward = draws.uniform(draws.fold(draws.fold(keys, _ONWARD)[shown.visit_of][:, None], shown.rank))
        examined, clicked, on = attention.draw(
            attraction, content, draws.uniform(draws.fold(item_keys, _CLICK)), onward
        )
        stops: Ints = np.cumsum(~on) - ~on  # pages above, over all visits, on which somebody stopped
        first = np.flatnonzero(shown.page == 0)
        reached = np.flatnonzero(stops == stops[first][shown.visit_of])
        shown, examined, clicked = shown.take(reached), examined[reached], clicked[reached]
        page, slot = np.nonzero(clicked)
        flat = reached[page] * attention.slots + slot
        clicks = _Clicks(shown.visit_of[page], page, slot, met.at(flat), item_keys.ravel()[flat])
        return shown, examined, clicks

    def _meet(self, wave: Ints, visit: Ints, item: Ints, intent: Scores, novelty: Scores | None) -> Encounter:
        met = encounter(self.world.people, self.world.catalogue, wave.take(visit), item, intent.take(visit))
        return met if novelty is None else replace(met, novelty=novelty[visit])

    def _roots(self, clicks: _Clicks, shown: _Shown, requests: Requests, arm: Ints) -> Roots:
        seconds = self.world.scenario.browse.seconds_per_page
        clicked = requests.time[clicks.visit] + shown.page[clicks.page] * seconds
        rank = shown.rank[clicks.page, clicks.slot]
        return Roots(requests.request[clicks.visit], rank, arm[clicks.visit], clicked, clicked, clicks.keys)

    def _applications(self, actions: Mapping[str, Bools], clicks: _Clicks, roots: Roots) -> Applications:
        if not self.decided:
            return Applications.empty()
        rows = np.flatnonzero(actions[self.world.scenario.funnel.actions[self.decided[0]].parent])
        met, roots = clicks.met.at(rows), roots.take(rows)
        return Applications(
            met.user, met.item, roots.request, roots.rank, roots.arm, roots.clicked, met.intent, roots.keys
        )

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
        gone = None if self.listed is None else ~self.listed[requests.candidates]
        if not len(exploring):
            return ranked(scores if gone is None else np.where(gone, LAST, scores), depth), None
        greedy = np.flatnonzero(temperature <= 0)
        order, propensity = np.empty((len(scores), depth), dtype=np.int64), np.ones_like(scores)
        order[greedy] = ranked((scores if gone is None else np.where(gone, LAST, scores))[greedy], depth)
        utility = utilities(scores[exploring], temperature[exploring])
        if gone is not None:
            span = np.ptp(utility, axis=1, keepdims=True)  # wide where exploration is cold
            utility = np.where(gone[exploring], utility - span - UNLISTED, utility)
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

    def _next_visit(self, wave: Ints, time: Ints, keys: draws.Keys, satisfaction: Floats) -> Ints:
        days = gap_days(self.world.people, self.world.scenario.satisfaction, wave, keys, satisfaction)
        seconds = np.maximum(SOONEST_RETURN, np.rint(days * DAY))
        return self.world.scenario.season.later(time, seconds)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Pages as they are laid out; shapes as in `Served`, rank (P, S) counting from the top of the visit."""

    visit_of: Ints
    page: Ints
    rank: Ints
    item: Ints
    score: Scores
    propensity: Scores

    def take(self, pages: Ints) -> _Shown:
        return _Shown(*(getattr(self, f.name)[pages] for f in fields(self)))


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
