"""From the totals of a finished run to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.decision import decide
from experiments.analysis.interference import DesignRow, design_row
from experiments.analysis.joint import JointEstimate, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.looks import LookRow
from experiments.analysis.paired import PairedLift, paired_lift
from experiments.analysis.stats import SufficientStats
from experiments.analysis.swept import SweepPoint, judged
from experiments.analysis.verdicts import holm, sample_ratio_p_value
from experiments.doubts import warnings_of
from experiments.findings.table import sentence
from experiments.gather import USER_ID, Floats, Gathered, conversion_of, estimand
from experiments.judge import scorecard_of
from experiments.plan import Plan, front_columns
from experiments.results import FrontPoint, Results, Row, Side, TrueRow
from experiments.spec import Experiment
from experiments.stages.common import TOTALS
from experiments.store import RunFolder
from experiments.sweeps import labels
from sim.ledger import EVENTUAL
from sim.scenario import MARKET_COLUMNS, MetricSpec

CLUSTERED = ("market", "switchback")  # few units: intervals by Student's t
Truth = Mapping[tuple[str, str], TrueRow]


def results_of(experiment: Experiment, folder: RunFolder, plan: Plan) -> Results:
    """Analyse a run whose tasks are done."""
    run = Gathered(experiment, folder, plan)
    roles, unit = _roles(experiment), experiment.experiment.assign.unit
    groups, stops = run.groups(unit), _stops(run)
    truth = _truth(run, roles)
    by_estimator, raw = _estimates(run, unit, groups, stops)
    decider = "cuped" if experiment.analysis.cuped and unit in ("user", "market") else "raw"
    conversion = conversion_of(experiment)
    conversions = {arm: round(stats.n * stats.mean[stats.at(conversion)]) for arm, stats in groups.items()}
    counted = run.groups(unit, min(day for day, _ in stops.values())) if stops else groups
    shares = {arm: section.share for arm, section in experiment.experiment.arms.items()}
    srm = float("nan") if unit == "market" else sample_ratio_p_value({a: g.n for a, g in counted.items()}, shares)
    goals, margins = tuple(experiment.metrics.goals), experiment.metrics.guardrails
    found = by_estimator[decider]
    results = Results(
        control=experiment.experiment.control,
        arms=tuple(experiment.experiment.arms),
        goals=goals,
        guardrails=margins,
        estimator=decider,
        rows=tuple(_rows(experiment, by_estimator, roles, truth, raw)),
        truth=tuple(truth.values()),
        decision=decide(found, goals, margins, srm, experiment.analysis.alpha),
        satisfaction_correlation=_tracking(raw),
        unit=unit,
        meanings={name: metric.meaning for name, metric in experiment.world.scenario.metrics.items()},
        n_users=raw.n,
        conversion=conversion,
        conversions=conversions,
        notes=tuple(_fit_notes(folder, plan)),
        warnings=tuple(warnings_of(run, groups, found, truth, roles, conversions, stops)),
        designs=tuple(_designs(run, truth)),
        looks=tuple(_looks(run, decider, found, truth, {arm: day for arm, (day, _) in stops.items()})),
        front=tuple(_front(run)),
        sides=tuple(_sides(run)),
        stops=stops,
        sweeps=_sweeps(run, roles, truth),
        lower_is_better=tuple(n for n, m in experiment.world.scenario.metrics.items() if m.better == "lower"),
        scorecard=scorecard_of(experiment, folder, plan),
    )
    if experiment.finding is None:
        return results
    return results.with_finding(sentence(experiment.finding, results))


def _roles(experiment: Experiment) -> dict[str, str]:
    """Metrics in the order of the table, with what each is for."""
    roles = dict.fromkeys(experiment.metrics.goals, "goal") | dict.fromkeys(experiment.metrics.guardrails, "guardrail")
    by_market = experiment.experiment.assign.unit == "market" and experiment.world.sharing
    told = {n: m for n, m in experiment.world.scenario.metrics.items() if by_market or not m.of_market}
    return roles | {n: "hidden" if metric.hidden else "secondary" for n, metric in told.items() if n not in roles}


def _metrics(experiment: Experiment) -> dict[str, MetricSpec]:
    """Metrics by name, in the order of the table."""
    return {name: experiment.world.scenario.metrics[name] for name in _roles(experiment)}


def _estimates(
    run: Gathered, unit: str, groups: Mapping[str, SufficientStats], stops: Mapping[str, tuple[int, str]]
) -> tuple[dict[str, list[Lift]], JointEstimate]:
    """Lifts by estimator, and the joint estimate without adjustment.

    An arm that was stopped is compared with the control as both stood on that day.
    """
    alpha, control = run.experiment.analysis.alpha, run.experiment.experiment.control
    specs = [estimand(name, metric, unit) for name, metric in _metrics(run.experiment).items()]
    kinds = ("raw", "cuped") if unit in ("user", "market") else ("raw",)
    by_estimator, raw = {}, joint_estimate(groups, specs, cuped=False)
    for kind in kinds:
        found = lifts(
            joint_estimate(groups, specs, cuped=kind == "cuped"), control, alpha, small_sample=unit in CLUSTERED
        )
        for arm, (day, _) in stops.items():
            then = run.groups(unit, day)
            whole = lifts(joint_estimate(then, specs, cuped=kind == "cuped"), control, alpha)
            early = {lift.metric: lift for lift in whole if lift.arm == arm}
            found = [early[lift.metric] if lift.arm == arm else lift for lift in found]
        by_estimator[kind] = found
    return by_estimator, raw


def _stops(run: Gathered) -> dict[str, tuple[int, str]]:
    unit, stops = run.experiment.experiment.assign.unit, dict[str, tuple[int, str]]()
    for (of, _), task in run.plan.tests.items():
        if of == unit:
            told: Mapping[str, Mapping[str, Any]] = run.folder.notes(task)["stopped"]
            stops |= {arm: (int(said["day"]), str(said["cause"])) for arm, said in told.items()}
    return stops


def _truth(run: Gathered, roles: Mapping[str, str]) -> dict[tuple[str, str], TrueRow]:
    control, metrics = run.experiment.experiment.control, run.scenario.metrics
    expected = {arm: run.truth(arm) for arm in run.arms}
    sampled = {arm: run.truth(arm, TOTALS) for arm in run.arms}
    truth = {}
    for arm in run.arms:
        if arm == control:
            continue
        for name in roles:
            metric = metrics[name]
            within = _paired(metric, expected[arm], expected[control])
            chance = _paired(metric, sampled[arm], sampled[control])
            eventual = _paired(metric, expected[arm], expected[control], EVENTUAL)
            truth[arm, name] = TrueRow(
                arm,
                name,
                within.control_value * metric.scale,
                within.value * metric.scale,
                within.lift,
                within.se,
                chance.lift,
                chance.se,
                eventual.lift,
            )
    return truth


def _paired(
    metric: MetricSpec, arm: Mapping[str, Floats], control: Mapping[str, Floats], prefix: str = ""
) -> PairedLift:
    def column(values: Mapping[str, Floats], name: str) -> Floats:
        return values.get(prefix + name, values[name])

    top, bottom = metric.numerator, metric.denominator
    return paired_lift(column(arm, top), column(arm, bottom), column(control, top), column(control, bottom))


def _rows(
    experiment: Experiment,
    by_estimator: Mapping[str, Sequence[Lift]],
    roles: Mapping[str, str],
    truth: Truth,
    estimate: JointEstimate,
) -> list[Row]:
    rows, metrics = [], experiment.world.scenario.metrics
    law = "t-based " if experiment.experiment.assign.unit in CLUSTERED else ""
    for estimator, found in by_estimator.items():
        adjusted: dict[tuple[str, str], float] = {}
        for role in dict.fromkeys(roles.values()):
            family = [lift for lift in found if roles[lift.metric] == role]
            values = holm([lift.p_value for lift in family])
            adjusted |= {(lift.arm, lift.metric): p for lift, p in zip(family, values, strict=True)}
        for lift in found:
            scale, true = metrics[lift.metric].scale, truth[lift.arm, lift.metric]
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
                    f"{law}fieller {100 * (1 - experiment.analysis.alpha):g}% per test",
                    lift.p_value,
                    float(adjusted[lift.arm, lift.metric]),
                    true.expected_lift,
                    true.expected_lift_se,
                    estimate.n[lift.arm],
                )
            )
    return rows


def _designs(run: Gathered, truth: Truth) -> list[DesignRow]:
    """The goals and guardrails by every unit that the experiment was divided by, if there are several."""
    test = run.experiment.experiment
    if not test.assign.beside and not run.experiment.world.sharing:
        return []
    judged = (*run.experiment.metrics.goals, *run.experiment.metrics.guardrails)
    rows = []
    for unit in run.experiment.units:
        by_estimator, _ = _estimates(run, unit, run.groups(unit), {})
        kind = "cuped" if run.experiment.analysis.cuped and "cuped" in by_estimator else "raw"
        for lift in by_estimator[kind]:
            if lift.metric in judged:
                true = truth[lift.arm, lift.metric]
                rows.append(design_row(unit, lift, true.expected_lift, true.expected_lift_se))
    return rows


def _looks(run: Gathered, kind: str, last: Sequence[Lift], truth: Truth, stopped: Mapping[str, int]) -> list[LookRow]:
    """Goals and guardrails as they stood at each look, and at the end, beside the truth of that day."""
    days, unit = run.experiment.analysis.looks, run.experiment.experiment.assign.unit
    if not days or unit not in ("user", "market"):
        return []
    control, alpha, metrics = run.experiment.experiment.control, run.experiment.analysis.alpha, run.scenario.metrics
    judged = (*run.experiment.metrics.goals, *run.experiment.metrics.guardrails)
    specs = [estimand(name, metrics[name], unit) for name in judged]
    rows = []
    for day in days:
        estimate = joint_estimate(run.groups(unit, day), specs, cuped=kind == "cuped")
        then = {arm: run.truth(arm, day=day) for arm in run.arms}
        for lift in lifts(estimate, control, alpha, small_sample=unit in CLUSTERED):
            if day > stopped.get(lift.arm, day):
                continue  # from then on its users are the control's
            true = _paired(metrics[lift.metric], then[lift.arm], then[control]).lift
            rows.append(LookRow(day, lift.arm, lift.metric, lift.lift, lift.se, lift.low, lift.high, true))
    end = run.experiment.experiment.days
    for lift in last:
        if lift.metric in judged and end not in days and lift.arm not in stopped:
            true = truth[lift.arm, lift.metric].expected_lift
            rows.append(LookRow(end, lift.arm, lift.metric, lift.lift, lift.se, lift.low, lift.high, true))
    return rows


def _front(run: Gathered) -> list[FrontPoint]:
    """Lifts over control of rankers that know the truth, on the same users."""
    if front_columns(run.experiment) is None:
        return []
    n, goals = run.experiment.truth.front, run.experiment.metrics.goals
    metrics, control = run.scenario.metrics, run.truth(run.experiment.experiment.control)
    points = []
    for k in range(n):
        best = run.front(k)
        # The front's users are among the truth users where it asks for fewer.
        both = np.intersect1d(best[USER_ID], control[USER_ID])
        mine, theirs = ({c: v[np.isin(t[USER_ID], both)] for c, v in t.items()} for t in (best, control))
        first, second = (_paired(metrics[goal], mine, theirs).lift for goal in goals[:2])
        points.append(FrontPoint(k / max(n - 1, 1), first, second))
    return points


def _sweeps(run: Gathered, roles: Mapping[str, str], truth: Truth) -> tuple[SweepPoint, ...]:
    """Every point of every sweep over control, on the same users, and who dominates it on the goals."""
    sweeps, goals = run.experiment.truth.sweeps, run.experiment.metrics.goals
    if not sweeps:
        return ()
    control, metrics = run.experiment.experiment.control, run.scenario.metrics
    served, points = run.truth(control), list[SweepPoint]()
    for name, sweep in sweeps.items():
        for k, (label, changes) in enumerate(zip(labels(sweep), sweep.changes(), strict=True)):
            mine = run.sweep(name, k)
            found = {metric: _paired(metrics[metric], mine, served) for metric in roles}
            lift, se = {m: pair.lift for m, pair in found.items()}, {m: pair.se for m, pair in found.items()}
            points.append(SweepPoint(name, label, changes, lift, se))
    arms = {arm: [truth[arm, goal].expected_lift for goal in goals] for arm in run.arms if arm != control}
    return judged(points, {control: [0.0] * len(goals)} | arms, goals)


def _sides(run: Gathered) -> list[Side]:
    """The other side of the market under every arm, over all markets; nothing where users share nothing."""
    if not run.experiment.world.sharing:
        return []
    sides = []
    for arm in run.arms:
        told = [run.folder.notes(task)["sides"] for (owner, _), task in run.plan.truths.items() if owner == arm]
        sums = {column: sum(side[column] for side in told) for column in MARKET_COLUMNS}
        active = sums["recruiters_active"] / sums["recruiters"] if sums["recruiters"] else float("nan")
        content = float(np.mean([side["content"] for side in told]))
        sides.append(Side(arm, sums["concentration"] / sums["markets"], active, content))
    return sides


def _tracking(raw: JointEstimate) -> dict[str, float]:
    """How each observed metric goes with hidden satisfaction over users, what rises with it most first."""
    if "satisfaction" not in raw.metrics:
        return {}
    found = {name: r for name, r in raw.correlation("satisfaction").items() if name != "satisfaction"}
    known = {name: r for name, r in found.items() if np.isfinite(r)}
    return dict(sorted(known.items(), key=lambda pair: -pair[1]))


def _fit_notes(folder: RunFolder, plan: Plan) -> list[str]:
    notes: list[str] = []
    for task in plan.fits.values():
        notes += [f"{task.name}: {note}" for note in folder.notes(task).get("notes", [])]
    return list(dict.fromkeys(notes))
