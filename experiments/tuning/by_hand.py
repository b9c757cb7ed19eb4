"""Tuning as it is done by hand: one parameter after the other, an online test of a few values each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.sections.tune import ByHand
from experiments.tuning.question import Question
from experiments.tuning.simulated import Simulation
from experiments.tuning.space import Space

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HandTest:
    """One online test. parameter: varied. values: an arm each, beside the control. kept: which was best as measured.

    user_days: users of the test times its days, so far with all tests before. params: the setting after it.
    """

    parameter: str
    values: tuple[Any, ...]
    kept: Any
    user_days: int
    params: dict[str, Any]


def tuned_by_hand(simulation: Simulation, space: Space, question: Question, way: ByHand) -> list[HandTest]:
    """Every test in turn, from the present setting on, or from the middle where the arm has none in the ranges."""
    params, tests, user_days = dict(space.present() or _middle(space)), list[HandTest](), 0
    days = simulation.experiment.experiment.days
    for turn in range(way.rounds):
        for name in space.parameters:
            if name not in space.active(params):
                continue
            values = _values(space, name, way.values)
            settings = [{**params, name: value} for value in values]
            arms = [simulation.control, *(space.serving(_having(space, setting)) for setting in settings)]
            users, totals = simulation.tested(f"by hand, round {turn + 1}, {name}", arms, way.users)
            best = _best(question, totals)
            user_days += int(users.sum()) * days
            params = _having(space, settings[best])
            tests.append(HandTest(name, tuple(values), values[best], user_days, dict(params)))
    return tests


def _best(question: Question, totals: Sequence[Floats]) -> int:
    """The arm, of those after the control, with most of the first goal among those whose limits hold as measured; if
    none do, the one that breaks them least."""
    control, *others = totals
    broken = np.zeros(len(others))
    for limit in question.of_users:
        value = np.array([_metric(question, limit.metric, arm) for arm in others])
        if limit.of == "lift":
            value = value / _metric(question, limit.metric, control) - 1
        broken += np.maximum(-limit.sense * (value - question.bound(limit)), 0)
    goal = np.array([_metric(question, question.goals[0], arm) for arm in others])
    able = broken <= broken.min()
    return int(np.where(able, goal, -np.inf).argmax())


def _metric(question: Question, name: str, totals: Floats) -> float:
    spec, columns = question.metrics[name], question.columns
    bottom = totals[:, columns.index(spec.denominator)].sum()
    return float(totals[:, columns.index(spec.numerator)].sum() / bottom) if bottom else 0.0


def _values(space: Space, name: str, n: int) -> list[Any]:
    from experiments.tuning.samplers import spread

    return spread(space.distributions()[name], n)


def _having(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """A setting with the parameters that have a say in it, those that come in new at the middle of their ranges."""
    middle = _middle(space)
    return {name: params.get(name, middle[name]) for name in space.active(params)}


def _middle(space: Space) -> dict[str, Any]:
    from experiments.tuning.samplers import spread

    ways = {name: spread(distribution, 3) for name, distribution in space.distributions().items()}
    return {name: values[len(values) // 2] for name, values in ways.items()}
