"""Time in whole seconds, and two SimPy events of our own: the Agenda and Midnight."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import NORMAL, URGENT, Event, EventPriority

HOUR = 3_600
DAY = 86_400

Process = Generator[Event, Any, None]


class Agenda(simpy.Store):
    """Wake-ups of a crowd: `book` files people, `get` yields the wave that wakes in one tick.

    One SimPy alarm per tick that has bookings; empty ticks cost nothing. A tick only groups wake-ups:
    it never rounds a time, since the wave is handed ids and everybody keeps their own second.

    Args:
        env: the clock.
        tick: seconds per tick. Must divide a day, so that no wave spans midnight.
        after: agendas of the same clock are served in this order within a tick, whoever booked first.
    """

    def __init__(self, env: simpy.Environment, tick: int, after: int = 0) -> None:
        if tick < 1 or DAY % tick:
            raise ValueError(f"tick must divide a day of {DAY} s, got {tick}; try {HOUR}")
        super().__init__(env)
        self.env = env
        self.tick = tick
        self.after = after
        self._filed: dict[int, list[NDArray[np.int64]]] = {}

    def book(self, ids: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Wake `ids` (n,) in the ticks that hold the seconds `at` (n,). The past means now."""
        if not len(ids):
            return
        ticks = at // self.tick
        first = int(ticks.min())
        ahead = ticks - first
        if int(ahead.max()) < 1 << 16:
            ahead = ahead.astype(np.uint16)  # a radix sort: 24,000 ids in 0.12 ms instead of 1.3
        order = np.argsort(ahead, kind="stable")
        ahead, ids = ahead[order], ids[order]
        borders = [0, *(np.flatnonzero(np.diff(ahead)) + 1).tolist(), len(ids)]
        for start, stop in pairwise(borders):
            self._file(first + int(ahead[start]), ids[start:stop])

    def _file(self, tick: int, ids: NDArray[np.int64]) -> None:
        if tick not in self._filed:
            self._filed[tick] = []
            alarm = Event(self.env)
            alarm._ok, alarm._value = True, tick
            assert alarm.callbacks is not None
            alarm.callbacks.append(self._ring)
            delay = max(0, tick * self.tick - int(self.env.now))
            self.env.schedule(alarm, EventPriority(NORMAL + self.after), delay)
        self._filed[tick].append(ids)

    def _ring(self, alarm: Event) -> None:
        tick: int = alarm.value  # type: ignore[assignment]
        # Sorted, so that the order of booking cannot matter.
        self.put(np.sort(np.concatenate(self._filed.pop(tick))))


class Midnight(Event):
    """The end of the present day, ahead of anything else that happens at that second."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, URGENT, DAY - int(env.now) % DAY)
