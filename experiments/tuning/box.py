"""Parameters of every kind as points of the unit box, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = str | int | float | bool | None
Params = Mapping[str, Value]
CENTRE = 0.5  # where a parameter lies that a setting does not have: equally far from all it could be


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number between two limits: one axis.

    low, high: inclusive. step: between neighbours; 0 for none. log: whether equal ratios are equal distances.
    whole: whether values are integers.
    """

    low: float
    high: float
    step: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def width(self) -> int:
        return 1

    def encode(self, value: Value) -> Floats:
        low, high = self._ends()
        at = np.log(float(value)) if self.log else float(value)  # type: ignore[arg-type]
        return np.array([np.clip((at - low) / (high - low), 0.0, 1.0)])

    def decode(self, u: Floats) -> Value:
        value = float(self._values(u)[0])
        return round(value) if self.whole else value

    def snap(self, u: Floats) -> Floats:
        if not self.step:
            return u
        low, high = self._ends()
        values = self._values(u)
        return ((np.log(values) if self.log else values) - low) / (high - low)

    def moved(self, u: Floats, size: float, rng: np.random.Generator) -> Floats:
        stepped = u + size * rng.standard_normal(u.shape)
        return 1 - np.abs(1 - np.abs(stepped) % 2)  # reflected at the walls, where clipping would pile steps up

    def _ends(self) -> tuple[float, float]:
        """Half a step beyond the limits, so that the first and the last value get as much room as the others."""
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (float(np.log(low)), float(np.log(high))) if self.log else (low, high)

    def _values(self, u: Floats) -> Floats:
        low, high = self._ends()
        at = low + u * (high - low)
        values = np.exp(at) if self.log else at
        if self.step:
            values = self.low + np.round((values - self.low) / self.step) * self.step
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values without order: an axis for each, 1 for the one that is chosen."""

    values: tuple[Value, ...]

    @property
    def width(self) -> int:
        return len(self.values)

    def encode(self, value: Value) -> Floats:
        return np.eye(len(self.values))[self.values.index(value)]

    def decode(self, u: Floats) -> Value:
        return self.values[int(u.argmax())]

    def snap(self, u: Floats) -> Floats:
        return np.eye(len(self.values))[u.argmax(axis=1)]

    def moved(self, u: Floats, size: float, rng: np.random.Generator) -> Floats:
        return rng.random(u.shape)  # no value is nearer than another


@dataclass(frozen=True)
class Box:
    """The unit box of several parameters, in the order of their names.

    axes: by name. active: of a full setting, the names that it has; all where it is not given.
    """

    axes: Mapping[str, Numeric | Choice]
    active: Callable[[Params], Collection[str]] | None = None

    @property
    def width(self) -> int:
        return sum(axis.width for axis in self.axes.values())

    def encode(self, params: Params) -> Floats:
        """The point of a setting, shape (width,); parameters that it lacks lie at the centre."""
        point = np.full(self.width, CENTRE)
        for name, at in self.columns().items():
            if name in params:
                point[at] = self.axes[name].encode(params[name])
        return point

    def decode(self, point: Floats) -> dict[str, Value]:
        """The setting at a point, shape (width,), with the parameters that are active in it."""
        params = {name: self.axes[name].decode(point[at]) for name, at in self.columns().items()}
        if self.active is None:
            return params
        has = set(self.active(params))
        return {name: value for name, value in params.items() if name in has}

    def snap(self, points: Floats) -> Floats:
        """Points moved to where their settings lie. Shape (n, width)."""
        snapped = points.copy()
        for name, at in self.columns().items():
            axis = self.axes[name]
            snapped[:, at] = axis.snap(points[:, at])
        if self.active is None:
            return snapped
        return np.array([self.encode(self.decode(point)) for point in snapped]).reshape(points.shape)

    def moved(self, points: Floats, size: float, rng: np.random.Generator) -> Floats:
        """Points with each of their parameters moved or kept by the toss of a coin. Shape (n, width).

        Args:
            size: sd of the step of a number, in widths of its range.
        """
        moved = points.copy()
        for name, at in self.columns().items():
            chosen = rng.random((len(points), 1)) < 0.5
            moved[:, at] = np.where(chosen, self.axes[name].moved(points[:, at], size, rng), points[:, at])
        return moved

    def columns(self) -> dict[str, slice]:
        """Of every parameter, its axes."""
        ends = np.cumsum([axis.width for axis in self.axes.values()]).tolist()
        return {name: slice(end - axis.width, end) for (name, axis), end in zip(self.axes.items(), ends, strict=True)}
