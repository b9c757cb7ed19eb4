"""A tower at serving time, in NumPy: no torch is needed to score.

The first layer is split into a part of the user, computed once per request, a part of the item,
computed once per model, and a small part of the pair. Every matrix product has a shape that depends on
one request alone, so a request scores the same bits in any company (a product over all rows of a wave
does not: BLAS treats edge rows differently).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policies.features import Inputs
from sim.records import Column

F32 = NDArray[np.float32]
REQUESTS_PER_BLOCK = 32  # 32 x 100 candidates x 32 hidden units of float32 stay within a core's cache


@dataclass(frozen=True, slots=True)
class Tower:
    """Two hidden layers over user, item and pair, plus an inner product of user and item.

    users: (n_users, d). segments: (n_segments, d). Embeddings.
    item_vectors: (n_items, d). Item plus category embedding, for the inner product.
    item_hidden: (n_items, h). The item's part of the first layer, bias included.
    w_user: (2d + U, h). w_pair: (P, h). w2: (h, h2). b2: (h2,). w3: (h2, 1). b3: (1,).
    """

    users: F32
    segments: F32
    item_vectors: F32
    item_hidden: F32
    w_user: F32
    w_pair: F32
    w2: F32
    b2: F32
    w3: F32
    b3: F32

    def logits(self, inputs: Inputs) -> F32:
        """Shape (R, C)."""
        if not len(inputs):
            return np.zeros(inputs.item.shape, dtype=np.float32)
        blocks = [slice(start, start + REQUESTS_PER_BLOCK) for start in range(0, len(inputs), REQUESTS_PER_BLOCK)]
        return np.concatenate([self._block(inputs.take(block)) for block in blocks])

    def _block(self, x: Inputs) -> F32:
        user, segment = self.users[x.user], self.segments[x.segment]
        who = np.concatenate([user, segment, x.user_dense], axis=1)[:, None, :] @ self.w_user  # (R, 1, h)
        hidden = self.item_hidden[x.item]  # (R, C, h)
        hidden += who
        hidden += x.pair_dense @ self.w_pair
        np.maximum(hidden, 0, out=hidden)
        deeper = hidden @ self.w2
        deeper += self.b2
        np.maximum(deeper, 0, out=deeper)
        affinity = self.item_vectors[x.item] @ (user + segment)[:, :, None]  # (R, C, 1)
        return ((deeper @ self.w3 + affinity)[:, :, 0] + self.b3).astype(np.float32, copy=False)

    def learned(self) -> dict[str, Column]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def restore(cls, learned: Mapping[str, Column]) -> Self:
        return cls(**learned)  # type: ignore[arg-type]


def sigmoid(x: F32) -> F32:
    return np.float32(1) / (np.float32(1) + np.exp(-np.maximum(x, np.float32(-80))))
