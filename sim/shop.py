"""What the processes of one market share: agendas, and the arrays they move people through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import simpy

from sim.clock import DAY, Agenda
from sim.late import AnswerDesk, decided_by_recruiters
from sim.logbook import impression_id
from sim.market import Applications, Shared, sold
from sim.records import Ints, Ranker
from sim.served import Orders, Recorder, Served
from sim.state import State
from sim.traffic import Traffic
from sim.visits import Novelty, VisitDesk
from sim.world import World


class Shop:
    """One market at work; arguments as in `engine.Market`.

    visitors, offices, tills: when people come, when recruiters read, and when orders land.
    shared: shelf and recruiters, or None. answers: recruiters at work, or None.
    n_unfilled: orders that found an empty shelf.
    """

    def __init__(
        self,
        env: simpy.Environment,
        world: World,
        state: State,
        until: int,
        rankers: Sequence[tuple[Ranker, float]],
        traffic: Traffic,
        luck: int,
        recorders: Sequence[Recorder],
        tick: int,
        novelty: Novelty | None = None,
    ) -> None:
        self.env, self.world, self.until, self.tick = env, world, until, tick
        self.recorders = recorders
        self.traffic = traffic
        # Within a tick people come first, recruiters read, and orders land last: a wave finds what the tick began with.
        self.visitors, self.offices, self.tills = (Agenda(env, tick, after) for after in range(3))
        self.next_visit, self.visits = state.next_visit.copy(), state.visits.copy()
        self.satisfaction = state.satisfaction.copy()
        self.shared: Shared | None = None if state.shared is None else state.shared.copy()
        self._waiting = [] if self.shared is None else [self.shared.waiting]
        decides = self.shared is not None and decided_by_recruiters(world)
        self.answers = AnswerDesk(world) if decides else None
        self.n_unfilled = 0
        self._orders, self._order_ids, self.n_orders = [Orders.empty()], [np.zeros(0, dtype=np.int64)], 0
        self.desk = VisitDesk(world, rankers, luck, sharing=bool(decides), novelty=novelty)
        self.expect(state.orders)
        self.book_visits(np.arange(len(self.visits)))

    def serve(self, wave: Ints) -> Served:
        time, visit = self.next_visit[wave], self.visits[wave]
        if self.shared is not None:
            self.desk.listed = self.shared.units > 0
            if self.answers is not None:
                self.desk.listed &= self.shared.active[self.world.owner]
        return self.desk.serve(wave, time, visit, self.satisfaction[wave], self.traffic.arms(wave, visit, time))

    def send_home(self, served: Served) -> None:
        wave = served.user
        self.visits[wave] += 1
        self.satisfaction[wave] = served.satisfaction
        self.next_visit[wave] = served.next_visit
        self.book_visits(wave)

    def book_visits(self, users: Ints) -> None:
        soon = users[self.next_visit[users] < self.until]
        self.visitors.book(soon, self.next_visit[soon])

    def expect(self, orders: Orders) -> None:
        """Remember orders under way, and book those that land before the end."""
        soon = np.flatnonzero(orders.due < self.until)
        self.tills.book(self.n_orders + soon, orders.due[soon])
        self._orders.append(orders)
        self._order_ids.append(self.n_orders + np.arange(len(orders)))
        self.n_orders += len(orders)

    def wait(self, applications: Applications) -> None:
        """Put applications on the piles of recruiters."""
        if len(applications):
            self._waiting.append(applications)

    def fill(self, orders: Orders) -> Orders:
        """Take landing orders off the shelf, first come first served; those that find it empty are lost."""
        if self.shared is None:
            return orders
        orders = orders.take(np.lexsort((orders.action, orders.rank, orders.request, orders.due)))
        impression = impression_id(orders.request, orders.rank)
        units = np.where(np.isin(impression, self.shared.unfilled), 0, orders.units)
        got = sold(self.shared.units, orders.item, units)
        lost = np.concatenate([self.shared.unfilled, impression[~got]])
        self.n_unfilled += int((~got).sum())
        self.shared = replace(self.shared, unfilled=lost)
        return orders.take(~np.isin(impression, lost))  # nor does anything follow from what was lost

    def read(self, readers: Ints) -> Orders:
        """Let recruiters read what waits for them; what they answer is under way from then on."""
        assert self.shared is not None
        assert self.answers is not None
        self.shared = replace(self.shared, waiting=Applications.concatenate(self._waiting))
        now = int(self.env.now) // DAY * DAY + self.answers.hour
        self.shared, orders = self.answers.read(self.shared, readers, now)
        self._waiting = [self.shared.waiting]
        return orders

    def land(self, landing: Ints) -> Orders:
        """The orders with these numbers, in rising order: they land, and are forgotten."""
        ids, orders = self._under_way()
        rows = np.searchsorted(ids, landing)
        left = np.ones(len(ids), dtype=bool)
        left[rows] = False
        self._order_ids, self._orders = [ids[left]], [orders.take(left)]
        return orders.take(rows)

    def _under_way(self) -> tuple[Ints, Orders]:
        """Numbers and orders that have not landed yet; joined when they are asked for, not with every wave."""
        if len(self._orders) > 1:
            self._orders, self._order_ids = [Orders.concatenate(self._orders)], [np.concatenate(self._order_ids)]
        return self._order_ids[0], self._orders[0]

    def state(self, day: int) -> State:
        shared = self.shared
        if shared is not None:
            shared = replace(shared, waiting=Applications.concatenate(self._waiting))
        return State(day, self.next_visit, self.visits, self.satisfaction, self._under_way()[1], shared)
