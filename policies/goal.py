"""A goal model: one tower for one goal, the part that formulas are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from policies.base import GOALS, AbstractPolicy, check_actions, check_log, nearest, part, prefixed
from policies.features import Features, Inputs
from policies.towers import Towers, sigmoid
from policies.training import Training
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor

LEAST_POSITIVES = 20  # fewer cannot be told from chance
_OUTCOMES: Mapping[str, str] = {"ctr": "click", "cvr": "buy"}  # any other goal is its outcome's name


def outcomes_of(goal: str) -> frozenset[str]:
    """Log outcomes that a goal is learned from."""
    if goal == "ctcvr":
        return frozenset({"click", "buy"})
    return frozenset({"click", action_of(goal)})


def action_of(goal: str) -> str:
    """The outcome behind a goal: click for ctr, buy for cvr, any other is an outcome's name."""
    return _OUTCOMES.get(goal, goal)


def goals_of(log: Log) -> Sequence[str]:
    """Names of all goals that can be learned from a log."""
    named = [goal for goal in GOALS if outcomes_of(goal) <= set(log.outcomes)]
    return [*named, *(action for action in log.actions if action != "click")]


@dataclass
class GoalModel(AbstractPolicy):
    """Predicts one goal: ctr on impressions; stay (seconds) and all others (probabilities) on clicks.

    Used alone, it ranks by its goal. Learned on clicks only, what follows a click carries the usual
    sample-selection bias when it is asked about items that nobody clicked.

    goal: ctr = P(click | shown), cvr = P(buy | click), stay = seconds given a click, or the name of any other
        action of the log, such as cart, like or apply: P(action | click).
    over: click, learned where it can happen at all; impression, learned over all of them with the unclicked as
        negatives, which makes it P(click and action | shown), whatever it is taken for.
    """

    name: ClassVar[str] = "goal"
    loads: ClassVar[tuple[str, ...]] = ("policies.nets",)

    goal: str
    training: Training = field(default_factory=Training)
    over: Literal["click", "impression"] = "click"

    def __post_init__(self) -> None:
        if self.goal == "click":
            raise ValueError("goal must not be click, which is certain given a click, got 'click'; name it ctr")
        if self.goal == "ctcvr":
            raise ValueError("goal must be one model's, got 'ctcvr' = ctr x cvr; write it in a formula")
        if self.over == "impression" and self.goal == "stay":
            raise ValueError("over must be click for stay, which takes no time without a click, got 'impression'")
        if self.goal not in GOALS:
            check_actions("goal", [self.goal])

    def outcomes(self) -> frozenset[str]:
        return outcomes_of(self.goal)

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        from policies import nets

        outcome = action_of(self.goal)
        self._check_goal(log)
        check_log(log, {outcome: LEAST_POSITIVES})
        self.features_ = Features().fit(log)
        rows = self.features_.training_rows(log)
        everywhere = self.goal == "ctr" or self.over == "impression"
        chosen = np.arange(len(log)) if everywhere else np.flatnonzero(log["click"])
        rows, target, time = rows.take(chosen), self._target(log[outcome][chosen]), log.time[chosen]
        learn, check = nets.time_split(time, self.training.validation_share)
        placed = (self.goal,) if everywhere else ()
        model = nets.build(self.features_.schema(), rows, (self.goal,), self.training, self.seed(), placed=placed)
        batch, label = nets.tensors(rows), nets.labels(target)
        if self.goal == "stay":
            model.start_at(self.goal, float(target[learn].mean()))
        else:
            model.start_at_rate(self.goal, float(target[learn].sum()), len(learn))

        def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
            picked = learn[examples]
            forward = model(batch[picked])
            penalty = nets.decay(forward.vectors, self.training.embedding_decay)
            return nets.Losses({self.goal: self._loss(forward.logits[self.goal], label[picked])}, penalty), forward

        def validate() -> dict[str, float]:
            return {self.goal: float(self._loss(model(batch[check]).logits[self.goal], label[check]))}

        trained = nets.train(model, step, len(learn), validate, self.training, self.seed())
        self.towers_, self.notes_ = trained.towers, trained.notes
        # The mean of a log-normal lies above its median by half the variance, here the validation error.
        self.spread_ = trained.losses[self.goal] if self.goal == "stay" else 0.0
        return self

    def predict(self, inputs: Inputs) -> Floats:
        """The goal on its own scale, shape (R, C): a probability, or seconds."""
        logits = self.towers_.logits(inputs)[self.goal]
        if self.goal == "stay":
            return np.exp(np.clip(logits + np.float32(self.spread_), -20, 20)).astype(np.float64)
        return sigmoid(logits).astype(np.float64)

    def goals(self, requests: Requests) -> dict[str, Floats]:
        predicted = self.predict(self.features_.inputs(requests))
        if self.over == "click" or self.goal == "ctr":
            return {self.goal: predicted}
        return {"ctcvr": predicted} if self.goal == "cvr" else {}

    def score(self, requests: Requests) -> Scores:
        return self.towers_.logits(self.features_.inputs(requests))[self.goal]

    def notes(self) -> list[str]:
        return self.notes_

    def learned(self) -> dict[str, Column]:
        return (
            prefixed("features", self.features_.learned())
            | prefixed("towers", self.towers_.learned())
            | {"spread": np.array(self.spread_), "notes": np.array(self.notes_, dtype=np.str_)}
        )

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.features_ = Features().restore(part("features", learned))
        self.towers_ = Towers.restore(part("towers", learned))
        self.spread_, self.notes_ = float(learned["spread"]), learned["notes"].tolist()
        return self

    def _check_goal(self, log: Log) -> None:
        known = [goal for goal in goals_of(log) if goal != "ctcvr"]
        if self.goal in known:
            return
        missing = ", ".join(sorted(self.outcomes() - set(log.outcomes)))
        hint = "" if self.goal in GOALS else nearest(self.goal, known)  # a goal well written is no typo
        raise ValueError(
            f"goal {self.goal!r} cannot be learned, the log has no {missing}; "
            f"{hint}name one of its goals: {', '.join(known)}"
        )

    def _target(self, outcome: Ints) -> Floats:
        if self.goal == "stay":
            return np.log(np.maximum(outcome, 1) / 1000)
        return outcome.astype(np.float64)

    def _loss(self, logits: Tensor, label: Tensor) -> Tensor:
        from policies import nets

        if self.goal == "stay":
            return 0.5 * (logits - label).square().mean()
        return nets.log_loss(logits, label)
