"""The simulation itself: SimPy tells when, NumPy does what, for everyone who wakes in a tick.

Three stories always run side by side: people browse, their orders land, and at midnight the books are
closed; `sim.stories` has those that a test may add. All arms and, where they are coupled, all markets live
in one environment. No process holds state across midnight: `simulate` takes arrays and returns arrays, so a
market can be saved, moved and continued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import simpy

from sim.clock import DAY, HOUR, Process
from sim.records import Ints, Ranker
from sim.served import Recorder
from sim.shop import Shop
from sim.state import State, opening
from sim.stories import browse, checkout, close_the_day, recruit, refill
from sim.traffic import Traffic
from sim.visits import Novelty
from sim.world import World

__all__ = ["Arm", "Market", "State", "opening", "simulate", "simulate_markets"]


@dataclass(frozen=True, slots=True)
class Arm:
    """A ranker at work. temperature: of its exploration, in sd of a request's scores; 0 for none."""

    name: str
    ranker: Ranker
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Market:
    """One market to simulate. recorders: told of visits, landed orders and closed days.

    tick: seconds per wave; groups wake-ups, rounds nothing. Where users share something, a wave finds it as it
        was when the tick began.
    """

    world: World
    state: State
    traffic: Traffic
    recorders: Sequence[Recorder]
    tick: int = HOUR


Story = Callable[[Sequence[Shop]], Process]


def simulate(
    world: World,
    state: State,
    until_day: int,
    arms: Sequence[Arm],
    arm_of: Ints | Traffic,
    luck: int,
    recorders: Sequence[Recorder],
    tick: int = HOUR,
) -> State:
    """Run one market from the morning of `state.day` to the midnight that ends `until_day - 1`.

    Args:
        arm_of: shape (n,). Index of the arm that serves each user; or how visits find their arms.
        luck: the seed of all chance; equal luck, equal fate, whatever the arm.
        recorders, tick: as in `Market`.
    """
    traffic = arm_of if isinstance(arm_of, Traffic) else Traffic.fixed(np.asarray(arm_of))
    return simulate_markets([Market(world, state, traffic, recorders, tick)], until_day, arms, luck)[0]


def simulate_markets(
    markets: Sequence[Market],
    until_day: int,
    arms: Sequence[Arm],
    luck: int,
    *,
    novelty: Novelty | None = None,
    stories: Sequence[Story] = (),
) -> list[State]:
    """Run several markets under one clock, with stories that watch all of them, such as a guard.

    A market shares what its state says: `State.shared` is None where nothing is shared.
    """
    start = markets[0].state.day
    if until_day <= start:
        return [market.state for market in markets]
    env = simpy.Environment(initial_time=start * DAY)
    rankers = [(arm.ranker, arm.temperature) for arm in arms]
    shops = [
        Shop(env, m.world, m.state, until_day * DAY, rankers, m.traffic, luck, m.recorders, m.tick, novelty)
        for m in markets
    ]
    closing = []
    for shop in shops:
        env.process(browse(shop))
        env.process(checkout(shop))
        closing.append(env.process(close_the_day(shop)))
        if shop.shared is not None and shop.world.scenario.market.stock:
            env.process(refill(shop))
        if shop.answers is not None:
            env.process(recruit(shop))
    for story in stories:
        env.process(story(shops))
    env.run(until=env.all_of(closing))
    return [shop.state(until_day) for shop in shops]
