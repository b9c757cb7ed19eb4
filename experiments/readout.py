"""From statistics of units to everything that is said of them: rows, verdicts, trade-offs. Of a simulated test and of
a table of one's own alike; what only a simulator knows is handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from experiments.analysis.contrasts import JointLifts, joint_lifts
from experiments.analysis.decision import decide
from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.ratios import ALL, RatioCheck, mismatches
from experiments.analysis.selection import selected
from experiments.analysis.simultaneous import Simultaneous, max_t
from experiments.analysis.stats import SufficientStats
from experiments.analysis.tradeoffs import tradeoff
from experiments.analysis.verdicts import benjamini_hochberg
from experiments.results import Results, Row, TrueRow

POWER = 0.8  # by custom
DECIDING = ("goal", "guardrail")  # roles whose lifts hold together; all others are explored
Truth = Mapping[tuple[str, str], TrueRow]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What an analysis is asked.

    roles: metric -> goal, guardrail, secondary or hidden, in the order of the table.
    guardrails: by metric, the margin: < 0 the largest fall accepted, > 0 the largest rise.
    unit: what was divided between the arms. few: whether units are so few that Student's t is needed.
    decider: the estimator that decides, out of those that are read.
    scale: by metric, what its values are multiplied by for people to read them.
    alpha_left: what looks at the running test have left of alpha for its end.
    """

    control: str
    goals: tuple[str, ...]
    guardrails: Mapping[str, float]
    roles: Mapping[str, str]
    alpha: float
    unit: str
    decider: str
    few: bool = False
    scale: Mapping[str, float] = field(default_factory=dict)
    lower_is_better: tuple[str, ...] = ()
    alpha_left: float | None = None

    def of_role(self, role: str) -> list[str]:
        return [metric for metric, its in self.roles.items() if its == role]


@dataclass(frozen=True, slots=True)
class Estimated:
    """One estimator's lifts, one by one and jointly."""

    estimate: JointEstimate
    lifts: tuple[Lift, ...]
    joint: JointLifts


def estimated(
    groups: Mapping[str, SufficientStats], metrics: Sequence[Metric], inquiry: Inquiry, *, cuped: bool
) -> Estimated:
    """Lifts of all arms over control. groups: by arm, statistics over disjoint units."""
    estimate = joint_estimate(groups, metrics, cuped=cuped)
    found = lifts(estimate, inquiry.control, inquiry.alpha, small_sample=inquiry.few)
    return Estimated(estimate, tuple(found), joint_lifts(estimate, inquiry.control, found))


def read(
    by_estimator: Mapping[str, Estimated],
    inquiry: Inquiry,
    checks: Sequence[RatioCheck],
    *,
    truth: Truth | None = None,
    blocked: str = "",
    conversion: str = "",
    conversions: Mapping[str, int] | None = None,
    meanings: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> Results:
    """Everything that the estimates say, beside the truth where it is known.

    Args:
        by_estimator: such as raw, cuped and capped; the deciding one is among them. An estimator may know some of
            the metrics only.
        checks: units per arm against the plan; a mismatch blocks the verdict.
        blocked: another reason why no verdict can be given.
    """
    deciding, truth = by_estimator[inquiry.decider], truth or {}
    corrected = {name: _corrected(one, inquiry) for name, one in by_estimator.items()}
    decision = decide(
        deciding.lifts,
        inquiry.goals,
        inquiry.guardrails,
        next((check.p_value for check in checks if check.where == ALL), float("nan")),
        inquiry.alpha,
        adjusted=corrected[inquiry.decider].adjusted,
        blocked=blocked or _mismatch(checks),
    )
    return Results(
        control=inquiry.control,
        arms=deciding.estimate.arms,
        goals=inquiry.goals,
        guardrails=inquiry.guardrails,
        estimator=inquiry.decider,
        rows=tuple(r for name, one in by_estimator.items() for r in _rows(name, one, corrected[name], inquiry, truth)),
        truth=tuple(truth.values()),
        decision=decision,
        satisfaction_correlation={},
        unit=inquiry.unit,
        meanings=meanings or {},
        n_users=deciding.estimate.n,
        conversion=conversion,
        conversions=conversions or {},
        notes=(),
        warnings=tuple(warnings),
        lower_is_better=inquiry.lower_is_better,
        joint=deciding.joint,
        tradeoff=tradeoff(deciding.joint, inquiry.goals, alpha=inquiry.alpha),
        selected=selected(deciding.joint, inquiry.goals[0], inquiry.alpha),
        ratios=tuple(checks),
        detectable=_detectable(deciding.joint, inquiry, corrected[inquiry.decider].together["goal"]),
    )


def _mismatch(checks: Sequence[RatioCheck]) -> str:
    """Why parts of the test cannot be trusted; the whole is said by the decision itself."""
    parts = [check for check in mismatches(checks) if check.where != ALL]
    if not parts:
        return ""
    said = ", ".join(f"{check.where} (p = {check.p_value:.2g})" for check in parts[:3])
    return (
        f"units per arm do not match the planned shares among {said}{' and more' if len(parts) > 3 else ''}, "
        f"so no comparison can be trusted; find the cause first"
    )


def _family(joint: JointLifts, inquiry: Inquiry, role: str) -> Simultaneous:
    """The lifts of one role; of goals, by what looks left of alpha."""
    left = inquiry.alpha_left if role == "goal" and inquiry.alpha_left is not None else inquiry.alpha
    found = max_t(joint, left)
    if left == inquiry.alpha:
        return found
    # So that "sure" is below alpha everywhere: what looks have spent is charged to the p-value.
    spent = np.minimum(found.p_adjusted * inquiry.alpha / left, 1.0)
    return Simultaneous(found.n, left, found.critical, found.level, spent)


def _by_pair(joint: JointLifts, family: Simultaneous) -> dict[tuple[str, str], float]:
    table = zip(joint.arms, family.p_adjusted, strict=True)
    return {(arm, metric): float(p) for arm, row in table for metric, p in zip(joint.metrics, row, strict=True)}


def _rows(name: str, one: Estimated, corrected: _Corrected, inquiry: Inquiry, truth: Truth) -> list[Row]:
    law, level = "t-based " if inquiry.few else "", f"{100 * (1 - inquiry.alpha):g}%"
    rows, nothing = list[Row](), float("nan")
    for lift in one.lifts:
        role, pair = inquiry.roles[lift.metric], (lift.arm, lift.metric)
        true, scale = truth.get(pair), inquiry.scale.get(lift.metric, 1.0)
        together = corrected.together.get(role)
        low, high = lift.interval(together.level) if together is not None and lift.known else (nothing, nothing)
        rows.append(
            Row(
                lift.arm,
                lift.metric,
                role,
                name,
                lift.control_value * scale,
                lift.arm_value * scale,
                lift.lift,
                lift.se,
                lift.low,
                lift.high,
                f"{law}fieller {level} per test",
                lift.p_value,
                corrected.adjusted[pair],
                true.expected_lift if true else nothing,
                true.expected_lift_se if true else nothing,
                one.estimate.n[lift.arm],
                corrected.rules[role],
                low,
                high,
                f"{law}fieller {level} for all {together.n} at once (max-T)" if together is not None else "",
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Corrected:
    """One estimator's lifts, corrected for how many there are.

    adjusted: p-values by (arm, metric). rules: by role. together: by deciding role, what holds for all of it at once.
    """

    adjusted: Mapping[tuple[str, str], float]
    rules: Mapping[str, str]
    together: Mapping[str, Simultaneous]


def _corrected(one: Estimated, inquiry: Inquiry) -> _Corrected:
    """Goals and guardrails as families of their own, all else explored."""
    adjusted, rules, together = dict[tuple[str, str], float](), dict[str, str](), dict[str, Simultaneous]()
    for role in DECIDING:
        known = one.joint.only(metrics=[metric for metric in inquiry.of_role(role) if metric in one.joint.metrics])
        if known.metrics:
            together[role] = _family(known, inquiry, role)
            adjusted |= _by_pair(known, together[role])
            rules[role] = f"step-down max-T over {together[role].n} lifts of {role}s"
    rest = [lift for lift in one.lifts if inquiry.roles[lift.metric] not in DECIDING]
    p = benjamini_hochberg([lift.p_value for lift in rest])
    adjusted |= {(lift.arm, lift.metric): float(q) for lift, q in zip(rest, p, strict=True)}
    told = int(np.isfinite(p).sum())
    rules |= {inquiry.roles[lift.metric]: f"Benjamini-Hochberg over {told} explored lifts" for lift in rest}
    return _Corrected(adjusted, rules, together)


def _detectable(joint: JointLifts, inquiry: Inquiry, goals: Simultaneous) -> dict[str, float]:
    """By metric, the lift that the arm with the largest standard error shows in 80 of 100 tests, at the level that it
    is judged by: goals together, guardrails one-sided, the rest each alone."""
    levels = {"goal": goals.level, "guardrail": 2 * inquiry.alpha}
    found = {}
    for metric, errors in zip(joint.metrics, joint.se().T, strict=True):
        known = errors[np.isfinite(errors)]
        level = levels.get(inquiry.roles[metric], inquiry.alpha)
        reach = float(norm.isf(level / 2) + norm.ppf(POWER))
        found[metric] = reach * float(known.max()) if len(known) else float("nan")
    return found
