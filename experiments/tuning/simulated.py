"""Evaluation by simulation: every setting lived through by the same users with the same luck, in expectation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.executors import Crew
from experiments.plan import Foundations, foundations, serving_of
from experiments.policy_spec import build_policy
from experiments.spec import Experiment
from experiments.stages.trials import load_apart, load_settings
from experiments.store import RunFolder
from experiments.sweeps import Serving
from experiments.tasks import Task
from experiments.tuning.question import Measured, Question, QuestionError, measure

Floats = NDArray[np.float64]
SHARDS = 4  # at least: parts of the users that are simulated side by side; fixed, so that workers change nothing
STAGE = "experiments.stages.trials"


class Simulation:
    """Simulates settings of one arm on users who are searched on, and on others who confirm.

    population: share of all users that is searched on; grows in `sharpened`. luck: seed of their chance. half: whether
    models learn from one half of the log's visits, so that what is judged on the other can be held against the truth.
    """

    def __init__(self, experiment: Experiment, question: Question, folder: RunFolder, crew: Crew) -> None:
        assert experiment.tune is not None
        self.experiment, self.question, self.folder, self.crew = experiment, question, folder, crew
        self.tune = experiment.tune
        self.given: Foundations = foundations(experiment)
        self.fits: dict[str, Task] = {}
        self.sharing = experiment.world.sharing
        self.population = 1.0 if self.sharing else self.tune.users
        self.half = False
        self.luck: int = self.given.spec["seed"]["luck"]

    @property
    def control(self) -> Serving:
        test = self.experiment.experiment
        return serving_of(self.given.spec["experiment"]["arms"][test.control])

    @property
    def present(self) -> Serving:
        """The arm that is tuned, as the spec has it."""
        return serving_of(self.given.spec["experiment"]["arms"][self.tune.arm])

    @property
    def searched_on(self) -> str:
        """What every setting was evaluated on, for the reader."""
        return f"simulated for {self.population:.0%} of the users"

    def notes(self) -> list[str]:
        """What a reader should know of the evaluation."""
        if not self.sharing:
            return []
        return [
            "users share what they take from each other, so that everyone is searched on and confirms with other luck, "
            "and standard errors are too small by what users have in common"
        ]

    def sharpened(self, first: Sequence[Serving]) -> Measured:
        """The first settings, on as many users as bring the goals' standard errors down to the precision asked for."""
        found = self.measured("batch 0", first)
        most = 1.0 if self.sharing else 1 - self.tune.confirm
        error = float(np.median(found.se[:, : len(self.question.goals)], axis=0).max())
        if error <= self.tune.precision or self.population >= most:
            return found
        self.population = min(most, self.population * (error / self.tune.precision) ** 2)
        return self.measured("batch 0", first)

    def measured(self, name: str, settings: Sequence[Serving]) -> Measured:
        """Settings over the control on the users who are searched on."""
        searched = {"since": 0.0, "until": self.population}
        return self._measured(name, settings, searched, self.luck)

    def confirmed(self, name: str, settings: Sequence[Serving]) -> Measured:
        """Settings over the control on users whom no search has seen, with other luck; where users share, everyone."""
        others = {"since": 0.0 if self.sharing else 1 - self.tune.confirm, "until": 1.0}
        return self._measured(f"confirmation, {name}", settings, others, other_luck(self.luck))

    def tested(self, name: str, settings: Sequence[Serving], users: float) -> tuple[Floats, list[Floats]]:
        """An A/B test with a setting in each arm: by arm, its users' totals as they were sampled.

        users: share of all users that is in the test. Returns the users' number by arm, and their totals (n, columns).
        """
        luck = other_luck(self.luck, name)
        population = {"since": 0.0, "until": users}
        tasks = self._tasks(name, settings, population, luck, sampled=True, apart=True, salt=name)
        self.do(tasks)
        parts = [load_apart(self.folder.result(task)) for task in tasks]
        setting_of = np.concatenate([setting for setting, _ in parts])
        totals = np.concatenate([values for _, values in parts])
        by_arm = [totals[setting_of == k] for k in range(len(settings))]
        return np.array([len(values) for values in by_arm], dtype=np.float64), by_arm

    def _measured(self, name: str, settings: Sequence[Serving], population: Mapping[str, float], luck: int) -> Measured:
        of_control = self._tasks("control", [self.control], population, luck)
        tasks = self._tasks(name, settings, population, luck)
        self.do([*of_control, *tasks])
        control = np.concatenate([load_settings(self.folder.result(task))[1] for task in of_control], axis=1)[0]
        totals = np.concatenate([load_settings(self.folder.result(task))[1] for task in tasks], axis=1)
        return measure(self.question, totals, control)

    def adopt(self, source: RunFolder) -> None:
        """Take warm-up and fits from a run that has them, without copying a byte where links exist.

        Raises:
            QuestionError: its warm-up is another one's.
        """
        self.fitted([self.control, self.present])
        missing = [task for task in self.given.warmups.values() if not self.folder.is_done(task)]
        if not all(source.is_done(task) for task in missing):
            raise QuestionError(
                f"--log {source.path}: must hold the warm-up of this experiment, as this version of seesaw makes it, "
                f"found another or none; run the experiment there first, with the same world, seeds and warm-up"
            )
        for task in (*missing, *self.fits.values()):
            if source.is_done(task) and not self.folder.is_done(task):
                self.folder.adopt(task, source)

    def do(self, tasks: Sequence[Task]) -> None:
        """Do what is missing, with the warm-up and the fits behind it, which know what they need themselves."""
        every = [*self.given.warmups.values(), *self.fits.values(), *tasks]
        self.crew.do([task for task in every if not self.folder.is_done(task)])

    def fitted(self, settings: Sequence[Serving], half: bool = False) -> tuple[list[int], dict[str, Task]]:
        """By setting, the number of its fit; and the fits as needs of a task. half: of the log's visits alone."""
        fits = [self.given.fit(build_policy(serving["policy"]), self.fits, half) for serving in settings]
        once = {fit.key: fit for fit in fits}
        return [list(once).index(fit.key) for fit in fits], {f"policy {k}": fit for k, fit in enumerate(once.values())}

    def _tasks(
        self,
        name: str,
        settings: Sequence[Serving],
        population: Mapping[str, float],
        luck: int,
        *,
        sampled: bool = False,
        apart: bool = False,
        salt: str = "",
    ) -> list[Task]:
        fitted, needs = self.fitted(settings, self.half)
        blocks = 1 if self.sharing else -(-SHARDS // self.experiment.world.markets)
        seed = {**self.given.spec["seed"], "luck": luck}
        asked: dict[str, Any] = {
            **self.given.base,
            "seed": seed,
            "days": self.experiment.experiment.days,
            "settings": [dict(serving) for serving in settings],
            "fits": fitted,
            "population": dict(population),
            "columns": self.question.columns,
            "blocks": blocks,
            "sampled": sampled,
            "apart": apart,
            "salt": salt,
        }
        function = f"{STAGE}:shared" if self.sharing else f"{STAGE}:run"
        return [
            Task(
                "trials",
                f"{name}, market {m}" if blocks == 1 else f"{name}, market {m}, part {block + 1} of {blocks}",
                function,
                {**asked, "market": m, "block": block},
                {"warm-up": warmup, **needs},
                self.given.tick,
                6,
                place=f"market {m} block {block} {luck}",
            )
            for m, warmup in self.given.warmups.items()
            for block in range(blocks)
        ]


def other_luck(luck: int, purpose: str = "confirmation") -> int:
    """A seed of chance that no search has used."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {luck}".encode()).digest()[:6], "little")
