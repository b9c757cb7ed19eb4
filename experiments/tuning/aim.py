"""What a tuned policy should reach: goals over a reference, within bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bound:
    """A constraint on one metric: sense * (metric - limit) >= 0.

    metric: its column. sense: 1 for at least, -1 for at most.
    """

    metric: int
    sense: int
    limit: float

    def __post_init__(self) -> None:
        if self.sense not in (1, -1):
            raise ValueError(f"sense: must be 1 (at least) or -1 (at most), got {self.sense!r}")


@dataclass(frozen=True, slots=True)
class Aim:
    """Goals to be maximised within bounds.

    goals: columns of the metrics. reference: what each goal must exceed for a setting to count. A goal to be
    minimised is handed in with its sign turned. tastes: weights of the goals by which a single setting will be picked
    in the end; the search looks for these as well as for the front, which has little to win at its ends.
    """

    goals: tuple[int, ...]
    reference: tuple[float, ...]
    bounds: tuple[Bound, ...] = ()
    tastes: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.goals or len(self.goals) != len(self.reference):
            raise ValueError(f"reference: must have one number for each goal, got {self.reference} for {self.goals}")

    @property
    def metrics(self) -> tuple[int, ...]:
        """Columns that matter, each once."""
        return tuple(sorted({*self.goals, *(bound.metric for bound in self.bounds)}))

    def outcomes(self, values: Floats) -> Floats:
        """The goals. Shape (n, goals). values: shape (n, M)."""
        return values[:, self.goals]

    def broken(self, values: Floats, scale: Floats) -> Floats:
        """By how much the bounds are broken in all, 0 where all are kept. Shape (n,).

        Args:
            values: shape (n, M). scale: shape (M,), the unit of every metric, so that what is broken can be added.
        """
        total = np.zeros(len(values))
        for bound in self.bounds:
            total += np.maximum(bound.sense * (bound.limit - values[:, bound.metric]) / scale[bound.metric], 0.0)
        return total


@dataclass(frozen=True, slots=True)
class Observed:
    """Metrics of n settings as they were observed, and how they err.

    values: shape (n, M). noise: shape (M, n, n), covariance of the errors of every metric between settings.
    """

    values: Floats
    noise: Floats

    def __post_init__(self) -> None:
        n, n_metrics = self.values.shape
        if self.noise.shape != (n_metrics, n, n):
            raise ValueError(
                f"noise: must have shape {(n_metrics, n, n)} for values {(n, n_metrics)}, "
                f"got {self.noise.shape}; of standard errors, take the diagonal matrix of their squares"
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.noise).all()):
            raise ValueError("values, noise: must be finite; a setting that could not be evaluated is told as failed")
