"""Serving: from scores to an order, with exploration and exact propensities."""

from __future__ import annotations

import numpy as np

from sim import draws
from sim.records import Floats, Ints, Scores


def ranked(scores: Scores, depth: int | None = None) -> Ints:
    """Positions of candidates from best to worst, shape (R, C) or (R, depth); ties go to the earlier candidate.

    Score and position are packed into one sortable integer: a total order, and at 100 candidates
    0.7 us a request, where argpartition plus argsort takes 1.9 us and leaves ties to chance.
    """
    bits = np.ascontiguousarray(scores + np.float32(0)).view(np.int32)  # + 0 turns -0 into 0: one tie, not two
    ascending = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    packed = (~ascending).astype(np.int64)
    packed <<= 32
    packed |= np.arange(scores.shape[1])
    if depth is not None and depth < scores.shape[1]:
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
    return wide / (np.where(spread > 0, spread, 1.0) * temperature[:, None])


def explored(utility: Floats, keys: draws.Keys) -> Ints:
    """A Plackett-Luce draw of the whole order by Gumbel noise; keys of shape (R, C), one per candidate."""
    return ranked((utility - utility.max(axis=1, keepdims=True)).astype(np.float32) + draws.gumbel(keys))


def propensities(utility: Floats, order: Ints) -> Scores:
    """P(candidate here | those above it), in the order given; shape (R, C)."""
    in_order = np.take_along_axis(utility, order, axis=1)
    # In logs and summed from the bottom: at low temperatures the weights of deep ranks underflow, and
    # subtraction from the total would cancel.
    remaining = np.logaddexp.accumulate(in_order[:, ::-1], axis=1)[:, ::-1]
    return np.exp(in_order - remaining).astype(np.float32)
