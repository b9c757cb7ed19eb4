"""From the totals of a finished run to its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.analysis.contrasts import spliced
from experiments.analysis.interference import DesignRow, design_row
from experiments.analysis.joint import JointEstimate
from experiments.analysis.replay import replayed
from experiments.analysis.segments import segment_tests
from experiments.analysis.stats import SufficientStats
from experiments.analysis.swept import SweepPoint, judged
from experiments.capping import MONEY, capped, capped_groups, caps_of
from experiments.doubts import warnings_of
from experiments.findings.table import sentence
from experiments.gather import USER_ID, Gathered, completed, conversion_of, estimand
from experiments.judge import scorecard_of
from experiments.nights import CLUSTERED, alpha_left, daily_of, looks_of
from experiments.plan import Plan, front_columns
from experiments.readout import Estimated, Inquiry, Truth, estimated, read
from experiments.results import FrontPoint, Results, Side
from experiments.segmenting import checks_of, lifts_by_segment, segments_of
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.sweeps import labels
from experiments.truths import paired, truth_of
from sim.scenario import MARKET_COLUMNS, MetricSpec


def results_of(experiment: Experiment, folder: RunFolder, plan: Plan) -> Results:
    """Analyse a run whose tasks are done."""
    run = Gathered(experiment, folder, plan)
    unit, stops = experiment.experiment.assign.unit, _stops(run)
    inquiry = _inquiry(run)
    roles = inquiry.roles
    groups, truth = run.groups(unit), truth_of(run, roles)
    by_estimator = _estimates(run, inquiry, unit, groups, stops) | _capped(run, inquiry, stops)
    found = by_estimator[inquiry.decider].lifts
    looks = looks_of(run, inquiry, found, truth, stops)
    inquiry = replace(inquiry, alpha_left=alpha_left(looks, inquiry, experiment.analysis.spending))
    conversion = conversion_of(experiment)
    conversions = {arm: round(stats.n * stats.mean[stats.at(conversion)]) for arm, stats in groups.items()}
    segments = segments_of(run, experiment.analysis.segments) if unit == "user" else {}
    results = read(
        by_estimator,
        inquiry,
        checks_of(run, segments, groups, stops),
        truth=truth,
        conversion=conversion,
        conversions=conversions,
        meanings={name: metric.meaning for name, metric in experiment.world.scenario.metrics.items()},
        warnings=warnings_of(run, groups, found, truth, roles, conversions, stops),
    )
    by_segment = lifts_by_segment(run, segments, inquiry) if not stops else ()
    results = replace(
        results,
        satisfaction_correlation=_tracking(by_estimator["raw"].estimate),
        notes=tuple(_fit_notes(folder, plan)),
        designs=tuple(_designs(run, inquiry, truth)),
        looks=looks,
        daily=daily_of(run, inquiry, found, truth, stops),
        front=tuple(_front(run)),
        sides=tuple(_sides(run)),
        stops=stops,
        sweeps=_sweeps(run, roles, truth),
        scorecard=scorecard_of(experiment, folder, plan),
        segments=by_segment,
        segment_tests=segment_tests(by_segment),
        replay=_replay(run, inquiry) if unit == "user" else {},
    )
    if experiment.finding is None:
        return results
    return results.with_finding(sentence(experiment.finding, results))


def _inquiry(run: Gathered) -> Inquiry:
    """What the spec asks of the analysis."""
    experiment = run.experiment
    unit, metrics = experiment.experiment.assign.unit, experiment.world.scenario.metrics
    return Inquiry(
        control=experiment.experiment.control,
        goals=tuple(experiment.metrics.goals),
        guardrails=experiment.metrics.guardrails,
        roles=_roles(experiment),
        alpha=experiment.analysis.alpha,
        unit=unit,
        decider="cuped" if experiment.analysis.cuped and unit in ("user", "market") else "raw",
        few=unit in CLUSTERED,
        scale={name: metric.scale for name, metric in metrics.items()},
        lower_is_better=tuple(name for name, metric in metrics.items() if metric.better == "lower"),
    )


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
    run: Gathered,
    inquiry: Inquiry,
    unit: str,
    groups: Mapping[str, SufficientStats],
    stops: Mapping[str, tuple[int, str]],
) -> dict[str, Estimated]:
    """Lifts by estimator. An arm that was stopped is compared with the control as both stood on that day."""
    specs = [estimand(name, metric, unit) for name, metric in _metrics(run.experiment).items()]
    of_unit = replace(inquiry, few=unit in CLUSTERED)
    kinds = ("raw", "cuped") if unit in ("user", "market") else ("raw",)
    found = dict[str, Estimated]()
    for kind in kinds:
        found[kind] = estimated(groups, specs, of_unit, cuped=kind == "cuped")
        for arm, (day, _) in stops.items():
            # What no moments are kept of, such as satisfaction, is not known of that day.
            early = estimated(completed(run.groups(unit, day), groups), specs, inquiry, cuped=kind == "cuped")
            found[kind] = _spliced(found[kind], early, arm)
    return found


def _capped(run: Gathered, inquiry: Inquiry, stops: Mapping[str, tuple[int, str]]) -> dict[str, Estimated]:
    """Metrics of money with users' money cut at the cap; nothing where no user would feel it, or an arm was stopped,
    of whose day no capped sums are kept."""
    quantile = run.experiment.analysis.cap
    if quantile is None or inquiry.unit != "user" or stops:
        return {}
    specs = [estimand(name, metric) for name, metric in _metrics(run.experiment).items()]
    caps = caps_of(run, sorted({spec.numerator for spec in specs if spec.numerator.endswith(MONEY)}), quantile)
    if not caps:
        return {}
    cut = capped(specs, caps)
    return {"capped": estimated(capped_groups(run, caps), cut, inquiry, cuped=inquiry.decider == "cuped")}


def _spliced(whole: Estimated, early: Estimated, arm: str) -> Estimated:
    then = {lift.metric: lift for lift in early.lifts if lift.arm == arm}
    both = tuple(then[lift.metric] if lift.arm == arm else lift for lift in whole.lifts)
    return Estimated(whole.estimate, both, spliced(whole.joint, early.joint, arm))


def _stops(run: Gathered) -> dict[str, tuple[int, str]]:
    unit, stops = run.experiment.experiment.assign.unit, dict[str, tuple[int, str]]()
    for (of, _), task in run.plan.tests.items():
        if of == unit:
            told: Mapping[str, Mapping[str, Any]] = run.folder.notes(task)["stopped"]
            stops |= {arm: (int(said["day"]), str(said["cause"])) for arm, said in told.items()}
    return stops


def _designs(run: Gathered, inquiry: Inquiry, truth: Truth) -> list[DesignRow]:
    """The goals and guardrails by every unit that the experiment was divided by, if there are several."""
    if not run.experiment.experiment.assign.beside and not run.experiment.world.sharing:
        return []
    judged = (*inquiry.goals, *inquiry.guardrails)
    rows = []
    for unit in run.experiment.units:
        by_estimator = _estimates(run, inquiry, unit, run.groups(unit), {})
        kind = "cuped" if run.experiment.analysis.cuped and "cuped" in by_estimator else "raw"
        for lift in by_estimator[kind].lifts:
            if lift.metric in judged:
                true = truth[lift.arm, lift.metric]
                rows.append(design_row(unit, lift, true.expected_lift, true.expected_lift_se))
    return rows


def _replay(run: Gathered, inquiry: Inquiry) -> dict[str, float]:
    """How often random halves of the control's users differ on goals and guardrails."""
    specs = [estimand(name, run.scenario.metrics[name]) for name in (*inquiry.goals, *inquiry.guardrails)]
    users, cuped = run.users.needed_by(specs), inquiry.decider == "cuped"
    values = users.values[users.of_arm(inquiry.control)]
    seed = run.experiment.seed.split
    return replayed(users.columns, values, specs, cuped=cuped, alpha=inquiry.alpha, seed=seed)


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
        first, second = (paired(metrics[goal], mine, theirs).lift for goal in goals[:2])
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
            found = {metric: paired(metrics[metric], mine, served) for metric in roles}
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
