"""Logs of single items: a slot, an item, how likely it was, and what it earned; one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from experiments.offpolicy.foreign import ForeignLog
from experiments.offpolicy.overlap import LEAST_ESS, surely_off_one
from experiments.tables.reading import TableError
from sim import draws
from sim.records import Bools, Floats, Ints

PRIOR = 50.0  # rows: an item at a slot is believed to differ from item x slot once it has about so many


@dataclass(frozen=True, slots=True)
class Answer:
    """What an estimator says: mean reward per row (or per slate) under the target, with its 95 % interval."""

    estimator: str
    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """n: rows. ess: (sum w)^2 / sum w^2. largest, mean: of the weights. mean_se: standard error of the mean."""

    n: int
    ess: float
    largest: float
    mean: float
    mean_se: float

    @property
    def doubt(self) -> str | None:
        """Why no estimate should be believed, or None."""
        if self.ess < LEAST_ESS:
            return (
                f"cannot tell: the effective sample size must be at least {LEAST_ESS:g}, got {self.ess:.1f} of "
                f"{self.n} rows; log longer, or explore more"
            )
        if surely_off_one(self.mean, self.mean_se):
            return (
                f"cannot tell: the mean weight must be 1, got {self.mean:.3f} with a standard error of "
                f"{self.mean_se:.3f}; propensities are wrong, or some of what the target shows is never in the log"
            )
        return None


def overlap(weight: Floats, cluster: Ints) -> Overlap:
    """Of weights of independent rows, or of rows in clusters; shape (n,) each."""
    square = float((weight**2).sum())
    mean, se = _mean(weight, cluster)
    return Overlap(
        len(weight), float(weight.sum() ** 2 / square) if square else 0.0, float(weight.max(initial=0)), mean, se
    )


def uniform_target(log: ForeignLog) -> Floats:
    """P(row's item) if all items of the log were equally likely, shape (n,)."""
    if "action" not in log.labels:
        raise TableError("--map: must name action=COLUMN for a uniform policy, found none; it is uniform over items")
    return np.full(len(log), 1 / log.levels["action"])


def column_target(log: ForeignLog) -> Floats:
    """P(row's item) as a column gives it, shape (n,)."""
    if "target_propensity" not in log.numbers:
        raise TableError("--map: must name target_propensity=COLUMN, found none; or say --policy uniform")
    return log.numbers["target_propensity"]


def weights(log: ForeignLog, target: Floats) -> Floats:
    """P(item) under the target over P(item) in the log, shape (n,)."""
    return target / log.chance


def ips(log: ForeignLog, weight: Floats) -> Answer:
    """Inverse propensity scores: mean of w r (Horvitz and Thompson 1952)."""
    return _answer("ips", *_mean(weight * log.numbers["reward"], log.cluster))


def snips(log: ForeignLog, weight: Floats) -> Answer:
    """Self-normalised: sum w r / sum w (Swaminathan and Joachims 2015)."""
    return ratio_of("snips", weight * log.numbers["reward"], weight, log.cluster)


def dm(log: ForeignLog, weight: Floats) -> Answer:
    """Direct method, of a uniform target: mean over items of the regression by item x slot. Its interval leaves out
    what the regression is off."""
    _, everywhere = _regression(log)
    return _answer("dm", *_mean(everywhere, log.cluster))


def dr(log: ForeignLog, weight: Floats) -> Answer:
    """Doubly robust, of a uniform target: direct method plus mean of w (r - q) (Dudik, Langford and Li 2011)."""
    here, everywhere = _regression(log)
    return _answer("dr", *_mean(everywhere + weight * (log.numbers["reward"] - here), log.cluster))


BY_WEIGHT: Mapping[str, Callable[[ForeignLog, Floats], Answer]] = {"ips": ips, "snips": snips}
BY_MODEL: Mapping[str, Callable[[ForeignLog, Floats], Answer]] = {"dm": dm, "dr": dr}  # of uniform targets alone


def on_policy(log: ForeignLog) -> Answer:
    """What a log really earned per row."""
    return _answer("on policy", *_mean(log.numbers["reward"], log.cluster))


def ratio_of(name: str, numerator: Floats, denominator: Floats, cluster: Ints) -> Answer:
    """Sum over sum, by the delta method over clusters; shape (n,) each."""
    total = denominator.sum()
    if total == 0:
        return _answer(name, float("nan"), float("nan"))
    value = float(numerator.sum() / total)
    residual = np.bincount(cluster, numerator - value * denominator) / total
    return _answer(name, value, _root(residual))


def _mean(values: Floats, cluster: Ints) -> tuple[float, float]:
    """Mean per row, and its standard error over clusters."""
    mean = float(values.mean())
    return mean, _root(np.bincount(cluster, values - mean) / len(values))


def _root(influence: Floats) -> float:
    n = len(influence)
    return float(np.sqrt((influence**2).sum() * n / max(n - 1, 1)))


def _answer(name: str, value: float, se: float) -> Answer:
    half = float(ndtri(0.975)) * se
    return Answer(name, value, se, value - half, value + half)


def _regression(log: ForeignLog) -> tuple[Floats, Floats]:
    """q(item, slot) of each row, and its mean over items, from the other half of the clusters; shape (n,) each."""
    if "action" not in log.labels:
        raise TableError("--map: must name action=COLUMN for dm and dr, found none; add it or take ips")
    item, n_items = log.labels["action"], log.levels["action"]
    slot = log.labels.get("slot", np.zeros(len(log), dtype=np.int64))
    cell = item * (int(slot.max()) + 1) + slot
    half = draws.uniform(draws.fold(draws.root(0, "outcome folds"), log.cluster)) < 0.5
    here, everywhere = np.empty(len(log)), np.empty(len(log))
    for mine in (half, ~half):
        if mine.any():
            table = _table(log, ~mine if (~mine).any() else mine, item, slot, n_items)
            here[mine] = table.ravel()[cell[mine]]
            everywhere[mine] = table.mean(axis=0)[slot[mine]]
    return here, everywhere


def _table(log: ForeignLog, rows: Bools, item: Ints, slot: Ints, n_items: int) -> Floats:
    """Mean reward by item and slot, drawn to item x slot, and that to the mean; shape (n_items, n_slots)."""
    n_slots = int(slot.max()) + 1
    reward = log.numbers["reward"][rows]
    mean = float(reward.mean())
    by_item = (np.bincount(item[rows], reward, n_items) + PRIOR * mean) / (
        np.bincount(item[rows], None, n_items) + PRIOR
    )
    by_slot = (np.bincount(slot[rows], reward, n_slots) + PRIOR * mean) / (
        np.bincount(slot[rows], None, n_slots) + PRIOR
    )
    prior = by_item[:, None] * by_slot / mean if mean > 0 else np.zeros((n_items, n_slots))
    cell, size = item[rows] * n_slots + slot[rows], n_items * n_slots
    earned, seen = (np.bincount(cell, x, size).reshape(n_items, n_slots) for x in (reward, None))
    return (earned + PRIOR * prior) / (seen + PRIOR)
