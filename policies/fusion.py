"""Fusion: goal models and a rule over what they predict. One fit of the models serves every rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, nearest
from policies.formula import FUNCTIONS, RESERVED, Formula
from policies.goal import goals_of
from policies.rules import (
    ClickGated,
    ExpSum,
    PowerProduct,
    RankReciprocal,
    Rule,
    ShiftedPowerProduct,
    WeightedSum,
    as_scores,
    prices,
)
from policies.together import GoalModels, models_of, outcomes_of_models, with_ctcvr
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Scores


@dataclass(kw_only=True)
class AbstractFusion(AbstractPolicy):
    """Goal models, each a tower of its own, and a rule that makes one score of what they predict.

    training: of each goal model.
    miscalibrated: by goal model, the factor by which its predictions are off, for rehearsing which rule survives
        that: {cvr: 3} triples every predicted cvr before it is fused, and no probability beyond 1. The models
        are the same, and so is their ranking.
    """

    training: Training = field(default_factory=Training)
    miscalibrated: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rule = self.rule()
        models = self.needs()  # refuses goals that no log can have
        beyond = sorted(set(self.miscalibrated) - set(models))
        if beyond:
            there = ", ".join(models) or "none"
            raise ValueError(
                f"miscalibrated must name goal models of this policy, got {', '.join(beyond)}; there are: {there}"
            )
        wrong = {goal: factor for goal, factor in self.miscalibrated.items() if not 0 < factor < np.inf}
        if wrong:
            raise ValueError(f"miscalibrated must be factors > 0, got {wrong}; 1 is a goal that is right")

    @abstractmethod
    def rule(self) -> Rule:
        """The rule with its parameters; a ValueError says which of them cannot be."""

    def needs(self) -> dict[str, AbstractPolicy]:
        return models_of(self._rule.goals, self.training)

    def outcomes(self) -> frozenset[str]:
        return outcomes_of_models(self.needs())

    def fit_spec(self) -> dict[str, Any]:
        # The rule comes after the fit: all rules over the same goals share one, named as the freest of them.
        return {"type": "formula", "goals": {goal: model.fit_spec() for goal, model in self.needs().items()}}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        self.models_ = GoalModels.fit(self.needs(), log, fitted)
        return self

    def assemble(self, fitted: Mapping[str, AbstractPolicy]) -> Self:
        self.models_ = GoalModels.of(fitted)
        return self

    def predictions(self, requests: Requests) -> dict[str, Floats]:
        features = self.models_.features
        if features is None:
            return {}
        inputs = features.inputs(requests)
        return {goal: model.predict(inputs) for goal, model in self.models_.models.items()}

    def goals(self, requests: Requests) -> dict[str, Floats]:
        return self._as_believed(self.predictions(requests))

    def _as_believed(self, predictions: Mapping[str, Floats]) -> dict[str, Floats]:
        """Goals as they enter the rule: off where they are rehearsed to be, and ctcvr of what they are then."""
        goals = dict(predictions)
        for goal, factor in self.miscalibrated.items():
            goals[goal] = np.minimum(factor * goals[goal], np.inf if goal == "stay" else 1.0)
        return with_ctcvr(goals)

    def fused(self, predictions: Mapping[str, Floats], requests: Requests) -> Scores:
        return as_scores(self._rule(self._as_believed(predictions) | {"price": prices(requests)}), requests)

    def score(self, requests: Requests) -> Scores:
        return self.fused(self.predictions(requests), requests)

    def notes(self) -> list[str]:
        return self.models_.notes()

    def learned(self) -> dict[str, Column]:
        return self.models_.learned()

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.models_ = GoalModels.restore(self.needs(), learned)
        return self


@dataclass
class FormulaPolicy(AbstractFusion):
    """Goal models, each a tower of its own, and a formula over what they predict.

    formula: over ctr = P(click | shown), cvr = P(buy | click), ctcvr = ctr x cvr, stay (seconds given a click),
        price (currency units) and any other action of the log by its name: like is P(like | click).
    params: values of the names in the formula that are no goals.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; {cvr: 3} triples its cvr.
    """

    name: ClassVar[str] = "formula"

    formula: str
    params: Mapping[str, float] = field(default_factory=dict)

    def rule(self) -> Formula:
        return Formula(self.formula, self.params)

    def fused(self, predictions: Mapping[str, Floats], requests: Requests) -> Scores:
        assert isinstance(self._rule, Formula)
        price = {"price": requests.items.price / 100}
        return as_scores(self._rule.over(self._as_believed(predictions), price, requests.candidates), requests)

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        there = goals_of(log)
        for name in self._rule.goals:
            if name not in (*RESERVED, *there):  # a model that lacks a goal of ours says what for
                hint = nearest(name, [*there, "price", *self.params, *FUNCTIONS])
                raise ValueError(
                    f"unknown name {name!r} in the formula; {hint}name a goal of the log ({', '.join(there)}, price) "
                    f"or give {name} a value in params"
                )
        return super().fit(log, fitted)


@dataclass
class WeightedSumPolicy(AbstractFusion):
    """Goal models, and sum_g w_g p_g of what they predict: score fusion as it is most often done.

    weights: by goal: ctr, cvr, ctcvr, any other action of the log as P(action | click), stay and price. Scales
        matter: stay is in seconds and price in currency units, all others are probabilities.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; {cvr: 3} triples its cvr.
    """

    name: ClassVar[str] = "weighted_sum"

    weights: Mapping[str, float]

    def rule(self) -> Rule:
        return WeightedSum(self.weights)


@dataclass
class ClickGatedPolicy(AbstractFusion):
    """Goal models, and ctr * (1 + sum_g w_g p_g) of what they predict, as in feeds.

    weights: by goal given a click: cvr, any other action of the log such as like, stay (seconds), or price
        (currency units). None leaves ctr alone.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; {like: 3} triples its like.
    """

    name: ClassVar[str] = "click_gated"

    weights: Mapping[str, float]

    def rule(self) -> Rule:
        return ClickGated(self.weights)


@dataclass
class PowerProductPolicy(AbstractFusion):
    """Goal models, and prod_g p_g ^ a_g of what they predict, as in e-commerce; {ctr: 1, cvr: 1, price: 1} is revenue.

    exponents: by goal: ctr, cvr, ctcvr, any other action of the log as P(action | click), stay and price.
        Exponents of 0 leave a goal out.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; this rule does not mind,
        unless a probability would go beyond 1.
    """

    name: ClassVar[str] = "power_product"

    exponents: Mapping[str, float]

    def rule(self) -> Rule:
        return PowerProduct(self.exponents)


@dataclass
class ShiftedPowerProductPolicy(AbstractFusion):
    """Goal models, and prod_g (b_g + w_g p_g) ^ a_g of what they predict, as in short video.

    exponents: a, by goal: ctr, cvr, ctcvr, any other action of the log as P(action | click), stay (seconds) and
        price. For small w p only w * a / b matters: search the exponents and leave the weights.
    weights: w, by goal; 1 for a goal without one.
    shifts: b, by goal, from 0; 1 for a goal without one.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; {cvr: 3} triples its cvr.
    """

    name: ClassVar[str] = "shifted_power_product"

    exponents: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)

    def rule(self) -> Rule:
        return ShiftedPowerProduct(self.exponents, self.weights, self.shifts)


@dataclass
class ExpSumPolicy(AbstractFusion):
    """Goal models, and sum_g exp(w_g p_g) of what they predict: a candidate may live by its best goal alone.

    weights: by goal: ctr, cvr, ctcvr, any other action of the log as P(action | click), stay and price. Scales
        matter: with stay in seconds, a weight of 1 leaves nothing of the others.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; {cvr: 3} triples its cvr.
    """

    name: ClassVar[str] = "exp_sum"

    weights: Mapping[str, float]

    def rule(self) -> Rule:
        return ExpSum(self.weights)


@dataclass
class RankReciprocalPolicy(AbstractFusion):
    """Goal models, and sum_g w_g / (r_g ^ a_g + b_g) of their ranks r_g within the request, 1 the best.

    Equal candidates share the best of their ranks.

    weights: w, by goal: ctr, cvr, ctcvr, any other action of the log, stay and price; each is ranked from the
        highest, so a low price is no merit.
    exponents: a, by goal, from 0; 1 for a goal without one.
    shifts: b, by goal, from 0; 0 for a goal without one. The larger, the less the very first ranks matter.
    miscalibrated: factor by goal model, to rehearse one that is off by a constant; this rule does not mind,
        unless a probability would go beyond 1.
    """

    name: ClassVar[str] = "rank_reciprocal"

    weights: Mapping[str, float]
    exponents: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)

    def rule(self) -> Rule:
        return RankReciprocal(self.weights, self.exponents, self.shifts)
