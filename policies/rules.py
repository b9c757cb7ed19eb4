"""Rules of score fusion: several predicted goals to one score, as they are tuned by hand in industry.

A rule is one formula with parameters. It is the `fusion:` of a model that predicts several goals, and, with
goal models of its own, a policy of the same name (`policies.fusion`). Forms and uses as collected in the
lecture "Ranking 03: score fusion" (Wang Shusen); every score is finite, whatever the goals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field

from policies.formula import HUGE, TINY
from sim.records import Floats, Ints, Requests, Scores

_STRICT: Mapping[str, Any] = {"extra": "forbid", "allow_inf_nan": False}


class Rule(Protocol):
    """Whatever makes one score of predicted goals."""

    @property
    def goals(self) -> Sequence[str]:
        """Goals that it asks for; `price`, the item's price in currency units, may be among them."""
        ...

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        """Higher is better.

        Args:
            values: by goal, shape (R, C). Probabilities, stay in seconds, price in currency units.
        """
        ...


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """sum_g w_g p_g. A common factor on all weights changes no ranking.

    weights: by goal. Scales matter: stay is in seconds and price in currency units, all others in [0, 1].
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    weights: Mapping[str, float]
    type: Literal["weighted_sum"] = "weighted_sum"

    def __post_init__(self) -> None:
        _check("weights", self.weights)

    @property
    def goals(self) -> Sequence[str]:
        return tuple(self.weights)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        return _total([_scaled(w, _goal(values, goal)) for goal, w in self.weights.items()])


@dataclass(frozen=True, slots=True)
class ClickGated:
    """p_ctr * (1 + sum_g w_g p_g): what follows a click becomes a goal of the impression. Used in feeds.

    weights: by goal given a click, such as like or stay (seconds), or price; none leaves ctr alone.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    weights: Mapping[str, float]
    type: Literal["click_gated"] = "click_gated"

    def __post_init__(self) -> None:
        if self.weights:
            _check("weights", self.weights)
        for goal in ("ctr", "ctcvr"):
            if goal in self.weights:
                raise ValueError(
                    f"weights must name what follows a click, which is multiplied in, got {goal!r}; drop it"
                )

    @property
    def goals(self) -> Sequence[str]:
        return ("ctr", *self.weights)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        ctr = _goal(values, "ctr")
        return ctr * (1 + _total([0 * ctr, *(_scaled(w, _goal(values, goal)) for goal, w in self.weights.items())]))


@dataclass(frozen=True, slots=True)
class PowerProduct:
    """prod_g p_g ^ a_g, given as its log; with all exponents 1, expected revenue. Used in e-commerce.

    A constant factor on a goal changes no ranking.

    exponents: by goal, as the model names them; `price` is the item's price in currency units.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    exponents: Mapping[str, float]
    type: Literal["power_product"] = "power_product"

    def __post_init__(self) -> None:
        _check("exponents", self.exponents)

    @property
    def goals(self) -> Sequence[str]:
        return tuple(self.exponents)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        return _total([_scaled(a, _log(_goal(values, goal))) for goal, a in self.exponents.items()])


@dataclass(frozen=True, slots=True)
class ShiftedPowerProduct:
    """prod_g (b_g + w_g p_g) ^ a_g, given as its log; (1 + w p) ^ a is used by an app for short videos.

    For small w p it ranks as the weighted sum of w_g a_g / b_g: search the exponents and leave the weights.

    exponents: a, by goal.
    weights: w, by goal; 1 for a goal without one.
    shifts: b, by goal, from 0; 1 for a goal without one. With a shift of 0 a goal of 0 settles the score.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    exponents: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    type: Literal["shifted_power_product"] = "shifted_power_product"

    def __post_init__(self) -> None:
        _check("exponents", self.exponents)
        _check_besides("weights", self.weights, "exponents", self.exponents)
        _check_besides("shifts", self.shifts, "exponents", self.exponents)

    @property
    def goals(self) -> Sequence[str]:
        return tuple(self.exponents)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        factors = [
            self.shifts.get(goal, 1) + _scaled(self.weights.get(goal, 1), _goal(values, goal)) for goal in self.goals
        ]
        return _total([_scaled(a, _log(factor)) for a, factor in zip(self.exponents.values(), factors, strict=True)])


@dataclass(frozen=True, slots=True)
class ExpSum:
    """sum_g exp(w_g p_g), given as its log, which neither overflows nor changes the order.

    weights: by goal. Scales matter: with stay in seconds, a weight of 1 leaves nothing of the others.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    weights: Mapping[str, float]
    type: Literal["exp_sum"] = "exp_sum"

    def __post_init__(self) -> None:
        _check("weights", self.weights)

    @property
    def goals(self) -> Sequence[str]:
        return tuple(self.weights)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        return np.logaddexp.reduce([_scaled(w, _goal(values, goal)) for goal, w in self.weights.items()], axis=0)


@dataclass(frozen=True, slots=True)
class RankReciprocal:
    """sum_g w_g / (r_g ^ a_g + b_g), r_g the rank by goal g within the request, 1 the best. Used at Kuaishou.

    Any increasing map of a goal leaves every score as it is. Equal candidates share the best of their ranks.

    weights: w, by goal.
    exponents: a, by goal, from 0; 1 for a goal without one.
    shifts: b, by goal, from 0; 0 for a goal without one.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    weights: Mapping[str, float]
    exponents: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    type: Literal["rank_reciprocal"] = "rank_reciprocal"

    def __post_init__(self) -> None:
        _check("weights", self.weights)
        _check_besides("exponents", self.exponents, "weights", self.weights)
        _check_besides("shifts", self.shifts, "weights", self.weights)
        below = {goal: a for goal, a in self.exponents.items() if a < 0}
        if below:
            raise ValueError(f"exponents must be from 0, or the worst rank would count most, got {below}")

    @property
    def goals(self) -> Sequence[str]:
        return tuple(self.weights)

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        return _total([_scaled(w, 1 / self._denominator(goal, values)) for goal, w in self.weights.items()])

    def _denominator(self, goal: str, values: Mapping[str, Floats]) -> Floats:
        with np.errstate(over="ignore"):
            power = ranks(_goal(values, goal)).astype(np.float64) ** self.exponents.get(goal, 1)
        return np.minimum(power, HUGE) + self.shifts.get(goal, 0)


# The `fusion:` of a model that predicts several goals; `type` says which.
Fusion = Annotated[
    WeightedSum | ClickGated | PowerProduct | ShiftedPowerProduct | ExpSum | RankReciprocal,
    Field(discriminator="type"),
]


def expected_revenue() -> PowerProduct:
    """ctr x cvr x price: what a model of clicks and conversions is worth where it is right."""
    return PowerProduct({"ctr": 1, "cvr": 1, "price": 1})


def ranks(values: Floats) -> Ints:
    """Rank of every candidate within its request, 1 the highest; equal ones share the best; shape (R, C)."""
    order = np.argsort(-values, axis=1, kind="stable")
    falling = np.take_along_axis(values, order, axis=1)
    place = np.broadcast_to(np.arange(1, values.shape[1] + 1), values.shape)
    is_new = np.ones(values.shape, dtype=np.bool_)
    is_new[:, 1:] = falling[:, 1:] != falling[:, :-1]
    found = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(found, order, np.maximum.accumulate(np.where(is_new, place, 1), axis=1), axis=1)
    return found


def check_fusion(rule: Rule, policy: str, predicted: Sequence[str]) -> None:
    """Refuse, before there is a log, a rule that asks for goals that a policy does not predict.

    Args:
        policy: its name, for the reader. predicted: its goals; the price is there besides.
    """
    beyond = sorted(set(rule.goals) - {*predicted, "price"})
    if beyond:
        named = f"{', '.join(predicted[:-1])} and {predicted[-1]}" if len(predicted) > 1 else ", ".join(predicted)
        raise ValueError(f"fusion: {policy} predicts {named}, not {', '.join(beyond)}; drop them")


def prices(requests: Requests) -> Floats:
    """Price of every candidate in currency units, shape (R, C)."""
    return requests.items.price[requests.candidates] / 100


def as_scores(values: Floats, requests: Requests) -> Scores:
    """Values as float32 scores: shifted and scaled within each request, which changes no order.

    Cast as they are, small products (1e-57) and small differences (100000 + ctr) would become ties.
    """
    wide = np.broadcast_to(values, requests.candidates.shape)
    if not wide.size:
        return wide.astype(np.float32)
    centred = wide - wide.mean(axis=1, keepdims=True)
    spread = np.abs(centred).max(axis=1, keepdims=True)
    return (centred / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def _check(key: str, numbers: Mapping[str, float]) -> None:
    """Refuse a parameter that names no goals, or gives one no number."""
    if not numbers or not all(goal.isidentifier() for goal in numbers):
        raise ValueError(f"{key} must name goals such as ctr, cvr or price, got {list(numbers)}")
    wrong = {goal: number for goal, number in numbers.items() if not np.isfinite(number)}
    if wrong:
        raise ValueError(f"{key} must be finite numbers, got {wrong}")


def _check_besides(key: str, numbers: Mapping[str, float], main: str, goals: Collection[str]) -> None:
    """Refuse a further parameter of goals that the main one does not name; shifts below 0 as well."""
    beyond = sorted(set(numbers) - set(goals))
    if beyond:
        raise ValueError(f"{key} must name goals that {main} name, got {', '.join(beyond)}; drop them or add {main}")
    if numbers:
        _check(key, numbers)
    below = {goal: b for goal, b in numbers.items() if key == "shifts" and b < 0}
    if below:
        raise ValueError(f"shifts must be from 0, got {below}")


def _goal(values: Mapping[str, Floats], goal: str) -> Floats:
    if goal not in values:
        raise ValueError(f"this model predicts {', '.join(values)}, the fusion asks for {goal}")
    return values[goal]


def _log(x: Floats) -> Floats:
    return np.log(np.clip(x, TINY, HUGE))


def _scaled(factor: float, x: Floats) -> Floats:
    """factor * x, held within HUGE: what is infinite cannot be ordered."""
    with np.errstate(over="ignore"):
        return np.clip(factor * x, -HUGE, HUGE)


def _total(terms: Sequence[Floats]) -> Floats:
    """Their sum; in order, so that bits repeat."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
