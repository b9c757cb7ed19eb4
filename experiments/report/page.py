"""The page: one self-contained file that opens without a network, the decision first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.analysis.decision import ArmVerdict
from experiments.analysis.verdicts import SRM_ALPHA
from experiments.findings.interference import SURE
from experiments.report import chances, segments, words
from experiments.report.figures import arm_colours
from experiments.report.format import (
    CANT_TELL,
    DASH,
    apart,
    bounded,
    cell,
    dashed,
    design_span,
    interval,
    joint_interval,
    look_span,
    number,
    p_value,
    percent,
    points,
    segment_span,
    share,
    span,
    typeset,
    with_half_width,
    with_interval,
)
from experiments.report.front import gaps
from experiments.report.panels import (
    design_panels,
    forest_panels,
    front_figure,
    look_panels,
    night_panels,
    segment_panels,
    tradeoff_figure,
    weight_figure,
)
from experiments.report.rows import (
    challengers,
    design_metrics,
    estimators,
    look_days,
    look_metrics,
    looks_at,
    rows_by_arm,
    rows_of,
    truth_known,
)
from experiments.report.scorecard import scorecard_parts
from experiments.report.sorting import SCRIPT, content_hash
from experiments.report.subject import Subject
from experiments.report.sweeps import beaten_by, front_beside_sweeps, sweep_colours, sweep_figure, sweep_tables
from experiments.report.tradeoff import front_is_near, joint_ellipses, tradeoff_pair
from experiments.report.trust import mismatched, power_rows, quiet_checks, shares_tested
from experiments.report.unfolding import night_rows
from experiments.results import Results

TEMPLATE = "page.html.j2"


@dataclass(frozen=True, slots=True)
class Standing:
    """One place in a ranking: who holds it by estimate, and who in truth. Lifts over control."""

    estimated: str
    estimated_lift: float
    true: str
    true_lift: float


def templates() -> Environment:
    """The templates beside this module, with what they write numbers by, and the script that sorts their tables."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"script": Markup(SCRIPT), "script_hash": content_hash(SCRIPT)}
    environment.filters |= {
        "percent": lambda x, digits=1: typeset(percent(x, digits)),
        "share": lambda x, digits=0: typeset(f"{dashed(100 * x, digits)} %") if math.isfinite(x) else DASH,
        "chance": share,
        "percent_or_dash": lambda x: typeset(percent(x)) if math.isfinite(x) else DASH,
        "gap": lambda x: typeset(percent(x).removesuffix(" %")) if math.isfinite(x) else DASH,
        "cell": lambda row: typeset(cell(span(row))),
        "estimate": lambda row: typeset(with_half_width(span(row))),
        "interval": lambda row: typeset(interval(span(row))),
        "at_once": lambda row: typeset(joint_interval(span(row))),
        "look": lambda row: typeset(cell(look_span(row))),
        "look_estimate": lambda row: typeset(with_half_width(look_span(row))),
        "look_at_once": lambda row: typeset(joint_interval(look_span(row))),
        "segment": lambda row: typeset(with_interval(segment_span(row))),
        "design": lambda row: typeset(with_interval(design_span(row))),
        "number": lambda x: typeset(number(x)),
        "dashed": lambda x, digits=2: typeset(dashed(x, digits)),
        "beside": lambda x, other: typeset(percent(x, apart(x, other))),
        "points": points,
        "p_value": p_value,
        "beaten_by": beaten_by,
        "price": lambda rate: typeset(chances.price(rate)),
        "price_range": lambda rate: typeset(chances.price_range(rate)),
        "reached": words.reached,
        "typeset": lambda text: typeset(text).replace(" %", "\N{NO-BREAK SPACE}%"),
        "key": lambda x: f"{x:.9g}" if math.isfinite(x) else "",  # what a column is sorted by; no number comes last
    }
    return environment


def page(subject: Subject, results: Results, manifest: Mapping[str, Any]) -> str:
    """The report of a test as HTML: the same bytes for the same test.

    Args:
        manifest: how it was run; what it does not tell is left out.
    """
    environment = templates()
    return environment.get_template(TEMPLATE).render(
        subject=subject,
        results=results,
        cant_tell=CANT_TELL,
        known=truth_known(results),
        **_decided(subject, results),
        **_compared(subject, results),
        **_together(subject, results),
        **_beside_the_truth(results),
        **_unfolded(results, subject.alpha),
        **_swept(results),
        **scorecard_parts(results, manifest),
        **_of_the_run(results, manifest),
    )


def _decided(subject: Subject, results: Results) -> dict[str, Any]:
    """What the first screen says."""
    decision = results.decision
    leading = next((verdict for verdict in decision.arms if verdict.arm == decision.arm), None)
    return {
        "decision": decision,
        "leading": leading,
        "lead_row": results.row(leading.arm, results.goals[0]) if leading else None,
        "lead_chance": next((chance for chance in chances.chances(results) if chance.arm == decision.arm), None),
        "why": decision.sentence.removeprefix(decision.verdict).lstrip(" :"),
        "repetition": words.repetition(results),
        "arms": challengers(results),
        "colours": arm_colours(results),
        "units": words.units(results),
        "counted": words.counted(subject, results),
        "conversions": words.conversions(results),
        "warnings": words.warnings(results),
        "mismatch": decision.srm_p_value < SRM_ALPHA,
        "mismatched": mismatched(results),
        "tested_shares": shares_tested(results),
        "srm_alpha": SRM_ALPHA,
        "in_truth": {verdict.arm: _in_truth(results, verdict) for verdict in decision.arms},
    }


def _compared(subject: Subject, results: Results) -> dict[str, Any]:
    """Arms against control, metric by metric."""
    panels = forest_panels(results, subject.alpha)
    corrections = words.corrections(results)
    return {
        "alpha": subject.alpha,
        "level": subject.level,
        "panels": panels,
        "undrawn": len(results.metrics()) - len(panels),
        "interval_kinds": list(dict.fromkeys(row.ci_kind for row in results.rows)),
        "fieller": words.fieller(results),
        "rules": {rule: [role for role in corrections if corrections[role] == rule] for rule in corrections.values()},
        "exploring": {role for role, rule in corrections.items() if words.explored(rule)},
        "together": words.together(results),
        "estimator": words.estimator(subject, results, results.estimator),
        "estimators": {name: words.estimator(subject, results, name) for name in estimators(results)},
        "tables": {name: rows_of(results, name) for name in estimators(results)},
        "meanings": {metric: results.meanings.get(metric, "") for metric in results.metrics()},
        "coverage": _coverage(results),
        "standings": {goal: _standings(results, goal) for goal in results.goals},
    }


def _together(subject: Subject, results: Results) -> dict[str, Any]:
    """The goals at once: trade-off, chances, prices."""
    against, between = chances.prices(results)
    return {
        "pair": tradeoff_pair(results),
        "tradeoff": tradeoff_figure(results, 1 - subject.alpha),
        "ellipses": bool(joint_ellipses(results)),
        "chances": chances.chances(results),
        "dominance": chances.dominance(results),
        "weight_figure": weight_figure(results),
        "winners": chances.winners(results),
        "prices": against,
        "other_prices": between,
    }


def _beside_the_truth(results: Results) -> dict[str, Any]:
    """What only some experiments ask: the front, other designs, the other side of the market."""
    return {
        "gaps": gaps(results),
        "near": front_is_near(results),
        "front": None if front_is_near(results) else front_figure(results),
        "design_panels": design_panels(results),
        "designs": {metric: rows_by_arm(results, metric) for metric in design_metrics(results)},
        "sure_bias": SURE,
        "other_side": words.other_side(results),
    }


def _unfolded(results: Results, alpha: float) -> dict[str, Any]:
    """The test by night, at declared looks, and by segment."""
    looks = {
        metric: {arm: looks_at(results, metric, arm) for arm in challengers(results)}
        for metric in look_metrics(results)
    }
    return {
        "night_panels": {goal: panels for goal in results.goals if (panels := night_panels(results, goal))},
        "night_rows": night_rows(results),
        "look_days": look_days(results),
        "look_panels": {goal: look_panels(results, goal) for goal in results.goals if goal in looks},
        "looks": looks,
        "repeated": any(not math.isnan(row.repeated_low) for row in results.looks),
        "segments_said": segments.said(results, alpha),
        "segment_panels": segment_panels(results),
        "segment_rows": segments.grouped(results.segments),
        "segment_tests": {(test.segment, test.metric, test.arm): test for test in results.segment_tests},
    }


def _swept(results: Results) -> dict[str, Any]:
    """Policies that live in the truth alone."""
    return {
        "sweep_colours": sweep_colours(results),
        "sweep_figure": sweep_figure(results),
        "sweep_front": front_beside_sweeps(results),
        "sweep_tables": sweep_tables(results),
    }


def _of_the_run(results: Results, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the arms got their shares, what could have been seen, and how the run was made."""
    return {
        "quiet_checks": quiet_checks(results),
        "power_rows": power_rows(results),
        "facts": _facts(manifest),
        "versions": manifest.get("versions", {}),
        "checksums": manifest.get("log_checksums", {}),
        "fits": manifest.get("fits", {}),
    }


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
