"""The funnel as data: actions with parents, rates, drivers and delays, as a scenario file states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Gt, Le

from sim.bounds import Moderate, Rate, Share, Spread, Weight, check
from sim.catalogue import FORBID_EXTRA
from sim.clock import DAY, HOUR
from sim.records import Floats, Ints

Driver = Literal["match", "appeal", "quality", "price", "spender", "skill", "intent"]
Drivers = Mapping[Driver, Weight]
SHOWN = "shown"
# Names of other columns of the log, of totals and of luck.
RESERVED = frozenset(
    "shown request market arm day time user visit visits page slot item pool price score propensity impressions "
    "stay stay_ms value value_cents net_cents refund refund_cents watched_milli fit fit_milli users active_days "
    "satisfaction examined explore examine pages intent gap onward".split()
)


@dataclass(frozen=True, slots=True)
class Delay:
    """Time from an action to the one it leads to: a mixture of two exponentials (Chapelle, KDD 2014).

    short_share: share of the quick ones.
    short_mean_hours, long_mean_days: mean delays of the quick and the slow.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    short_share: Share
    short_mean_hours: Moderate
    long_mean_days: Moderate

    def __post_init__(self) -> None:
        check(self)

    def draw(self, which: Floats, size: Floats) -> Ints:
        """Whole seconds, from two independent uniforms of shape (n,)."""
        mean = np.where(which < self.short_share, self.short_mean_hours * HOUR, self.long_mean_days * DAY)
        return np.floor(-np.log(size) * mean).astype(np.int64)

    def landed_probability(self, seconds: Floats | Ints | float) -> Floats:
        """P(the action lands in fewer than so many seconds); 0 for a time already past."""
        within = np.maximum(seconds, 0)
        return sum(share * -np.expm1(-within / mean) for share, mean in self.parts())  # type: ignore[return-value]

    def parts(self) -> tuple[tuple[float, float], ...]:
        """(share, mean seconds) of the two exponentials."""
        return (
            (self.short_share, self.short_mean_hours * HOUR),
            (1 - self.short_share, self.long_mean_days * DAY),
        )


def both_landed_probability(first: Delay, second: Delay, by: Floats | Ints, first_by: Floats | Ints) -> Floats:
    """P(the second of two delays in a row has landed by `by`, the first by `first_by`), in seconds from the start.

    For exponentials of means m and n: integral over s < a of the density of the first times P(second < by - s),
    a = min(by, first_by).
    """
    end = np.maximum(np.asarray(by, dtype=np.float64), 0)
    a = np.minimum(end, np.maximum(first_by, 0))
    total = np.zeros(np.broadcast(end, a).shape)
    for p, m in first.parts():
        for q, n in second.parts():
            rate = 1 / m - 1 / n
            # exp(-end/n) * integral of exp(-s rate) / m, with the exponents joined: each alone may overflow.
            tail = (
                a / m * np.exp(-end / n)
                if abs(rate) * DAY < 1e-9
                else (np.exp(-end / n) - np.exp((a - end) / n - a / m)) / (rate * m)
            )
            total = total + p * q * (-np.expm1(-a / m) - tail)
    return np.clip(total, 0, 1)


@dataclass(frozen=True, slots=True)
class Action:
    """One step of the funnel.

    parent: the action that must come before; `shown` for the first.
    rate: per parent event under the shop's history ranking; the intercept is solved for.
    drivers: log-odds per unit of each driver. Price counts times the person's sensitivity.
    lifted_by: log-odds added if another action on the same item happened; it must have the same parent.
    delay: time from the parent until it lands; none means with the parent.
    units: if it earns money, P(1 unit), P(2 units), ... of the item at its price.
    refunds: whether it takes back the money that its parent earned.
    with_stay: whether it happens on the longest stays: one luck decides both.
    decided_by: `recruiters`, if the item's owner decides it when they read the application; where nothing is
        shared, it is decided like any other action.
    way: it happens whenever its parent does and the item's owner has this way of answering; has no rate.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    parent: str
    rate: Rate | None = None
    drivers: Drivers = field(default_factory=dict)
    lifted_by: Mapping[str, Weight] = field(default_factory=dict)
    delay: Delay | None = None
    units: tuple[Share, ...] = ()
    refunds: bool = False
    with_stay: bool = False
    decided_by: Literal["recruiters"] | None = None
    way: str | None = None

    def __post_init__(self) -> None:
        check(self)
        if (self.rate is None) == (self.way is None):
            raise ValueError(f"rate must be given, or way, and not both, got rate {self.rate} and way {self.way!r}")
        if self.units and abs(sum(self.units) - 1) > 1e-9:
            raise ValueError(
                f"units must be probabilities that sum to 1, got {list(self.units)}, sum {sum(self.units)}"
            )
        if self.units and self.delay is None:
            raise ValueError("units need a delay: money is booked when the action lands; give delay or drop units")

    def mean_units(self) -> float:
        return float(sum((n + 1) * p for n, p in enumerate(self.units)))


@dataclass(frozen=True, slots=True)
class Stay:
    """Time spent on an item after a click, around a driven median.

    median_seconds: over clicks under the shop's history ranking; or
    median_share: of the item's own length, such as a video's.
    log_sd: of what the drivers do not explain, if the law is log-normal; or
    weibull_shape: the law is then Weibull around its median; below 1 the longer one has stayed, the longer one will.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    median_seconds: Moderate | None = None
    median_share: Moderate | None = None
    log_sd: Spread | None = None
    weibull_shape: Annotated[float, Gt(0.1), Le(20)] | None = None
    drivers: Drivers = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self)
        if (self.median_seconds is None) == (self.median_share is None):
            raise ValueError("exactly one of median_seconds and median_share must be given; try median_seconds: 30")
        if (self.log_sd is None) == (self.weibull_shape is None):
            raise ValueError("exactly one of log_sd and weibull_shape must be given; try log_sd: 0.7")

    @property
    def median(self) -> float:
        """Seconds, or share of the item's length."""
        value = self.median_seconds if self.median_seconds is not None else self.median_share
        assert value is not None
        return value


@dataclass(frozen=True, slots=True)
class FunnelSpec:
    """Actions by name, in the order in which they are taken, and the stay after a click.

    attribution_days: a late action counts for the click only if it lands within so many days; empty, always.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    actions: Mapping[str, Action]
    stay: Stay
    attribution_days: Moderate | None = None

    def __post_init__(self) -> None:
        check(self)
        names = list(self.actions)
        if not names or names[0] != "click" or self.actions["click"].parent != SHOWN:
            raise ValueError(f"actions must begin with click, whose parent is shown, got {names}")
        if self.actions["click"].delay or self.actions["click"].decided_by or self.actions["click"].way:
            raise ValueError("actions.click must happen at once, by the person; drop delay, decided_by and way")
        taken = sorted(set(names) & RESERVED)
        if taken:
            raise ValueError(f"actions must not have the names of columns, got {', '.join(taken)}; rename them")
        for position, name in enumerate(names[1:], start=1):
            self._check(name, names[:position])
        decided = [name for name in names if self.actions[name].decided_by]
        if len(decided) > 1:
            raise ValueError(
                f"actions {', '.join(decided)} are decided by recruiters: at most one may be; drop decided_by"
            )

    def _check(self, name: str, above: list[str]) -> None:
        action = self.actions[name]
        if action.parent not in above:
            raise ValueError(f"actions.{name}.parent must be an action above it, got {action.parent!r}")
        if len(self.delays(name)) > 2:
            raise ValueError(f"actions.{name} must have at most two delays on its way from the click; drop its delay")
        if action.decided_by and action.delay is None:
            raise ValueError(f"actions.{name} is decided by {action.decided_by}, which takes time; give it a delay")
        if action.decided_by and self.is_late(action.parent):
            raise ValueError(f"actions.{name} is decided by {action.decided_by}: its parent must happen at once")
        if action.refunds and not self.actions[action.parent].units:
            raise ValueError(f"actions.{name}.refunds: its parent must earn money, got {action.parent!r} without units")
        if action.decided_by and action.lifted_by:
            raise ValueError(
                f"actions.{name} is decided by {action.decided_by}, who do not see what else was done with the item; "
                f"drop lifted_by"
            )
        for lifter in action.lifted_by:
            self._check_lifter(name, lifter, above)
        self._check_luck(name)

    def _check_luck(self, name: str) -> None:
        above = [*self.chain(name)[:-1], *self.actions[name].lifted_by]
        same = [other for other in above if self.actions[name].with_stay and self.actions[other].with_stay]
        if same:
            # Given the one, the other would happen at another rate than its own.
            raise ValueError(
                f"actions.{name}.with_stay: {same[0]}, which comes before it or lifts it, is decided by the luck of "
                f"the stay too; drop with_stay of one of them"
            )

    def _check_lifter(self, name: str, lifter: str, above: list[str]) -> None:
        if lifter not in above:
            raise ValueError(f"actions.{name}.lifted_by must name actions above it, got {lifter!r}")
        other = self.actions[lifter]
        if other.parent != self.actions[name].parent or other.lifted_by or other.delay:
            # Else P(action) would not have the closed form of `Funnel.probability`.
            raise ValueError(
                f"actions.{name}.lifted_by.{lifter}: {lifter} must share the parent of {name}, act at once "
                f"and not be lifted itself, got parent {other.parent!r}"
            )

    def chain(self, name: str) -> list[str]:
        """From the click down to an action."""
        way = [name]
        while way[0] != "click":
            way.insert(0, self.actions[way[0]].parent)
        return way

    def delays(self, name: str) -> list[Delay]:
        """The delays between the click and an action, in order."""
        found = (self.actions[step].delay for step in self.chain(name))
        return [delay for delay in found if delay is not None]

    def is_late(self, name: str) -> bool:
        """Whether an action lands after the visit."""
        return bool(self.delays(name))

    @property
    def late(self) -> tuple[str, ...]:
        """Actions that land after the visit, in order."""
        return tuple(name for name in self.actions if self.is_late(name))

    @property
    def at_once(self) -> tuple[str, ...]:
        """Actions that happen within the visit, in order."""
        return tuple(name for name in self.actions if not self.is_late(name))

    @property
    def window(self) -> float:
        """Seconds from a click within which a late action counts for it."""
        return float("inf") if self.attribution_days is None else self.attribution_days * DAY

    def landed_probability(self, name: str, seconds: Floats | Ints) -> Floats:
        """P(a late action that happens counts within so many seconds of its click): landed, and attributed."""
        delays = self.delays(name)
        if len(delays) == 1:
            return delays[0].landed_probability(np.minimum(seconds, self.window))
        first, second = delays
        return both_landed_probability(first, second, seconds, np.minimum(seconds, self.window))
