"""What a run found out: one row per arm, metric and estimator, beside the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.decision import Decision
from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.analysis.ratios import RatioCheck
from experiments.analysis.segments import SegmentRow, SegmentTest
from experiments.analysis.selection import Selected
from experiments.analysis.swept import SweepPoint
from experiments.analysis.tradeoffs import Tradeoff
from experiments.plain import nulled
from experiments.scorecard import Scorecard


@dataclass(frozen=True, slots=True)
class Row:
    """One arm against control on one metric by one estimator. Lifts are relative: 0.01 is +1 %.

    control_mean, arm_mean: in the metric's own unit. ci_kind: what the interval is.
    p_adjusted: over all arms and metrics of the same role and estimator, by the rule in `adjusted_by`.
    true_lift: expected outcomes within the horizon, over the truth users; true_lift_se: of that; NaN where no truth
        is known, as for a table of one's own.
    sim_low, sim_high: the interval that holds for all arms and metrics of the role at once; sim_kind: what it is.
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
    adjusted_by: str = ""
    sim_low: float = float("nan")
    sim_high: float = float("nan")
    sim_kind: str = ""

    @property
    def bias(self) -> float:
        """Estimate less truth; NaN where one of them is unknown."""
        return self.lift - self.true_lift

    @property
    def covers(self) -> bool | None:
        """Whether the interval of this test alone holds the truth; None where there is nothing to say."""
        known = np.isfinite([self.ci_low, self.ci_high, self.true_lift]).all()
        return bool(self.ci_low <= self.true_lift <= self.ci_high) if known else None


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
    joint: all lifts of the deciding estimator with their covariance. tradeoff: what they say of the goals together;
    None for a single goal. selected: the best arm on the first goal, corrected for having been chosen.
    daily: goals and guardrails as they stood each night, with intervals that hold for all nights at once.
    segments, segment_tests: lifts on the levels of declared segments. ratios: units per arm against the plan.
    detectable: by metric, the lift that this test sees in 80 of 100 cases, at the level it is judged by.
    replay: by metric, how often random halves of the control differ.
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
    joint: JointLifts | None = None
    tradeoff: Tradeoff | None = None
    selected: Selected | None = None
    daily: tuple[LookRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    segment_tests: tuple[SegmentTest, ...] = ()
    ratios: tuple[RatioCheck, ...] = ()
    detectable: Mapping[str, float] = field(default_factory=dict)
    replay: Mapping[str, float] = field(default_factory=dict)

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
        """The rows as plain values, as in results.csv, with bias and whether the interval covers the truth."""
        return [asdict(row) | {"bias": row.bias, "covers": row.covers} for row in self.rows]

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
            "results": [nulled(row) for row in self.to_dicts()],
            "truth": [nulled(asdict(row)) for row in self.truth],
            "satisfaction_correlation": nulled(dict(self.satisfaction_correlation)),
            "designs": [nulled(asdict(row)) for row in self.designs],
            "looks": [nulled(asdict(row)) for row in self.looks],
            "front": [nulled(asdict(point)) for point in self.front],
            "sides": [nulled(asdict(side)) for side in self.sides],
            "sweeps": [
                {
                    "sweep": point.sweep,
                    "label": point.label,
                    "changes": dict(point.changes),
                    "true_lift": nulled(dict(point.lift)),
                    "true_lift_se": nulled(dict(point.lift_se)),
                    "dominated_by": list(point.dominated_by),
                }
                for point in self.sweeps
            ],
            "stops": {arm: {"day": day, "cause": cause} for arm, (day, cause) in self.stops.items()},
            "scorecard": self.scorecard.to_dict() if self.scorecard else None,
            "finding": self.finding,
            "tradeoff": self._tradeoff(),
            "selected": None if self.selected is None else nulled(asdict(self.selected)),
            "daily": [nulled(asdict(row)) for row in self.daily],
            "segments": [nulled(asdict(row)) for row in self.segments],
            "segment_tests": [nulled(asdict(row)) for row in self.segment_tests],
            "ratios": [nulled(asdict(check)) for check in self.ratios],
            "detectable": nulled(dict(self.detectable)),
            "replay": nulled(dict(self.replay)),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }

    def _tradeoff(self) -> dict[str, Any] | None:
        """What the goals say together; without the draws behind the map of weights."""
        told = self.tradeoff
        if told is None:
            return None
        return {
            "goals": list(told.goals),
            "on_front": dict(told.on_front),
            "dominances": [asdict(claim) for claim in told.dominances],
            "exchange": [nulled(asdict(rate)) for rate in told.exchange],
            "hypervolume": nulled(asdict(told.hypervolume)),
            "best": {
                "arms": list(told.arms),
                "weight": told.weights.weight.tolist(),
                "probability": told.weights.best.tolist(),
            },
        }
