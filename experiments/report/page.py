"""The page: one self-contained file that opens without a network, the decision first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.analysis.decision import ArmVerdict
from experiments.analysis.verdicts import SRM_ALPHA
from experiments.findings.interference import SURE
from experiments.report import words
from experiments.report.figures import arm_colours, front_is_near, tradeoff_pair
from experiments.report.format import (
    CANT_TELL,
    DASH,
    apart,
    bounded,
    cell,
    dashed,
    design_span,
    look_span,
    number,
    p_value,
    percent,
    points,
    span,
    typeset,
    with_interval,
)
from experiments.report.front import gaps
from experiments.report.panels import design_panels, forest_panels, front_figure, look_panels, tradeoff_figure
from experiments.report.rows import challengers, design_metrics, look_days, look_metrics, looks_at, rows_by_arm
from experiments.report.scorecard import scorecard_parts
from experiments.report.sweeps import beaten_by, front_beside_sweeps, sweep_colours, sweep_figure, sweep_tables
from experiments.results import Results
from experiments.spec import Experiment

TEMPLATE = "page.html.j2"


@dataclass(frozen=True, slots=True)
class Standing:
    """One place in a ranking: who holds it by estimate, and who in truth. Lifts over control."""

    estimated: str
    estimated_lift: float
    true: str
    true_lift: float


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """What an arm is and who saw it."""

    name: str
    share: str
    units: int
    conversions: int
    policy: str


def templates() -> Environment:
    """The templates beside this module, with what they write numbers by."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda x, digits=1: typeset(percent(x, digits)),
        "share": lambda x, digits=0: typeset(f"{dashed(100 * x, digits)} %") if math.isfinite(x) else DASH,
        "percent_or_dash": lambda x: typeset(percent(x)) if math.isfinite(x) else DASH,
        "gap": lambda x: typeset(percent(x).removesuffix(" %")) if math.isfinite(x) else DASH,
        "cell": lambda row: typeset(cell(span(row))),
        "look": lambda row: typeset(cell(look_span(row))),
        "design": lambda row: typeset(with_interval(design_span(row))),
        "number": lambda x: typeset(number(x)),
        "dashed": lambda x, digits=2: typeset(dashed(x, digits)),
        "beside": lambda x, other: typeset(percent(x, apart(x, other))),
        "points": points,
        "p_value": p_value,
        "beaten_by": beaten_by,
        "typeset": lambda text: typeset(text).replace(" %", "\N{NO-BREAK SPACE}%"),
    }
    return environment


def page(experiment: Experiment, results: Results, manifest: Mapping[str, Any]) -> str:
    """The report of a run as HTML: the same bytes for the same run."""
    environment = templates()
    return environment.get_template(TEMPLATE).render(
        experiment=experiment,
        results=results,
        cant_tell=CANT_TELL,
        **_decided(results),
        **_compared(experiment, results),
        **_beside_the_truth(results),
        **_swept(results),
        **scorecard_parts(results, manifest),
        **_of_the_run(experiment, results, manifest),
    )


def _decided(results: Results) -> dict[str, Any]:
    """What the first screen says."""
    decision = results.decision
    return {
        "decision": decision,
        "why": decision.sentence.removeprefix(decision.verdict).lstrip(" :"),
        "arms": challengers(results),
        "colours": arm_colours(results),
        "units": words.units(results),
        "counted": words.counted(results),
        "conversions": words.conversions(results),
        "warnings": words.warnings(results),
        "mismatch": decision.srm_p_value < SRM_ALPHA,
        "tested_shares": math.isfinite(decision.srm_p_value),
        "srm_alpha": SRM_ALPHA,
        "in_truth": {verdict.arm: _in_truth(results, verdict) for verdict in decision.arms},
    }


def _compared(experiment: Experiment, results: Results) -> dict[str, Any]:
    """Arms against control, metric by metric."""
    alpha = experiment.analysis.alpha
    panels = forest_panels(results, alpha)
    return {
        "alpha": alpha,
        "level": f"{100 * (1 - alpha):g} %",
        "panels": panels,
        "undrawn": len(results.metrics()) - len(panels),
        "pair": tradeoff_pair(results),
        "tradeoff": tradeoff_figure(results),
        "interval_kinds": list(dict.fromkeys(row.ci_kind for row in results.rows)),
        "fieller": words.fieller(results),
        "estimator": words.estimator(results, results.estimator),
        "estimators": {name: words.estimator(results, name) for name in _estimators(results)},
        "roles": _roles(results),
        "meanings": {metric: results.meanings.get(metric, "") for metric in results.metrics()},
        "coverage": _coverage(results),
        "standings": {goal: _standings(results, goal) for goal in results.goals},
    }


def _beside_the_truth(results: Results) -> dict[str, Any]:
    """What only some experiments ask: the front, other designs, earlier days, the other side of the market."""
    looks = {
        metric: {arm: looks_at(results, metric, arm) for arm in challengers(results)}
        for metric in look_metrics(results)
    }
    return {
        "gaps": gaps(results),
        "near": front_is_near(results),
        "front": None if front_is_near(results) else front_figure(results),
        "design_panels": design_panels(results),
        "designs": {metric: rows_by_arm(results, metric) for metric in design_metrics(results)},
        "sure_bias": SURE,
        "look_days": look_days(results),
        "look_panels": {goal: look_panels(results, goal) for goal in results.goals if goal in looks},
        "looks": looks,
        "other_side": words.other_side(results),
    }


def _swept(results: Results) -> dict[str, Any]:
    """Policies that live in the truth alone."""
    return {
        "sweep_colours": sweep_colours(results),
        "sweep_figure": sweep_figure(results),
        "sweep_front": front_beside_sweeps(results),
        "sweep_tables": sweep_tables(results),
    }


def _of_the_run(experiment: Experiment, results: Results, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Who saw what, and how the run was made."""
    return {
        "arm_facts": [_arm_facts(experiment, results, arm) for arm in results.arms],
        "facts": _facts(manifest),
        "versions": manifest.get("versions", {}),
        "checksums": manifest.get("log_checksums", {}),
        "fits": manifest.get("fits", {}),
    }


def _roles(results: Results) -> dict[str, list[str]]:
    """Metrics by what they are for, in the order of the table."""
    roles: dict[str, list[str]] = {}
    for row in results.rows:
        named = roles.setdefault(row.role, [])
        if row.metric not in named:
            named.append(row.metric)
    return roles


def _estimators(results: Results) -> list[str]:
    """The deciding one first."""
    return list(dict.fromkeys([results.estimator, *(row.estimator for row in results.rows)]))


def _coverage(results: Results) -> tuple[int, int]:
    """How many of the deciding intervals that have two ends hold the truth, and how many there are."""
    rows = [row for row in results.rows if row.estimator == results.estimator]
    judged = [row for row in rows if bounded(span(row)) and math.isfinite(row.true_lift)]
    return sum(row.ci_low <= row.true_lift <= row.ci_high for row in judged), len(judged)


def _standings(results: Results, goal: str) -> list[Standing]:
    rows = [results.row(arm, goal) for arm in challengers(results)]
    estimated = _ranked([(results.control, 0.0), *((row.arm, row.lift) for row in rows)])
    true = _ranked([(results.control, 0.0), *((row.arm, row.true_lift) for row in rows)])
    return [Standing(*by_estimate, *by_truth) for by_estimate, by_truth in zip(estimated, true, strict=True)]


def _ranked(lifts: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The largest first; who cannot be told comes last."""
    return sorted(lifts, key=lambda pair: -pair[1] if math.isfinite(pair[1]) else math.inf)


def _in_truth(results: Results, verdict: ArmVerdict) -> list[tuple[str, float]]:
    return [(goal, results.row(verdict.arm, goal).true_lift) for goal in results.goals]


def _arm_facts(experiment: Experiment, results: Results, arm: str) -> ArmFacts:
    section = experiment.experiment.arms.get(arm)
    policy = (section.policy if section else None) or experiment.warmup.policy
    kind = str(policy.get("type", ""))
    rest = {key: value for key, value in policy.items() if key != "type"}
    said = f"{kind} {json.dumps(rest, ensure_ascii=False)}" if rest else kind
    share = f"{section.share:.4g}" if section else ""
    return ArmFacts(arm, share, results.n_users.get(arm, 0), results.conversions.get(arm, 0), said)


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The run in words and numbers; what a manifest does not tell is left out."""
    seeds = manifest.get("seed", {})
    stages = manifest.get("cpu_seconds_by_stage", {})
    said = {
        "Experiment": manifest.get("name"),
        "Identity": str(manifest.get("identity", ""))[:12],
        "Code": str(manifest.get("source_hash", ""))[:12],
        "Seeds": ", ".join(f"{name} {seed}" for name, seed in seeds.items()),
        "Impressions": _count(manifest.get("impressions")),
        "Impressions per CPU second": _count(manifest.get("impressions_per_cpu_second")),
        "CPU seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in stages.items()),
        "Wall seconds": manifest.get("wall_seconds"),
        "Worker processes": manifest.get("workers"),
    }
    return [(name, str(value)) for name, value in said.items() if value not in (None, "")]


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"
