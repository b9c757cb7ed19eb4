"""An Optuna study that can be killed and go on as if it had not been: ask and tell over a journal on disk."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from experiments.tuning.samplers import Made
from experiments.tuning.space import Params, Space

JOURNAL = "study.journal"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A setting to evaluate. told: whether the storage already knows what it gave."""

    number: int
    params: dict[str, Any]
    told: bool


class Search:
    """One study.

    Args:
        folder: of the run; holds the journal, which Optuna's dashboard opens. goals: names of the values that are told.
        sampler: by trial number. batch: trials that are asked for before any of them is told.
    """

    def __init__(self, folder: Path, name: str, goals: Sequence[str], space: Space, sampler: Made, batch: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.sampler, self.batch = space, sampler, batch
        self.distributions = space.distributions()
        _mend(folder / JOURNAL)
        self.study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name=name,
            directions=["maximize"] * len(goals),
            sampler=sampler(0),
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.set_metric_names(list(goals))
        present = space.present()
        if present is not None and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(dict(present))

    def proposals(self, batch: int) -> list[Proposal]:
        """The settings of a batch: those that the storage has, and new ones for the rest."""
        numbers = range(batch * self.batch, (batch + 1) * self.batch)
        return [self._proposal(number) for number in numbers]

    def tell(
        self,
        proposal: Proposal,
        values: Sequence[float],
        broken: Mapping[str, float],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """What a setting gave. Trials are to be told in the order of their numbers.

        Args:
            broken: by limit, how far it is broken; 0 or below where it holds. attributes: for whoever reads the study.
        """
        self.study.sampler = self.sampler(proposal.number)
        trial = self._running(proposal.number)
        for name, value in (attributes or {}).items():
            trial.set_user_attr(name, value)
        known = trial.constraints if broken else {}
        for name, value in broken.items():
            if name not in known:  # by a process that died before it could tell
                trial.set_constraint(name, value)
        self.study.tell(trial, list(values))

    def _proposal(self, number: int) -> Proposal:
        trials = self.study.get_trials(deepcopy=False)
        there = trials[number] if number < len(trials) else None
        if there is not None and there.state == TrialState.COMPLETE:
            return Proposal(number, self._in_order(there.params), told=True)
        self.study.sampler = self.sampler(number)
        waiting = there is None or there.state == TrialState.WAITING
        trial = self.study.ask() if waiting else self._running(number)
        assert trial.number == number
        return Proposal(number, self._suggested(trial), told=False)

    def _running(self, number: int) -> Trial:
        """A trial that was asked for, perhaps by a process that died since."""
        return Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)

    def _suggested(self, trial: Trial) -> dict[str, Any]:
        """All parameters that have a say; those that decide on others first."""
        params: dict[str, Any] = {}
        first = [name for name, parameter in self.space.parameters.items() if not parameter.when]
        for name in first:
            params[name] = _suggest(trial, name, self.distributions[name])
        for name in self.space.active(params):
            if name not in params:
                params[name] = _suggest(trial, name, self.distributions[name])
        return self._in_order(params)

    def _in_order(self, params: Params) -> dict[str, Any]:
        """In the order of the spec and of the type of the range: a storage gives back 1 as 1.0."""
        return {
            name: float(params[name]) if isinstance(self.distributions[name], FloatDistribution) else params[name]
            for name in self.space.parameters
            if name in params
        }


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
    raise TypeError(f"{distribution!r}: must be a float, an integer or a categorical distribution")


def _mend(journal: Path) -> None:
    """Take off what a kill in the middle of a line has left: half a record, and a lock that nobody holds.

    The folder is held by this process alone, so whoever wrote them is gone.
    """
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink()
    if journal.exists():
        whole = journal.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            with journal.open("r+b") as file:
                file.truncate(end)


def params_text(params: Params) -> str:
    """A setting as it is read: alpha 1, beta 0.6."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in params.items())


def value_text(value: object) -> str:
    """A parameter's value as it is read."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
