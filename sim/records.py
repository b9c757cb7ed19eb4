"""What may be observed: requests, the log, the public tables, and the contract of a ranker.

Nothing here is hidden state. Policies import this module of `sim` and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Bools = NDArray[np.bool_]
Column = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Users:
    """What the shop knows of its users before it has seen them do anything.

    user: shape (n,). Global id.
    segment: shape (n,). The segment that a survey or an upstream model put the user in; may be wrong.
    price_band: shape (n,). 0 cares least about price, 2 most; a noisy reading.
    """

    user: Ints
    segment: Ints
    price_band: Ints

    def __post_init__(self) -> None:
        _same_length(self)

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints) -> Users:
        return Users(self.user[rows], self.segment[rows], self.price_band[rows])


@dataclass(frozen=True, slots=True)
class Items:
    """What the shop knows of its items; row i is item i.

    category: shape (n,).
    price: shape (n,). Integer cents.
    rating: shape (n,). Customers' opinion, a noisy reading of quality, standardised.
    popularity: shape (n, n_segments). The shop's history of clicks by segment before day 0, in
        log-odds without their mean; noisy.
    length: shape (n,). Milliseconds that it takes to see the whole item; 0 where items have no length.
    """

    category: Ints
    price: Ints
    rating: Floats
    popularity: Floats
    length: Ints

    def __post_init__(self) -> None:
        _same_length(self)

    def __len__(self) -> int:
        return len(self.price)

    @property
    def n_segments(self) -> int:
        return int(self.popularity.shape[1])


@dataclass(frozen=True, slots=True)
class Requests:
    """A wave of ranking requests, one row per visit.

    request: shape (R,). Id of the visit, the same under every policy.
    time: shape (R,). Seconds since day 0.
    users: R rows of the public user table.
    pool: shape (R,). Row of `pools` that this visit is served from.
    pools: shape (P, C). Item ids of the candidate sets.
    items: the public item table.
    """

    request: Ints
    time: Ints
    users: Users
    pool: Ints
    pools: Ints
    items: Items

    def __len__(self) -> int:
        return len(self.request)

    @property
    def candidates(self) -> Ints:
        """Item ids, shape (R, C)."""
        return self.pools[self.pool]

    def take(self, rows: Ints) -> Requests:
        return Requests(
            self.request[rows], self.time[rows], self.users.take(rows), self.pool[rows], self.pools, self.items
        )


class Ranker(Protocol):
    """Whatever can order candidates. It draws nothing: the engine explores and writes propensities."""

    def score(self, requests: Requests) -> Scores:
        """Higher is better; shape (R, C), finite float32."""
        ...


@dataclass(frozen=True, slots=True)
class Log:
    """Impressions and what had come of them by the horizon; one row per item shown.

    Rows of a request are contiguous and in the order shown.

    request, market, day, user, visit, page, slot, item, pool: shape (n,). Ids; slot and page from 0.
    arm: shape (n,). Index into `arms`.
    time: shape (n,). Seconds since day 0 at which the page was shown.
    price: shape (n,). Integer cents.
    score: shape (n,). What the policy gave the item.
    propensity: shape (n,). Probability of this item here, given the items above it.
    outcomes: by name, each of shape (n,). Actions 0/1; `stay` in milliseconds; for a delayed action
        such as buy, `buy_time` in seconds (-1: not by the horizon) and `value` in cents.
    users, items: the public tables.
    horizon: seconds; what happened later is not in the log.
    """

    request: Ints
    market: Ints
    arm: Ints
    day: Ints
    time: Ints
    user: Ints
    visit: Ints
    page: Ints
    slot: Ints
    item: Ints
    pool: Ints
    price: Ints
    score: Scores
    propensity: Scores
    outcomes: Mapping[str, Ints]
    users: Users
    items: Items
    arms: tuple[str, ...]
    horizon: int

    def __post_init__(self) -> None:
        _same_length(self, but=("users", "items", "arms", "outcomes", "horizon"))
        for name, column in self.outcomes.items():
            if len(column) != len(self.request):
                raise ValueError(f"{name}: must have {len(self.request)} rows like request, got {len(column)}")

    def __len__(self) -> int:
        return len(self.request)

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the outcomes that are 0/1 actions, in the order of `outcomes`."""
        return tuple(name for name in self.outcomes if is_action(name))

    def __getitem__(self, outcome: str) -> Ints:
        """An outcome by name; KeyError lists the outcomes there are."""
        if outcome not in self.outcomes:
            raise KeyError(f"the log has no outcome {outcome!r}; it has {', '.join(sorted(self.outcomes))}")
        return self.outcomes[outcome]

    def take(self, rows: NDArray[np.integer] | Bools) -> Log:
        """The log of these rows; keep requests whole when ranks matter."""
        columns = {name: getattr(self, name)[rows] for name in LOG_COLUMNS}
        outcomes = {name: column[rows] for name, column in self.outcomes.items()}
        return Log(
            **columns, outcomes=outcomes, users=self.users, items=self.items, arms=self.arms, horizon=self.horizon
        )


LOG_COLUMNS: Sequence[str] = tuple(
    f.name for f in fields(Log) if f.name not in ("outcomes", "users", "items", "arms", "horizon")
)


NO_ACTIONS = ("stay", "value", "refund", "fit")


def is_action(outcome: str) -> bool:
    """Whether an outcome of this name is a 0/1 action, rather than an amount or a time."""
    return outcome not in NO_ACTIONS and not outcome.endswith("_time")


def _same_length(table: Users | Items | Log, but: Sequence[str] = ()) -> None:
    lengths = {f.name: len(getattr(table, f.name)) for f in fields(table) if f.name not in but}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{type(table).__name__}: all columns must have one length, got {lengths}")
