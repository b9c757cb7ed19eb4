"""Bayesian personalised ranking over behaviour levels (Rendle et al., UAI 2009; Loni et al., RecSys 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge

from policies.base import AbstractPolicy, check_log
from policies.features import Features
from policies.goal import LEAST_POSITIVES
from policies.graded import Graded, GroupScorer, grade_levels, group_scorer
from policies.levels import (
    SHOP,
    Levels,
    check_graded,
    check_levels,
    levels,
    outcomes_of_levels,
    request_starts,
    said,
    usual_gains,
)
from policies.scorer import SCORE, Scorer
from policies.training import Training
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from policies.nets import Trained


@dataclass
class BPR(AbstractPolicy):
    """Maximises ln sigma(s_i - s_j) over pairs of one request where the user went further with i than with j.

    Items that were not shown are no negatives.

    gains: of level 0, of items only shown, and of each of `levels`, rising; a pair weighs the difference.
    pairs_per_positive: lower items drawn for each positive, afresh from the whole request.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    """

    name: ClassVar[str] = "bpr"
    loads: ClassVar[tuple[str, ...]] = ("policies.nets",)

    gains: tuple[float, ...] = (0, 1, 3, 7)  # 2^level - 1
    pairs_per_positive: Annotated[int, Ge(1)] = 8
    training: Training = field(default_factory=Training)
    levels: Levels = SHOP

    def __post_init__(self) -> None:
        check_levels(self.levels, self.gains, "gains")
        if not np.isfinite(self.gains).all() or list(self.gains) != sorted(set(self.gains)):
            raise ValueError(
                f"gains must rise over {said(self.levels)}, got {list(self.gains)}; try {usual_gains(self.levels)}"
            )

    def outcomes(self) -> frozenset[str]:
        return outcomes_of_levels(self.levels) | {"click"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": LEAST_POSITIVES})
        check_graded(log, self.levels)
        features = Features().fit(log)
        level, starts = levels(log, self.levels), request_starts(log)
        graded = Graded(features.schema(), features.training_rows(log), features.names, level, starts, log.time)
        self.scorer_ = Scorer.of(features, self.learn(graded))
        return self

    def learn(self, graded: Graded) -> Trained:
        """Train on pairs of rows, of a log or of any other judged groups."""
        from torch.nn.functional import logsigmoid

        from policies import nets

        better, worse, gain = self.pairs_of(graded.level, graded.starts)
        learn, check = nets.time_split(graded.time[better], self.training.validation_share)
        model = nets.build(graded.schema, graded.rows, (SCORE,), self.training, self.seed())
        batch, weight = nets.tensors(graded.rows), nets.labels(gain / gain.mean())

        def ranking(above: nets.Forward, below: nets.Forward, pairs: Ints) -> Tensor:
            return -(weight[pairs] * logsigmoid(above.logits[SCORE] - below.logits[SCORE])).mean()

        def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
            pairs = learn[examples]
            above, below = model(batch[better[pairs]]), model(batch[worse[pairs]])
            penalty = nets.decay(above.vectors, self.training.embedding_decay)
            return nets.Losses({SCORE: ranking(above, below, pairs)}, penalty), above

        def validate() -> dict[str, float]:
            return {SCORE: float(ranking(model(batch[better[check]]), model(batch[worse[check]]), check))}

        return nets.train(model, step, len(learn), validate, self.training, self.seed())

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        return replace(self, gains=gains, levels=grade_levels(len(gains) - 1))

    def learn_grades(self, graded: Graded) -> tuple[GroupScorer, list[str]]:
        trained = self.learn(graded)
        return group_scorer(trained.towers), trained.notes

    def pairs(self, log: Log) -> tuple[Ints, Ints, Floats]:
        """Rows (better, worse) within requests and the gain between them, each of shape (n_pairs,)."""
        return self.pairs_of(levels(log, self.levels), request_starts(log))

    def pairs_of(self, level: Ints, starts: Ints) -> tuple[Ints, Ints, Floats]:
        """`pairs` of rows of which the levels are known. starts: shape (n_groups + 1,), as `request_starts`."""
        request = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        better = np.repeat(np.flatnonzero(level > 0), self.pairs_per_positive)
        first, size = starts[request[better]], np.diff(starts)[request[better]]
        luck = np.random.default_rng(self.seed()).random(len(better))
        worse = first + (luck * size).astype(np.int64)
        lower = level[worse] < level[better]
        better, worse = better[lower], worse[lower]
        if not len(better):
            raise ValueError("no request holds two items that users treated differently; a longer warm-up is needed")
        gains = np.array(self.gains, dtype=np.float64)
        return better, worse, gains[level[better]] - gains[level[worse]]

    def score(self, requests: Requests) -> Scores:
        return self.scorer_.score(requests)

    def notes(self) -> list[str]:
        return self.scorer_.notes

    def learned(self) -> dict[str, Column]:
        return self.scorer_.learned()

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.scorer_ = Scorer.restore(learned)
        return self
