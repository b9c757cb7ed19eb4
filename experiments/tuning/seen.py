"""Trials as they come in, and how their errors go together."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.tuning.aim import Observed
from experiments.tuning.question import Floats, Measured


class Seen:
    """Settings and what was measured of them, in the order of their numbers.

    Covariances between settings are sums over users, reckoned when a batch comes in and kept: of 64 trials on 35,000
    users, a tenth of a second instead of one for every proposal.
    """

    def __init__(self) -> None:
        self.trials: list[dict[str, Any]] = []
        self.parts: list[Measured] = []
        self._noise: Floats = np.zeros((0, 0, 0))

    def add(self, trials: list[dict[str, Any]], found: Measured) -> None:
        """Trials of one batch, on the same users as those before."""
        new = found.influence.astype(np.float64).transpose(1, 0, 2)  # (M, S, users)
        n_metrics, n_new, _ = new.shape
        n = len(self.trials)
        noise = np.zeros((n_metrics, n + n_new, n + n_new))
        noise[:, :n, :n] = self._noise if n else 0
        start = 0
        for part in self.parts:
            old = part.influence.astype(np.float64).transpose(1, 2, 0)  # (M, users, S)
            across = new @ old
            end = start + old.shape[2]
            noise[:, n:, start:end], noise[:, start:end, n:] = across, across.transpose(0, 2, 1)
            start = end
        noise[:, n:, n:] = new @ new.transpose(0, 2, 1)
        self._noise = noise
        self.trials += trials
        self.parts.append(found)

    @property
    def measured(self) -> Measured:
        values = np.concatenate([part.values for part in self.parts])
        return Measured(values, np.concatenate([part.influence for part in self.parts]))

    @property
    def observed(self) -> Observed:
        return self.of(list(range(len(self.trials))))

    def of(self, numbers: list[int]) -> Observed:
        """What was observed of some trials."""
        values = np.concatenate([part.values for part in self.parts])
        return Observed(values[numbers], self._noise[:, numbers][:, :, numbers])
