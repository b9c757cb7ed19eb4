"""Rows in groups, each with a level: what rankers learn from, be it a log or a file of judgments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from policies.features import Inputs, Rows, Schema
from policies.levels import Levels
from policies.scorer import SCORE
from policies.towers import Towers
from sim.records import Ints, Scores

GroupScorer = Callable[[Rows], Scores]  # rows of one group -> higher is better, shape (n,)


@dataclass(frozen=True, slots=True)
class Graded:
    """Rows to learn a ranking from.

    schema: of a network over the rows. names: columns of `rows.dense()`.
    level: shape (n,). From 0, higher is better. starts: shape (n_groups + 1,). Where each group begins, and the end.
    time: shape (n,). What decides, the last part of it, when to stop.
    """

    schema: Schema
    rows: Rows
    names: Sequence[str]
    level: Ints
    starts: Ints
    time: Ints


class RanksGrades(Protocol):
    """A ranker that can learn from levels without a log."""

    def for_grades(self, gains: tuple[float, ...]) -> Self:
        """This ranker with grades for the levels of a log; gains are of grade 0, 1, ..."""
        ...

    def learn_grades(self, graded: Graded) -> tuple[GroupScorer, list[str]]:
        """What scores the rows of one group, and what a reader should know of the fit."""
        ...


def grade_levels(n: int) -> Levels:
    """Levels of so many grades above 0, by names of their own: ((grade_1,), (grade_2,), ...)."""
    return tuple((f"grade_{grade}",) for grade in range(1, n + 1))


def group_scorer(towers: Towers) -> GroupScorer:
    """Towers that take the rows of a group for the candidates of one request."""

    def score(rows: Rows) -> Scores:
        who = rows.take(np.zeros(1, dtype=np.int64))
        inputs = Inputs(who.user, who.segment, who.user_dense, rows.item[None, :], rows.pair_dense[None, :, :])
        return towers.logits(inputs)[SCORE][0]

    return score
