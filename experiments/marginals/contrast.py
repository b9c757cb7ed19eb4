"""What a ranking is worth: the shop's history at temperature 0 against a random order, per impression.

The history stands for a trained ranker: no model of the library is needed to look at a scenario, and one that has
learned from a log lies above it.
"""

from __future__ import annotations

from experiments.marginals.simulated import Simulated, ratio


def random_ctr_ratio(of: Simulated) -> float | None:
    """CTR under the shop's history at temperature 0, over CTR at random"""
    return _times(of, "click")


def random_long_view_ratio(of: Simulated) -> float | None:
    """Long views per impression under the shop's history at temperature 0, over those at random."""
    return _times(of, "long_view") if "long_view" in of.scenario.funnel.actions else None


def _times(of: Simulated, action: str) -> float:
    return ratio(of.rate(action, "impressions", of.trained), of.rate(action, "impressions", of.random))
