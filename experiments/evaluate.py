"""From the totals of a finished run to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.decision import decide
from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.paired import PairedLift, paired_lift
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import holm, sample_ratio_p_value
from experiments.metrics import METRICS, USERS, MetricSpec
from experiments.plan import Plan
from experiments.results import Results, Row, TrueRow
from experiments.spec import Experiment
from experiments.stages import ASSIGNED, EXPECTED, TOTALS
from experiments.store import RunFolder
from sim.ledger import EVENTUAL

Floats = NDArray[np.float64]
SPARSE_BUYERS = 200  # with fewer orders per arm, a log-normal tail already costs intervals of money their coverage
SMALL_ARM = 100  # fewer users, and the normal approximation itself is in doubt
PRE = "pre "


def results_of(experiment: Experiment, folder: RunFolder, plan: Plan) -> Results:
    """Analyse a run whose tasks are done."""
    roles = _roles(experiment)
    metrics = [METRICS[name] for name in roles]
    groups, orders = _groups(experiment, folder, plan)
    control, alpha = experiment.experiment.control, experiment.analysis.alpha
    specs = [estimand(metric) for metric in metrics]
    raw = joint_estimate(groups, specs, cuped=False)
    cuped = joint_estimate(groups, specs, cuped=True)
    truth = _truth(experiment, folder, plan, metrics)
    by_estimator = {e.kind: lifts(e, control, alpha) for e in (raw, cuped)}
    decider = "cuped" if experiment.analysis.cuped else "raw"
    arms = tuple(experiment.experiment.arms)
    srm = sample_ratio_p_value(raw.n, {arm: section.share for arm, section in experiment.experiment.arms.items()})
    goals, margins = tuple(experiment.metrics.goals), experiment.metrics.guardrails
    return Results(
        control=control,
        arms=arms,
        goals=goals,
        guardrails=margins,
        estimator=decider,
        rows=tuple(_rows(by_estimator, roles, truth, raw, alpha)),
        truth=tuple(truth.values()),
        decision=decide(by_estimator[decider], goals, margins, srm, alpha),
        satisfaction_correlation=_tracking(raw),
        n_users=raw.n,
        orders=orders,
        notes=tuple(_fit_notes(folder, plan)),
        warnings=tuple(_warnings(raw.n, orders, by_estimator[decider], _blurred(by_estimator[decider], truth, roles))),
    )


def _roles(experiment: Experiment) -> dict[str, str]:
    """Metrics in the order of the table, with what each is for."""
    roles = dict.fromkeys(experiment.metrics.goals, "goal") | dict.fromkeys(experiment.metrics.guardrails, "guardrail")
    rest = {name: "hidden" if metric.hidden else "secondary" for name, metric in METRICS.items() if name not in roles}
    return roles | rest


def estimand(metric: MetricSpec) -> Metric:
    """A named metric as the analysis sees it: columns of the test, and of the warm-up as covariate."""
    below = None if metric.denominator == USERS else metric.denominator
    pre = None if metric.hidden else (PRE + metric.numerator, None if below is None else PRE + below)
    return Metric(metric.name, metric.numerator, below, pre)


def _groups(experiment: Experiment, folder: RunFolder, plan: Plan) -> tuple[dict[str, SufficientStats], dict[str, int]]:
    """Statistics of the users who came during the test, by arm; and landed orders by arm."""
    names = list(experiment.experiment.arms)
    groups: dict[str, SufficientStats] = {}
    orders = dict.fromkeys(names, 0)
    for market, task in plan.tests.items():
        columns, values = load_totals(folder.result(task) / TOTALS)
        pre_columns, pre = load_totals(folder.result(plan.warmups[market]) / TOTALS)
        keep = [n for n, column in enumerate(pre_columns) if column != "satisfaction"]
        together = np.concatenate([values, pre[:, keep]], axis=1)
        named = (*columns, *(PRE + pre_columns[n] for n in keep))
        with np.load(folder.result(task) / ASSIGNED, allow_pickle=False) as saved:
            arm_of, in_task = saved["arm"], saved["names"].tolist()
        came = values[:, columns.index("visits")] > 0
        for index, name in enumerate(in_task):
            mine = together[came & (arm_of == index)]
            stats = SufficientStats.of(named, mine)
            groups[name] = groups[name] + stats if name in groups else stats
            orders[name] += int(mine[:, columns.index("buy")].sum())
    return {name: groups[name] for name in names}, orders


def load_totals(path: Path) -> tuple[tuple[str, ...], Floats]:
    """Columns, and totals per user (n, k) with hidden satisfaction as the last column."""
    with np.load(path, allow_pickle=False) as saved:
        columns = (*saved["columns"].tolist(), "satisfaction")
        return columns, np.column_stack([saved["totals"], saved["satisfaction"]]).astype(np.float64)


def _truth(
    experiment: Experiment, folder: RunFolder, plan: Plan, metrics: Sequence[MetricSpec]
) -> dict[tuple[str, str], TrueRow]:
    control = experiment.experiment.control
    expected = {arm: _everyone(folder, plan, arm, EXPECTED) for arm in experiment.experiment.arms}
    sampled = {arm: _everyone(folder, plan, arm, TOTALS) for arm in experiment.experiment.arms}
    truth = {}
    for arm in experiment.experiment.arms:
        if arm == control:
            continue
        for metric in metrics:
            within = _paired(metric, expected[arm], expected[control])
            chance = _paired(metric, sampled[arm], sampled[control])
            eventual = _paired(metric, expected[arm], expected[control], EVENTUAL)
            truth[arm, metric.name] = TrueRow(
                arm,
                metric.name,
                within.control_value * metric.scale,
                within.value * metric.scale,
                within.lift,
                within.se,
                chance.lift,
                chance.se,
                eventual.lift,
            )
    return truth


def _everyone(folder: RunFolder, plan: Plan, arm: str, file: str) -> dict[str, Floats]:
    """Columns of all truth users who came, in the order of markets and users."""
    parts = []
    for (name, _), task in plan.truths.items():
        if name == arm:
            columns, values = load_totals(folder.result(task) / file)
            # The first visit of the test is decided before it: the same users come under every arm.
            parts.append(values[values[:, columns.index("visits")] > 0])
    together = np.concatenate(parts)
    return {column: together[:, n] for n, column in enumerate(columns)} | {USERS: np.ones(len(together))}


def _paired(
    metric: MetricSpec, arm: Mapping[str, Floats], control: Mapping[str, Floats], prefix: str = ""
) -> PairedLift:
    def column(values: Mapping[str, Floats], name: str) -> Floats:
        return values.get(prefix + name, values[name])

    top, bottom = metric.numerator, metric.denominator
    return paired_lift(column(arm, top), column(arm, bottom), column(control, top), column(control, bottom))


def _rows(
    by_estimator: Mapping[str, Sequence[Lift]],
    roles: Mapping[str, str],
    truth: Mapping[tuple[str, str], TrueRow],
    estimate: JointEstimate,
    alpha: float,
) -> list[Row]:
    rows = []
    for estimator, found in by_estimator.items():
        adjusted: dict[tuple[str, str], float] = {}
        for role in dict.fromkeys(roles.values()):
            family = [lift for lift in found if roles[lift.metric] == role]
            values = holm([lift.p_value for lift in family])
            adjusted |= {(lift.arm, lift.metric): p for lift, p in zip(family, values, strict=True)}
        for lift in found:
            scale, true = METRICS[lift.metric].scale, truth[lift.arm, lift.metric]
            rows.append(
                Row(
                    lift.arm,
                    lift.metric,
                    roles[lift.metric],
                    estimator,
                    lift.control_value * scale,
                    lift.arm_value * scale,
                    lift.lift,
                    lift.se,
                    lift.low,
                    lift.high,
                    f"fieller {100 * (1 - alpha):g}% per test",
                    lift.p_value,
                    float(adjusted[lift.arm, lift.metric]),
                    true.expected_lift,
                    true.expected_lift_se,
                    estimate.n[lift.arm],
                )
            )
    return rows


def _tracking(raw: JointEstimate) -> dict[str, float]:
    """How each observed metric goes with hidden satisfaction over users, the closest first."""
    found = {name: r for name, r in raw.correlation("satisfaction").items() if name != "satisfaction"}
    known = {name: r for name, r in found.items() if np.isfinite(r)}
    return dict(sorted(known.items(), key=lambda pair: -abs(pair[1])))


def _fit_notes(folder: RunFolder, plan: Plan) -> list[str]:
    notes: list[str] = []
    for task in plan.fits.values():
        notes += [f"{task.name}: {note}" for note in folder.notes(task).get("notes", [])]
    return list(dict.fromkeys(notes))


def _blurred(found: Sequence[Lift], truth: Mapping[tuple[str, str], TrueRow], roles: Mapping[str, str]) -> list[str]:
    """Goals and guardrails whose truth is not much sharper than the estimate it is to judge."""
    judged = [lift for lift in found if lift.known and roles[lift.metric] in ("goal", "guardrail")]
    return sorted({t.metric for t in judged if not truth[t.arm, t.metric].expected_lift_se <= t.se / 2})


def _warnings(
    counts: Mapping[str, int], orders: Mapping[str, int], found: Sequence[Lift], blurred: Sequence[str]
) -> list[str]:
    warnings = []
    small = {arm: n for arm, n in counts.items() if n < SMALL_ARM}
    if small:
        warnings.append(f"too few users to compare: {_said(small)}; at least {SMALL_ARM} per arm are needed")
    few = {arm: n for arm, n in orders.items() if n < SPARSE_BUYERS}
    if few:
        warnings.append(
            f"too few orders for intervals of money to be trusted: {_said(few)}; "
            f"at least {SPARSE_BUYERS} per arm are needed"
        )
    unbounded = sorted({lift.metric for lift in found if lift.known and not lift.bounded})
    if unbounded:
        warnings.append(f"too few conversions to bound the lift of {', '.join(unbounded)}")
    missing = sorted({f"{lift.metric} of {lift.arm}" for lift in found if not lift.known})
    if missing:
        warnings.append(f"can't tell {', '.join(missing)}: it or the control shows nothing that varies")
    if blurred:
        warnings.append(
            f"the truth itself is uncertain for {', '.join(blurred)} (its error is over half the estimate's); "
            f"raise truth.users"
        )
    return warnings


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {n}" for arm, n in counts.items())
