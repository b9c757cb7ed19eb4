"""Logged slates: what was shown, what came of it, and from which candidates it was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.ranking import propensities
from sim.records import Floats, Ints, Requests

F32 = NDArray[np.float32]
CLICK = "click"


@dataclass(frozen=True)
class Slates:
    """Requests of a log with their candidates, and the Plackett-Luce ranker that chose among them.

    user: shape (R,). Whose request it is; users are the clusters of all standard errors.
    request: shape (R,). Ids; they key the luck of Monte-Carlo draws.
    utilities: shape (R, C). Plackett-Luce utilities of the logging policy: score / (temperature x sd).
    shown: shape (R, K). Candidates (0 to C - 1) from the top down; -1 from where the visit ended.
    slot: shape (K,). Place on its page of each rank.
    page: shape (K,). Page of each rank.
    rewards: by name, shape (R, K). What came of it, 0 where nothing was shown; `click` must be there.
    item: shape (R, C). Item ids.
    features: shape (R, C, F). What the outcome model may know of a candidate.
    requests: R of them, to be ranked anew; None where the log is not seesaw's.
    """

    user: Ints
    request: Ints
    utilities: Floats
    shown: Ints
    slot: Ints
    page: Ints
    rewards: Mapping[str, Floats]
    item: Ints
    features: F32
    requests: Requests | None = None

    def __post_init__(self) -> None:
        n, c = self.utilities.shape
        lengths = {name: len(getattr(self, name)) for name in _BY_REQUEST}
        lengths |= {name: len(reward) for name, reward in self.rewards.items()}
        if set(lengths.values()) != {n} or not n:
            raise ValueError(f"slates: all arrays must have one first axis of at least 1, got {lengths}")
        if CLICK not in self.rewards:
            raise ValueError(f"slates: rewards must name click, got {', '.join(self.rewards)}; examination needs it")
        if self.shown.max(initial=0) >= c or (self.shown[:, 0] < 0).any():
            raise ValueError(f"slates: shown must be candidates 0 to {c - 1}, one at least; mend the log")
        if (np.diff((self.shown >= 0).astype(np.int8), axis=1) > 0).any():
            raise ValueError("slates: shown must have no gap, found -1 above an item; close the ranks")
        if not np.isfinite(self.utilities).all():
            raise ValueError("slates: utilities must be finite; check scores and temperature")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_slots(self) -> int:
        """Slots of a page."""
        return int(self.slot.max()) + 1

    @cached_property
    def depth(self) -> Ints:
        """How many items each visit was shown, shape (R,)."""
        return (self.shown >= 0).sum(axis=1)

    @cached_property
    def rows(self) -> Rows:
        """Impressions: shown cells from the top down, request by request."""
        request, rank = np.nonzero(self.shown >= 0)
        return Rows(request, rank, self.shown[request, rank], np.cumsum(self.depth) - self.depth)

    @cached_property
    def users(self) -> tuple[Ints, Ints]:
        """Ids of the users, shape (n_users,), and which of them each request is of, shape (R,)."""
        ids, of_request = np.unique(self.user, return_inverse=True)
        return ids, of_request

    @cached_property
    def steps(self) -> Floats:
        """P(item here | those above it) of each impression, shape (n,)."""
        n_requests, n_candidates = self.utilities.shape
        rank_of = np.full((n_requests, n_candidates), n_candidates)
        rank_of[self.rows.request, self.rows.candidate] = self.rows.rank
        order = np.argsort(rank_of, axis=1, kind="stable")
        return propensities(self.utilities, order)[self.rows.request, self.rows.rank].astype(np.float64)

    def of_rows(self, reward: str) -> Floats:
        """A reward by impression, shape (n,)."""
        return np.asarray(self.rewards[reward][self.rows.request, self.rows.rank], dtype=np.float64)

    @cached_property
    def clicks_above(self) -> Ints:
        """Clicks further up on the same page, by impression, shape (n,)."""
        click = np.where(self.shown >= 0, self.rewards[CLICK] > 0, False).astype(np.int64)
        above = np.cumsum(click, axis=1) - click
        top = np.flatnonzero(np.diff(self.page, prepend=-1))  # ranks at which a page begins
        above -= above[:, top[np.searchsorted(top, np.arange(len(self.page)), side="right") - 1]]
        return above[self.rows.request, self.rows.rank]

    def take(self, requests: Ints) -> Slates:
        """The slates of some requests."""
        rewards = {name: reward[requests] for name, reward in self.rewards.items()}
        cut = {name: getattr(self, name)[requests] for name in _BY_REQUEST}
        asked = None if self.requests is None else self.requests.take(requests)
        return Slates(**cut, slot=self.slot, page=self.page, rewards=rewards, requests=asked)


_BY_REQUEST = ("user", "request", "utilities", "shown", "item", "features")


@dataclass(frozen=True, slots=True)
class Rows:
    """Impressions, shape (n,) each; `start` (R,) is the first row of each request."""

    request: Ints
    rank: Ints
    candidate: Ints
    start: Ints

    def __len__(self) -> int:
        return len(self.request)

    def summed(self, values: Floats) -> Floats:
        """Sums by request: (n, ...) to (R, ...)."""
        return np.add.reduceat(values, self.start, axis=0)
