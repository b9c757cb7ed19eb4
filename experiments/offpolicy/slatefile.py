"""Logs of slates from a file, without their candidates: rows of a request, and where the target would put each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from experiments.offpolicy import single
from experiments.offpolicy.examination import from_chances
from experiments.offpolicy.foreign import ForeignLog
from experiments.tables.reading import TableError
from sim.records import Bools, Floats

_CANNOT = ("dr", "dm", "cascade_dr", "reading_dr")


def item_weights(log: ForeignLog) -> Floats:
    """Weight of each row by item and slot, (n,): the target's chance of it here over the log's marginal chance."""
    if "marginal" in log.numbers:
        chance = log.numbers["marginal"]
    elif log.marginals is not None:
        chance = log.marginals[np.arange(len(log)), log.labels["slot"]]
    else:
        raise TableError(
            "ips: must have marginal=COLUMN in --map, P(item at this slot whatever stands above), found the stepwise "
            "propensity alone; log it, or take slate_ips"
        )
    return _target_chance(log) / chance


def slate_weights(log: ForeignLog) -> Floats:
    """Weight of the whole slate of each row, (n,): product over its rows of target chance over propensity."""
    if "propensity" not in log.numbers:
        raise TableError("slate_ips: must have propensity=COLUMN in --map, P(item given those above), found none")
    request = log.labels["request"]
    step = _target_chance(log) / log.numbers["propensity"]
    never = np.bincount(request, step == 0) > 0
    product = np.exp(np.minimum(np.bincount(request, np.log(np.where(step > 0, step, 1.0))), 700.0))
    return np.where(never, 0.0, product)[request]


def position_weights(log: ForeignLog) -> Floats:
    """Examination at the target's rank over expected examination in the log, of each row, (n,)."""
    if log.marginals is None or "target_rank" not in log.numbers:
        raise TableError(
            "pbm: must have marginals=START in --map, columns with P(item at slot 0), at slot 1 and so on, and "
            "target_rank=COLUMN; add them, or take ips"
        )
    reward, slot = log.numbers["reward"], log.labels["slot"]
    clicked = reward > 0
    if not clicked.any():
        raise TableError("pbm: the log must hold rewards to learn examination from, found none; log longer")
    theta = from_chances(log.marginals[clicked], slot[clicked])
    rank = log.numbers["target_rank"].astype(np.int64)
    there = (rank >= 0) & (rank < len(theta))
    return np.where(there, theta[np.where(there, rank, 0)], 0.0) / np.maximum(log.marginals @ theta, 1e-12)


def per_slate(log: ForeignLog, weight: Floats, name: str) -> single.Answer:
    """Sum of w r by slate, its mean over slates."""
    slates, cluster = _slates(log)
    total = np.bincount(log.labels["request"], weight * log.numbers["reward"])
    return single.ratio_of(name, total[slates], np.ones(len(slates)), cluster)


def snips(log: ForeignLog, weight: Floats) -> single.Answer:
    """Weighted mean reward of a row times rows per slate."""
    slates, _ = _slates(log)
    found = single.snips(log, weight)
    rows = len(log) / len(slates)
    return single.Answer("snips", *(rows * x for x in (found.value, found.se, found.low, found.high)))


ESTIMATORS: Mapping[str, tuple[Callable[[ForeignLog], Floats], Callable[[ForeignLog, Floats], single.Answer]]] = {
    "ips": (item_weights, lambda log, weight: per_slate(log, weight, "ips")),
    "snips": (item_weights, snips),
    "pbm": (position_weights, lambda log, weight: per_slate(log, weight, "pbm")),
    "slate_ips": (slate_weights, lambda log, weight: per_slate(log, weight, "slate_ips")),
}


def possible(log: ForeignLog) -> list[str]:
    """Names of the estimators that this log has the columns for."""
    found = ["ips", "snips"] if "marginal" in log.numbers or log.marginals is not None else []
    if log.marginals is not None and "target_rank" in log.numbers:
        found.append("pbm")
    return [*found, "slate_ips"] if "propensity" in log.numbers else found


def check_estimator(name: str) -> None:
    """Refuse what needs the candidates of every request."""
    if name in _CANNOT:
        raise TableError(
            f"--estimator {name}: needs the candidates of every request and what is known of them, which a table of "
            f"what was shown does not hold; take one of {', '.join(ESTIMATORS)}"
        )


def _slates(log: ForeignLog) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the slates and the cluster of each."""
    slates, first = np.unique(log.labels["request"], return_index=True)
    return slates, np.unique(log.cluster[first], return_inverse=True)[1]


def _target_chance(log: ForeignLog) -> Floats:
    """The target's chance of each row's item at its slot: a column, or 1 where its rank is the slot."""
    if "target_propensity" in log.numbers:
        return log.numbers["target_propensity"]
    if "target_rank" not in log.numbers or "slot" not in log.labels:
        raise TableError(
            "--map: must name target_rank=COLUMN with slot=COLUMN, or target_propensity=COLUMN, found neither; a table "
            "does not say what another policy would show"
        )
    same: Bools = log.numbers["target_rank"] == log.labels["slot"]
    return same.astype(np.float64)
