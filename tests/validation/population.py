"""People who visit, look, click and buy, alike in two periods: where the users of most checks are drawn from.

A finite population, drawn from with replacement: users are then fresh and independent in every replication, and the
truth is a ratio of sums over the population, without any error of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.joint import Metric
from experiments.analysis.stats import SufficientStats

Floats = NDArray[np.float64]
PRE = "pre "
PEOPLE = 100_000  # rows then fit a processor's cache, and drawing costs less than counting
VISITS, PAGE, CLICK, BUY = 2.0, 12.0, 0.06, 0.05  # means: further visits, impressions a visit, and rates
SIGMA = 1.2  # of the logarithm of an order's value, as in the tables of heavy tails


@dataclass(frozen=True, slots=True)
class Population:
    """Totals of people. columns: names. values: shape (n, k), one row per person."""

    columns: tuple[str, ...]
    values: Floats

    def drawn(self, rng: np.random.Generator, n: int) -> SufficientStats:
        """Statistics of n users, drawn with replacement."""
        rows = rng.integers(len(self.values), size=n, dtype=np.uint32)
        return SufficientStats.of(self.columns, self.values.take(rows, axis=0))

    def only(self, columns: Sequence[str]) -> Population:
        return Population(tuple(columns), self.values[:, [self.columns.index(column) for column in columns]])

    def needed_by(self, metrics: Sequence[Metric]) -> Population:
        """Without the columns that no metric asks for."""
        asked = {c for m in metrics for c in (m.numerator, m.denominator, *(m.pre or ())) if c is not None}
        return self.only([column for column in self.columns if column in asked])

    def truth(self, metric: Metric) -> float:
        top = self.values[:, self.columns.index(metric.numerator)].mean()
        return float(top if metric.denominator is None else top / self._mean(metric.denominator))

    def _mean(self, column: str) -> float:
        return float(self.values[:, self.columns.index(column)].mean())


def metric(name: str, numerator: str, denominator: str | None = None) -> Metric:
    """With its own past as covariate."""
    pre = (PRE + numerator, None if denominator is None else PRE + denominator)
    return Metric(name, numerator, denominator, pre)


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        metric("visits per user", "visits"),
        metric("orders per user", "buy"),
        metric("GMV per user", "value"),
        metric("CTR", "click", "impressions"),
        metric("CVR", "buy", "click"),
        metric("value per order", "value", "buy"),
        metric("impressions per user", "impressions"),
        metric("clicks per user", "click"),
        metric("CTCVR", "buy", "impressions"),
        metric("GMV per impression", "value", "impressions"),
    )
}


@cache
def population(lift: float = 0.0) -> Population:
    """The same people whatever the lift; with one, they visit, click, buy and spend more by that share, each."""
    rng = np.random.default_rng(7)
    activity, taste, need = (rng.lognormal(-(sigma**2) / 2, sigma, PEOPLE) for sigma in (0.6, 0.5, 0.4))
    before = _period(rng, VISITS * activity, CLICK * taste, BUY * need, 1.0)
    luck = np.random.default_rng(8)
    now = _period(luck, VISITS * (1 + lift) * activity, CLICK * (1 + lift) * taste, BUY * (1 + lift) * need, 1 + lift)
    return Population((*now, *(PRE + column for column in before)), np.column_stack([*now.values(), *before.values()]))


def _period(rng: np.random.Generator, visits: Floats, click: Floats, buy: Floats, price: float) -> dict[str, Floats]:
    """What people do in one period. visits: expected beyond the first. click, buy: propensities. price: of orders."""
    visited = 1.0 + rng.poisson(visits)
    seen = rng.poisson(PAGE * visited)
    clicked = rng.binomial(seen, np.minimum(click, 0.5))
    bought = rng.binomial(clicked, np.minimum(buy, 0.5))
    value = price * rng.lognormal(3.0, SIGMA, int(bought.sum()))
    spent = np.bincount(np.repeat(np.arange(len(visits)), bought), weights=value, minlength=len(visits))
    counts = {"visits": visited, "impressions": seen, "click": clicked, "buy": bought, "value": spent}
    return {name: np.asarray(count, dtype=np.float64) for name, count in counts.items()}
