"""What a wave of visits leaves behind, and who wants to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from sim.attention import AbstractGlance
from sim.funnel import Encounter, encounter
from sim.market import Applications
from sim.records import Bools, Floats, Ints, Requests, Scores
from sim.world import World


@dataclass(frozen=True, slots=True)
class Orders:
    """Late actions under way, such as purchases; one row each.

    user: row of the world's people. request, rank: which impression led to it. item: id.
    arm: what served the visit. action: index into the funnel's late actions.
    clicked, due: seconds. value: cents earned, or given back by a refund. units: taken off the shelf.
    attributed: 1 if it counts for the click, 0 if it comes too late for that.
    """

    user: Ints
    request: Ints
    rank: Ints
    item: Ints
    arm: Ints
    action: Ints
    clicked: Ints
    due: Ints
    value: Ints
    units: Ints
    attributed: Ints

    @classmethod
    def empty(cls) -> Orders:
        return cls(*(np.zeros(0, dtype=np.int64) for _ in fields(cls)))

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Orders:
        return Orders(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Orders]) -> Orders:
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


@dataclass(frozen=True)
class Served:
    """What happened in a wave. R visits, P pages of S slots, K clicks.

    user: shape (R,). Rows of the world's people. requests: R of them. arm: shape (R,). visit: shape (R,).
    visit_of, page: shape (P,). Which visit a page belongs to, and its number in it.
    item, score, propensity, examined: shape (P, S).
    click_page, click_slot: shape (K,). Where the clicks are.
    met: shape (K,). The encounters that were clicked.
    actions: by name, shape (K,). stay_ms: shape (K,).
    orders: what is under way because of this wave. applications: what now waits for a recruiter.
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
    applications: Applications
    novelty: Scores | None
    satisfaction: Floats
    next_visit: Ints

    @property
    def page_time(self) -> Ints:
        """Second at which each page was shown, shape (P,)."""
        return self.requests.time[self.visit_of] + self.page * self.world.scenario.browse.seconds_per_page

    @property
    def click_visit(self) -> Ints:
        """Which visit of the wave each click belongs to, shape (K,)."""
        return self.visit_of[self.click_page]

    @property
    def click_user(self) -> Ints:
        """Row of the person behind each click, shape (K,)."""
        return self.user[self.click_visit]

    @cached_property
    def shown(self) -> Encounter:
        """Everyone against everything they were shown, shape (P, S): hidden truth, for recorders of truth only."""
        user = self.user[self.visit_of][:, None]
        met = encounter(self.world.people, self.world.catalogue, user, self.item, self.intent[self.visit_of][:, None])
        return met if self.novelty is None else replace(met, novelty=self.novelty[self.visit_of][:, None])

    @cached_property
    def click_probability(self) -> Floats:
        """P(click | the page was shown), shape (P, S): hidden truth."""
        attention, funnel = self.world.scenario.attention, self.world.funnel
        content = np.broadcast_to(np.float64(0), self.item.shape)
        if not isinstance(attention, AbstractGlance):
            content = funnel.satisfaction(self.shown).astype(np.float64)
        return attention.click_probability(funnel.attraction(self.shown).astype(np.float64), content)


# (requests, arms) of visits or orders -> which of them count, or are seen at all
Counts = Callable[[Ints, Ints], Bools]


class Recorder(Protocol):
    """Whoever wants to know what happens in the shop."""

    def served(self, wave: Served) -> None: ...
    def landed(self, orders: Orders) -> None: ...
    def closed(self, day: int) -> None: ...
