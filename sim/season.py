"""The calendar: how busy hours and weekdays are, and what that does to the time between visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sim.bounds import Moderate, check
from sim.catalogue import FORBID_EXTRA
from sim.clock import DAY, HOUR
from sim.records import Floats, Ints

WEEK = 7 * DAY
NEVER = 10**12  # seconds, some 30,000 years; a gap beyond 2**63 of them would wrap around into the past
LEAST = 1e-3  # of the mean intensity: nobody at all would make the clock stand still


@dataclass(frozen=True)
class Season:
    """Relative intensity of visits by weekday (day 0 is a Monday) and by hour; empty, all alike.

    Visits come in operational time, which runs fast when the shop is busy (the time change of an
    inhomogeneous Poisson process, Cinlar 1975), so that a person's rhythm and the calendar's multiply.

    weekdays: 7 numbers. hours: 24 numbers. Each is read relative to its mean.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    weekdays: tuple[Moderate, ...] = ()
    hours: tuple[Moderate, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        for name, values, wanted in (("weekdays", self.weekdays, 7), ("hours", self.hours, 24)):
            if values and len(values) != wanted:
                raise ValueError(f"{name} must hold {wanted} numbers or none, got {len(values)}")
            if any(not value > 0 for value in values):
                raise ValueError(f"{name} must be > 0, got {list(values)}; use a small number for a quiet time")

    @property
    def flat(self) -> bool:
        return not self.weekdays and not self.hours

    def intensity(self) -> Floats:
        """By hour of the week from Monday 0:00, mean 1; shape (168,)."""
        day = np.array(self.weekdays or (1.0,) * 7)
        hour = np.array(self.hours or (1.0,) * 24)
        week = np.maximum(np.outer(day / day.mean(), hour / hour.mean()).ravel(), LEAST)
        intensity: Floats = week / week.mean()
        return intensity

    @cached_property
    def _intensity(self) -> Floats:
        return self.intensity()

    @cached_property
    def _grid(self) -> tuple[Floats, Floats]:
        """Seconds of the week, and operational seconds passed by then; shape (169,)."""
        return np.arange(169.0) * HOUR, np.concatenate([[0.0], np.cumsum(self._intensity)]) * HOUR

    def operational(self, time: Ints | Floats) -> Floats:
        """Integral of the intensity from 0 to `time`, in seconds."""
        _, passed = self._grid
        week, second = np.divmod(time, WEEK)
        hour = (second // HOUR).astype(np.int64)  # hours are even steps: looked up, at a third of the cost of interp
        return week * WEEK + passed[hour] + (second - hour * HOUR) * self._intensity[hour]

    def later(self, time: Ints, gap: Ints | Floats) -> Ints:
        """The second that lies `gap` operational seconds after `time`, or `NEVER` of them; both of shape (n,)."""
        gap = np.minimum(gap, NEVER)
        if self.flat:
            return time + gap.astype(np.int64)
        seconds, passed = self._grid
        week, second = np.divmod(self.operational(time) + gap, WEEK)
        found = week * WEEK + np.interp(second, passed, seconds)
        return np.maximum(np.floor(found).astype(np.int64), time)
