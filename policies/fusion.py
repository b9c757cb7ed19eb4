"""Fusion: several predicted goals to one score. One fit of the goal models serves many formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from policies.base import AbstractPolicy, nearest, part, prefixed
from policies.formula import FUNCTIONS, RESERVED, TINY, Formula
from policies.goal import GoalModel, goals_of
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Scores


@dataclass(frozen=True, slots=True)
class PowerProduct:
    """prod_g goal_g ^ a_g; with all exponents 1, expected revenue. As used in e-commerce fusion.

    exponents: by goal, as the model names them; `price` is the item's price in currency units.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    exponents: Mapping[str, float]
    type: Literal["power_product"] = "power_product"

    def __post_init__(self) -> None:
        if not self.exponents or not all(goal.isidentifier() for goal in self.exponents):
            raise ValueError(f"exponents must name goals such as ctr, cvr or price, got {list(self.exponents)}")
        wrong = {goal: a for goal, a in self.exponents.items() if not np.isfinite(a)}
        if wrong:
            raise ValueError(f"exponents must be finite numbers, got {wrong}")

    def __call__(self, goals: Mapping[str, Floats]) -> Floats:
        """Shape (R, C); a sum of logs, so that small goals do not underflow."""
        missing = [goal for goal in self.exponents if goal not in goals]
        if missing:
            raise ValueError(f"this model predicts {', '.join(goals)}, the exponents ask for {', '.join(missing)}")
        logs = [a * np.log(np.maximum(goals[goal], TINY)) for goal, a in self.exponents.items()]
        return np.sum(logs, axis=0)


@dataclass
class FormulaPolicy(AbstractPolicy):
    """Goal models, each a tower of its own, and a formula over what they predict.

    formula: over ctr = P(click | shown), cvr = P(buy | click), ctcvr = ctr x cvr, stay (seconds given a click),
        price (currency units) and any other action of the log by its name: like is P(like | click).
    params: values of the names in the formula that are no goals.
    """

    name: ClassVar[str] = "formula"

    formula: str
    params: Mapping[str, float] = field(default_factory=dict)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        self._formula = Formula(self.formula, self.params)
        self.needs()  # refuses goals that no log can have

    def needs(self) -> dict[str, AbstractPolicy]:
        goals = set(self._formula.goals) - {"price"}
        if "ctcvr" in goals:
            goals = goals - {"ctcvr"} | {"ctr", "cvr"}
        return {goal: GoalModel(goal, self.training) for goal in sorted(goals)}

    def outcomes(self) -> frozenset[str]:
        return frozenset().union(*(model.outcomes() for model in self.needs().values()))

    def fit_spec(self) -> dict[str, Any]:
        return {"type": self.name, "goals": {goal: model.fit_spec() for goal, model in self.needs().items()}}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        self._check_goals(goals_of(log))
        fitted = fitted or {}
        return self.assemble(
            {goal: fitted[goal] if goal in fitted else model.fit(log) for goal, model in self.needs().items()}
        )

    def assemble(self, fitted: Mapping[str, AbstractPolicy]) -> Self:
        self.models_ = {goal: model for goal, model in fitted.items() if isinstance(model, GoalModel)}
        return self

    def goals(self, requests: Requests) -> dict[str, Floats]:
        if not self.models_:
            return {}
        inputs = next(iter(self.models_.values())).features_.inputs(requests)  # the same log, the same features
        goals = {goal: model.predict(inputs) for goal, model in self.models_.items()}
        if "ctr" in goals and "cvr" in goals:
            goals["ctcvr"] = goals["ctr"] * goals["cvr"]
        return goals

    def score(self, requests: Requests) -> Scores:
        return as_scores(self._formula(self.goals(requests) | {"price": prices(requests)}), requests)

    def notes(self) -> list[str]:
        return [note for model in self.models_.values() for note in model.notes()]

    def learned(self) -> dict[str, Column]:
        arrays: dict[str, Column] = {}
        for goal, model in self.models_.items():
            arrays |= prefixed(goal, model.learned())
        return arrays

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.models_ = {goal: GoalModel(goal, self.training).restore(part(goal, learned)) for goal in self.needs()}
        return self

    def _check_goals(self, there: Sequence[str]) -> None:
        for name in self._formula.goals:
            if name not in (*RESERVED, *there):  # a model that lacks a goal of ours says what for
                hint = nearest(name, [*there, "price", *self.params, *FUNCTIONS])
                raise ValueError(
                    f"unknown name {name!r} in the formula; {hint}name a goal of the log ({', '.join(there)}, price) "
                    f"or give {name} a value in params"
                )


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
