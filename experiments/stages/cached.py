"""Goal predictions that are made once: many fusions of one fit serve the same users from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from policies.base import AbstractPolicy
from sim.clock import DAY
from sim.records import Column, Floats, Ints, Requests, Scores


@dataclass(slots=True)
class Predictions:
    """What a fit predicts, by day and request: the candidates of a visit are those of its pool on its day.

    A user has one visit of a number, whatever served them before, so that settings meet in most of their visits.
    """

    _days: dict[int, tuple[Ints, dict[str, Column]]] = field(default_factory=dict)

    def of(self, policy: AbstractPolicy, requests: Requests) -> dict[str, Floats]:
        """Equal in every bit to `policy.predictions(requests)`; a wave is of one day."""
        if not len(requests):
            return policy.predictions(requests)
        day = int(requests.time[0]) // DAY
        known, values = self._days.get(day, (np.zeros(0, dtype=np.int64), {}))
        missing = np.flatnonzero(~_among(known, requests.request))
        if len(missing):
            rows = missing[np.unique(requests.request[missing], return_index=True)[1]]
            made = {name: _narrow(found) for name, found in policy.predictions(requests.take(rows)).items()}
            known = np.concatenate([known, requests.request[rows]])
            order = np.argsort(known)
            known = known[order]
            values = {
                name: (np.concatenate([values[name], found]) if values else found)[order]
                for name, found in made.items()
            }
            self._days[day] = (known, values)
        at = np.searchsorted(known, requests.request)
        return {name: found.take(at, axis=0).astype(np.float64) for name, found in values.items()}


class Remembering:
    """A ranker that fuses remembered predictions; of a policy whose score is one piece, the policy itself."""

    def __init__(self, policy: AbstractPolicy, predictions: Predictions) -> None:
        self.policy, self.predictions = policy, predictions

    def score(self, requests: Requests) -> Scores:
        found = self.predictions.of(self.policy, requests)
        return self.policy.fused(found, requests)


def _among(known: Ints, wanted: Ints) -> np.ndarray:
    """Which of `wanted` are in `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(wanted), dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return known[at] == wanted


def _narrow(values: Floats) -> Column:
    """As float32 where that loses nothing, as of what a network has predicted: half the memory."""
    narrow = values.astype(np.float32)
    return narrow if (narrow == values).all() else values
