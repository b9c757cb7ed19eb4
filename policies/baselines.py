"""Rankers that need little or no learning: the yardsticks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, check_log
from policies.features import clicks_over_expected
from sim.records import Column, Log, Requests, Scores


@dataclass
class RandomRanking(AbstractPolicy):
    """A uniformly random order, the same whenever the same request is asked again."""

    name: ClassVar[str] = "random"
    learns: ClassVar[bool] = False

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        """Learns nothing; any log will do."""
        return self

    def score(self, requests: Requests) -> Scores:
        # The finaliser of MurmurHash3 over (request, item): policies draw nothing, so this is a function.
        z = requests.request[:, None].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = z + requests.candidates.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        return ((z >> np.uint64(40)) * 2.0**-24).astype(np.float32)

    def learned(self) -> dict[str, Column]:
        return {}

    def restore(self, learned: Mapping[str, Column]) -> Self:
        return self


@dataclass
class Production(AbstractPolicy):
    """What the shop does today: the item's click history within the user's public segment."""

    name: ClassVar[str] = "production"
    learns: ClassVar[bool] = False

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        """Learns nothing: the history is a public column of the items."""
        return self

    def score(self, requests: Requests) -> Scores:
        return requests.items.popularity[requests.candidates, requests.users.segment[:, None]].astype(np.float32)

    def learned(self) -> dict[str, Column]:
        return {}

    def restore(self, learned: Mapping[str, Column]) -> Self:
        return self


@dataclass
class Popular(AbstractPolicy):
    """Clicks over expected clicks of each item in the log, the same list for everyone.

    Items without impressions score 1, the average.
    """

    name: ClassVar[str] = "popular"

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click"})

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": 1})
        self.ratio_ = clicks_over_expected(log, log.item, len(log.items)).astype(np.float32)
        return self

    def score(self, requests: Requests) -> Scores:
        return self.ratio_[requests.candidates]

    def learned(self) -> dict[str, Column]:
        return {"ratio": self.ratio_}

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.ratio_ = learned["ratio"].astype(np.float32)
        return self
