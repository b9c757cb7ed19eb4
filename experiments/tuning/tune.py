"""From a spec with `tune` to what can be believed of its settings: search, posterior, picks, confirmation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from experiments.executors import Crew, Listener
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.strangers import keep_sources, references_in
from experiments.sweeps import Serving
from experiments.tuning.box import Box
from experiments.tuning.by_hand import tuned_by_hand
from experiments.tuning.crossfit import promised
from experiments.tuning.outputs import write_all
from experiments.tuning.picks import Belief, aim_of, believed, picks_of, volume
from experiments.tuning.question import Measured, Question, QuestionError, question_of
from experiments.tuning.replayed import Replay
from experiments.tuning.samplers import Made, samplers_of
from experiments.tuning.seen import Seen
from experiments.tuning.sensitivity import sensitivity
from experiments.tuning.simulated import Simulation
from experiments.tuning.space import Space
from experiments.tuning.study import Proposal, Search, params_text
from experiments.tuning.thompson import box_of
from experiments.tuning.tuned import Present, Tuned

Announce = Callable[[int, int, float], None]  # (trials done, of, hypervolume of the front so far)
ENOUGH = 8  # settings of which some would move a goal that can be moved
SAME = 1e-9  # lifts that differ by less are one: the parameters do not move the metric


class Evaluation(Protocol):
    """Whatever can tell the quantities of settings over the control, on the same units every time."""

    @property
    def searched_on(self) -> str: ...
    def sharpened(self, first: Sequence[Serving]) -> Measured: ...
    def measured(self, name: str, settings: Sequence[Serving]) -> Measured: ...
    def notes(self) -> list[str]: ...


def tune_identity(experiment: Experiment) -> str:
    """What a folder of a tuning belongs to: all but the number of trials, which may grow."""
    assert experiment.tune is not None
    tune = experiment.tune.model_dump(mode="json")
    if experiment.tune.sampler != "grid":  # a grid is laid out for its number
        tune["budget"].pop("trials")
    return hashlib.sha256(json.dumps([experiment.identity(), tune], sort_keys=True).encode()).hexdigest()


def tune(
    experiment: Experiment,
    out: Path,
    *,
    workers: int,
    force: bool,
    listen: Listener,
    announce: Announce,
    source: RunFolder | None = None,
) -> Tuned:
    """Search, and confirm what is picked. What a folder holds of it already is only read again.

    Args:
        workers: processes; the result does not depend on it.
        source: a finished run of the same experiment, whose warm-up and fits are taken.

    Raises:
        FolderError: the folder holds something else or cannot be written.
        TaskError: a task failed; what was finished is kept.
        QuestionError: the question has no answer, such as a goal that no parameter moves.
    """
    question, folder = question_of(experiment), RunFolder(out)
    with folder.claimed(tune_identity(experiment), force), threadpool_limits(1):
        keep_sources(references_in(experiment.resolved()), out)
        with Crew(folder, workers, listen) as crew:
            simulation = Simulation(experiment, question, folder, crew)
            if source is not None:
                simulation.adopt(source)
            tuned = _Tuning(experiment, question, simulation).finished(announce)
        write_all(tuned, out)
    return tuned


class _Tuning:
    """One search with what it has seen so far."""

    def __init__(self, experiment: Experiment, question: Question, simulation: Simulation) -> None:
        assert experiment.tune is not None
        self.experiment, self.tune, self.question, self.simulation = experiment, experiment.tune, question, simulation
        self.evaluation: Evaluation = Replay(simulation, question) if self.tune.evaluate == "log" else simulation
        self.space = Space.of(self.tune.parameters, self.tune.arm, simulation.present)
        self.box: Box = box_of(self.space.distributions(), self.space.active)
        self.seen = Seen()
        self.volumes: list[float] = []

    def finished(self, announce: Announce) -> Tuned:
        """Search to the end of the budget, pick, and confirm."""
        belief = self._search(announce)
        self._check_goals()
        picks = picks_of(belief, self.question)
        picked = list(dict.fromkeys(pick.trial for pick in picks))
        settings = [self.space.serving(self.seen.trials[trial]) for trial in picked]
        hand = tuned_by_hand(self.simulation, self.space, self.question, self.tune.by_hand) if self.tune.by_hand else []
        by_hand = [self.space.serving(test.params) for test in hand]
        return Tuned(
            experiment=self.experiment,
            question=self.question,
            space=self.space,
            trials=tuple(self.seen.trials),
            measured=self.seen.measured,
            belief=belief,
            volumes=tuple(self.volumes),
            picks=tuple(picks),
            promises=promised(self.points, self.seen.measured, self.seen.observed, picks, self.question),
            present=self._present(),
            confirmed=self.simulation.confirmed("picks", [*settings, self.space.base]) if picked else None,
            sensitivity=sensitivity(
                self.box, self.points, self.seen.observed, self.seen.trials[picked[0]], self.question
            )
            if picked
            else None,
            hand=tuple(hand),
            hand_confirmed=self.simulation.confirmed("by hand", by_hand) if hand else None,
            searched_on=self.evaluation.searched_on,
            notes=tuple(self._notes()),
        )

    @property
    def points(self) -> np.ndarray:
        """All trials in the unit box, shape (n, d)."""
        trials = self.seen.trials
        return np.array([self.box.encode(params) for params in trials]).reshape(len(trials), self.box.width)

    def _search(self, announce: Announce) -> Belief:
        batch = self.tune.budget.batch
        n_batches = -(-self.tune.budget.trials // batch)
        folder = self.simulation.folder.path
        search = Search(folder, self.experiment.name, self.question.goals, self.space, self._sampler(), batch)
        for number in range(n_batches):
            proposals = search.proposals(number)
            settings = [self._serving(proposal.params) for proposal in proposals]
            first = number == 0
            found = (
                self.evaluation.sharpened(settings) if first else self.evaluation.measured(f"batch {number}", settings)
            )
            self._check(found, [proposal.params for proposal in proposals])
            self.seen.add([proposal.params for proposal in proposals], found)
            for k, proposal in enumerate(proposals):
                if not proposal.told:
                    self._tell(search, proposal, found, k)
            belief = believed(self.points, self.seen.observed, self.question)
            self.volumes.append(volume(belief, self.question))
            announce(len(self.seen.trials), n_batches * batch, self.volumes[-1])
            if len(self.seen.trials) >= ENOUGH:
                self._check_goals()
        return belief

    def _serving(self, params: dict[str, Any]) -> Serving:
        try:
            return self.space.serving(params)
        except ValidationError as invalid:
            found = str(invalid.errors()[0]["msg"]).removeprefix("Value error, ")
            raise QuestionError(
                f"tune.parameters: every setting within the ranges must be possible, {params_text(params)} is not: "
                f"{found}; narrow the ranges"
            ) from None

    def _sampler(self) -> Made:
        return samplers_of(
            self.tune.sampler,
            aim_of(self.question),
            self.space.distributions(),
            seed=self.experiment.seed.luck,
            batch=self.tune.budget.batch,
            trials=self.tune.budget.trials,
            observe=lambda trials: self.seen.of([trial.number for trial in trials]),
            active=self.space.active,
            conditional=any(parameter.when for parameter in self.space.parameters.values()),
        )

    def _tell(self, search: Search, proposal: Proposal, found: Measured, k: int) -> None:
        """The goals and limits of a setting, and beside them whatever was measured, for Optuna's dashboard."""
        question, values, se = self.question, found.values[k], found.se[k]
        broken = {
            limit.text: float(-limit.sense * (values[question.index(limit)] - question.bound(limit)))
            for limit in question.limits
        }
        told = {
            "quantities": {q.name: float(values[m]) for m, q in enumerate(question.quantities)},
            "standard errors": {q.name: float(se[m]) for m, q in enumerate(question.quantities)},
        }
        search.tell(proposal, values[: len(question.goals)].tolist(), broken, told)

    def _present(self) -> Present:
        """The setting of the spec: the first trial, if it lies within the ranges."""
        first = self.seen.parts[0]
        if self.space.present() is not None:
            return Present(0, Measured(first.values[:1], first.influence[:1]))
        return Present(-1, self.evaluation.measured("present", [self.space.base]))

    def _check(self, found: Measured, params: Sequence[dict[str, Any]]) -> None:
        for k, m in zip(*np.nonzero(~np.isfinite(found.values)), strict=True):
            raise QuestionError(
                f"tune: {self.question.quantities[m].name} must be a number in every setting, got none at "
                f"{params_text(params[k])}; narrow the ranges"
            )

    def _check_goals(self) -> None:
        """Refuse a goal that no setting has moved: there is nothing to choose by."""
        values = self.seen.measured.values
        for m, goal in enumerate(self.question.goals):
            if len(values) > 1 and np.ptp(values[:, m]) < SAME:
                raise QuestionError(
                    f"tune.maximise: {goal} must be moved by the parameters, got {values[0, m]:+.4%} in all of "
                    f"{len(values)} settings; name another goal or other parameters"
                )

    def _notes(self) -> list[str]:
        """What a reader should know before believing the rest."""
        question, measured = self.question, self.seen.measured
        notes = self.evaluation.notes()
        error = float(np.median(measured.se[:, : len(question.goals)], axis=0).max())
        if not error <= 1.1 * self.tune.precision:
            cure = "raise tune.log.requests or log longer" if self.tune.evaluate == "log" else "raise world.users"
            notes.append(f"the standard error of a setting is {error:.2%}, not {self.tune.precision:.2%}; {cure}")
        if self.space.present() is None:
            notes.append("the present setting lies outside the ranges and is no trial of the search")
        for limit in question.limits:
            if np.ptp(measured.values[:, question.index(limit)]) < SAME:
                notes.append(f"{limit.metric} is the same in every setting: {limit.text} decides nothing")
        return notes
