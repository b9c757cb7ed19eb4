"""From run folders to what a comparison reads of them; a folder that is no finished run is told in a line."""

from __future__ import annotations

import csv
import glob
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.document import DocumentError, read_document
from experiments.report.front import frontier, gap
from experiments.results import FrontPoint
from experiments.store import IDENTITY, MANIFEST

NEEDED = ("experiment.yaml", "truth.csv", "decision.json", MANIFEST)
EVERYTHING = "experiment", "world", "warmup", "truth", "metrics"
Lifts = Mapping[str, float]


class RunsError(ValueError):
    """Folders that cannot be compared; `lines` holds one complete line per problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True, slots=True)
class ComparedArm:
    """One arm of one run but the control.

    serves: policy and exploration, spelled out. lift, lift_se: true lifts over control by metric.
    verdict: the test's. reached: share of the attainable first goal; NaN where the run has no front.
    """

    name: str
    serves: Mapping[str, Any]
    lift: Lifts
    lift_se: Lifts
    verdict: str
    reached: float


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A finished run.

    spec: every value spelled out, as in its experiment.yaml. lower_is_better: of its metrics.
    """

    folder: str
    identity: str
    spec: Mapping[str, Any]
    arms: tuple[ComparedArm, ...]
    lower_is_better: frozenset[str]

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def goals(self) -> tuple[str, ...]:
        return tuple(self.spec["metrics"]["goals"])

    @property
    def margins(self) -> Mapping[str, float]:
        margins: Mapping[str, float] = self.spec["metrics"]["guardrails"]
        return margins

    @property
    def control(self) -> str:
        return str(self.spec["experiment"]["control"])

    @property
    def control_serves(self) -> Mapping[str, Any]:
        return serves(self.spec, self.control)

    @property
    def metrics(self) -> list[str]:
        """In the order of the run's tables."""
        return list(self.arms[0].lift)


def expanded(sources: Sequence[str]) -> list[Path]:
    """Folders by path or by glob pattern, each once, in order.

    Raises:
        RunsError: a pattern that matches nothing.
    """
    found: dict[Path, None] = {}
    wrong = []
    for source in sources:
        pattern = glob.has_magic(source) and not Path(source).exists()
        matches = sorted(glob.glob(source)) if pattern else [source]
        if not matches:
            wrong.append(f"{source}: must match run folders, found none; quote the pattern and look with: ls {source}")
        found |= dict.fromkeys(Path(match) for match in matches)
    if wrong:
        raise RunsError(wrong)
    return list(found)


def read_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """Every folder as a run.

    Raises:
        RunsError: with a line for every folder that is not one.
    """
    runs, wrong = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except RunsError as problem:
            wrong += problem.lines
    if wrong:
        raise RunsError(wrong)
    return runs


def read_run(folder: Path) -> ComparedRun:
    """One finished run.

    Raises:
        RunsError: not a folder, no run, unfinished, or with files that cannot be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise RunsError([f"{folder}: must be the folder of a finished run, found {found}; name a folder of seesaw run"])
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing and (folder / IDENTITY).is_file():
        raise RunsError([f"{folder}: must be a finished run, found no {', '.join(missing)}; run it again to finish it"])
    if missing:
        raise RunsError([f"{folder}: must be the folder of a run, found no {', '.join(missing)}; name another"])
    try:
        return _read(folder)
    except DocumentError as problem:
        raise RunsError([str(problem)]) from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as problem:
        told = f"no {problem}" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        raise RunsError(
            [f"{folder}: must hold the files of a run, found them broken ({told}); run it again with --force"]
        ) from None


def serves(spec: Mapping[str, Any], arm: str) -> Mapping[str, Any]:
    """Policy and exploration of an arm, spelled out: what makes two arms the same."""
    section = spec["experiment"]["arms"][arm]
    return {"policy": section["policy"], "explore": section["explore"]}


def _read(folder: Path) -> ComparedRun:
    spec = read_document(folder / "experiment.yaml").values
    for section in EVERYTHING:
        spec[section]  # a missing one is told by its name
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    decision = json.loads((folder / "decision.json").read_text(encoding="utf-8"))
    verdicts = {str(arm["arm"]): str(arm["verdict"]) for arm in decision["arms"]}
    lifts, errors = _truth(folder / "truth.csv")
    points = _front(folder / "front.csv")
    goals = list(spec["metrics"]["goals"])
    names = [name for name in spec["experiment"]["arms"] if name != spec["experiment"]["control"]]
    arms = tuple(
        ComparedArm(
            name,
            serves(spec, name),
            lifts[name],
            errors[name],
            verdicts[name],
            _reached(name, lifts[name], goals, points),
        )
        for name in names
    )
    metrics = spec["world"]["scenario"]["metrics"]
    lower = frozenset(name for name, metric in metrics.items() if metric.get("better") == "lower")
    run = ComparedRun(str(folder), str(manifest[IDENTITY]), spec, arms, lower)
    for goal in (*run.goals, *run.margins):
        run.arms[0].lift[goal]  # likewise
    return run


def _truth(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """True lifts and their standard errors, by arm and metric."""
    lifts, errors = dict[str, dict[str, float]](), dict[str, dict[str, float]]()
    for row in _rows(path):
        lifts.setdefault(row["arm"], {})[row["metric"]] = _number(row["expected_lift"])
        errors.setdefault(row["arm"], {})[row["metric"]] = _number(row["expected_lift_se"])
    return lifts, errors


def _front(path: Path) -> list[FrontPoint]:
    if not path.is_file():
        return []
    return [FrontPoint(*(_number(row[name]) for name in ("weight", "first", "second"))) for row in _rows(path)]


def _reached(arm: str, lift: Lifts, goals: Sequence[str], points: Sequence[FrontPoint]) -> float:
    line = frontier(points) if len(goals) > 1 else []
    return gap(arm, lift[goals[0]], lift[goals[1]], line).share if line else math.nan


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float:
    return float(text) if text else math.nan
