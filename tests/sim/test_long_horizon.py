"""A shop that is open for long remembers what is under way, and nothing of what has landed."""

from __future__ import annotations

import numpy as np
import simpy

from policies.baselines import Production
from sim.clock import DAY, HOUR
from sim.engine import opening
from sim.shop import Shop
from sim.stories import browse, checkout, close_the_day
from sim.traffic import Traffic
from tests.worlds import Waves, small_world


def test_orders_that_have_landed_are_forgotten() -> None:
    """All orders since the morning were kept and joined anew every hour: after 200 days an hour took a third longer
    than in the beginning, and the memory grew without end."""
    world, waves = small_world(400, people={"habit_days": 0.3}), Waves()
    env, end = simpy.Environment(), 40 * DAY
    everyone = Traffic.fixed(np.zeros(len(world.people), dtype=np.int64))
    shop = Shop(env, world, opening(world, 2), end, [(Production(), 0.5)], everyone, 2, [waves], HOUR)
    for story in (browse, checkout, close_the_day):
        env.process(story(shop))
    env.run(until=end)
    booked = sum(len(wave.orders) for wave in waves.waves)
    landed = sum(len(orders) for orders in waves.landings)
    under_way = shop.state(40).orders
    assert landed > 3 * len(under_way) > 0
    assert landed + len(under_way) == booked  # none is lost, none lands twice
    assert (under_way.due >= end).all()
    assert sum(len(part) for part in shop._orders) == len(under_way)
