"""How likely each slot is to be looked at, from clicks: by slot of a page, relative to slot 0.

A slot is a place on a page, whatever the page: a log holds a page only if it was shown, so whoever is on it has come
that far, and what is left to explain is where on the page the item stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from policies.goal import LEAST_POSITIVES
from sim.records import Bools, Floats, Ints, Log


def clickthrough_by_slot(click: Bools, slot: Ints) -> Floats:
    """Clicks per impression by slot relative to slot 0, half a click added to each; shape (n_slots,).

    The naive curve: it takes for attention that a ranker puts on top what is clicked most anyhow.
    """
    shown = np.bincount(slot)
    rate = (np.bincount(slot, click) + 0.5) / (shown + 1)
    return rate / rate[0]


def harvested(log: Log) -> Floats:
    """Examination by slot from the swaps that a log holds by itself, shape (n_slots,).

    Intervention harvesting (Agarwal et al., WSDM 2019): an item that a query got at slot k here and at slot k' there
    is a small experiment, if what put it there knows no more of the user than the query says. A query is here the
    user's segment and the page; a ranker that knows more than the segment, or more items by then, breaks the rule.
    Of AllPairs it keeps the pairs. Every query and item weighs n_k n_k' / (n_k + n_k') (Mantel-Haenszel) rather than
    1 / n_k of each side, so that what was shown a few times does not count like what was shown often; the expected
    clicks w_kk' : w_k'k stay as theta_k : theta_k', and the theta of all pairs are those of Bradley and Terry.

    Raises:
        ValueError: slots between which too few items went back and forth.
    """
    shown, clicks = _queries(log)
    w = np.zeros((shown.shape[1], shown.shape[1]))  # w[k, l]: clicks at k of what was shown at l as well
    for k in range(len(w)):
        w[k] = (clicks[:, [k]] * shown / np.maximum(shown[:, [k]] + shown, 1)).sum(axis=0)
    np.fill_diagonal(w, 0)
    elsewhere = (shown > 0).sum(axis=1) > 1
    _check_swaps(clicks[elsewhere].sum(axis=0), w > 0)
    return bradley_terry(w)


def bradley_terry(wins: Floats) -> Floats:
    """Strengths relative to the first, wins[k, l] : wins[l, k] as theta_k : theta_l; by MM (Hunter 2004), (K,).

    The relation `wins` > 0 must be strongly connected, so that there is a maximum.
    """
    theta = np.ones(len(wins))
    games = wins + wins.T
    for _ in range(_MOST_STEPS if len(wins) > 1 else 0):
        new = wins.sum(axis=1) / (games / (theta[:, None] + theta)).sum(axis=1)
        new /= new[0]
        done = np.abs(np.log(new / theta)).max() < _STILL
        theta = new
        if done:
            break
    return theta


_MOST_STEPS, _STILL = 10_000, 1e-9  # neighbours that swap with neighbours alone take some thousand steps


def seen_though_skipped(theta: Floats, relevance: Floats) -> Floats:
    """P(examined | no click) = theta (1 - g) / (1 - theta g); shapes broadcast. E step of the position-based model."""
    return theta * (1 - relevance) / _unclicked(theta, relevance)


def relevant_though_skipped(theta: Floats, relevance: Floats) -> Floats:
    """P(relevant | no click) = (1 - theta) g / (1 - theta g); shapes broadcast. E step of the position-based model."""
    return (1 - theta) * relevance / _unclicked(theta, relevance)


def most_likely_examination(click: Bools, slot: Ints, relevance: Floats, theta: Floats) -> Floats:
    """Where the steps theta_k = mean(c + (1 - c) P(examined | no click)) end with relevance held; shape (n_slots,).

    Each step alone goes about the share g of the way, which is a hundred steps where 5 % are clicked. Their end is the
    maximum of sum c log(theta) + (1 - c) log(1 - theta g), which is concave in each theta: Newton, never below half of
    theta. No probability bounds it but that of a click: it also takes up what the level of g is off.

    Args:
        click, slot, relevance: shape (n,). theta: shape (n_slots,), to start from.
    """
    n_slots = len(theta)
    clicks = np.bincount(slot[click], minlength=n_slots)
    where, g = slot[~click], relevance[~click]
    highest = 0.999 / np.maximum(g.max(initial=0), 0.5)
    for _ in range(_NEWTON_STEPS):
        pull = g / _unclicked(theta[where], g)
        slope = clicks / theta - np.bincount(where, pull, minlength=n_slots)
        curvature = clicks / theta**2 + np.bincount(where, pull**2, minlength=n_slots)
        step = slope / np.maximum(curvature, _TINY)
        theta = np.clip(theta + step, np.maximum(theta / 2, LEAST_SEEN), highest)
    return theta


_NEWTON_STEPS, _TINY = 12, 1e-12
CTR = "ctr"
LEAST_SEEN = 1e-4  # of slot 0's attention; a slot without a click would have none at all


def given(curve: Sequence[float], n_slots: int) -> Floats:
    """Examination as somebody states it, made relative to slot 0.

    Raises:
        ValueError: the log has another number of slots.
    """
    if len(curve) != n_slots:
        raise ValueError(
            f"examination must name one number for each slot that the log has impressions of, {n_slots} of them, "
            f"got {len(curve)}; give as many, or write em or harvest"
        )
    return np.asarray(curve, dtype=np.float64) / curve[0]


def _unclicked(theta: Floats, relevance: Floats) -> Floats:
    """P(no click), held off 0 where both are certain."""
    return np.maximum(1 - theta * relevance, _TINY)


def _queries(log: Log) -> tuple[Floats, Floats]:
    """Impressions and clicks of each (segment, page, item) by slot, each of shape (n, n_slots)."""
    segment = log.users.segment[np.searchsorted(log.users.user, log.user)]
    key = (segment.astype(np.int64) * (int(log.page.max()) + 1) + log.page) * len(log.items) + log.item
    keys, query = np.unique(key, return_inverse=True)
    n_slots = int(log.slot.max()) + 1
    cell, n_cells = query * n_slots + log.slot, len(keys) * n_slots
    shown, clicks = np.bincount(cell, minlength=n_cells), np.bincount(cell, log["click"] > 0, minlength=n_cells)
    return shown.reshape(-1, n_slots).astype(np.float64), clicks.reshape(-1, n_slots).astype(np.float64)


def _check_swaps(clicks: Floats, met: Bools) -> None:
    """Refuse slots that cannot be held against the others. clicks: shape (K,). met: shape (K, K)."""
    cure = "explore more or longer in the warm-up, or write em or a list of numbers"
    few = np.flatnonzero(clicks < LEAST_POSITIVES)
    if len(clicks) > 1 and len(few):
        raise ValueError(
            f"examination: harvest needs at least {LEAST_POSITIVES} clicks at every slot on items that the same "
            f"segment was shown at another slot of that page too, slot {few[0]} has {clicks[few[0]]:.0f}; {cure}"
        )
    for reach in (_reached(met), _reached(met.T)):
        if not reach.all():
            raise ValueError(
                f"examination: harvest needs items that went back and forth between all slots and were clicked, but "
                f"none links slots 0 and {np.flatnonzero(~reach)[0]}, even by way of others; {cure}"
            )


def _reached(met: Bools) -> Bools:
    """Slots that a chain of meetings leads to from slot 0, shape (K,)."""
    reach = np.arange(len(met)) == 0
    for _ in pairwise(met):
        reach = reach | met[reach].any(axis=0)
    return reach
