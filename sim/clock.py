"""Time in whole seconds, and two SimPy events of our own: the Agenda and Midnight."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import URGENT, Event

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
    """

    def __init__(self, env: simpy.Environment, tick: int) -> None:
        if tick < 1 or DAY % tick:
            raise ValueError(f"tick must divide a day of {DAY} s, got {tick}; try {HOUR}")
        super().__init__(env)
        self.env = env
        self.tick = tick
        self._filed: dict[int, list[NDArray[np.int64]]] = {}

    def book(self, ids: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Wake `ids` (n,) in the ticks that hold the seconds `at` (n,). The past means now."""
        ticks = at // self.tick
        order = np.argsort(ticks, kind="stable")
        borders = np.flatnonzero(np.diff(ticks[order])) + 1
        for members in np.split(order, borders) if len(order) else ():
            self._file(int(ticks[members[0]]), ids[members])

    def _file(self, tick: int, ids: NDArray[np.int64]) -> None:
        if tick not in self._filed:
            self._filed[tick] = []
            alarm = self.env.timeout(max(0, tick * self.tick - int(self.env.now)), value=tick)
            assert alarm.callbacks is not None
            alarm.callbacks.append(self._ring)
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
