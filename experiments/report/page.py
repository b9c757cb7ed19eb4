"""The page: one self-contained file that opens without a network, the decision first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from experiments.analysis.decision import ArmVerdict
from experiments.analysis.verdicts import SRM_ALPHA
from experiments.metrics import METRICS
from experiments.report.figures import (
    arm_colours,
    challengers,
    forest_panel,
    names_width,
    style,
    tradeoff,
    tradeoff_pair,
)
from experiments.report.format import (
    CANT_TELL,
    apart,
    bounded,
    cell,
    interval,
    number,
    p_value,
    percent,
    points,
    typeset,
)
from experiments.report.svg import inline_svg
from experiments.results import Results, Row
from experiments.spec import Experiment

TEMPLATE = "page.html.j2"
ESTIMATORS = {"cuped": "adjusted by the warm-up (CUPED)", "raw": "unadjusted"}
PANEL_WIDTH, PANEL_HEAD, PANEL_ROW = 3.8, 0.42, 0.29  # inches at 100 pixels each: three panels beside each other
TRADEOFF_SIZE = (4.7, 3.9)


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of the forest."""

    metric: str
    role: str
    meaning: str
    figure: Markup


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
    users: int
    orders: int
    policy: str


def page(experiment: Experiment, results: Results, manifest: Mapping[str, Any]) -> str:
    """The report of a run as HTML: the same bytes for the same run."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda x, digits=1: typeset(percent(x, digits)),
        "cell": lambda row: typeset(cell(row)),
        "interval": lambda row: typeset(interval(row)),
        "number": lambda x: typeset(number(x)),
        "beside": lambda x, other: typeset(percent(x, apart(x, other))),
        "points": points,
        "p_value": p_value,
        "typeset": typeset,
    }
    alpha = experiment.analysis.alpha
    return environment.get_template(TEMPLATE).render(
        experiment=experiment,
        results=results,
        decision=results.decision,
        why=results.decision.sentence.removeprefix(results.decision.verdict).lstrip(" :"),
        alpha=alpha,
        arms=challengers(results),
        colours=arm_colours(results),
        mismatch=results.decision.srm_p_value < SRM_ALPHA,
        srm_alpha=SRM_ALPHA,
        panels=_panels(results, alpha),
        pair=tradeoff_pair(results),
        tradeoff=_tradeoff(results),
        interval_kinds=list(dict.fromkeys(row.ci_kind for row in results.rows)),
        cant_tell=CANT_TELL,
        estimator=ESTIMATORS.get(results.estimator, results.estimator),
        estimators={name: ESTIMATORS.get(name, name) for name in _estimators(results)},
        roles=_roles(results),
        meanings={metric: _meaning(metric) for metric in results.metrics()},
        coverage=_coverage(results),
        standings={goal: _standings(results, goal) for goal in results.goals},
        in_truth={verdict.arm: _in_truth(results, verdict) for verdict in results.decision.arms},
        arm_facts=[_arm_facts(experiment, results, arm) for arm in results.arms],
        facts=_facts(manifest),
        versions=manifest.get("versions", {}),
        checksums=manifest.get("log_checksums", {}),
        fits=manifest.get("fits", {}),
    )


def _panels(results: Results, alpha: float) -> list[Panel]:
    return [_panel(results, metric, alpha, f"m{n}") for n, metric in enumerate(results.metrics())]


def _panel(results: Results, metric: str, alpha: float, key: str) -> Panel:
    rows = [results.row(arm, metric) for arm in challengers(results)]
    height = PANEL_HEAD + PANEL_ROW * (len(rows) + (0.55 if metric in results.guardrails else 0))
    with style():
        figure = Figure(figsize=(PANEL_WIDTH, height))
        left, bottom = names_width(results) / (PANEL_WIDTH * 72), 0.26 / height
        axes = figure.add_axes((left, bottom, 0.94 - left, 0.98 - bottom))
        forest_panel(axes, results, metric, alpha)
        drawn = inline_svg(figure, key, f"{metric}: {'; '.join(_aloud(row) for row in rows)}")
    return Panel(metric, rows[0].role, _meaning(metric), drawn)


def _tradeoff(results: Results) -> Markup | None:
    pair = tradeoff_pair(results)
    if pair is None:
        return None
    upward, across = pair
    said = [
        f"{arm}: {across} {percent(results.row(arm, across).lift)}, {upward} {percent(results.row(arm, upward).lift)}"
        for arm in challengers(results)
    ]
    with style():
        figure = Figure(figsize=TRADEOFF_SIZE)
        tradeoff(figure.add_axes((0.145, 0.12, 0.795, 0.86)), results)
        return inline_svg(figure, "trade", f"Lift of {upward} against lift of {across}; {'; '.join(said)}")


def _aloud(row: Row) -> str:
    return f"{row.arm} {percent(row.lift)}, interval {interval(row)}, truth {percent(row.true_lift)}"


def _roles(results: Results) -> dict[str, list[str]]:
    """Metrics by what they are for, in the order of the table."""
    roles: dict[str, list[str]] = {}
    for row in results.rows:
        named = roles.setdefault(row.role, [])
        if row.metric not in named:
            named.append(row.metric)
    return roles


def _meaning(metric: str) -> str:
    return METRICS[metric].meaning if metric in METRICS else ""


def _estimators(results: Results) -> list[str]:
    """The deciding one first."""
    return list(dict.fromkeys([results.estimator, *(row.estimator for row in results.rows)]))


def _coverage(results: Results) -> tuple[int, int]:
    """How many of the deciding intervals that have two ends hold the truth, and how many there are."""
    rows = [row for row in results.rows if row.estimator == results.estimator]
    judged = [row for row in rows if bounded(row) and math.isfinite(row.true_lift)]
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
    return ArmFacts(arm, share, results.n_users.get(arm, 0), results.orders.get(arm, 0), said)


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
