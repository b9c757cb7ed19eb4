"""One arm of a summary: counts, means, variances and what is known of covariances; and the statistics they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from experiments.analysis.joint import Metric
from experiments.analysis.stats import SufficientStats

SLACK = 1 + 1e-9  # rounding of what people write down


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one arm: n units; by column mean and variance of one unit (divided by n - 1), NaN where unknown; by pair of
    columns the covariance, as far as it is known. rows: of the table that say so."""

    n: int
    mean: Mapping[str, float]
    variance: Mapping[str, float]
    covariance: Mapping[frozenset[str], float]
    rows: int = 0

    def problems(self) -> list[str]:
        """What cannot be true of any units."""
        found = [
            f"variance of {column} must be at least 0, got {value:g}"
            for column, value in self.variance.items()
            if value < 0
        ]
        for pair, value in self.covariance.items():
            most = np.sqrt(np.prod([max(self.variance[column], 0) for column in pair]))
            if abs(value) > most * SLACK:
                named = " and ".join(sorted(pair))
                found.append(f"covariance of {named} must be within {most:g}, as their variances are, got {value:g}")
        return found

    def knows(self, columns: Sequence[str]) -> bool:
        """Whether every covariance between some columns is there."""
        return all(frozenset(pair) in self.covariance for pair in combinations(columns, 2))

    def stats(self, columns: Sequence[str], called: Sequence[str]) -> SufficientStats:
        """Statistics of some columns under other names; a column whose mean or variance is unknown is NaN."""
        pairs = [[self._covariance(a, b) for b in columns] for a in columns]
        mean = np.array([self.mean[c] if np.isfinite(self.variance[c]) else np.nan for c in columns])
        scatter = np.array(pairs).reshape(len(columns), len(columns)) * max(self.n - 1, 0)
        lost = ~np.isfinite(mean)
        scatter[lost, :] = scatter[:, lost] = np.nan
        return SufficientStats(tuple(called), self.n, np.where(lost, np.nan, mean), scatter)

    def _covariance(self, a: str, b: str) -> float:
        return self.variance[a] if a == b else self.covariance.get(frozenset((a, b)), 0.0)


def joined_blocks(blocks: Sequence[SufficientStats]) -> SufficientStats:
    """Columns of several statistics of the same units, as if those of one were independent of those of the others."""
    scatter = np.zeros((sum(len(b.columns) for b in blocks),) * 2)
    at = 0
    for block in blocks:
        here = slice(at, at + len(block.columns))
        scatter[here, here] = block.scatter
        at = here.stop
    columns = tuple(column for block in blocks for column in block.columns)
    return SufficientStats(columns, blocks[0].n, np.concatenate([block.mean for block in blocks]), scatter)


def renamed(metric: Metric) -> Metric:
    """The metric with columns of its own, which no other metric shares."""

    def own(column: str | None) -> str | None:
        return None if column is None else f"{metric.name}: {column}"

    pre = metric.pre and (str(own(metric.pre[0])), own(metric.pre[1]))
    return replace(metric, numerator=str(own(metric.numerator)), denominator=own(metric.denominator), pre=pre)
