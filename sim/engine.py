"""The simulation itself: SimPy tells when, NumPy does what, for everyone who wakes in a tick.

Three stories run side by side: people browse, their orders land, and at midnight the books are closed.
All arms of a market live in one environment. No process holds state across midnight: `simulate` takes
arrays and returns arrays, so a market can be saved, moved and continued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy

from sim.clock import DAY, HOUR, Agenda, Midnight, Process
from sim.records import Floats, Ints, Ranker
from sim.served import Orders, Recorder, Served
from sim.visits import VisitDesk
from sim.world import World


@dataclass(frozen=True, slots=True)
class Arm:
    """A ranker at work. temperature: of its exploration, in sd of a request's scores; 0 for none."""

    name: str
    ranker: Ranker
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """A market between two days; row i is the world's user i.

    day: the next day to simulate.
    next_visit: shape (n,). Second of the next visit. visits: shape (n,). Visits so far.
    satisfaction: shape (n,), in [0, 1].
    orders: on their way.
    """

    day: int
    next_visit: Ints
    visits: Ints
    satisfaction: Floats
    orders: Orders

    def take(self, rows: Ints) -> State:
        """The state of some users, renumbered in the order of `rows`."""
        new_row = np.full(len(self.visits), -1)
        new_row[rows] = np.arange(len(rows))
        orders = self.orders.take(new_row[self.orders.user] >= 0)
        return State(
            self.day,
            self.next_visit[rows],
            self.visits[rows],
            self.satisfaction[rows],
            replace(orders, user=new_row[orders.user]),
        )


def simulate(
    world: World,
    state: State,
    until_day: int,
    arms: Sequence[Arm],
    arm_of: Ints,
    luck: int,
    recorders: Sequence[Recorder],
    tick: int = HOUR,
) -> State:
    """Run a market from the morning of `state.day` to the midnight that ends `until_day - 1`.

    Args:
        arm_of: shape (n,). Index of the arm that serves each user.
        luck: the seed of all chance; equal luck, equal fate, whatever the arm.
        recorders: told of visits, landed orders and closed days.
        tick: seconds per wave; groups wake-ups, rounds nothing.
    """
    if until_day <= state.day:
        return state
    env = simpy.Environment(initial_time=state.day * DAY)
    shop = Shop(env, world, state, until_day * DAY, arms, arm_of, luck, recorders, tick)
    env.process(browse(shop))
    env.process(checkout(shop))
    env.run(until=env.process(close_the_day(shop)))
    return shop.state(until_day)


def browse(shop: Shop) -> Process:
    """People come, are served, and decide when to come again."""
    while True:
        wave = yield shop.visitors.get()
        served = shop.serve(wave)
        for recorder in shop.recorders:
            recorder.served(served)
        shop.expect(served.orders)
        shop.send_home(served)


def checkout(shop: Shop) -> Process:
    """Purchases are completed, minutes or weeks after the click."""
    while True:
        landing = yield shop.tills.get()
        for recorder in shop.recorders:
            recorder.landed(shop.orders.take(landing))


def close_the_day(shop: Shop) -> Process:
    """At midnight the books of the day are closed."""
    while shop.env.now < shop.until:
        yield Midnight(shop.env)
        for recorder in shop.recorders:
            recorder.closed(int(shop.env.now) // DAY - 1)


class Shop:
    """What the processes share: two agendas and the arrays they move people through."""

    def __init__(
        self,
        env: simpy.Environment,
        world: World,
        state: State,
        until: int,
        arms: Sequence[Arm],
        arm_of: Ints,
        luck: int,
        recorders: Sequence[Recorder],
        tick: int,
    ) -> None:
        self.env = env
        self.until = until
        self.recorders = recorders
        self.visitors = Agenda(env, tick)
        self.tills = Agenda(env, tick)
        self.next_visit = state.next_visit.copy()
        self.visits = state.visits.copy()
        self.satisfaction = state.satisfaction.copy()
        self._orders, self.n_orders = [Orders.empty()], 0
        self.desk = VisitDesk(world, [(arm.ranker, arm.temperature) for arm in arms], arm_of, luck)
        self.expect(state.orders)
        self.book_visits(np.arange(len(self.visits)))

    def serve(self, wave: Ints) -> Served:
        return self.desk.serve(wave, self.next_visit[wave], self.visits[wave], self.satisfaction[wave])

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
        self.n_orders += len(orders)

    @property
    def orders(self) -> Orders:
        """All orders of this stretch; joined when they are asked for, not with every wave."""
        if len(self._orders) > 1:
            self._orders = [Orders.concatenate(self._orders)]
        return self._orders[0]

    def state(self, day: int) -> State:
        return State(
            day, self.next_visit, self.visits, self.satisfaction, self.orders.take(self.orders.due >= self.until)
        )


def opening(world: World, luck: int) -> State:
    """Everybody before their first visit, with nothing under way, on the morning of day 0."""
    n = len(world.people)
    desk = VisitDesk(world, [], np.zeros(n, dtype=np.int64), luck)
    return State(
        0,
        desk.first_visit(),
        np.zeros(n, dtype=np.int64),
        np.full(n, world.scenario.satisfaction.start),
        Orders.empty(),
    )
