"""Times: on an item, from a click to what follows it late, and between visits."""

from __future__ import annotations

import numpy as np

from experiments.marginals.simulated import Simulated
from sim.clock import DAY, HOUR
from sim.records import Floats


def dwell_median(of: Simulated) -> float | None:
    """Median seconds on a clicked item."""
    return of.sample.stay.quantile(0.5)


def dwell_log_sd(of: Simulated) -> float | None:
    """Sd of the log of seconds on a clicked item."""
    return of.sample.stay.log_sd


def watch_ratio_q1(of: Simulated) -> float | None:
    """Lower quartile of the share of an item's length that a play watches."""
    return _watched(of, 0.25)


def watch_ratio_median(of: Simulated) -> float | None:
    """Median share of an item's length that a play watches."""
    return _watched(of, 0.5)


def watch_ratio_q3(of: Simulated) -> float | None:
    """Upper quartile of the share of an item's length that a play watches."""
    return _watched(of, 0.75)


def delay_1h(of: Simulated) -> float | None:
    """Share of the first late action that comes within an hour of the click."""
    return _within(of, HOUR)


def delay_24h(of: Simulated) -> float | None:
    """Share of the first late action that comes within a day of the click."""
    return _within(of, DAY)


def delay_14d(of: Simulated) -> float | None:
    """Share of the first late action that comes within 14 days of the click."""
    return _within(of, 14 * DAY)


def gap_log_sd(of: Simulated) -> float | None:
    """Sd of the log of days between visits, over visits."""
    return of.sample.gap.log_sd


def return_day_1(of: Simulated) -> float | None:
    """Users who came again on the day after their first, of those whose next day was simulated."""
    return _returned(of, 1)


def return_day_7(of: Simulated) -> float | None:
    """Users who came again on the seventh day after their first, of those whose seventh day was simulated."""
    return _returned(of, 7)


def delay_curve(of: Simulated, seconds: Floats) -> Floats | None:
    """P(the first late action comes within so many seconds), in closed form; None without one."""
    late = of.scenario.funnel.late
    if not late:
        return None
    delays = of.scenario.funnel.delays(late[0])
    return delays[0].landed_probability(seconds) if len(delays) == 1 else None


def _watched(of: Simulated, share: float) -> float | None:
    if of.scenario.funnel.stay.median_share is None:
        return None
    return of.sample.watched.quantile(share)


def _within(of: Simulated, seconds: float) -> float | None:
    return of.sample.delay.share_below(seconds) if of.scenario.funnel.late else None


def _returned(of: Simulated, days: int) -> float | None:
    first = of.sample.first_day
    followed = np.flatnonzero((first >= 0) & (first + days < of.days))
    return float(of.total(f"returned_{days}")[followed].mean()) if len(followed) else None
