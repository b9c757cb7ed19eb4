"""Before the test: what the design sees, and how many units or days it takes to see what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.analysis.joint import Metric
from experiments.analysis.power import family_level, power_per_test
from experiments.analysis.sequential import boundaries, information_fractions, nominal_alpha
from experiments.demands import Demand, Design, days_needed
from experiments.gather import estimand
from experiments.plain import nulled
from experiments.spec import Experiment
from experiments.warmup_curves import WarmupCurves

PLANNED = ("user", "market")  # units of which a warm-up keeps moments
ASKED = 0.02  # of goals, if nothing is said: few changes of a ranker move an outcome by more
UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One metric of a test to come. Effects are relative, without sign; what cannot be told is NaN.

    value: of the warm-up, after as many days as the test has. spread: sd of one unit over the mean.
    cut: share of variance that CUPED takes away.
    sees: the smallest lift that the design sees; of a guardrail, the narrowest margin that it can show to be kept.
    asked: the lift, or the margin, that it is to see. units: that takes in the smallest challenger, in as many days.
    days: that takes with as many users; infinite if curves cannot be carried on so far.
    """

    metric: str
    role: str
    value: float
    spread: float
    cut: float
    sees: float
    asked: float
    units: float
    days: float

    @property
    def enough(self) -> bool:
        """Whether the design sees what is asked."""
        return self.sees <= self.asked


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """What the warm-up says of a test as it is declared.

    units: expected by arm. smallest: the challenger that all numbers are of. farthest: the last day that curves are
    carried on to. level: of one goal of one arm, out of `comparisons` at alpha together.
    power: of the whole decision; power_each: of each goal and guardrail.
    """

    name: str
    unit: str
    days: int
    warmup_days: int
    farthest: int
    units: Mapping[str, float]
    smallest: str
    alpha: float
    level: float
    comparisons: int
    power: float
    power_each: float
    cuped: bool
    metrics: tuple[MetricPlan, ...]
    notes: tuple[str, ...]

    def of(self, metric: str) -> MetricPlan:
        return next(row for row in self.metrics if row.metric == metric)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; a number that is not there, or has no end, is null."""
        values = asdict(self)
        values["metrics"] = [nulled(asdict(row)) | {"enough": row.enough} for row in self.metrics]
        return values


def plan_test(experiment: Experiment, curves: WarmupCurves, power: float, asked: Mapping[str, float]) -> ExperimentPlan:
    """The design as declared, metric by metric: goals, guardrails, and all others that can be observed.

    Args:
        power: of the whole decision: to ship an arm that gains what is asked on a goal and harms no guardrail.
        asked: by metric, the lift to see, or the margin to keep, > 0. Others: 2 %, and the margins declared.
    """
    alpha, guardrails = experiment.analysis.alpha, experiment.metrics.guardrails
    design, goals = Design.of(experiment, curves), _told(experiment, experiment.metrics.goals)
    left = _alpha_left(experiment, curves, design, goals)
    level, each = _level(curves, design, goals, left), power_per_test(power, len(guardrails))
    demands = {
        "goal": Demand(level, each),
        "guardrail": Demand(alpha, each, guardrail=True),
        "secondary": Demand(alpha, power),
    }
    wanted = {name: abs(margin) for name, margin in guardrails.items()} | dict(asked)
    rows = [
        _row(experiment, curves, design, name, role, demands[role], wanted.get(name, ASKED))
        for name, role in roles_of(experiment).items()
    ]
    return ExperimentPlan(
        name=experiment.name,
        unit=curves.unit,
        days=design.days,
        warmup_days=curves.days,
        farthest=len(design.every),
        units={arm: design.units(arm) for arm in design.shares},
        smallest=design.smallest,
        alpha=alpha,
        level=level,
        comparisons=len(design.challengers) * max(len(goals), 1),
        power=power,
        power_each=each,
        cuped=experiment.analysis.cuped,
        metrics=tuple(rows),
        notes=tuple(_notes(experiment, rows, left)),
    )


def roles_of(experiment: Experiment) -> dict[str, str]:
    """Metrics in the order of the table: goals, guardrails, and what else can be observed of users."""
    roles = dict.fromkeys(experiment.metrics.goals, "goal") | dict.fromkeys(experiment.metrics.guardrails, "guardrail")
    others = _told(experiment, experiment.world.scenario.metrics)
    return roles | {metric.name: "secondary" for metric in others if metric.name not in roles}


def _told(experiment: Experiment, names: Iterable[str]) -> list[Metric]:
    """Those metrics of which the warm-up keeps moments: not what is hidden, nor what is of a whole market."""
    metrics, unit = experiment.world.scenario.metrics, experiment.experiment.assign.unit
    return [estimand(n, metrics[n], unit) for n in names if not (metrics[n].hidden or metrics[n].of_market)]


def _row(
    experiment: Experiment,
    curves: WarmupCurves,
    design: Design,
    name: str,
    role: str,
    demand: Demand,
    asked: float,
) -> MetricPlan:
    told, end = _told(experiment, [name]), design.days - 1
    if not told:
        return MetricPlan(name, role, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, asked, UNKNOWN, UNKNOWN)
    spread = design.spread(curves, told[0], cuped=experiment.analysis.cuped)
    plain = design.spread(curves, told[0], cuped=False)
    sees = demand.sees(design, design.errors(spread))
    value = float(curves.estimate(told, design.days).value[0, 0]) * experiment.world.scenario.metrics[name].scale
    cut = float(curves.cut(told[0], design.every)[end]) if experiment.analysis.cuped else 0.0
    units = demand.units(design, float(spread[end]), asked)
    return MetricPlan(
        name, role, value, float(plain[end]), cut, float(sees[end]), asked, units, days_needed(sees, asked)
    )


def _alpha_left(experiment: Experiment, curves: WarmupCurves, design: Design, goals: Sequence[Metric]) -> float:
    """What the declared looks leave of alpha for the end of the test: the least over the goals."""
    analysis, left = experiment.analysis, experiment.analysis.alpha
    days = [day for day in analysis.looks if day < design.days] + [design.days]
    if len(days) == 1 or analysis.spending == "none":
        return left
    for metric in goals:
        errors = design.errors(design.spread(curves, metric, cuped=analysis.cuped))[np.array(days) - 1]
        bounds = boundaries(information_fractions(errors.tolist()), analysis.alpha, analysis.spending)
        if np.isfinite(bounds[-1]):
            left = min(left, nominal_alpha(float(bounds[-1])))
    return left


def _level(curves: WarmupCurves, design: Design, goals: Sequence[Metric], alpha: float) -> float:
    """The level of one goal of one arm, so that all together keep alpha."""
    if not goals or np.isnan(design.dof):
        return alpha
    covariance = curves.estimate(list(goals), design.days).covariance[0]
    variance = np.diagonal(covariance)
    sd = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = np.where(np.outer(variance > 0, variance > 0), covariance / np.outer(sd, sd), 0.0)
    np.fill_diagonal(correlation, 1.0)
    shares = np.array([design.shares[arm] for arm in design.challengers])
    return family_level(alpha, shares, design.shares[design.control], np.clip(correlation, -1, 1), design.dof)


def _notes(experiment: Experiment, rows: Sequence[MetricPlan], left: float) -> Iterator[str]:
    """What a reader must know before believing the numbers."""
    test, warm, analysis = experiment.experiment, experiment.warmup.days, experiment.analysis
    yield (
        f"what lies beyond the {warm} day{'' if warm == 1 else 's'} of the warm-up follows power laws fitted to the "
        f"later half of its curves"
    )
    unknown = [row.metric for row in rows if np.isnan(row.sees)]
    whole = [name for name in unknown if experiment.world.scenario.metrics[name].of_market]
    if whole:
        yield f"can't tell of {', '.join(whole)}: a warm-up keeps no moments of what is of a whole market"
    if len(unknown) == len(rows):
        yield f"can't tell anything: a warm-up so short or small shows no way to day {test.days}; raise warmup.days"
    elif len(unknown) > len(whole):
        yield f"can't tell of {', '.join(n for n in unknown if n not in whole)}: the warm-up is too short or too small"
    if left < 0.99 * analysis.alpha:
        yield f"looks at {_days(analysis.looks)} leave {100 * left:.3g} % of {100 * analysis.alpha:g} % for the end"
    if test.ramp:
        yield "the ramp is not counted: users who are let in late are fewer, and seen for fewer days"
    if experiment.world.sharing and test.assign.unit == "user":
        yield "users share a market: what arms take from each other is a bias that no number of users removes"


def _days(days: Sequence[int]) -> str:
    return f"day {days[0]}" if len(days) == 1 else f"days {', '.join(map(str, days))}"
