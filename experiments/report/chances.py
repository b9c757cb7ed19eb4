"""What the joint estimate says of the arms on the goals together: chances, prices, and who is surely dominated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from experiments.analysis.exchange import BOUNDED, EXCLUSIVE, ExchangeRate
from experiments.report.format import CANT_TELL, p_value
from experiments.report.weightmap import at_even
from experiments.results import Results


@dataclass(frozen=True, slots=True)
class Chance:
    """One arm, the control too, on the goals together.

    on_front, dominated: on all declared goals. best: of having the highest worth if a point of the first goal is worth
    a point of the second. loss: what choosing it is expected to cost beside the best, in points of the first goal.
    """

    arm: str
    on_front: float
    dominated: float
    best: float
    loss: float


def chances(results: Results) -> list[Chance]:
    """Every arm whose goals can all be told; nothing where there is one goal."""
    told = results.tradeoff
    if told is None:
        return []
    k = at_even(told.weights)
    best, loss = told.weights.best[k], told.weights.loss[k] / told.weights.weight[k]
    return [
        Chance(arm, told.on_front[arm], told.dominated[arm], float(p), float(cost))
        for arm, p, cost in zip(told.arms, best, loss, strict=True)
    ]


def dominance(results: Results) -> str:
    """Who is surely better than whom on every goal at once, in a sentence."""
    told = results.tradeoff
    if told is None:
        return ""
    sure = [f"{d.better} than {d.worse} (p {p_value(d.p_value)})" for d in told.dominances if d.sure]
    near = [f"{d.better} than {d.worse} (p {p_value(d.p_value)})" for d in told.dominances if not d.sure]
    said = "Surely better on every goal at once: " + ", ".join(sure) + "." if sure else ""
    said = said or "No arm is surely better than another on every goal at once."
    return f"{said} Nearly: {', '.join(near)}." if near else said


def winners(results: Results) -> str:
    """Which arm is likeliest to be best at which exchange rate, in a sentence."""
    told = results.tradeoff
    if told is None:
        return ""
    first, second = told.goals[:2]
    stretches = _stretches(results)
    if len(stretches) == 1:
        return f"{stretches[0][0]} is likeliest to be best at every exchange rate between {first} and {second}."
    said = [f"{arm} {_between(low, high)}" for arm, low, high in stretches]
    return f"Likeliest to be best, by what a point of {second} is worth in points of {first}: {', '.join(said)}."


def _stretches(results: Results) -> list[tuple[str, float, float]]:
    """Arms with the rates between which each is likeliest to be best, by rising rate."""
    told = results.tradeoff
    assert told is not None
    inner = np.flatnonzero(np.isfinite(told.weights.rate) & (told.weights.rate > 0))
    order = inner[np.argsort(told.weights.rate[inner])]
    leader, rate = told.weights.best[order].argmax(axis=1), told.weights.rate[order]
    turns = [n for n in range(1, len(leader)) if leader[n] != leader[n - 1]]
    edges = [0.0, *(float(np.sqrt(rate[n - 1] * rate[n])) for n in turns), math.inf]
    return [(told.arms[leader[n]], low, high) for n, (low, high) in zip([0, *turns], pairwise(edges), strict=True)]


def _between(low: float, high: float) -> str:
    if low == 0:
        return f"below {high:.2g}"
    return f"above {low:.2g}" if math.isinf(high) else f"from {low:.2g} to {high:.2g}"


def prices(results: Results) -> tuple[list[ExchangeRate], list[ExchangeRate]]:
    """Exchange rates over the control, and between the challengers."""
    rates = results.tradeoff.exchange if results.tradeoff else ()
    against = [rate for rate in rates if rate.other == results.control]
    return against, [rate for rate in rates if rate.other != results.control]


def price_range(rate: ExchangeRate) -> str:
    """The confidence set of an exchange rate, in words."""
    if rate.kind == BOUNDED:
        return f"{_number(rate.low)} to {_number(rate.high)}"
    if rate.kind == EXCLUSIVE and math.isfinite(rate.low) and math.isfinite(rate.high):
        return f"{CANT_TELL} (below {_number(rate.low)} or above {_number(rate.high)})"
    return CANT_TELL


def price(rate: ExchangeRate) -> str:
    """The estimate of an exchange rate; none where the arms do not differ on the second goal."""
    return _number(rate.rate) if math.isfinite(rate.rate) else CANT_TELL


def _number(value: float) -> str:
    return f"{value:+.2f}" if abs(value) < 10 else f"{value:+,.0f}"
