"""How a prediction is judged by the truth itself: exact expectations, no outcome is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.records import Floats

LEAST = 1e-7  # log-loss of a prediction of exactly 0 or 1, or of more than 1, is taken from here


def expected_auc(score: Floats, truth: Floats) -> float:
    """AUC with soft labels: an impression counts p as a positive and 1 - p as a negative; ties count half.

    Expected concordant pairs over expected pairs; score and truth of one shape, truth in [0, 1].
    """
    order = np.argsort(score, axis=None, kind="stable")
    ranked, p = score.ravel()[order], truth.ravel()[order]
    group = np.concatenate([[0], np.cumsum(np.diff(ranked) > 0)])
    positive, negative = np.bincount(group, p), np.bincount(group, 1 - p)
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def soft_log_loss(predicted: Floats, truth: Floats) -> float:
    """Mean expected cross-entropy of a prediction where the probability is `truth`."""
    q = np.clip(predicted, LEAST, 1 - LEAST)
    return float(-(truth * np.log(q) + (1 - truth) * np.log1p(-q)).mean())


def judged(predicted: Floats, truth: Floats) -> dict[str, float]:
    """All that the studies look at, over all impressions.

    ratio: of the mean prediction to the mean of the truth. above_one: share of predictions beyond 1.
    """
    return {
        "auc": expected_auc(predicted, truth),
        "log_loss": soft_log_loss(predicted, truth),
        "ratio": float(predicted.mean() / truth.mean()),
        "above_one": float((predicted > 1).mean()),
    }


@dataclass(frozen=True)
class Paired:
    """Mean over seeds of one number, or of a difference within seeds, and its standard error."""

    each: Floats

    @classmethod
    def of(cls, values: ArrayLike) -> Paired:
        return cls(np.asarray(values, dtype=np.float64))

    @property
    def mean(self) -> float:
        return float(self.each.mean())

    @property
    def error(self) -> float:
        return float(self.each.std(ddof=1) / np.sqrt(len(self.each)))

    @property
    def z(self) -> float:
        return self.mean / self.error

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.error:.4f} (z {self.z:+.1f}; {', '.join(f'{v:+.4f}' for v in self.each)})"
