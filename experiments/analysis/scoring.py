"""How good predictions are: expected AUC, calibration, rank correlation and NDCG, against labels or probabilities.

A label is 0 or 1 where something was logged, and a probability where the truth is known. Both are judged by the
same formulas: an impression that is positive with probability p counts as p of a positive and 1 - p of a negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
NAN = float("nan")
BINS = 10


@dataclass(frozen=True, slots=True)
class Bins:
    """A reliability curve: what was predicted and what is so, in bins of about equal size by rising prediction.

    n, predicted, true: shape (n_bins,). Impressions, mean prediction and mean label or probability of each.
    """

    n: NDArray[np.int64]
    predicted: NDArray[np.float64]
    true: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of prediction and truth over bins, by their size."""
        if not len(self.n):
            return NAN
        return float((self.n * np.abs(self.predicted - self.true)).sum() / self.n.sum())


def expected_auc(score: Floats, positive: Floats) -> float:
    """P(a positive outranks a negative), ties counting half, over all pairs of two different impressions.

    Args:
        score: shape (n,). positive: shape (n,), in [0, 1]. Probability that each is a positive. Symbol p.

    sum_{i != j} p_i (1 - p_j) ([s_i > s_j] + [s_i = s_j] / 2) over the same sum without the bracket; with labels of
    0 and 1 it is the usual AUC. NaN where there is no pair.
    """
    p = np.asarray(positive, dtype=np.float64)
    _, group = np.unique(score, return_inverse=True)
    up, down = np.bincount(group, p), np.bincount(group, 1 - p)
    below = np.cumsum(down) - down
    itself = float((p * (1 - p)).sum())
    pairs = float(p.sum() * (1 - p).sum()) - itself
    won = float((up * (below + down / 2)).sum()) - itself / 2
    return won / pairs if pairs > 1e-12 else NAN


def log_loss(predicted: Floats, label: Floats) -> float:
    """Mean cross-entropy in nats; predictions are held within [1e-7, 1 - 1e-7]. NaN without labels."""
    if not len(label):
        return NAN
    p = np.clip(np.asarray(predicted, dtype=np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log1p(-p)))


def reliability(predicted: Floats, true: Floats, n_bins: int = BINS) -> Bins:
    """Predictions beside the truth in bins of equal size; equal predictions share a bin, so there may be fewer."""
    edges = np.unique(np.quantile(predicted, np.arange(1, n_bins) / n_bins)) if len(predicted) else np.zeros(0)
    place = np.searchsorted(edges, predicted, side="right")
    n = np.bincount(place, minlength=len(edges) + 1)
    some = np.flatnonzero(n)
    sums = [np.bincount(place, np.asarray(v, dtype=np.float64), len(n))[some] for v in (predicted, true)]
    return Bins(n[some], sums[0] / n[some], sums[1] / n[some])


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's correlation; ties share their mean rank. NaN where one of them does not vary."""
    from scipy.stats import rankdata

    if len(a) < 2:
        return NAN
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (a, b))
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / spread) if spread > 0 else NAN


def ratio(predicted: Floats, true: Floats) -> float:
    """Mean prediction over mean truth; NaN where nothing ever happens."""
    below = float(np.mean(true)) if len(true) else 0.0
    return float(np.mean(predicted)) / below if below > 0 else NAN


def ndcg(score: Floats, gain: Floats, depth: int = 10) -> float:
    """Normalised discounted cumulative gain (Jarvelin and Kekalainen 2002), the mean over requests.

    Args:
        score, gain: shape (R, C). Of equal scores, the earlier candidate comes first, as when it is served. Gains
            are as they are, below 0 counting as 0; requests in which nothing is to be gained are left out.
    """
    gains = np.maximum(np.asarray(gain, dtype=np.float64), 0)
    discount = 1 / np.log2(np.arange(2, 2 + min(depth, gains.shape[1])))
    order = np.argsort(-np.asarray(score, dtype=np.float64), axis=1, kind="stable")[:, : len(discount)]
    best = (-np.sort(-gains, axis=1))[:, : len(discount)] @ discount
    found = np.take_along_axis(gains, order, axis=1) @ discount
    some = best > 0
    return float(np.mean(found[some] / best[some])) if some.any() else NAN


def grouped_auc(score: Floats, positive: Floats) -> float:
    """The mean over requests of the expected AUC within each: scores of two requests need no common scale.

    Args:
        score, positive: shape (R, C).
    """
    each = [expected_auc(s, p) for s, p in zip(score, positive, strict=True)]
    known = [auc for auc in each if np.isfinite(auc)]
    return float(np.mean(known)) if known else NAN
