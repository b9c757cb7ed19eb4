"""Rankers of boosted trees on graded labels, by LightGBM: LambdaMART, XE-NDCG, and regression of the grade."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from policies.base import AbstractPolicy, check_log, part, prefixed
from policies.features import Features, Inputs, Rows
from policies.goal import LEAST_POSITIVES
from policies.graded import Graded, GroupScorer, grade_levels
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
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    import lightgbm

MODEL_FILE = "model.txt"


@dataclass(kw_only=True)
class AbstractTrees(AbstractPolicy):
    """Boosted trees over the dense features, whatever their objective.

    trees, leaves, learning_rate: of the ensemble.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    """

    loads: ClassVar[tuple[str, ...]] = ("lightgbm",)

    trees: Annotated[int, Ge(1)] = 50
    leaves: Annotated[int, Ge(2), Le(131_072)] = 15
    learning_rate: Annotated[float, Gt(0), Le(10)] = 0.1
    levels: Levels = SHOP

    @abstractmethod
    def objective(self) -> dict[str, Any]:
        """LightGBM's settings that make it this ranker."""

    @abstractmethod
    def examples(self, log: Log) -> Examples:
        """Rows to learn from."""

    def outcomes(self) -> frozenset[str]:
        return outcomes_of_levels(self.levels) | {"click"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": LEAST_POSITIVES})
        check_graded(log, self.levels)
        self.features_ = Features().fit(log)
        self.model_ = self.learn(self.features_.training_rows(log), self.features_.names, self.examples(log))
        return self

    def learn(self, rows: Rows, names: Sequence[str], learn: Examples) -> lightgbm.Booster:
        """Grow trees on the examples among these rows, of a log or of any other judged groups."""
        import lightgbm

        data = lightgbm.Dataset(
            rows.take(learn.rows).dense(),
            learn.label,
            group=learn.group,
            position=learn.position,
            feature_name=list(names),
            free_raw_data=True,
        )
        settings = {
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed() % 2**31,
            "verbosity": -1,
        }
        return lightgbm.train(self.objective() | settings, data, num_boost_round=self.trees)

    @abstractmethod
    def for_grades(self, gains: tuple[float, ...]) -> Self:
        """This ranker with grades for the levels of a log; gains are of grade 0, 1, ..."""

    @abstractmethod
    def examples_of(self, level: Ints, starts: Ints) -> Examples:
        """What to learn from groups of known levels. starts: shape (n_groups + 1,), as `request_starts`."""

    def learn_grades(self, graded: Graded) -> tuple[GroupScorer, list[str]]:
        model = self.learn(graded.rows, graded.names, self.examples_of(graded.level, graded.starts))
        return lambda rows: np.asarray(model.predict(rows.dense(), num_threads=1), dtype=np.float32), []

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


@dataclass(frozen=True, slots=True)
class Examples:
    """What LightGBM is given beside the features.

    rows: shape (n,). Rows of the log. label: shape (n,). group: shape (n_requests,). Rows of each request, for
        rankers. position: shape (n,). Place in the visit, where the ranker is to take its effect out.
    """

    rows: Ints
    label: Ints | Floats
    group: Ints | None = None
    position: Ints | None = None


@dataclass
class LambdaMART(AbstractTrees):
    """Boosted trees on |delta NDCG|-weighted pairs (Burges, MSR-TR-2010-82); `label_gain` is the business knob.

    label_gain: gain of level 0, of items only shown, and of each of `levels`; never falling.
    trees, leaves, learning_rate: of the ensemble.
    truncation: pairs are formed with items in the top so many; slots of a page + 3.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    position: learn beside the trees what the place on its page adds to a score, and leave it out when serving.
        LightGBM tells what it learned of places to a debug log for the whole process and to nobody else, so that
        this ranker has no `attention` to report.
    """

    name: ClassVar[str] = "lambdamart"

    label_gain: tuple[float, ...] = (0, 1, 3, 7)  # 2^level - 1
    truncation: Annotated[int, Ge(1)] = 13
    position: bool = False

    def __post_init__(self) -> None:
        _check_gains(self.levels, self.label_gain)

    def objective(self) -> dict[str, Any]:
        gains = list(self.label_gain)
        return {"objective": "lambdarank", "label_gain": gains, "lambdarank_truncation_level": self.truncation}

    def examples(self, log: Log) -> Examples:
        found = self.examples_of(levels(log, self.levels), request_starts(log))
        return Examples(found.rows, found.label, found.group, places(log)[found.rows] if self.position else None)

    def examples_of(self, level: Ints, starts: Ints) -> Examples:
        return _of_groups(level, starts)

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        if self.position:
            raise ValueError("position must be false where there is no log of places, got true; drop it")
        return replace(self, label_gain=gains, levels=grade_levels(len(gains) - 1))


@dataclass
class XENDCG(AbstractTrees):
    """Boosted trees on the cross-entropy of a request's grades (Bruch, WWW 2021): a bound of NDCG, without pairs.

    A fraction of the cost of lambdamart. A level's gain is 2^level - 1 and cannot be chosen, and what places on
    a page add cannot be taken out: LightGBM's rank_xendcg silently ignores both label_gain and position.

    trees, leaves, learning_rate: of the ensemble.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    """

    name: ClassVar[str] = "xendcg"

    def __post_init__(self) -> None:
        check_levels(self.levels, usual_gains(self.levels), "levels")

    def objective(self) -> dict[str, Any]:
        return {"objective": "rank_xendcg", "label_gain": usual_gains(self.levels)}

    def examples(self, log: Log) -> Examples:
        return self.examples_of(levels(log, self.levels), request_starts(log))

    def examples_of(self, level: Ints, starts: Ints) -> Examples:
        return _of_groups(level, starts)

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        rising = grade_levels(len(gains) - 1)
        if list(gains) != usual_gains(rising):
            raise ValueError(f"gains must be 2^grade - 1 for xendcg, which knows no others, got {list(gains)}")
        return replace(self, levels=rising)


@dataclass
class Pointwise(AbstractTrees):
    """Boosted trees that regress the gain of every impression by least squares: the cheap baseline of lambdamart.

    label_gain: gain of level 0, of items only shown, and of each of `levels`; never falling.
    trees, leaves, learning_rate: of the ensemble.
    levels: actions of each level, rising; an item is of the highest level of which any action happened.
    """

    name: ClassVar[str] = "pointwise"

    label_gain: tuple[float, ...] = (0, 1, 3, 7)  # as lambdamart's

    def __post_init__(self) -> None:
        _check_gains(self.levels, self.label_gain)

    def objective(self) -> dict[str, Any]:
        return {"objective": "regression"}

    def examples(self, log: Log) -> Examples:
        return self.examples_of(levels(log, self.levels), request_starts(log))

    def examples_of(self, level: Ints, starts: Ints) -> Examples:
        gains = np.array(self.label_gain, dtype=np.float64)
        return Examples(np.arange(len(level)), gains[level])

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        return replace(self, label_gain=gains, levels=grade_levels(len(gains) - 1))


def places(log: Log) -> Ints:
    """Where in its visit each row was shown, page after page, from 0; shape (n,)."""
    return log.page.astype(np.int64) * (int(log.slot.max()) + 1) + log.slot


def _of_groups(level: Ints, starts: Ints) -> Examples:
    """Whole groups with a positive, which of requests halves the cost.

    One without has no gradient in LambdaMART, and nothing but noise of its own making in XE-NDCG.
    """
    useful = np.add.reduceat(level, starts[:-1]) > 0
    rows = np.flatnonzero(np.repeat(useful, np.diff(starts)))
    return Examples(rows, level[rows], np.diff(starts)[useful])


def _check_gains(rising: Levels, label_gain: tuple[float, ...]) -> None:
    check_levels(rising, label_gain, "label_gain")
    if not np.isfinite(label_gain).all() or list(label_gain) != sorted(label_gain) or label_gain[0] < 0:
        raise ValueError(
            f"label_gain must not fall over {said(rising)} nor be negative, got {list(label_gain)}; "
            f"try {usual_gains(rising)}"
        )


def dense_candidates(features: Features, x: Inputs) -> NDArray[np.float32]:
    """Every candidate's dense features as rows, shape (R * C, F), columns as in training."""
    n_requests, n_candidates = x.item.shape
    user = np.broadcast_to(x.user_dense[:, None, :], (n_requests, n_candidates, x.user_dense.shape[1]))
    together = np.concatenate([user, features.item_dense()[x.item], x.pair_dense], axis=2)
    return together.reshape(n_requests * n_candidates, -1)


def _booster(text: str) -> lightgbm.Booster:
    import lightgbm

    return lightgbm.Booster(model_str=text)
