"""The slot as a feature: p(click | x, slot) learned, and one slot put in for all candidates when serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge

from policies.base import AbstractPolicy
from policies.debiased import AbstractDebiased
from policies.examination import CTR
from policies.features import Features
from policies.towers import Towers
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Users

if TYPE_CHECKING:
    from policies.debiasing import Learned


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What another serving position would change. pairs: share of two candidates of one request whose order flips.
    firsts: share of requests with another item on top. rankings: share of requests ranked in any way differently."""

    pairs: float
    firsts: float
    rankings: float


@dataclass
class PositionFeature(AbstractDebiased):
    """The slot goes into the first layer beside the rest, so that items may gain from it unequally.

    Nothing makes the effect of the slot the same for all, so rankings depend on the position that is put in ("different
    default position values may result in completely different recommendation results", Guo et al., RecSys 2019); its
    note says how much they do. The curve of attention is the mean forecast of the same impressions at each slot.

    serve_position: the slot that every candidate is taken to be shown at. Fits do not depend on it.
    """

    name: ClassVar[str] = "position_feature"

    serve_position: Annotated[int, Ge(0)] = 0
    training: Training = field(default_factory=Training)

    def fit_spec(self) -> dict[str, Any]:
        return {key: value for key, value in self.spec().items() if key != "serve_position"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        super().fit(log, fitted)
        self._prepare()
        last = len(self.curve_) - 1
        if last:
            found = self.sensitivity(_sample(log, self.seed()))
            self.notes_ = [
                *self.notes_,
                f"served as at slot {last} instead of slot 0, {found.pairs:.1%} of pairs would change their order and "
                f"{found.firsts:.0%} of requests their first item",
            ]
        return self

    def restore(self, learned: Mapping[str, Column]) -> Self:
        super().restore(learned)
        self._prepare()
        return self

    def learn(self, log: Log, features: Features, fitted: Mapping[str, AbstractPolicy]) -> Learned:
        from policies.debiasing import AtItsSlot, fit_clicks

        n_slots = int(log.slot.max()) + 1
        self._check_position(n_slots)  # before the time that a fit takes
        rows, schema = features.training_rows(log), features.schema()
        at = np.eye(n_slots, dtype=np.float32)[rows.slot]
        rows = replace(rows, pair_dense=np.concatenate([rows.pair_dense, at], axis=1))
        schema = replace(schema, pair_width=schema.pair_width + n_slots)
        return fit_clicks(log, rows, schema, self.training, self.seed(), AtItsSlot)

    def served(self) -> Towers:
        return self.served_

    def predict_at(self, requests: Requests, slot: int) -> Floats:
        """Log-odds of a click if every candidate stood at this slot, shape (R, C)."""
        return self._at(slot).logits(self.features_.inputs(requests))[CTR].astype(np.float64)

    def sensitivity(self, requests: Requests, one: int = 0, other: int | None = None) -> Sensitivity:
        """How rankings differ between two serving positions, by default the first and the last."""
        other = len(self.curve_) - 1 if other is None else other
        a, b = self.predict_at(requests, one), self.predict_at(requests, other)
        flipped = (a[:, :, None] > a[:, None, :]) & (b[:, :, None] < b[:, None, :])  # (R, C, C), each pair once
        n_pairs = max(1, a.shape[1] * (a.shape[1] - 1) // 2)
        return Sensitivity(
            pairs=float(flipped.sum() / (max(1, len(a)) * n_pairs)),
            firsts=float((a.argmax(axis=1) != b.argmax(axis=1)).mean()),
            rankings=float(flipped.any(axis=(1, 2)).mean()),
        )

    def _prepare(self) -> None:
        self._check_position(len(self.curve_))
        self.served_ = self._at(self.serve_position)

    def _at(self, slot: int) -> Towers:
        """The towers with this slot put in for good: its row of the first layer becomes part of the item's."""
        n_slots = len(self.curve_)
        networks = (
            replace(network, item_wide=network.item_wide + network.w_pair[slot - n_slots], w_pair=rest)
            for network in self.towers_.networks
            for rest in (network.w_pair[:-n_slots],)
        )
        return Towers(tuple(networks))

    def _check_position(self, n_slots: int) -> None:
        if self.serve_position >= n_slots:
            raise ValueError(
                f"serve_position must be a slot of the log's impressions, 0 to {n_slots - 1}, "
                f"got {self.serve_position}; try 0"
            )


def _sample(log: Log, seed: int) -> Requests:
    """Some of the log's users asked about some of the items that were shown."""
    rng = np.random.default_rng(seed)
    items = np.unique(log.item)
    pool = rng.choice(items, size=min(_SAMPLE, len(items)), replace=False)
    row = np.sort(rng.choice(len(log.users), size=min(_SAMPLE, len(log.users)), replace=False))
    users: Users = log.users.take(row)
    n = len(users)
    return Requests(np.arange(n), np.full(n, log.time.max()), users, np.zeros(n, np.int64), pool[None, :], log.items)


_SAMPLE = 100  # users and items: half a million pairs, in about 0.1 s
