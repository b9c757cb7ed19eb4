"""Many finished runs of one design, read from their files into arrays."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.operating import Replications
from experiments.many.variants import Variant

FIELDS = (
    "lift",
    "se",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "true_lift",
    "true_lift_se",
    "sim_low",
    "sim_high",
)
ALONE = ("lift", "se", "ci_low", "ci_high", "p_value", "p_adjusted", "true_lift", "true_lift_se")
TOGETHER = ("lift", "se", "sim_low", "sim_high", "p_value", "p_adjusted", "true_lift", "true_lift_se")


class Pair(NamedTuple):
    """What a row of results.csv is about."""

    arm: str
    metric: str
    role: str
    estimator: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What a run decided. arm: which it shipped, if any. arms: the verdict on each."""

    verdict: str
    arm: str | None
    arms: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Runs:
    """R runs of one design.

    values: shape (R, pairs, fields). NaN where a run has no such row or no such number.
    """

    labels: tuple[str, ...]
    pairs: tuple[Pair, ...]
    values: NDArray[np.float64]
    decided: tuple[Decided, ...]

    def field(self, name: str) -> NDArray[np.float64]:
        """Shape (R, pairs)."""
        return self.values[:, :, FIELDS.index(name)]

    def alone(self, at: int) -> Replications:
        """One lift with the interval of its own test; arrays of shape (R,)."""
        return Replications(*(self.field(name)[:, at] for name in ALONE))

    def together(self, at: Sequence[int]) -> Replications:
        """Several lifts with the intervals that hold at once; arrays of shape (R, lifts)."""
        return Replications(*(self.field(name)[:, list(at)] for name in TOGETHER))


def read_runs(variants: Sequence[Variant]) -> Runs:
    """The files of finished runs, one after the other."""
    at: dict[Pair, int] = {}
    tables = []
    for variant in variants:
        table = np.full((len(at), len(FIELDS)), math.nan)
        for pair, numbers in _rows(variant.folder / "results.csv"):
            if at.setdefault(pair, len(at)) == len(table):
                table = np.vstack([table, np.full(len(FIELDS), math.nan)])
            table[at[pair]] = numbers
        tables.append(table)
    values = np.full((len(tables), len(at), len(FIELDS)), math.nan)
    for run, table in enumerate(tables):
        values[run, : len(table)] = table
    labels = tuple(variant.label for variant in variants)
    return Runs(labels, tuple(at), values, tuple(_decided(variant.folder) for variant in variants))


def _rows(path: Path) -> Iterator[tuple[Pair, list[float]]]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pair = Pair(row["arm"], row["metric"], row["role"], row["estimator"])
            yield pair, [float(row[name]) if row[name] else math.nan for name in FIELDS]


def _decided(folder: Path) -> Decided:
    told = json.loads((folder / "decision.json").read_text(encoding="utf-8"))
    return Decided(told["verdict"], told["arm"], {arm["arm"]: arm["verdict"] for arm in told["arms"]})
