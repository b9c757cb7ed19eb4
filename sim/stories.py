"""The processes of a market: who waits for what, told in order. Each is started by the engine or by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import simpy

from sim.clock import DAY, Midnight, Process
from sim.records import Ranker
from sim.shop import Shop


def browse(shop: Shop) -> Process:
    """People come, are served, and decide when to come again."""
    while True:
        wave = yield shop.visitors.get()
        served = shop.serve(wave)
        for recorder in shop.recorders:
            recorder.served(served)
        shop.expect(served.orders)
        shop.wait(served.applications)
        shop.send_home(served)


def checkout(shop: Shop) -> Process:
    """Purchases are completed, minutes or weeks after the click."""
    while True:
        landing = yield shop.tills.get()
        orders = shop.fill(shop.land(landing))
        for recorder in shop.recorders:
            recorder.landed(orders)


def close_the_day(shop: Shop) -> Process:
    """At midnight the books of the day are closed."""
    while shop.env.now < shop.until:
        yield Midnight(shop.env)
        for recorder in shop.recorders:
            recorder.closed(int(shop.env.now) // DAY - 1)


def refill(shop: Shop) -> Process:
    """Every few days, at midnight, the shelves are full again."""
    spec = shop.world.scenario.market.stock
    assert spec is not None
    level = spec.level(shop.world.seed, np.arange(len(shop.world.catalogue)))
    while True:
        yield Midnight(shop.env)
        if int(shop.env.now) // DAY % spec.refill_days == 0:
            assert shop.shared is not None
            shop.shared = replace(shop.shared, units=level.copy())


def recruit(shop: Shop) -> Process:
    """Recruiters read once a day, each at their own hour, as long as they stay."""
    assert shop.answers is not None
    assert shop.shared is not None
    first = int(shop.env.now) + shop.answers.hour
    there = np.flatnonzero(shop.shared.active)
    shop.offices.book(there, first[there])
    while True:
        readers = yield shop.offices.get()
        shop.expect(shop.read(readers))
        staying = readers[shop.shared.active[readers]]
        tomorrow = (int(shop.env.now) // DAY + 1) * DAY + shop.answers.hour
        shop.offices.book(staying, tomorrow[staying])


def ramp(shops: Sequence[Shop], steps: Mapping[int, float]) -> Process:
    """The test is opened in steps: from the morning of each day, to so large a share of the users."""
    env = shops[0].env
    for shop in shops:
        shop.traffic.open_share = 0.0
    for day, share in sorted(steps.items()):
        # A step that is past is taken at once: waiting for none of them, the first wave finds them all taken.
        if day * DAY > env.now:
            yield env.timeout(day * DAY - int(env.now))
        for shop in shops:
            shop.traffic.open_share = share


def on_air(shops: Sequence[Shop], arm: int, stopped: Callable[[int, int, str], None]) -> Process:
    """An arm serves until the end, unless it is interrupted; its users then return to the control.

    stopped: told of (arm, day, cause).
    """
    try:
        yield shops[0].env.event()  # nothing else ends it
    except simpy.Interrupt as stop:
        for shop in shops:
            shop.traffic.stop(arm)
        stopped(arm, int(shops[0].env.now) // DAY, str(stop.cause))


def guard(
    shops: Sequence[Shop],
    judge: Callable[[int], Mapping[int, str]],
    arms: Sequence[int],
    stopped: Callable[[int, int, str], None],
) -> Process:
    """Every midnight, once the books are closed, arms that do harm are stopped.

    judge: from the number of closed days, what to say of each arm (by index) that must be stopped.
    """
    env = shops[0].env
    # An arm that was stopped in an earlier stretch of the same test is off the air.
    serving = {arm: env.process(on_air(shops, arm, stopped)) for arm in arms if shops[0].traffic.is_on(arm)}
    while True:
        yield Midnight(env)
        for arm, cause in judge(int(env.now) // DAY).items():
            if arm in serving and serving[arm].is_alive:
                serving[arm].interrupt(cause)


def retrain(
    shops: Sequence[Shop], arm: int, every_days: int, fit: Callable[[int], Ranker], like: Sequence[int] = ()
) -> Process:
    """Every few days an arm's ranker is fitted anew, on what the log holds by then.

    fit: from the day, a ranker. like: further arms that are served as this one is.
    """
    env = shops[0].env
    start = int(env.now) // DAY
    while True:
        yield Midnight(env)
        day = int(env.now) // DAY
        if (day - start) % every_days == 0 and int(env.now) < shops[0].until:
            ranker = fit(day)
            for shop in shops:
                for index in (arm, *like):
                    shop.desk.rankers[index] = ranker
