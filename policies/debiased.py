"""What the position debiasing models have in common: a click model with a curve of attention beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, check_log, part, prefixed
from policies.examination import CTR
from policies.features import Features, Inputs
from policies.goal import LEAST_POSITIVES
from policies.towers import Towers, sigmoid
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Scores

if TYPE_CHECKING:
    from policies.debiasing import Learned


class AbstractDebiased(AbstractPolicy):
    """A model of clicks that tells what an item is from where it stood, and ranks by the first.

    Slots are places on a page, whatever its number; see `policies.examination`. Each model has its own way with
    them, so training.slot_bias is not read.
    """

    loads: ClassVar[tuple[str, ...]] = ("policies.debiasing",)

    training: Training

    @abstractmethod
    def learn(self, log: Log, features: Features, fitted: Mapping[str, AbstractPolicy]) -> Learned:
        """Towers with the one head `CTR`, the curve of attention, and notes."""

    def served(self) -> Towers:
        """The towers that predict ctr at the serving position."""
        return self.towers_

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click"})

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": LEAST_POSITIVES})
        self.features_ = Features().fit(log)
        learned = self.learn(log, self.features_, fitted or {})
        self.towers_, self.curve_, self.notes_ = learned.towers, learned.curve, learned.notes
        return self

    def logits(self, inputs: Inputs) -> Scores:
        """Log-odds of a click at the serving position, shape (R, C)."""
        return self.served().logits(inputs)[CTR]

    def goals(self, requests: Requests) -> dict[str, Floats]:
        return {CTR: sigmoid(self.logits(self.features_.inputs(requests))).astype(np.float64)}

    def score(self, requests: Requests) -> Scores:
        return self.logits(self.features_.inputs(requests))

    def attention(self) -> Floats:
        return self.curve_

    def notes(self) -> list[str]:
        return self.notes_

    def learned(self) -> dict[str, Column]:
        return (
            prefixed("features", self.features_.learned())
            | prefixed("towers", self.towers_.learned())
            | {"curve": self.curve_, "notes": np.array(self.notes_, dtype=np.str_)}
        )

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.features_ = Features().restore(part("features", learned))
        self.towers_ = Towers.restore(part("towers", learned))
        self.curve_, self.notes_ = learned["curve"].astype(np.float64), learned["notes"].tolist()
        return self
