"""Graded labels of an impression: how far the user went."""

from __future__ import annotations

import numpy as np

from sim.records import Ints, Log

LEVELS = ("skip", "click", "cart or collect", "buy")


def levels(log: Log) -> Ints:
    """Level 0 skip, 1 click, 2 cart or collect, 3 buy; shape (n,)."""
    level = (log["click"] > 0).astype(np.int64)
    level[(log["collect"] > 0) | (log["cart"] > 0)] = 2
    level[log["buy"] > 0] = 3
    return level


def request_starts(log: Log) -> Ints:
    """Where each request begins, and the end of the last; shape (n_requests + 1,).

    Raises:
        ValueError: rows of a request are not contiguous.
    """
    borders = np.flatnonzero(np.diff(log.request)) + 1
    if len(borders) + 1 != len(np.unique(log.request)):
        raise ValueError("rows of one request must be contiguous in the log; sort it by request")
    return np.concatenate([[0], borders, [len(log)]])
