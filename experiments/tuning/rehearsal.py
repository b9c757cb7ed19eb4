"""Estimators rehearsed: a grid of settings valued on logs of less and less exploration, beside what they truly do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.executors import Crew
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.sweeps import Serving
from experiments.tuning.picks import Z95, aim_of
from experiments.tuning.posterior import Posterior, feasibility
from experiments.tuning.question import Measured, Question, QuestionError, question_of
from experiments.tuning.replayed import Replay
from experiments.tuning.samplers import GridSampler
from experiments.tuning.simulated import Simulation
from experiments.tuning.space import Space

Floats = NDArray[np.float64]
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """One estimator on one log, over the settings of the grid.

    error: by goal, root mean square of estimated less true lift. held: by goal, share of 95 % intervals that hold the
    truth. picked: number of the setting that the estimates pick, -1 for none; the best of the first goal among those
    whose limits hold as estimated. regret: what the pick lacks of the best setting that truly holds the limits, in
    lift of the first goal; nan without a pick. breaks: whether the pick truly breaks a limit.
    tells: settings that the log speaks of. answer: what `seesaw tune` would say: a pick with confidence, or -1 where it
    cannot tell; its regret and whether it breaks a limit stand beside.
    """

    temperature: float
    estimator: str
    error: tuple[float, ...]
    held: tuple[float, ...]
    picked: int
    regret: float
    breaks: bool
    tells: int
    answer: int
    answer_regret: float
    answer_breaks: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Rehearsal:
    """rows: by temperature, then estimator. settings: of the grid. best: by temperature, the setting that is truly the
    best of those that hold the limits, -1 where none does."""

    experiment: Experiment
    question: Question
    settings: tuple[dict[str, Any], ...]
    rows: tuple[Judged, ...]
    best: dict[float, int]

    def of(self, estimator: str) -> list[Judged]:
        return [row for row in self.rows if row.estimator == estimator]


def rehearse(experiment: Experiment, folder: RunFolder, crew: Crew, announce: Announce) -> Rehearsal:
    """Every estimator on every log. The models learn anew from each log, from half of its visits."""
    tune = experiment.tune
    assert tune is not None
    at_log = tune.model_copy(update={"evaluate": "log"})
    experiment = experiment.model_copy(update={"tune": at_log})
    question, rows, best = question_of(experiment), list[Judged](), dict[float, int]()
    settings: tuple[dict[str, Any], ...] = ()
    for temperature in tune.log.rehearse.temperatures:
        announce(f"logging at temperature {temperature:g}")
        simulation = Simulation(_logged_at(experiment, temperature), question, folder, crew)
        simulation.half = True
        space = Space.of(tune.parameters, tune.arm, simulation.present)
        settings = _grid(experiment, space)
        servings = [space.serving(params) for params in settings]
        truth = simulation.measured("truth", servings)
        best[temperature] = _best(question, truth.values)
        for estimator in tune.log.rehearse.estimators:
            announce(f"{estimator} on the log of temperature {temperature:g}")
            found = _valued(simulation, question, servings, estimator)
            rows.append(_judged(question, temperature, estimator, found, truth, best[temperature]))
    return Rehearsal(experiment, question, settings, tuple(rows), best)


def _logged_at(experiment: Experiment, temperature: float) -> Experiment:
    explore = experiment.warmup.explore.model_copy(update={"temperature": temperature})
    return experiment.model_copy(update={"warmup": experiment.warmup.model_copy(update={"explore": explore})})


def _grid(experiment: Experiment, space: Space) -> tuple[dict[str, Any], ...]:
    assert experiment.tune is not None
    trials = experiment.tune.budget.trials
    grid = GridSampler(space.distributions(), trials, experiment.seed.luck, space.active)
    return tuple(grid.points[:trials])


def _valued(simulation: Simulation, question: Question, servings: Sequence[Serving], estimator: str) -> Measured:
    replay = Replay(simulation, question)
    replay.log = replay.log.model_copy(update={"estimator": estimator})
    try:
        return replay.measured(f"{estimator}, grid", servings)
    except QuestionError:  # it found nothing of the control: no lift can be told, of any setting
        shape = (len(servings), len(question.quantities))
        values = np.full(shape, np.nan)
        values[:, -1] = 0.0
        return Measured(values, np.zeros((*shape, 1), dtype=np.float32))


def _judged(
    question: Question, temperature: float, estimator: str, found: Measured, truth: Measured, best: int
) -> Judged:
    goals = range(len(question.goals))
    off = found.values[:, : len(goals)] - truth.values[:, : len(goals)]
    inside = np.abs(off) <= Z95 * np.hypot(found.se[:, : len(goals)], truth.se[:, : len(goals)])
    picked, answer = _best(question, found.values), _answer(question, found)
    covered = found.values[:, -1]
    return Judged(
        temperature=temperature,
        estimator=estimator,
        error=tuple(float(np.sqrt((off[:, g] ** 2).mean())) for g in goals),
        held=tuple(float(inside[:, g].mean()) for g in goals),
        picked=picked,
        regret=_regret(truth, picked, best),
        breaks=_breaks(question, truth, picked),
        tells=int((covered >= question.limits[-1].bound).sum()),
        answer=answer,
        answer_regret=_regret(truth, answer, best),
        answer_breaks=_breaks(question, truth, answer),
    )


def _best(question: Question, values: Floats) -> int:
    """The setting with most of the first goal among those whose limits hold as these values have it; -1 for none."""
    able = np.ones(len(values), dtype=bool)
    for limit in question.of_users:
        able &= limit.sense * (values[:, question.index(limit)] - question.bound(limit)) >= 0
    return int(np.where(able, values[:, 0], -np.inf).argmax()) if able.any() else -1


def _answer(question: Question, found: Measured) -> int:
    """The setting with most of the first goal among those that surely have more of it than the control and hold all
    limits with confidence, that the log speaks of them among these; -1 where there is none."""
    variance = found.se.T**2  # (M, S): settings one by one, since no search was made among them
    belief = Posterior(found.values, variance[:, :, None] * np.eye(len(found.values)))
    able = feasibility(belief, aim_of(question).bounds) >= question.confidence
    able &= found.values[:, 0] - Z95 * found.se[:, 0] > 0
    if not able.any():
        return -1
    return int(np.where(able, found.values[:, 0], -np.inf).argmax())


def _regret(truth: Measured, picked: int, best: int) -> float:
    return float(truth.values[best, 0] - truth.values[picked, 0]) if min(picked, best) >= 0 else math.nan


def _breaks(question: Question, truth: Measured, picked: int) -> bool:
    if picked < 0:
        return False
    return any(
        limit.sense * (truth.values[picked, question.index(limit)] - question.bound(limit)) < 0
        for limit in question.of_users
    )
