"""LambdaMART on graded labels (Burges, MSR-TR-2010-82), by LightGBM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from policies.base import AbstractPolicy, check_log, part, prefixed
from policies.features import Features, Inputs
from policies.goal import LEAST_POSITIVES
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
from sim.records import Column, Log, Requests, Scores

if TYPE_CHECKING:
    import lightgbm

MODEL_FILE = "model.txt"


@dataclass
class LambdaMART(AbstractPolicy):
    """Boosted trees on |delta NDCG|-weighted pairs; `label_gain` is the business knob.

    label_gain: gain of level 0, of items only shown, and of each of `levels`; never falling.
    trees, leaves, learning_rate: of the ensemble.
    truncation: pairs are formed with items in the top so many; slots of a page + 3.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    """

    name: ClassVar[str] = "lambdamart"

    label_gain: tuple[float, ...] = (0, 1, 3, 7)  # 2^level - 1
    trees: Annotated[int, Ge(1)] = 50
    leaves: Annotated[int, Ge(2), Le(131_072)] = 15
    learning_rate: Annotated[float, Gt(0), Le(10)] = 0.1
    truncation: Annotated[int, Ge(1)] = 13
    levels: Levels = SHOP

    def __post_init__(self) -> None:
        check_levels(self.levels, self.label_gain, "label_gain")
        if (
            not np.isfinite(self.label_gain).all()
            or list(self.label_gain) != sorted(self.label_gain)
            or self.label_gain[0] < 0
        ):
            raise ValueError(
                f"label_gain must not fall over {said(self.levels)} nor be negative, got {list(self.label_gain)}; "
                f"try {usual_gains(self.levels)}"
            )

    def outcomes(self) -> frozenset[str]:
        return outcomes_of_levels(self.levels) | {"click"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        import lightgbm

        check_log(log, {"click": LEAST_POSITIVES})
        check_graded(log, self.levels)
        self.features_ = Features().fit(log)
        level, starts = levels(log, self.levels), request_starts(log)
        # A request without a positive has no pairs: leaving it out changes no gradient and halves the cost.
        useful = np.add.reduceat(level, starts[:-1]) > 0
        rows = np.flatnonzero(np.repeat(useful, np.diff(starts)))
        data = lightgbm.Dataset(
            self.features_.training_rows(log).take(rows).dense(),
            level[rows],
            group=np.diff(starts)[useful],
            feature_name=self.features_.names,
            free_raw_data=True,
        )
        settings = {
            "objective": "lambdarank",
            "label_gain": list(self.label_gain),
            "lambdarank_truncation_level": self.truncation,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed() % 2**31,
            "verbosity": -1,
        }
        self.model_ = lightgbm.train(settings, data, num_boost_round=self.trees)
        return self

    def score(self, requests: Requests) -> Scores:
        if not len(requests):
            return np.zeros(requests.candidates.shape, dtype=np.float32)
        x = dense_candidates(self.features_, self.features_.inputs(requests))
        raw = np.asarray(self.model_.predict(x, num_threads=1))
        return raw.reshape(requests.candidates.shape).astype(np.float32)

    def learned(self) -> dict[str, Column]:
        return prefixed("features", self.features_.learned())

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.features_ = Features().restore(part("features", learned))
        return self

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / MODEL_FILE).write_text(self.model_.model_to_string())

    def restore_from(self, folder: Path) -> Self:
        super().restore_from(folder)
        self.model_ = _booster((folder / MODEL_FILE).read_text())
        return self


def dense_candidates(features: Features, x: Inputs) -> NDArray[np.float32]:
    """Every candidate's dense features as rows, shape (R * C, F), columns as in training."""
    n_requests, n_candidates = x.item.shape
    user = np.broadcast_to(x.user_dense[:, None, :], (n_requests, n_candidates, x.user_dense.shape[1]))
    together = np.concatenate([user, features.item_dense()[x.item], x.pair_dense], axis=2)
    return together.reshape(n_requests * n_candidates, -1)


def _booster(text: str) -> lightgbm.Booster:
    import lightgbm

    return lightgbm.Booster(model_str=text)
