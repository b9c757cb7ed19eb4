"""What a tuning asks: goals, limits and the numbers that are kept of every setting to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.influences import influenced
from experiments.offpolicy.estimable import estimable
from experiments.offpolicy.overlap import LEAST_COVERED
from experiments.sections.tune import Limit, TuneSection, limit_of
from experiments.spec import Experiment
from sim.scenario import MetricSpec, ledger_columns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a setting. of: the metric's lift over control, its value in the ledger's unit; or of the log, the
    share of what the setting shows that the log speaks of."""

    metric: str
    of: str

    @property
    def name(self) -> str:
        return f"lift({self.metric})" if self.of == "lift" else self.metric


@dataclass(frozen=True)
class Question:
    """goals: metrics to be maximised. limits: as in the spec. quantities: lifts of goals, in their order, then what
    limits are on, then lifts of the guardrails that are neither. metrics: by name, what each is made of."""

    goals: tuple[str, ...]
    limits: tuple[Limit, ...]
    quantities: tuple[Quantity, ...]
    metrics: dict[str, MetricSpec]
    reference: tuple[float, ...]
    confidence: float
    exchange_rates: tuple[float, ...]

    def index(self, limit: Limit) -> int:
        """Which quantity a limit is on."""
        return self.quantities.index(Quantity(limit.metric, limit.of))

    @property
    def of_users(self) -> tuple[Limit, ...]:
        """Limits that a test can see hold: all but what is of the log."""
        return tuple(limit for limit in self.limits if limit.of != "log")

    @property
    def measured(self) -> tuple[Quantity, ...]:
        """Those that are made of totals: all but what is of the log."""
        return tuple(quantity for quantity in self.quantities if quantity.of != "log")

    @property
    def columns(self) -> list[str]:
        """Of the ledger, what all quantities are made of."""
        specs = [self.metrics[quantity.metric] for quantity in self.measured]
        named = [column for spec in specs for column in (spec.numerator, spec.denominator)]
        return list(dict.fromkeys(named))

    def bound(self, limit: Limit) -> float:
        """A limit on a value is written in the metric's unit, and held in the ledger's."""
        return limit.bound / self.metrics[limit.metric].scale if limit.of == "value" else limit.bound


@dataclass(frozen=True, slots=True)
class Measured:
    """All quantities of S settings. values: shape (S, M). influence: shape (S, M, n), of units; see `Influenced`."""

    values: Floats
    influence: NDArray[np.float32]

    @property
    def se(self) -> Floats:
        """Shape (S, M)."""
        return np.sqrt((self.influence.astype(np.float64) ** 2).sum(axis=2))


def question_of(experiment: Experiment) -> Question:
    """What the spec's `tune` asks, with what it leaves to the spec's metrics."""
    tune = experiment.tune
    assert tune is not None
    goals = tuple(tune.maximise or experiment.metrics.goals)
    limits = _limits(experiment, tune)
    others = [*experiment.metrics.goals, *experiment.metrics.guardrails]
    if tune.evaluate == "log":
        _check_log(experiment, tune, goals)
        limits = tuple(limit for limit in limits if not not_in_a_log(experiment, limit.metric))
        others = [name for name in others if not not_in_a_log(experiment, name)]
    quantities = [Quantity(goal, "lift") for goal in goals]
    quantities += [Quantity(limit.metric, limit.of) for limit in limits]
    quantities += [Quantity(name, "lift") for name in others]
    if tune.evaluate == "log":
        limits = (*limits, COVERED)
        quantities.append(Quantity(COVERED.metric, COVERED.of))
    return Question(
        goals=goals,
        limits=limits,
        quantities=tuple(dict.fromkeys(quantities)),
        metrics=dict(experiment.world.scenario.metrics),
        reference=tuple(tune.reference.get(goal, 0.0) for goal in goals),
        confidence=tune.confidence,
        exchange_rates=tuple(tune.exchange_rates),
    )


# What is asked of a setting that is valued on a log, beside the limits of the spec; see `offpolicy.overlap`.
COVERED = Limit(
    text=f"log speaks of >= {LEAST_COVERED:.0%}", metric="spoken of by the log", of="log", sense=1, bound=LEAST_COVERED
)


class QuestionError(ValueError):
    """A question that cannot be asked; the message is the whole line to print."""


def _check_log(experiment: Experiment, tune: TuneSection, goals: Sequence[str]) -> None:
    """Refuse goals and limits that no log of requests can answer; guardrails that nobody named here are left out."""
    for name in (*goals, *(limit.metric for limit in tune.limits)):
        doubt = not_in_a_log(experiment, name)
        if doubt:
            raise QuestionError(f"tune: evaluate: log cannot tell of {doubt}")


def not_in_a_log(experiment: Experiment, name: str) -> str:
    """Why a log of requests cannot tell of a metric; empty if it can."""
    scenario = experiment.world.scenario
    known = {*ledger_columns(scenario), "refund_cents"}
    return estimable({name: scenario.metrics[name]}, known)[1].get(name, "")


def _limits(experiment: Experiment, tune: TuneSection) -> tuple[Limit, ...]:
    if tune.subject_to is not None:
        return tuple(tune.limits)
    metrics = experiment.world.scenario.metrics
    return tuple(
        limit_of(f"lift({name}) {'<=' if metrics[name].better == 'lower' else '>='} {100 * margin:g}%")
        for name, margin in experiment.metrics.guardrails.items()
    )


def measure(question: Question, totals: Floats, control: Floats) -> Measured:
    """All quantities of settings from totals per unit.

    Args:
        totals: shape (S, n, columns), in the order of `question.columns`. control: shape (n, columns), the same units.

    Raises:
        QuestionError: a metric of which nothing happened under control.
    """
    columns, values, influence = question.columns, [], []
    for quantity in question.measured:
        spec = question.metrics[quantity.metric]
        top, bottom = columns.index(spec.numerator), columns.index(spec.denominator)
        try:
            found = influenced(totals[:, :, top], totals[:, :, bottom], control[:, top], control[:, bottom])
        except ValueError as problem:
            raise QuestionError(f"tune: {quantity.metric} {problem}") from None
        lifted = quantity.of == "lift"
        values.append(found.lift if lifted else found.value)
        influence.append((found.of_lift if lifted else found.of_value).astype(np.float32))
    return Measured(np.stack(values, axis=1), np.stack(influence, axis=1))
