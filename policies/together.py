"""Goal models asked together: what fusion and stacking share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from policies.base import AbstractPolicy, part, prefixed
from policies.features import Features, Inputs
from policies.goal import GoalModel
from policies.training import Training
from sim.records import Column, Floats, Log


def models_of(goals: Collection[str], training: Training) -> dict[str, AbstractPolicy]:
    """Unfitted models behind goals: none for price, two for ctcvr = ctr x cvr."""
    behind = {name for goal in goals for name in ({"ctr", "cvr"} if goal == "ctcvr" else {goal})} - {"price"}
    return {goal: GoalModel(goal, training) for goal in sorted(behind)}


def outcomes_of_models(models: Mapping[str, AbstractPolicy]) -> frozenset[str]:
    """Outcomes that a log must have to teach all of them."""
    return frozenset().union(*(model.outcomes() for model in models.values()))


@dataclass(frozen=True, slots=True)
class GoalModels:
    """Models fitted on one log, by goal."""

    models: Mapping[str, GoalModel]

    @classmethod
    def of(cls, fitted: Mapping[str, AbstractPolicy]) -> Self:
        return cls({goal: model for goal, model in fitted.items() if isinstance(model, GoalModel)})

    @classmethod
    def fit(
        cls, needs: Mapping[str, AbstractPolicy], log: Log, fitted: Mapping[str, AbstractPolicy] | None = None
    ) -> Self:
        """Fit those of `needs` that are not fitted yet."""
        there = fitted or {}
        return cls.of({goal: there[goal] if goal in there else model.fit(log) for goal, model in needs.items()})

    @property
    def features(self) -> Features | None:
        """Those of all the models: the same log, the same features; None without a model."""
        return next((model.features_ for model in self.models.values()), None)

    def predict(self, inputs: Inputs) -> dict[str, Floats]:
        """By goal, shape (R, C); ctcvr = ctr x cvr where both are."""
        return with_ctcvr({goal: model.predict(inputs) for goal, model in self.models.items()})

    def notes(self) -> list[str]:
        return [note for model in self.models.values() for note in model.notes()]

    def learned(self) -> dict[str, Column]:
        arrays: dict[str, Column] = {}
        for goal, model in self.models.items():
            arrays |= prefixed(goal, model.learned())
        return arrays

    @classmethod
    def restore(cls, needs: Mapping[str, AbstractPolicy], learned: Mapping[str, Column]) -> Self:
        return cls.of({goal: model.restore(part(goal, learned)) for goal, model in needs.items()})


def with_ctcvr(goals: Mapping[str, Floats]) -> dict[str, Floats]:
    """The goals, and ctcvr = ctr x cvr where both are."""
    both = {"ctcvr": goals["ctr"] * goals["cvr"]} if "ctr" in goals and "cvr" in goals else {}
    return {**goals, **both}
