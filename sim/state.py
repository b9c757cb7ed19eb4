"""A market between two days, as arrays: what is saved, moved and continued."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.market import Applications, Shared
from sim.records import Floats, Ints
from sim.served import Orders
from sim.visits import VisitDesk
from sim.world import World


@dataclass(frozen=True, slots=True)
class State:
    """A market between two days; row i is the world's user i.

    day: the next day to simulate.
    next_visit: shape (n,). Second of the next visit. visits: shape (n,). Visits so far.
    satisfaction: shape (n,), in [0, 1].
    orders: on their way.
    shared: shelf and recruiters; None where users share nothing.
    """

    day: int
    next_visit: Ints
    visits: Ints
    satisfaction: Floats
    orders: Orders
    shared: Shared | None = None

    def take(self, rows: Ints) -> State:
        """The state of some users, renumbered in the order of `rows`; what is shared stays whole."""
        new_row = np.full(len(self.visits), -1)
        new_row[rows] = np.arange(len(rows))
        orders = self.orders.take(new_row[self.orders.user] >= 0)
        shared = self.shared
        if shared is not None:
            waiting = shared.waiting.take(new_row[shared.waiting.user] >= 0)
            shared = replace(shared, waiting=replace(waiting, user=new_row[waiting.user]))
        return State(
            self.day,
            self.next_visit[rows],
            self.visits[rows],
            self.satisfaction[rows],
            replace(orders, user=new_row[orders.user]),
            shared,
        )


def opening(world: World, luck: int, *, sharing: bool = False) -> State:
    """Everybody before their first visit, with nothing under way, on the morning of day 0."""
    n = len(world.people)
    return State(
        0,
        VisitDesk(world, [], luck).first_visit(),
        np.zeros(n, dtype=np.int64),
        np.full(n, world.scenario.satisfaction.start),
        Orders.empty(),
        fresh(world) if sharing else None,
    )


def fresh(world: World) -> Shared:
    """Full shelves, and recruiters who have just come."""
    market, n_items, n_owners = world.scenario.market, len(world.catalogue), len(world.owner_id)
    if market.stock is None and market.recruiters is None:
        raise ValueError(f"scenario {world.scenario.name!r} has nothing to share; give it market.stock or .recruiters")
    plenty = np.full(n_items, np.iinfo(np.int64).max // 2)
    return Shared(
        units=market.stock.level(world.seed, np.arange(n_items)) if market.stock else plenty,
        active=np.ones(n_owners, dtype=bool),
        satisfaction=np.full(n_owners, market.recruiters.mean_fit if market.recruiters else 0.5),
        suitable_at=np.zeros(n_owners, dtype=np.int64),
        waiting=Applications.empty(),
        unfilled=np.zeros(0, dtype=np.int64),
    )
