"""What all neural models of several goals have in common: a chain, a layout, a balance of losses, a fusion."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from policies.balance import MGDA, MGDAUB, Balance, Fixed, Tchebycheff
from policies.base import AbstractPolicy, check_enough, check_has, check_log, part, prefixed
from policies.chain import Chain, of
from policies.features import Features
from policies.goal import LEAST_POSITIVES
from policies.layout import SEPARATE, Layout
from policies.minnorm import MOST_TASKS
from policies.rules import Fusion, as_scores, check_fusion, prices
from policies.towers import Towers, sigmoid
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from policies.nets import Forward, Model


class AbstractMultiGoal(AbstractPolicy):
    """A neural model of several goals, learned together. Subclasses are dataclasses that declare what they are.

    Each head is kept from the epoch in which the validation loss of its own event was least; `losses_` has these.
    """

    loads: ClassVar[tuple[str, ...]] = ("policies.fitting",)

    fusion: Fusion
    training: Training
    balance: Balance

    @abstractmethod
    def chain(self) -> Chain:
        """What its heads mean and where they learn."""

    @property
    def layout(self) -> Layout:
        """Who shares what, above the embeddings."""
        return SEPARATE

    @property
    def apart(self) -> bool:
        """Whether each head has embeddings of its own."""
        return False

    def outcomes(self) -> frozenset[str]:
        return self.chain().outcomes()

    def fit_spec(self) -> dict[str, Any]:
        return {key: value for key, value in self.spec().items() if key != "fusion"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        from policies.fitting import fit_chain

        self._check_log(log)
        self.features_ = Features().fit(log)
        fit = fit_chain(self, log, self.features_)
        self.towers_, self.notes_, self.losses_ = fit.towers, fit.notes, dict(fit.losses)
        # The mean of a log-normal lies above its median by half the variance, here the validation error.
        self.spread_ = {goal: fit.losses[head] for goal, head in self.chain().durations.items()}
        return self

    def goals(self, requests: Requests) -> dict[str, Floats]:
        found = self.chain().predicted(self.towers_.logits(self.features_.inputs(requests)))
        return {goal: value * np.exp(self.spread_.get(goal, 0.0)) for goal, value in found.items()}

    def steps(self, requests: Requests) -> dict[str, Floats]:
        """The probability of every step behind the goals, given the steps before it; by head, shape (R, C) each."""
        chain, logits = self.chain(), self.towers_.logits(self.features_.inputs(requests))
        heads = sorted({head for paths in chain.goals.values() for head in of(paths)})
        return {head: sigmoid(logits[head]).astype(np.float64) for head in heads}

    def predictions(self, requests: Requests) -> dict[str, Floats]:
        return self.goals(requests)

    def fused(self, predictions: Mapping[str, Floats], requests: Requests) -> Scores:
        return as_scores(self.fusion({**predictions, "price": prices(requests)}), requests)

    def score(self, requests: Requests) -> Scores:
        return self.fused(self.predictions(requests), requests)

    def notes(self) -> list[str]:
        return self.notes_

    def learned(self) -> dict[str, Column]:
        spread = {goal: np.array(value) for goal, value in self.spread_.items()}
        return (
            prefixed("features", self.features_.learned())
            | prefixed("towers", self.towers_.learned())
            | prefixed("spread", spread)
            | prefixed("losses", {head: np.array(value) for head, value in self.losses_.items()})
            | {"notes": np.array(self.notes_, dtype=np.str_)}
        )

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.features_ = Features().restore(part("features", learned))
        self.towers_ = Towers.restore(part("towers", learned))
        self.spread_ = {goal: float(value) for goal, value in part("spread", learned).items()}
        self.losses_ = {head: float(value) for head, value in part("losses", learned).items()}
        self.notes_ = learned["notes"].tolist()
        return self

    def penalty(self, model: Model, forward: Forward) -> Tensor | float:
        """What is added to the loss besides the decay of embeddings."""
        return 0.0

    def more_losses(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean losses of a batch besides those of the chain's events.

        logits: by head. labels: by event, 0/1; shape (n,) each.
        """
        return {}

    def _check_log(self, log: Log) -> None:
        """Refuse a log that has too little of a click or of an event, whichever of its actions it is by."""
        check_log(log, {"click": LEAST_POSITIVES})
        for event in self.chain().events.values():
            check_has(log, event.actions)
            happened = np.any([log[action] > 0 for action in event.actions], axis=0)
            check_enough(" or ".join(event.actions), happened, LEAST_POSITIVES)


def check_model(policy: AbstractMultiGoal) -> None:
    """Refuse, before there is a log, a fusion of goals that a model does not predict, weights of losses that it does
    not have, and common descent where nothing is common."""
    chain = policy.chain()
    check_fusion(policy.fusion, policy.name, [*chain.goals, *chain.durations])
    _check_balance(policy)


def _check_balance(policy: AbstractMultiGoal) -> None:
    events, layout = policy.chain().events, policy.layout
    match policy.balance:
        case Fixed(weights):
            _check_events("weights", weights, events)
        case Tchebycheff(weights, _, ideal):
            _check_events("weights", weights, events)
            _check_events("ideal", ideal, events)
        case MGDA(type=name) | MGDAUB(type=name):
            if policy.apart:
                raise ValueError(
                    f"balance: {name} needs parameters that heads share, {policy.name} has none; try fixed"
                )
            if name == "mgda_ub" and (layout.specific or layout.shared > 1):
                raise ValueError(
                    f"balance: mgda_ub needs one representation that all heads read, {policy.name} has several; "
                    f"try mgda"
                )
            if len(events) > MOST_TASKS:
                raise ValueError(f"balance: {name} combines at most {MOST_TASKS} losses, got {len(events)}; try fixed")


def _check_events(key: str, named: Mapping[str, float], events: Collection[str]) -> None:
    unknown = sorted(set(named) - set(events))
    if key == "weights" and all(named.get(event) == 0 for event in events):
        raise ValueError(f"balance.weights must not be 0 for every loss, got {dict(named)}; try 1 for each")
    if unknown:
        raise ValueError(f"balance.{key}: the losses are of {', '.join(events)}, got {', '.join(unknown)}; drop them")
