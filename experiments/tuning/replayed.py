"""Evaluation on a log: every setting valued off-policy on the requests of the warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.stages.trials import load_settings
from experiments.sweeps import Serving
from experiments.tasks import Task
from experiments.tuning.question import Measured, Question, measure
from experiments.tuning.simulated import Simulation

PARTS = 2  # of a batch, valued side by side; fixed, so that workers change nothing
STAGE = "experiments.stages.replay:run"


class Replay:
    """Values settings over the control on the warm-up's log.

    simulation: whose warm-up and fits are taken; it also confirms, since a log cannot.
    """

    def __init__(self, simulation: Simulation, question: Question) -> None:
        self.simulation, self.question = simulation, question
        self.log = simulation.tune.log
        self._said: dict[str, Any] = {}

    @property
    def searched_on(self) -> str:
        """What every setting was evaluated on, for the reader."""
        return (
            f"valued off-policy on {self._said.get('requests', 0):,} logged requests by {self._said.get('estimator')}"
        )

    def notes(self) -> list[str]:
        """What a reader should know of the evaluation."""
        return [
            *self._said.get("warnings", []),
            "a log knows one past: it tells of its own days and of what had landed by their end, not of who comes back",
        ]

    def sharpened(self, first: Sequence[Serving]) -> Measured:
        """The first settings; a log has as much precision as it has."""
        return self.measured("batch 0", first)

    def measured(self, name: str, settings: Sequence[Serving]) -> Measured:
        """Settings over the control, valued by the same estimator."""
        control = self._tasks("control", [self.simulation.control], 1)
        tasks = self._tasks(name, settings, min(PARTS, len(settings)))
        self.simulation.do([*control, *tasks])
        folder = self.simulation.folder
        of_control = load_settings(folder.result(control[0]))[1][0]
        totals = np.concatenate([load_settings(folder.result(task))[1] for task in tasks])
        found = measure(self.question, totals, of_control)
        self._said = folder.notes(control[0])
        base = self._said["overlap"][0]["covered"]
        # What the log cannot say of the control, it cannot say of a lift over it.
        covered = [min(base, told["covered"]) for task in tasks for told in folder.notes(task)["overlap"]]
        values = np.concatenate([found.values, np.array(covered)[:, None]], axis=1)
        nothing = np.zeros((len(settings), 1, found.influence.shape[2]), dtype=np.float32)
        return Measured(values, np.concatenate([found.influence, nothing], axis=1))

    def _tasks(self, name: str, settings: Sequence[Serving], parts: int) -> list[Task]:
        given = self.simulation.given
        warm = given.spec["warmup"]
        logs = {f"log {m:06d}": task for m, task in given.warmups.items()}
        asked: dict[str, Any] = {
            "logging": {"policy": warm["policy"], "temperature": warm["explore"]["temperature"]},
            "seed": {"luck": given.spec["seed"]["luck"]},
            "requests": self.log.requests,
            "estimator": self.log.estimator,
            "columns": self.question.columns,
        }
        tasks = []
        for part, some in enumerate(np.array_split(np.arange(len(settings)), parts)):
            chosen = [settings[k] for k in some]
            fitted, needs = self.simulation.fitted(chosen, half=True)
            arguments = {**asked, "settings": [dict(serving) for serving in chosen], "fits": fitted}
            label = name if parts == 1 else f"{name}, part {part + 1} of {parts}"
            tasks.append(Task("replay", label, STAGE, arguments, {**logs, **needs}, {}, 10, place=f"log part {part}"))
        return tasks
