"""Sample weights: one model for everything, with rows weighted by what the user did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, check_actions, check_enough, check_has, check_log
from policies.features import Features, Rows, Schema
from policies.goal import LEAST_POSITIVES
from policies.graded import Graded, GroupScorer, grade_levels, group_scorer
from policies.scorer import SCORE, Scorer
from policies.training import Training
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from policies.nets import Trained


@dataclass
class SampleWeight(AbstractPolicy):
    """L = -sum w_i [y_i log p_i + (1 - y_i) log(1 - p_i)], y = any action with a weight, w by the strongest.

    The learned odds are the true odds times the weight, so the score orders but is no probability:
    with one weight w, p' = w p / (1 - p + w p).

    The weight can be undone where it is one number w: p = p' / (p' + w (1 - p')), exactly. Where actions weigh
    differently, the learned odds are the true ones times the mean weight of the positives of that user and item,
    which nothing has learned, so that no p can be had.

    weights: by action of the log, such as click or buy; an action without one does not raise its row.
    undo: offer ctr, the probability with the weight undone, among the goals. The score stays as it is. Needs click
        among the actions, so that what is predicted is the click, and one weight for all of them.
    """

    name: ClassVar[str] = "sample_weight"
    loads: ClassVar[tuple[str, ...]] = ("policies.nets",)

    weights: Mapping[str, float]
    training: Training = field(default_factory=Training)
    undo: bool = False

    def __post_init__(self) -> None:
        check_actions("weights", self.weights)
        if not self.weights:
            raise ValueError("weights must name at least one action, got none; try {click: 1, buy: 10}")
        wrong = {name: w for name, w in self.weights.items() if not 0 < w < np.inf}
        if wrong:
            raise ValueError(f"weights must be > 0, got {wrong}; leave an action out to ignore it")
        if self.undo and len(set(self.weights.values())) > 1:
            raise ValueError(
                f"undo needs one weight for all actions, got weights {dict(self.weights)}: odds are raised by their "
                f"mean over the positives of each user and item, which is not learned; make them equal or drop undo"
            )
        if self.undo and "click" not in self.weights:
            raise ValueError(
                f"undo gives back the probability of a click, got weights of {', '.join(self.weights)} alone; "
                f"add click with the same weight or drop undo"
            )

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click", *self.weights})

    def fit_spec(self) -> dict[str, Any]:
        return {key: value for key, value in self.spec().items() if key != "undo"}

    def row_weights(self, log: Log) -> Floats:
        """1 for a row without a positive, else the weight of its strongest action; shape (n,)."""
        weight = np.ones(len(log))
        for action, w in sorted(self.weights.items(), key=lambda pair: pair[1]):
            weight[log[action] > 0] = w
        return weight

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": LEAST_POSITIVES})
        check_has(log, self.weights)
        happened = np.any([log[name] > 0 for name in self.weights], axis=0)
        check_enough(" or ".join(self.weights), happened, LEAST_POSITIVES)
        features = Features().fit(log)
        rows, weight = features.training_rows(log), self.row_weights(log)
        trained = self.learn(features.schema(), rows, happened.astype(np.float64), weight, log.time)
        self.scorer_ = Scorer.of(features, trained)
        return self

    def learn(self, schema: Schema, rows: Rows, positive: Floats, weights: Floats, time: Ints) -> Trained:
        """Train on weighted rows, of a log or of any other kind. positive: 0/1, shape (n,). weights: shape (n,)."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        from policies import nets

        learn, check = nets.time_split(time, self.training.validation_share)
        model = nets.build(schema, rows, (SCORE,), self.training, self.seed())
        model.start_at_rate(SCORE, float((weights * positive).sum()), float(weights.sum()))
        batch, label, weight = nets.tensors(rows), nets.labels(positive), nets.labels(weights)

        def weighted(logits: Tensor, picked: Ints) -> Tensor:
            return binary_cross_entropy_with_logits(logits, label[picked], weight[picked])

        def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
            picked = learn[examples]
            forward = model(batch[picked])
            penalty = nets.decay(forward.vectors, self.training.embedding_decay)
            return nets.Losses({SCORE: weighted(forward.logits[SCORE], picked)}, penalty), forward

        def validate() -> dict[str, float]:
            return {SCORE: float(weighted(model(batch[check]).logits[SCORE], check))}

        return nets.train(model, step, len(learn), validate, self.training, self.seed())

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        return replace(
            self, weights={name: gain for (name,), gain in zip(grade_levels(len(gains) - 1), gains[1:], strict=True)}
        )

    def learn_grades(self, graded: Graded) -> tuple[GroupScorer, list[str]]:
        weights = np.array([1.0, *self.weights.values()])[graded.level]
        positive = (graded.level > 0).astype(np.float64)
        trained = self.learn(graded.schema, graded.rows, positive, weights, graded.time)
        return group_scorer(trained.towers), trained.notes

    def goals(self, requests: Requests) -> dict[str, Floats]:
        if not self.undo:
            return {}
        # Every action follows a click, so any of them happened just where a click did; p / (1 - p) = odds' / w.
        logits = self.scorer_.score(requests).astype(np.float64) - np.log(self.weights["click"])
        return {"ctr": 1 / (1 + np.exp(-np.maximum(logits, -80)))}

    def score(self, requests: Requests) -> Scores:
        return self.scorer_.score(requests)

    def notes(self) -> list[str]:
        return self.scorer_.notes

    def learned(self) -> dict[str, Column]:
        return self.scorer_.learned()

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.scorer_ = Scorer.restore(learned)
        return self
