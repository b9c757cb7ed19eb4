"""Towers at serving time, in NumPy: no torch is needed to score.

The first layer is split into a part of the user, computed once per request, a part of the item,
computed once per model, and a small part of the pair. Every matrix product has a shape that depends on
one request alone, so a request scores the same bits in any company (a product over all rows of a wave
does not: BLAS treats edge rows differently).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policies.base import part, prefixed
from policies.features import Inputs
from policies.layout import Layout
from sim.records import Column

F32 = NDArray[np.float32]
REQUESTS_PER_BLOCK = 16  # 16 x 100 candidates x 64 hidden units of float32 stay within a core's cache


@dataclass(frozen=True, slots=True)
class Level:
    """Experts above the first level, and the gates that mix them.

    weight: (E, h, h). bias: (E, h). gates: (M, h, E). For each mix, weights of all experts' logits; columns of
    experts that a mix does not see are not read.
    """

    weight: F32
    bias: F32
    gates: F32


@dataclass(frozen=True, slots=True)
class Room:
    """Constants of the size of a block: NumPy takes the maximum of two arrays four to five times as fast as that
    of an array and a number.

    zeros: flat, as many as the widest layer of a block has. floor: (K, R, C, h2). What the second layer is at least
    before its bias, which is b2 below 0.
    """

    zeros: F32
    floor: F32

    @classmethod
    def of(cls, network: Network, n_requests: int, n_candidates: int) -> Self:
        """For blocks of at most so many requests."""
        n_heads, width, second = network.w2.shape
        widest = network.layout.experts(network.counted) * width
        floor = np.broadcast_to(-network.b2[:, None, None, :], (n_heads, n_requests, n_candidates, second))
        return cls(np.zeros(n_requests * n_candidates * widest, dtype=np.float32), np.ascontiguousarray(floor))

    def relu(self, x: F32) -> F32:
        """In place."""
        return np.maximum(x, self.zeros[: x.size].reshape(x.shape), out=x)


@dataclass(frozen=True, slots=True)
class Network:
    """K heads over experts, plus each head's weighted inner product of user and item; see `Layout`.

    heads: names, K of them. layout: of the experts; E experts of width h, M mixes on the first level.
    places: by head, its number among the heads that the layout counts; there may be more of these than are served.
    counted: how many the layout counts.
    users: (n_users, d). segments: (n_segments, d). Embeddings.
    item_vectors: (n_items, d). Item plus category embedding, for the inner product.
    item_wide: (n_items, E h + M E). The item's part of the first layer and of the first gates, biases included.
    w_user: (2d + U, E h + M E). w_pair: (P, E h + M E). levels: above the first.
    w2: (K, h, h2). b2: (K, h2). w3: (K, h2). b3: (K,). affinity: (K, d). Weights of the inner product.
    """

    heads: tuple[str, ...]
    layout: Layout
    users: F32
    segments: F32
    item_vectors: F32
    item_wide: F32
    w_user: F32
    w_pair: F32
    levels: tuple[Level, ...]
    w2: F32
    b2: F32
    w3: F32
    b3: F32
    affinity: F32
    places: tuple[int, ...]
    counted: int

    def logits(self, inputs: Inputs) -> dict[str, F32]:
        """By head, each of shape (R, C)."""
        if not len(inputs):
            return {head: np.zeros(inputs.item.shape, dtype=np.float32) for head in self.heads}
        room = Room.of(self, min(len(inputs), REQUESTS_PER_BLOCK), inputs.item.shape[1])
        blocks = [slice(start, start + REQUESTS_PER_BLOCK) for start in range(0, len(inputs), REQUESTS_PER_BLOCK)]
        scored = [self._block(inputs.take(block), room) for block in blocks]
        return {head: np.concatenate([block[k] for block in scored]) for k, head in enumerate(self.heads)}

    def _block(self, x: Inputs, room: Room) -> list[F32]:
        n_heads, n_experts, width = self.counted, self.layout.experts(self.counted), self.w2.shape[1]
        user, segment = self.users[x.user], self.segments[x.segment]
        who = np.concatenate([user, segment, x.user_dense], axis=1)[:, None, :] @ self.w_user
        wide = self.item_wide.take(x.item, axis=0)  # (R, C, E h + M E)
        wide += _pair_and_who(x.pair_dense, self.w_pair, who)
        hidden = room.relu(wide[:, :, : n_experts * width])
        experts = [hidden[:, :, e * width : (e + 1) * width] for e in range(n_experts)]
        first = n_experts * width
        mixes = [
            _mixed(seen, experts, wide[:, :, first + m * n_experts : first + (m + 1) * n_experts])
            for m, seen in enumerate(self.layout.mixes(n_heads, 1))
        ]
        for number, level in enumerate(self.levels, start=2):
            experts = [
                room.relu(mixes[mix] @ level.weight[e] + level.bias[e])
                for e, mix in enumerate(self.layout.reads(n_heads))
            ]
            gates = (mixes[m] @ level.gates[m] for m in range(len(level.gates)))
            seen_by = self.layout.mixes(n_heads, number)
            mixes = [_mixed(seen, experts, gate) for seen, gate in zip(seen_by, gates, strict=True)]
        met = (user + segment)[:, :, None] * self.affinity.T  # (R, d, K)
        inner = self.item_vectors.take(x.item, axis=0) @ met  # (R, C, K)
        return [self._head(k, mixes[place], room) + inner[:, :, k] for k, place in enumerate(self.places)]

    def _head(self, k: int, mix: F32, room: Room) -> F32:
        """relu(mix w2 + b2) w3 + b3, as max(mix w2, -b2) w3 + (b2 w3 + b3): a pass less over the second layer."""
        deeper = mix @ self.w2[k]
        np.maximum(deeper, room.floor[k, : len(deeper)], out=deeper)
        return (deeper @ self.w3[k][:, None])[:, :, 0] + (self.b2[k] @ self.w3[k] + self.b3[k])

    def only(self, heads: Sequence[str]) -> Network:
        """The part that these heads need, in their order here; all experts where there are experts upon experts."""
        kept = [k for k, head in enumerate(self.heads) if head in heads]
        if len(kept) == len(self.heads):
            return self
        own_rows = {name: getattr(self, name)[kept] for name in ("w2", "b2", "w3", "b3", "affinity")}
        names = tuple(self.heads[k] for k in kept)
        if self.levels:
            return replace(self, heads=names, places=tuple(self.places[k] for k in kept), **own_rows)
        n, width = self.counted, self.w2.shape[1]
        n_experts, own = self.layout.experts(n), self.layout.specific
        experts = [e for k in kept for e in range(k * own, (k + 1) * own)] + list(range(n * own, n_experts))
        hidden = [column for e in experts for column in range(e * width, (e + 1) * width)]
        gates = [n_experts * width + k * n_experts + e for k in kept for e in experts]
        wide = np.array(hidden + (gates if self.item_wide.shape[1] > n_experts * width else []), dtype=np.int64)
        cut = {name: np.ascontiguousarray(getattr(self, name)[:, wide]) for name in ("item_wide", "w_user", "w_pair")}
        places = tuple(range(len(kept)))
        return replace(self, heads=names, places=places, counted=len(kept), **cut, **own_rows)  # type: ignore[arg-type]

    def learned(self) -> dict[str, Column]:
        layout = np.array([self.layout.specific, self.layout.shared, self.layout.levels, self.counted])
        arrays: dict[str, Column] = {name: getattr(self, name) for name in _ARRAYS}
        for number, level in enumerate(self.levels):
            arrays |= prefixed(f"level{number}", {f.name: getattr(level, f.name) for f in fields(Level)})
        places = np.array(self.places, dtype=np.int64)
        return arrays | {"heads": np.array(self.heads, dtype=np.str_), "places": places, "layout": layout}

    @classmethod
    def restore(cls, learned: Mapping[str, Column]) -> Self:
        *sharing, counted = (int(n) for n in learned["layout"])
        layout, places = Layout(*sharing), tuple(int(place) for place in learned["places"])
        levels = tuple(Level(**part(f"level{n}", learned)) for n in range(layout.levels - 1))  # type: ignore[arg-type]
        arrays = {name: learned[name] for name in _ARRAYS}
        heads = tuple(learned["heads"].tolist())
        return cls(heads, layout, levels=levels, places=places, counted=counted, **arrays)  # type: ignore[arg-type]


_ARRAYS = tuple(f.name for f in fields(Network) if f.type == "F32")


@dataclass(frozen=True, slots=True)
class Towers:
    """Heads that were kept from different epochs, or that share nothing: networks side by side."""

    networks: tuple[Network, ...]

    def logits(self, inputs: Inputs) -> dict[str, F32]:
        """By head, each of shape (R, C)."""
        return {head: value for network in self.networks for head, value in network.logits(inputs).items()}

    def learned(self) -> dict[str, Column]:
        arrays: dict[str, Column] = {"n": np.array(len(self.networks))}
        for number, network in enumerate(self.networks):
            arrays |= prefixed(str(number), network.learned())
        return arrays

    @classmethod
    def restore(cls, learned: Mapping[str, Column]) -> Self:
        return cls(tuple(Network.restore(part(str(n), learned)) for n in range(int(learned["n"]))))


def _pair_and_who(pair: F32, w_pair: F32, who: F32) -> F32:
    """pair w_pair + who in one product, (R, C, n): every request has who, (R, 1, n), as one more row of w_pair."""
    ones = np.ones((*pair.shape[:2], 1), dtype=np.float32)
    rows = np.broadcast_to(w_pair, (len(pair), *w_pair.shape))
    return np.concatenate([pair, ones], axis=2) @ np.concatenate([rows, who], axis=1)


def _mixed(seen: Sequence[int], experts: Sequence[F32], gate: F32) -> F32:
    """Experts weighted by the softmax of their gate logits; shape (R, C, h). One expert is itself."""
    if len(seen) == 1:
        return experts[seen[0]]
    logits = gate[:, :, list(seen)]
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    total = weights[:, :, :1] * experts[seen[0]]
    for number, expert in enumerate(seen[1:], start=1):
        total += weights[:, :, number : number + 1] * experts[expert]
    return total


def sigmoid(x: F32) -> F32:
    return np.float32(1) / (np.float32(1) + np.exp(-np.maximum(x, np.float32(-80))))
