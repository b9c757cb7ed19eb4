"""Graded labels of an impression: how far the user went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.base import check_actions, check_enough, check_has
from policies.goal import LEAST_POSITIVES
from sim.records import Ints, Log

Levels = tuple[tuple[str, ...], ...]
SHOP: Levels = (("click",), ("collect", "cart"), ("buy",))


def levels(log: Log, rising: Levels = SHOP) -> Ints:
    """The highest level of which any action happened, from 1; 0 if none did; shape (n,).

    rising: the actions of each level, the lowest first.

    Raises:
        ValueError: the log lacks an action.
    """
    check_has(log, sorted(outcomes_of_levels(rising)))
    level = np.zeros(len(log), dtype=np.int64)
    for number, actions in enumerate(rising, start=1):
        for action in actions:
            level[log[action] > 0] = number
    return level


def check_graded(log: Log, rising: Levels) -> None:
    """Refuse a log in which too few rows are above level 0 to learn from."""
    named = " or ".join(action for actions in rising for action in actions)
    check_enough(named, levels(log, rising) > 0, LEAST_POSITIVES)


def outcomes_of_levels(rising: Levels) -> frozenset[str]:
    return frozenset(action for actions in rising for action in actions)


def said(rising: Levels) -> str:
    """All levels in words, "skip" first."""
    return ", ".join(["skip", *(" or ".join(actions) for actions in rising)])


def check_levels(rising: Levels, gains: Sequence[float], key: str) -> None:
    """Refuse levels that grade nothing, or gains (of the key) that are not one per level and one for 0."""
    named = [action for actions in rising for action in actions]
    check_actions("levels", named)
    if not rising or not all(rising) or len(set(named)) < len(named):
        raise ValueError(
            f"levels must be lists of actions, each action once, got {[list(actions) for actions in rising]}; "
            f"try {[list(actions) for actions in SHOP]}"
        )
    if len(gains) != len(rising) + 1:
        raise ValueError(
            f"{key} must hold {len(rising) + 1} numbers, one for each of {said(rising)}, got {list(gains)}; "
            f"try {usual_gains(rising)}"
        )


def usual_gains(rising: Levels) -> list[int]:
    """2^level - 1, the gain of a label in NDCG (Burges, MSR-TR-2010-82)."""
    return [2**level - 1 for level in range(len(rising) + 1)]


def request_starts(log: Log) -> Ints:
    """Where each request begins, and the end of the last; shape (n_requests + 1,).

    Raises:
        ValueError: rows of a request are not contiguous.
    """
    borders = np.flatnonzero(np.diff(log.request)) + 1
    if len(borders) + 1 != len(np.unique(log.request)):
        raise ValueError("rows of one request must be contiguous in the log; sort it by request")
    return np.concatenate([[0], borders, [len(log)]])
