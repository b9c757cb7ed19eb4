"""A finished tuning as a value: what was tried, what is believed of it, what is picked, and what was confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.spec import Experiment
from experiments.tuning.by_hand import HandTest
from experiments.tuning.crossfit import Promise
from experiments.tuning.picks import Belief, Pick
from experiments.tuning.question import Measured, Question
from experiments.tuning.sensitivity import Sensitivity
from experiments.tuning.space import Space


@dataclass(frozen=True, slots=True)
class Present:
    """The setting of the spec. trial: its number, or -1 where it lies outside the ranges. measured: its quantities."""

    trial: int
    measured: Measured


@dataclass(frozen=True)
class Tuned:
    """A finished tuning.

    trials: by number, the setting. measured: their quantities with their errors. volumes: hypervolume of the believed
    front after each batch. promises: by taste, what its pick will be, told by users who had no say in it.
    confirmed: the picks, each setting once, then the present setting, on users whom no search had seen; nothing where
    nothing is picked. hand: the online tests of tuning by hand, if it was asked for, and what the setting after each
    is worth on the same users. searched_on: what every setting was evaluated on.
    """

    experiment: Experiment
    question: Question
    space: Space
    trials: tuple[dict[str, Any], ...]
    measured: Measured
    belief: Belief
    volumes: tuple[float, ...]
    picks: tuple[Pick, ...]
    promises: dict[str, Promise]
    present: Present
    confirmed: Measured | None
    sensitivity: Sensitivity | None
    hand: tuple[HandTest, ...]
    hand_confirmed: Measured | None
    searched_on: str
    notes: tuple[str, ...]

    @property
    def sampler(self) -> str:
        assert self.experiment.tune is not None
        return self.experiment.tune.sampler

    @property
    def picked(self) -> list[int]:
        """Trials that are picked for something, each once."""
        return list(dict.fromkeys(pick.trial for pick in self.picks))
