"""Which metrics of a scenario a log of requests can answer for another policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from experiments.offpolicy.ratios import Ratio, Sum
from sim.scenario import MetricSpec

_SUMS: Mapping[str, Sum] = {"net_cents": {"value_cents": 1.0, "refund_cents": -1.0}}
_BY_COMING = ("visits", "active_days", "returned_1", "returned_7")
_COUNTED = ("impressions", "users")


def estimable(metrics: Mapping[str, MetricSpec], rewards: Collection[str]) -> tuple[dict[str, Ratio], dict[str, str]]:
    """Ratios of the metrics that a log with these rewards can answer, and by name why it cannot the others.

    Users and impressions are those of the log: a target is asked what the same requests would have earned.
    """
    found: dict[str, Ratio] = {}
    refused: dict[str, str] = {}
    for name, metric in metrics.items():
        why = _doubt(metric, rewards)
        if why:
            refused[name] = f"{name}: {why}"
        else:
            found[name] = Ratio(_sum(metric.numerator, metric.scale), _sum(metric.denominator, 1.0))
    return found, refused


def _sum(column: str, scale: float) -> Sum:
    return {part: scale * factor for part, factor in _SUMS.get(column, {column: 1.0}).items()}


def _doubt(metric: MetricSpec, rewards: Collection[str]) -> str:
    """Why a log cannot answer; empty if it can."""
    columns = (metric.numerator, metric.denominator)
    if metric.hidden:
        return "is hidden state that no log holds; evaluate by simulation"
    coming = [column for column in columns if column in _BY_COMING]
    if coming:
        return f"{coming[0]} follow from what people were shown before, and a log knows only one past; run a test"
    missing = [part for column in columns for part in _SUMS.get(column, (column,)) if part not in (*rewards, *_COUNTED)]
    if missing:
        return f"the log must hold {missing[0]}, it holds {', '.join(rewards)}; log it, or leave the metric out"
    return ""
