"""The metrics by name: numerator and denominator per user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A ratio of sums over users.

    numerator, denominator: columns of the ledger; the denominator `users` is 1 for everybody.
    scale: what one unit of the ratio is multiplied by for people to read it.
    hidden: true of state that no company could log.
    """

    name: str
    numerator: str
    denominator: str
    meaning: str
    scale: float = 1.0
    hidden: bool = False


METRICS: Mapping[str, MetricSpec] = {
    metric.name: metric
    for metric in (
        MetricSpec("gmv_per_user", "value_cents", "users", "order value landed in the test, per user", 0.01),
        MetricSpec("orders_per_user", "buy", "users", "orders landed in the test, per user"),
        MetricSpec("ctr", "click", "impressions", "clicks per impression"),
        MetricSpec("cvr", "buy", "click", "orders landed in the test, per click"),
        MetricSpec("ctcvr", "buy", "impressions", "orders landed in the test, per impression"),
        MetricSpec("collect_rate", "collect", "click", "collected items per click"),
        MetricSpec("cart_rate", "cart", "click", "items put in the cart, per click"),
        MetricSpec("stay_per_user", "stay_ms", "users", "seconds on clicked items, per user", 0.001),
        MetricSpec("visits_per_user", "visits", "users", "visits per user"),
        MetricSpec(
            "satisfaction", "satisfaction", "users", "satisfaction at the end, 0 to 1; nobody can log it", hidden=True
        ),
    )
}
USERS = "users"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""
