"""A histogram of positive numbers on a logarithmic scale: quantiles and moments in memory that does not grow."""

from __future__ import annotations

import numpy as np

from sim.records import Floats, Ints

LEAST, MOST = 1e-4, 1e9  # seconds, days, shares or currency units: what lies beyond counts in the last bin
BINS = 6000  # each 0.5 % wide, which is how exact a quantile is


class LogHistogram:
    """Weighted counts in bins of equal width in the logarithm; moments of the logarithm are exact.

    edges: shape (BINS + 1,). Limits of the bins. counts: shape (BINS,). Weight in each.
    """

    def __init__(self) -> None:
        self.edges: Floats = np.exp(np.linspace(np.log(LEAST), np.log(MOST), BINS + 1))
        self.counts: Floats = np.zeros(BINS)
        self._sums: Floats = np.zeros(3)  # of weight, weight x log, weight x log squared

    def add(self, values: Floats | Ints, weights: Floats | None = None) -> None:
        """Count values, shape (n,); those of 0 and below count as the least. weights: shape (n,), 1 without it."""
        logs = np.log(np.clip(values, LEAST, MOST))
        weight = np.ones(len(logs)) if weights is None else weights
        place = (logs - np.log(LEAST)) / (np.log(MOST) - np.log(LEAST)) * BINS
        bins = np.minimum(place.astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, weight, minlength=BINS)
        self._sums += [weight.sum(), weight @ logs, weight @ logs**2]

    @property
    def weight(self) -> float:
        """How much was counted."""
        return float(self._sums[0])

    @property
    def log_mean(self) -> float:
        """Mean of the logarithm; NaN of nothing."""
        return float(self._sums[1] / self._sums[0]) if self._sums[0] > 0 else float("nan")

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm; NaN of nothing."""
        if not self._sums[0] > 0:
            return float("nan")
        return float(np.sqrt(max(self._sums[2] / self._sums[0] - self.log_mean**2, 0.0)))

    def share_below(self, value: float) -> float:
        """Share of the weight that lies below a value; NaN of nothing."""
        if not self.weight > 0:
            return float("nan")
        passed = np.concatenate([[0.0], np.cumsum(self.counts)])
        return float(np.interp(np.log(value), np.log(self.edges), passed) / self.weight)

    def quantile(self, share: float) -> float:
        """The value below which so large a share of the weight lies; NaN of nothing."""
        if not self.weight > 0:
            return float("nan")
        passed = np.cumsum(self.counts)
        wanted = share * passed[-1]
        at = int(np.searchsorted(passed, wanted))
        before = passed[at - 1] if at else 0.0
        within = (wanted - before) / self.counts[at] if self.counts[at] else 0.0
        return float(self.edges[at] * (self.edges[at + 1] / self.edges[at]) ** within)
