"""What a wave of visits leaves behind, and who wants to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from sim.funnel import Encounter, encounter
from sim.records import Bools, Floats, Ints, Requests, Scores
from sim.world import World


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
