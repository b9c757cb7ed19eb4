"""What users share: stock that runs out, and the attention of those behind the items, such as recruiters.

Pure arithmetic on arrays; the engine says when. Within a wave everybody finds the shelf and the openings as
they were when the wave began: that is all that a tick approximates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le
from scipy.stats import poisson

from sim import draws
from sim.actions import Drivers
from sim.bounds import Count, Moderate, Rate, Share, Spread, check
from sim.catalogue import FORBID_EXTRA
from sim.clock import DAY, HOUR
from sim.records import Bools, Floats, Ints, Scores

Pull = Annotated[float, Ge(0), Le(20)]  # log-odds in one direction


@dataclass(frozen=True, slots=True)
class StockSpec:
    """Units of each item on the shelf; an item that has run out is not listed until it is refilled.

    median_units, log_sd: of what an item is refilled to, log-normal over items.
    refill_days: days between refills, at midnight.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    median_units: Moderate = 5.0
    log_sd: Spread = 0.5
    refill_days: Count = 7

    def __post_init__(self) -> None:
        check(self)

    def level(self, seed: int, item: Ints) -> Ints:
        """Units that each item is refilled to, at least 1; shape of `item`."""
        z = draws.normal(draws.fold(draws.root(seed, "stock"), item))
        return np.maximum(1, np.rint(self.median_units * np.exp(self.log_sd * z))).astype(np.int64)


@dataclass(frozen=True, slots=True)
class RecruiterSpec:
    """Those behind the items: each owns some, reads so many applications a day, and answers in their own way.

    openings: items of one recruiter.
    ways: share of the recruiters who answer in each way, in proportion.
    reads_per_day, reads_log_sd: applications that a recruiter can read a day, log-normal, at least 1.
    willing_sd: sd over recruiters of the log-odds of an answer.
    swamped: log-odds lost per log(1 + waiting / reads per day).
    fit: drivers of the logit of how well a person suits the opening.
    mean_fit: of applications under the shop's history ranking; where a recruiter's satisfaction starts.
    mood: log-odds gained per unit of satisfaction above that.
    learning: weight of one day's applications in a recruiter's satisfaction.
    suitable: fit from which a person is suitable.
    patience_days: a recruiter leaves after so many days without anybody suitable.
    lapse_days: an application that nobody has read by then lapses.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    openings: Count = 4
    ways: Mapping[str, Moderate] = field(default_factory=lambda: {"answers": 1.0})
    reads_per_day: Moderate = 5.0
    reads_log_sd: Spread = 0.5
    willing_sd: Spread = 0.5
    swamped: Pull = 0.5
    fit: Drivers = field(default_factory=lambda: {"match": 1.0, "skill": 1.0})
    mean_fit: Rate = 0.4
    mood: Pull = 1.0
    learning: Share = 0.2
    suitable: Share = 0.5
    patience_days: Count = 14
    lapse_days: Count = 14

    def __post_init__(self) -> None:
        check(self)
        if not self.ways or any(not share > 0 for share in self.ways.values()):
            raise ValueError(f"ways must hold at least one way with a share > 0, got {dict(self.ways)}")

    def way(self, seed: int, owner: Ints) -> Ints:
        """Index into `ways` of each recruiter; shape of `owner`."""
        shares = np.array(list(self.ways.values()))
        luck = draws.uniform(draws.fold(draws.root(seed, "recruiter way"), owner))
        return np.searchsorted(np.cumsum(shares / shares.sum())[:-1], luck, side="right").astype(np.int64)

    def willing(self, seed: int, owner: Ints) -> Floats:
        """Log-odds of an answer that are a recruiter's own; shape of `owner`."""
        return self.willing_sd * draws.normal(draws.fold(draws.root(seed, "recruiter willing"), owner))

    def reads(self, seed: int, owner: Ints) -> Ints:
        """Applications that each recruiter can read a day; shape of `owner`."""
        z = draws.normal(draws.fold(draws.root(seed, "recruiter reads"), owner))
        return np.maximum(1, np.rint(self.reads_per_day * np.exp(self.reads_log_sd * z))).astype(np.int64)

    def hour(self, seed: int, owner: Ints) -> Ints:
        """Second of the day at which each recruiter reads, in office hours from 9 to 17; shape of `owner`."""
        luck = draws.uniform(draws.fold(draws.root(seed, "recruiter hour"), owner))
        return (9 * HOUR + luck * 8 * HOUR).astype(np.int64)

    def answer_log_odds(self, base: Floats, waiting: Ints, reads: Ints, satisfaction: Floats) -> Floats:
        """Log-odds of an answer to an application that is read; all of shape (n,).

        base: log-odds in a quiet market. waiting: applications on the recruiter's pile. reads: their daily capacity.
        """
        load = self.swamped * np.log1p(np.maximum(waiting - reads, 0) / reads)
        return base - load + self.mood * (satisfaction - self.mean_fit)


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """What users share, if the world shares anything. stock: of goods. recruiters: behind openings."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    stock: StockSpec | None = None
    recruiters: RecruiterSpec | None = None


@dataclass(frozen=True, slots=True)
class Applications:
    """Applications that wait to be read; one row each.

    user: row of the world's people. item: id. request, rank: which impression led to it. arm: what served it.
    clicked: second. intent: of the visit. key: of the luck of what follows.
    """

    user: Ints
    item: Ints
    request: Ints
    rank: Ints
    arm: Ints
    clicked: Ints
    intent: Scores
    key: draws.Keys

    @classmethod
    def empty(cls) -> Applications:
        no = np.zeros(0, dtype=np.int64)
        return cls(no, no, no, no, no, no, no.astype(np.float32), no.astype(np.uint64))

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Applications:
        return Applications(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Applications]) -> Applications:
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


@dataclass(frozen=True, slots=True)
class Shared:
    """What is shared in one market, between two moments.

    units: shape (n_items,). On the shelf.
    active: shape (n_owners,). Whether a recruiter is still there.
    satisfaction: shape (n_owners,). suitable_at: shape (n_owners,). Second of the last suitable application.
    waiting: applications not read yet.
    unfilled: ids of impressions whose orders found an empty shelf; nothing can follow from them.
    """

    units: Ints
    active: Bools
    satisfaction: Floats
    suitable_at: Ints
    waiting: Applications
    unfilled: Ints

    def copy(self) -> Shared:
        return replace(
            self,
            units=self.units.copy(),
            active=self.active.copy(),
            satisfaction=self.satisfaction.copy(),
            suitable_at=self.suitable_at.copy(),
        )


def sold(units: Ints, item: Ints, wanted: Ints) -> Bools:
    """Who gets what they want, first come first served, all or nothing; `units` (n_items,) is reduced in place.

    item, wanted: shape (n,). In the order of arrival.
    """
    demand = np.bincount(item, wanted, minlength=len(units)).astype(np.int64)
    served = np.ones(len(item), dtype=bool)
    short = np.flatnonzero(demand[item] > units[item])
    for row in short.tolist():  # few: only where not everyone can be served
        served[row] = wanted[row] <= units[item[row]]
        units[item[row]] -= wanted[row] * served[row]
    enough = np.setdiff1d(np.arange(len(item)), short)
    np.subtract.at(units, item[enough], wanted[enough])
    return served


def expected_sales(mean_demand: float, stock: int) -> float:
    """E[min(D, S)] of a Poisson demand for single units against a stock: mu F(S - 1) + S P(D > S), F at S - 1 of mu."""
    mu = mean_demand
    return float(mu * poisson.cdf(stock - 1, mu) + stock * poisson.sf(stock, mu))


def to_read(
    waiting: Applications, owner: Ints, readers: Ints, reads: Ints, now: Ints, lapse_days: int
) -> tuple[Ints, Bools, Ints]:
    """Rows of `waiting` that these recruiters read now, oldest first; which rows are gone after it (mask); and how
    many waited for each recruiter, shape (n_owners,).

    owner: shape (n_items,). Whose item it is. readers: shape (n,). Recruiters who read.
    reads: shape (n_owners,). How many each can. now: shape (n_owners,). Second at which they read.
    """
    reading = np.zeros(len(reads), dtype=bool)
    reading[readers] = True
    whose = owner[waiting.item]
    mine = np.flatnonzero(reading[whose] & (waiting.clicked <= now[whose]))
    stale = now[whose[mine]] - waiting.clicked[mine] > lapse_days * DAY
    gone = np.zeros(len(waiting), dtype=bool)
    gone[mine[stale]] = True
    mine = mine[~stale]
    mine = mine[np.lexsort((waiting.rank[mine], waiting.request[mine], waiting.clicked[mine], whose[mine]))]
    pile = np.bincount(whose[mine], minlength=len(reads))
    place = np.arange(len(mine)) - np.repeat(np.cumsum(pile) - pile, pile)
    read = mine[place < reads[whose[mine]]]
    gone[read] = True
    return read, gone, pile


def gini(counts: Ints | Floats) -> float:
    """Gini coefficient: 0, all alike; 1, one has everything. NaN of nothing."""
    x = np.sort(np.asarray(counts, dtype=np.float64))
    n, total = len(x), x.sum()
    if not n or total <= 0:
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * total))
