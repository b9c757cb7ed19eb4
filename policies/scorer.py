"""A ranker that is one tower: what BPR and sample weighting learn, whatever their losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from policies.base import part, prefixed
from policies.features import Features
from policies.towers import Tower
from sim.records import Column, Requests, Scores


@dataclass(frozen=True, slots=True)
class Scorer:
    """Features and a tower over them; notes are of its fit."""

    features: Features
    tower: Tower
    notes: list[str]

    def score(self, requests: Requests) -> Scores:
        """The tower's logits, shape (R, C)."""
        return self.tower.logits(self.features.inputs(requests))

    def learned(self) -> dict[str, Column]:
        """Named arrays, read back by `restore`."""
        notes = {"notes": np.array(self.notes, dtype=np.str_)}
        return prefixed("features", self.features.learned()) | prefixed("tower", self.tower.learned()) | notes

    @classmethod
    def restore(cls, learned: Mapping[str, Column]) -> Self:
        """What `learned` described."""
        features = Features().restore(part("features", learned))
        return cls(features, Tower.restore(part("tower", learned)), learned["notes"].tolist())
