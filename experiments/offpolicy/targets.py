"""What another policy would show on the logged requests: an order, or chances of being looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.offpolicy.slates import Slates
from sim.records import Bools, Floats, Ints


@dataclass(frozen=True)
class OrderTarget:
    """A deterministic policy, cut at the depth that each visit was shown.

    How far a visit reads does not depend on the order where slots are looked at in glances; where people read from
    the top down, further pages do depend on it, and this is an approximation.

    order: shape (R, K) or more columns. Candidates from the top down.
    """

    slates: Slates
    order: Ints

    def __post_init__(self) -> None:
        n, k = self.slates.shown.shape
        if self.order.ndim != 2 or len(self.order) != n or self.order.shape[1] < k:
            raise ValueError(f"target: the order must have shape ({n}, {k}), got {self.order.shape}")

    @cached_property
    def listed(self) -> tuple[Ints, Ints, Ints]:
        """Request, rank and candidate of what the target shows, shape (n,) each; as many as were shown."""
        rows = self.slates.rows
        return rows.request, rows.rank, self.order[rows.request, rows.rank]

    @cached_property
    def rank(self) -> Ints:
        """The target's rank of each logged impression, shape (n,); -1 where it would not show the item."""
        request, rank, candidate = self.listed
        place = np.full(self.slates.utilities.shape, -1, dtype=np.int16)
        place[request, candidate] = rank
        return place[self.slates.rows.request, self.slates.rows.candidate].astype(np.int64)

    @cached_property
    def same_so_far(self) -> Bools:
        """Whether target and log agree from the top down to here, by impression, shape (n,)."""
        rows = self.slates.rows
        differs = np.cumsum(self.rank != rows.rank)
        before = differs[rows.start] - (self.rank != rows.rank)[rows.start]
        return differs == before[rows.request]

    def exposure(self, theta: Floats) -> Floats:
        """theta at the target's rank of each logged impression, shape (n,). theta: shape (K,)."""
        return np.where(self.rank >= 0, theta[self.rank], 0.0)

    def total(self, theta: Floats) -> float:
        """Attention that the target's items get in all."""
        return float(theta[self.slates.rows.rank].sum())

    def modelled(self, mu: Floats, theta: Floats) -> Floats:
        """Sum over what is shown of theta x mu by request, shape (R, J). mu: shape (R, C, J)."""
        request, rank, candidate = self.listed
        return self.slates.rows.summed(theta[rank][:, None] * mu[request, candidate])


@dataclass(frozen=True)
class ExposureTarget:
    """A policy that draws, by how likely each candidate is looked at under it.

    exposures: shape (R, C). Sum over ranks that the visit was shown of theta x P(item at rank).
    """

    slates: Slates
    exposures: Floats

    def __post_init__(self) -> None:
        if self.exposures.shape != self.slates.utilities.shape:
            raise ValueError(f"target: exposures must be {self.slates.utilities.shape}, got {self.exposures.shape}")

    def exposure(self, theta: Floats) -> Floats:
        """By logged impression, shape (n,)."""
        return self.exposures[self.slates.rows.request, self.slates.rows.candidate]

    def total(self, theta: Floats) -> float:
        """Attention that the target's items get in all."""
        return float(self.exposures.sum())

    def modelled(self, mu: Floats, theta: Floats) -> Floats:
        """Sum over candidates of exposure x mu by request, shape (R, J)."""
        return np.einsum("rc,rcj->rj", self.exposures, mu)


Target = OrderTarget | ExposureTarget


def target_of(slates: Slates, given: Ints | Floats) -> Target:
    """Whole numbers of shape (R, K) are an order, others of shape (R, C) exposures."""
    if np.issubdtype(given.dtype, np.integer):
        return OrderTarget(slates, given.astype(np.int64, copy=False))
    return ExposureTarget(slates, given.astype(np.float64, copy=False))
