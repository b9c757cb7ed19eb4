"""A ranker with one head: what BPR and sample weighting learn, whatever their losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from policies.base import part, prefixed
from policies.features import Features
from policies.towers import Towers
from sim.records import Column, Requests, Scores

if TYPE_CHECKING:
    from policies.nets import Trained

SCORE = "score"


@dataclass(frozen=True, slots=True)
class Scorer:
    """Features and a head over them; notes are of its fit."""

    features: Features
    towers: Towers
    notes: list[str]

    @classmethod
    def of(cls, features: Features, trained: Trained) -> Self:
        """What training left."""
        return cls(features, trained.towers, trained.notes)

    def score(self, requests: Requests) -> Scores:
        """Logits, shape (R, C)."""
        return self.towers.logits(self.features.inputs(requests))[SCORE]

    def learned(self) -> dict[str, Column]:
        """Named arrays, read back by `restore`."""
        notes = {"notes": np.array(self.notes, dtype=np.str_)}
        return prefixed("features", self.features.learned()) | prefixed("towers", self.towers.learned()) | notes

    @classmethod
    def restore(cls, learned: Mapping[str, Column]) -> Self:
        """What `learned` described."""
        features = Features().restore(part("features", learned))
        return cls(features, Towers.restore(part("towers", learned)), learned["notes"].tolist())
