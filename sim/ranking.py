"""Serving: from scores to an order, with exploration and exact propensities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.records import Floats, Ints, Scores


def ranked(scores: Scores, depth: int | None = None) -> Ints:
    """Positions of candidates from best to worst, shape (R, C) or (R, depth); ties go to the earlier candidate.

    Score and position are packed into one sortable integer: a total order, where argpartition plus
    argsort leaves ties to chance.
    """
    n_rows, n_candidates = scores.shape
    depth = n_candidates if depth is None else min(depth, n_candidates)
    order = np.empty((n_rows, depth), dtype=np.int64)
    rows = max(1, _BLOCK // max(1, n_candidates))
    narrow = n_candidates <= _MOST_NARROW
    again = []
    for start in range(0, n_rows, rows):
        block = slice(start, start + rows)
        unsure = _narrow(scores[block], order[block]) if narrow else np.arange(len(order[block]))
        again.append(start + unsure)
        narrow = narrow and 4 * len(unsure) < rows  # of scores full of ties, only one block is ranked twice
    for some in again:
        if len(some):
            order[some] = _wide(scores[some], depth)
    return order


_BLOCK = 1 << 16  # scores ranked at a time: their temporaries stay in the cache; 10,000 requests at half the cost
_MOST_NARROW = 256  # candidates; from 500 on, too few bits are left to the score, and most requests are unsure


def _descending(scores: Scores) -> NDArray[np.int32]:
    """Whole numbers that are smaller the higher the score; 0 and -0 are one."""
    bits = np.subtract(np.float32(0), scores, order="C").view(np.int32)
    flip = bits >> 31
    flip &= 0x7FFFFFFF
    bits ^= flip
    return bits


def _narrow(scores: Scores, order: Ints) -> Ints:
    """Rank by the upper bits of the scores into `order` (R, depth); returns the rows that this leaves unsure.

    The position takes the place of the lowest bits, so that half as wide a number is sorted. It has decided
    wherever neighbours agree in all bits above it: in one request of a hundred where scores are normal. To
    depth 10 of 100 candidates, 0.4 us a request instead of 0.65.
    """
    n_candidates, depth = scores.shape[1], order.shape[1]
    n_bits = (n_candidates - 1).bit_length()
    low = (1 << n_bits) - 1
    packed = _descending(scores)
    packed &= ~low
    packed |= np.arange(n_candidates, dtype=np.int32)
    packed.sort(axis=1)  # all of it: a partition is no faster at this width
    top = packed[:, : depth + 1]
    np.bitwise_and(top[:, :depth], low, out=order)
    top = top >> n_bits
    return np.flatnonzero((top[:, 1:] == top[:, :-1]).any(axis=1))


def _wide(scores: Scores, depth: int) -> Ints:
    """Rank by all bits of the scores, then by position."""
    packed = _descending(scores).astype(np.int64)
    packed <<= 32
    packed |= np.arange(scores.shape[1])
    if depth < scores.shape[1]:
        packed.partition(depth - 1, axis=1)
        packed = packed[:, :depth].copy()
    packed.sort(axis=1)
    packed &= 0xFFFFFFFF
    return packed


def utilities(scores: Scores, temperature: Floats) -> Floats:
    """Plackett-Luce utilities: scores in units of (temperature x the request's own sd), shape (R, C).

    The unit makes one temperature mean the same for a ranker of log-odds and one of euros. Equal scores
    leave all candidates equally likely. temperature: shape (R,), > 0.
    """
    wide = scores.astype(np.float64)
    spread = wide.std(axis=1, keepdims=True)
    wide /= np.where(spread > 0, spread, 1.0) * temperature[:, None]
    return wide


def explored(utility: Floats, keys: draws.Keys) -> Ints:
    """A Plackett-Luce draw of the whole order by Gumbel noise; keys of shape (R, C), one per candidate."""
    return ranked((utility - utility.max(axis=1, keepdims=True)).astype(np.float32) + draws.gumbel(keys))


def propensities(utility: Floats, order: Ints) -> Scores:
    """P(candidate here | those above it), in the order given; shape (R, C)."""
    in_order = np.take_along_axis(utility, order, axis=1).T.copy()  # (C, R)
    # In logs and summed from the bottom: at low temperatures the weights of deep ranks underflow, and
    # subtraction from the total would cancel. Rank by rank over all requests, where accumulate would go
    # through one request after the other: 1.6 ms instead of 4.2 for a thousand requests of 100.
    remaining = np.empty_like(in_order)
    remaining[-1:] = in_order[-1:]
    for rank in range(len(in_order) - 2, -1, -1):
        np.logaddexp(remaining[rank + 1], in_order[rank], out=remaining[rank])
    in_order -= remaining
    return np.exp(in_order, out=in_order).T.astype(np.float32, order="C")
