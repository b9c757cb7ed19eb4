"""Marginals over users: how unequal they are, in money and in activity."""

from __future__ import annotations

import numpy as np

from experiments.marginals.sample import earner
from experiments.marginals.simulated import Simulated
from sim.records import Floats, Ints


def order_value_log_sd(of: Simulated) -> float | None:
    """Sd of the log of the value of an order."""
    return of.sample.worth.log_sd if earner(of.scenario) else None


def spend_top_10_share(of: Simulated) -> float | None:
    """Share of what customers spent that the top 10 % of them did."""
    if not earner(of.scenario):
        return None
    spent = of.total("value_cents")
    return top_share(spent[spent > 0], 0.1)


def top_1_share_of_activity(of: Simulated) -> float | None:
    """Share of all impressions that the top 1 % of users were shown."""
    return top_share(of.total("impressions"), 0.01)


def binary_sd_over_mean(of: Simulated) -> float | None:
    """Of users who came, whether they did what follows a click most often."""
    after = [name for name in of.scenario.funnel.at_once if name != "click"]
    if not after:
        return None
    did = max((of.total(name)[of.came] for name in after), key=np.sum)
    return _spread((did > 0).astype(np.float64))


def value_sd_over_mean(of: Simulated) -> float | None:
    """Of users who came, the value of their orders that landed."""
    return _spread(of.total("value_cents")[of.came].astype(np.float64)) if earner(of.scenario) else None


def top_share(amounts: Ints, share: float) -> float:
    """What the largest `share` of the amounts, shape (n,), hold of their sum; NaN of nothing."""
    total = amounts.sum()
    if not total > 0:
        return float("nan")
    largest = np.sort(amounts)[::-1][: max(1, round(share * len(amounts)))]
    return float(largest.sum() / total)


def lorenz(amounts: Ints) -> tuple[Floats, Floats]:
    """Share of users, poorest first, and the share of everything that they hold; each of shape (n + 1,)."""
    held = np.concatenate([[0.0], np.cumsum(np.sort(amounts))])
    return np.linspace(0, 1, len(held)), held / max(held[-1], 1)


def _spread(values: Floats) -> float:
    mean = values.mean() if len(values) else 0.0
    return float(values.std() / mean) if mean > 0 else float("nan")
