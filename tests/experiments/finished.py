"""Runs of small experiments without reports: tasks done, totals gathered, results computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.evaluate import results_of
from experiments.executors import execute
from experiments.gather import Gathered
from experiments.plan import Plan, plan
from experiments.results import Results
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.tasks import Task
from tests.experiments.specs import experiment


@dataclass(frozen=True)
class Finished:
    """An experiment whose tasks are done, and what came of it."""

    spec: Experiment
    folder: RunFolder
    plan: Plan
    results: Results

    @property
    def run(self) -> Gathered:
        """The run as the analysis reads it."""
        return Gathered(self.spec, self.folder, self.plan)

    def notes(self, task: Task) -> dict[str, Any]:
        return self.folder.notes(task)


def finished(text: str | Experiment, out: Path, workers: int = 1) -> Finished:
    """Do all tasks of an experiment (YAML text, or validated) in a folder, and analyse them."""
    spec = experiment(text) if isinstance(text, str) else text
    folder, whole = RunFolder(out), plan(spec)
    with folder.claimed(spec.identity(), False):
        execute(whole.tasks(), folder, workers, lambda event: None)
    return Finished(spec, folder, whole, results_of(spec, folder, whole))


def small(
    *,
    arms: str,
    world: str = "users: 600, markets: 1",
    scenario: str = "like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}",
    warm: int = 2,
    days: int = 3,
    control: str = "production",
    calendar: str = "",
    metrics: str = "{goals: [ctr, stay_per_user], guardrails: {visits_per_user: -5%}}",
    more: str = "truth: {users: 0.2}",
    seed: int = 5,
) -> str:
    """The YAML of a small shop; arms: the flow mapping of arms. calendar: further keys of `experiment`."""
    return f"""
name: small
seed: {seed}
world: {{scenario: {{{scenario}}}, {world}}}
warmup: {{days: {warm}, policy: production, max_train_rows: 20000}}
experiment:
  days: {days}
  control: {control}
  arms: {arms}
  {calendar}
metrics: {metrics}
{more}
"""
