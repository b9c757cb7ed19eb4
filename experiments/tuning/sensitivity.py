"""How flat an optimum is: what each parameter moves around a pick, and what the search cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.tuning.box import Box, Choice, Numeric
from experiments.tuning.gp import GaussianProcess, fit
from experiments.tuning.question import Question
from experiments.tuning.thompson import Observed

Floats = NDArray[np.float64]
STEP = 0.1  # of a parameter's range: the change whose cost is told
STEPS = 41  # points of a profile: with 10 % of a range in four of them
SURE = 2.0  # standard deviations of the posterior beyond which a change is one


@dataclass(frozen=True, slots=True)
class Profile:
    """One parameter varied, with the others at the pick.

    values: what it is set to. mean, sd: shape (M, len(values)), of every quantity less that at the pick.
    cost: shape (M,), what moving it by a tenth of its range changes for the worse, or the less for the better.
    cost_sd: shape (M,). moves: by quantity, whether any value surely differs from the pick.
    """

    name: str
    values: tuple[Any, ...]
    at: int
    mean: Floats
    sd: Floats
    cost: Floats
    cost_sd: Floats
    moves: NDArray[np.bool_]

    @property
    def identified(self) -> bool:
        """Whether the search has seen any quantity move with it."""
        return bool(self.moves.any())


@dataclass(frozen=True, slots=True)
class Ridge:
    """A change of several parameters together that moves nothing which the search could see.

    direction: by parameter, its part of the change; the largest is 1 or -1 in widths of the ranges.
    """

    direction: dict[str, float]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """profiles: of every parameter that has a say at the pick. ridge: nothing where every direction moves something."""

    profiles: tuple[Profile, ...]
    ridge: Ridge | None


def sensitivity(
    box: Box, points: Floats, observed: Observed, pick: Mapping[str, Any], question: Question
) -> Sensitivity:
    """Around one pick, from one process per quantity. points: shape (n, d), the visited settings."""
    processes = [fit(points, y, noise) for y, noise in zip(observed.values.T, observed.noise, strict=True)]
    profiles = tuple(_profile(box, name, processes, pick) for name in box.axes if name in pick)
    return Sensitivity(profiles, _ridge(box, processes, pick, profiles))


def _profile(box: Box, name: str, processes: Sequence[GaussianProcess], pick: Mapping[str, Any]) -> Profile:
    axis = box.axes[name]
    values = _values(axis, pick[name])
    at = values.index(pick[name])
    x = np.array([box.encode({**pick, name: value}) for value in values])
    found = [_differences(process, x, at) for process in processes]
    mean, sd = np.array([m for m, _ in found]), np.array([s for _, s in found])
    beside = _beside(axis, values, at)
    worst = mean[:, beside].argmin(axis=1)
    rows = np.arange(len(mean))
    return Profile(
        name,
        tuple(values),
        at,
        mean,
        sd,
        mean[:, beside][rows, worst],
        sd[:, beside][rows, worst],
        (np.abs(mean) > SURE * sd + 1e-12).any(axis=1),
    )


def _values(axis: Numeric | Choice, now: Any) -> list[Any]:
    """Values along an axis, the present one among them."""
    if isinstance(axis, Choice):
        return list(axis.values)
    spread = [axis.decode(np.array([u])) for u in np.linspace(0, 1, STEPS)]
    return sorted({*spread, now})


def _beside(axis: Numeric | Choice, values: Sequence[Any], at: int) -> list[int]:
    """Where a tenth of the range lies on either side; of choices, all others."""
    if isinstance(axis, Choice):
        return [k for k in range(len(values)) if k != at] or [at]
    u = np.array([float(axis.encode(value)[0]) for value in values])
    sides = [u[at] - STEP, u[at] + STEP]
    return [int(np.abs(u - side).argmin()) for side in sides if -1e-9 <= side <= 1 + 1e-9] or [at]


def _differences(process: GaussianProcess, x: Floats, at: int) -> tuple[Floats, Floats]:
    """Metric at settings less that at one of them, and the sd of this difference; shape (m,) each."""
    mean, covariance = process.joint(x)
    variance = np.diagonal(covariance) + covariance[at, at] - 2 * covariance[at]
    return mean - mean[at], np.sqrt(np.maximum(variance, 0.0))


def _ridge(
    box: Box, processes: Sequence[GaussianProcess], pick: Mapping[str, Any], profiles: Sequence[Profile]
) -> Ridge | None:
    """The direction in which the posterior means move least around the pick, if along it nothing surely moves.

    From the mean outer product of gradients over the neighbourhood (Constantine 2015, active subspaces); a parameter
    that moves nothing by itself is told by its own profile and left out.
    """
    names = [p.name for p in profiles if p.identified and isinstance(box.axes[p.name], Numeric)]
    if len(names) < 2:
        return None
    columns = [box.columns()[name].start for name in names]
    centre = box.encode(pick)
    around = np.tile(centre, (64, 1))
    shifts = np.random.default_rng(0).uniform(-0.2, 0.2, (64, len(names)))
    around[:, columns] = np.clip(around[:, columns] + shifts, 0, 1)
    outer = np.zeros((len(names), len(names)))
    for process in processes:
        slopes = np.stack([_slope(process, around, column) for column in columns], axis=1) / process.scale
        outer += slopes.T @ slopes
    direction = np.linalg.eigh(outer)[1][:, 0]
    direction = direction / direction[np.abs(direction).argmax()]
    if (np.abs(direction) > 0.1).sum() < 2:
        return None  # one parameter alone, whose profile tells it
    reach = np.linspace(-0.25, 0.25, 21)
    line = np.tile(centre, (len(reach), 1))
    line[:, columns] += reach[:, None] * direction
    inside = ((line >= 0) & (line <= 1)).all(axis=1)
    line, reach = line[inside], reach[inside]
    if np.ptp(reach) < 0.2:
        return None  # against a wall, nothing can be said
    at = int(np.abs(reach).argmin())
    for process in processes:
        mean, sd = _differences(process, line, at)
        if (np.abs(mean) > SURE * sd + 1e-12).any():
            return None
    return Ridge({name: float(part) for name, part in zip(names, direction, strict=True)})


def _slope(process: GaussianProcess, x: Floats, column: int) -> Floats:
    step = np.zeros(x.shape[1])
    step[column] = 1e-3
    slope: Floats = (process.mean(x + step) - process.mean(x - step)) / 2e-3
    return slope
