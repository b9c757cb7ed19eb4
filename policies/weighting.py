"""Sample weights: one model for everything, with rows weighted by what the user did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, check_actions, check_enough, check_has, check_log
from policies.features import Features
from policies.goal import LEAST_POSITIVES
from policies.scorer import Scorer
from policies.training import Training
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class SampleWeight(AbstractPolicy):
    """L = -sum w_i [y_i log p_i + (1 - y_i) log(1 - p_i)], y = any action with a weight, w by the strongest.

    The learned odds are the true odds times the weight, so the score orders but is no probability:
    with one weight w, p' = w p / (1 - p + w p).

    weights: by action of the log, such as click or buy; an action without one does not raise its row.
    """

    name: ClassVar[str] = "sample_weight"

    weights: Mapping[str, float]
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        check_actions("weights", self.weights)
        if not self.weights:
            raise ValueError("weights must name at least one action, got none; try {click: 1, buy: 10}")
        wrong = {name: w for name, w in self.weights.items() if not 0 < w < np.inf}
        if wrong:
            raise ValueError(f"weights must be > 0, got {wrong}; leave an action out to ignore it")

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click", *self.weights})

    def row_weights(self, log: Log) -> Floats:
        """1 for a row without a positive, else the weight of its strongest action; shape (n,)."""
        weight = np.ones(len(log))
        for action, w in sorted(self.weights.items(), key=lambda pair: pair[1]):
            weight[log[action] > 0] = w
        return weight

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        from torch.nn.functional import binary_cross_entropy_with_logits

        from policies import nets

        check_log(log, {"click": LEAST_POSITIVES})
        check_has(log, self.weights)
        happened = np.any([log[name] > 0 for name in self.weights], axis=0)
        check_enough(" or ".join(self.weights), happened, LEAST_POSITIVES)
        features = Features().fit(log)
        rows, positive = features.training_rows(log), happened.astype(np.float64)
        learn, check = nets.time_split(log.time, self.training.validation_share)
        net = nets.build_nets(features, rows, ("score",), self.training, self.seed())
        tower, batch = net["score"], nets.tensors(rows)
        label, weight = nets.labels(positive), nets.labels(self.row_weights(log))
        tower.start_at((float(positive.sum()) + 0.5) / (len(log) + 1))

        def weighted(picked: Ints) -> Tensor:
            here = batch[picked]
            return binary_cross_entropy_with_logits(tower(here), label[picked], weight[picked])

        def loss(examples: Ints) -> Tensor:
            picked = learn[examples]
            here = batch[picked]
            return weighted(picked) + nets.decay(tower.embeddings, here, self.training.embedding_decay)

        trained = nets.train(
            net, loss, len(learn), lambda: {"score": float(weighted(check))}, self.training, self.seed()
        )
        self.scorer_ = Scorer(features, trained.towers["score"], trained.notes)
        return self

    def score(self, requests: Requests) -> Scores:
        return self.scorer_.score(requests)

    def notes(self) -> list[str]:
        return self.scorer_.notes

    def learned(self) -> dict[str, Column]:
        return self.scorer_.learned()

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.scorer_ = Scorer.restore(learned)
        return self
