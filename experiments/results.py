"""What a run found out: one row per arm, metric and estimator, beside the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from experiments.analysis.decision import Decision
from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.analysis.swept import SweepPoint
from experiments.scorecard import Scorecard


@dataclass(frozen=True, slots=True)
class Row:
    """One arm against control on one metric by one estimator. Lifts are relative: 0.01 is +1 %.

    control_mean, arm_mean: in the metric's own unit. ci_kind: what the interval is.
    p_adjusted: Holm over all arms and metrics of the same role and estimator.
    true_lift: expected outcomes within the horizon, over the truth users; true_lift_se: of that.
    """

    arm: str
    metric: str
    role: str
    estimator: str
    control_mean: float
    arm_mean: float
    lift: float
    se: float
    ci_low: float
    ci_high: float
    ci_kind: str
    p_value: float
    p_adjusted: float
    true_lift: float
    true_lift_se: float
    n_users: int


@dataclass(frozen=True, slots=True)
class TrueRow:
    """What an arm does to everyone, on one metric.

    expected_lift: the truth within the horizon. sampled_lift: the same users' sampled outcomes, a check.
    eventual_lift: with everything that lands after the horizon too.
    """

    arm: str
    metric: str
    control_mean: float
    arm_mean: float
    expected_lift: float
    expected_lift_se: float
    sampled_lift: float
    sampled_lift_se: float
    eventual_lift: float


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One point of the true front: the lifts over control, of the first and the second goal, of a ranker that
    knows the truth and gives `weight` to the first."""

    weight: float
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Side:
    """The other side of the market, had everyone been served by one arm.

    concentration: Gini coefficient of applications (or sales) over items. active: share of recruiters still there.
    content: their mean satisfaction. Numbers that a world does not have are NaN.
    """

    arm: str
    concentration: float
    active: float
    content: float


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that a run found out.

    estimator: the one that decides. satisfaction_correlation: by observed metric, with hidden satisfaction.
    unit: what was divided between the arms; n_users counts these units. meanings: of the metrics, in words.
    lower_is_better: of which metrics.
    conversion: the rare event that the test lives on. conversions: landed by arm.
    designs: the same arms divided by other units, beside the truth. looks: the test as it stood earlier.
    front: what rankers that know the truth attain on the first two goals. sides: the other side of the market.
    sweeps: policies that live in the truth alone, point by point.
    stops: arms that the guard stopped, with the day and the cause.
    warnings: what a reader must know before believing a number. finding: the answer to the experiment's question.
    scorecard: how good the policies' predictions are; None where no policy learns.
    """

    control: str
    arms: tuple[str, ...]
    goals: tuple[str, ...]
    guardrails: Mapping[str, float]
    estimator: str
    rows: tuple[Row, ...]
    truth: tuple[TrueRow, ...]
    decision: Decision
    satisfaction_correlation: Mapping[str, float]
    unit: str
    meanings: Mapping[str, str]
    n_users: Mapping[str, int]
    conversion: str
    conversions: Mapping[str, int]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    designs: tuple[DesignRow, ...] = ()
    looks: tuple[LookRow, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    sides: tuple[Side, ...] = ()
    stops: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    lower_is_better: tuple[str, ...] = ()
    sweeps: tuple[SweepPoint, ...] = ()
    finding: str = ""
    scorecard: Scorecard | None = None

    def row(self, arm: str, metric: str, estimator: str | None = None) -> Row:
        """The row of an arm and a metric, by the deciding estimator or another."""
        wanted = estimator or self.estimator
        return next(r for r in self.rows if (r.arm, r.metric, r.estimator) == (arm, metric, wanted))

    def with_finding(self, finding: str) -> Results:
        """The same with the answer to the experiment's question."""
        return replace(self, finding=finding)

    def metrics(self) -> list[str]:
        """Names in the order of the table: goals, guardrails, the rest."""
        return list(dict.fromkeys(r.metric for r in self.rows))

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as plain values, as in results.csv."""
        return [asdict(row) for row in self.rows]

    def sweep_dicts(self) -> list[dict[str, Any]]:
        """A row per point and metric, as in sweeps.csv; changes: by key, the value, as JSON."""
        return [
            {
                "sweep": point.sweep,
                "label": point.label,
                "changes": json.dumps(dict(point.changes)),
                "metric": metric,
                "true_lift": lift,
                "true_lift_se": point.lift_se[metric],
            }
            for point in self.sweeps
            for metric, lift in point.lift.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; a number that is not there is null."""
        return {
            "decision": self.decision.to_dict(),
            "control": self.control,
            "estimator": self.estimator,
            "unit": self.unit,
            "users": dict(self.n_users),
            self.conversion: dict(self.conversions),
            "results": [_nulled(row) for row in self.to_dicts()],
            "truth": [_nulled(asdict(row)) for row in self.truth],
            "satisfaction_correlation": _nulled(dict(self.satisfaction_correlation)),
            "designs": [_nulled(asdict(row)) for row in self.designs],
            "looks": [_nulled(asdict(row)) for row in self.looks],
            "front": [_nulled(asdict(point)) for point in self.front],
            "sides": [_nulled(asdict(side)) for side in self.sides],
            "sweeps": [
                {
                    "sweep": point.sweep,
                    "label": point.label,
                    "changes": dict(point.changes),
                    "true_lift": _nulled(dict(point.lift)),
                    "true_lift_se": _nulled(dict(point.lift_se)),
                    "dominated_by": list(point.dominated_by),
                }
                for point in self.sweeps
            ],
            "stops": {arm: {"day": day, "cause": cause} for arm, (day, cause) in self.stops.items()},
            "scorecard": self.scorecard.to_dict() if self.scorecard else None,
            "finding": self.finding,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def _nulled(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN and no infinity."""
    return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in values.items()}
