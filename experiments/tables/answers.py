"""From a question about a table to its answers: the same results as of a simulated test, without a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.analysis.joint import Metric
from experiments.analysis.ratios import ratio_checks
from experiments.analysis.replay import replayed
from experiments.analysis.segments import segment_tests
from experiments.readout import Estimated, Inquiry, estimated, read
from experiments.results import Results
from experiments.tables import doubts, notes
from experiments.tables.asking import Asked
from experiments.tables.capping import Cap, capped
from experiments.tables.collecting import Collected, collect
from experiments.tables.estimands import estimands, roles
from experiments.tables.levels import checks_of, lifts_by_level
from experiments.tables.question import Question
from experiments.tables.reading import open_table
from experiments.tables.summary import Summary, read_summary
from experiments.tables.units import Units

SEED = 1  # of the replay: any fixed number, so that the same table gives the same page


@dataclass(frozen=True, slots=True)
class Answers:
    """question: as it was answered, with all its metrics."""

    question: Question
    results: Results


def answers_to(asked: Asked) -> Answers:
    """Read the table of a question and answer it.

    Raises:
        TableError: the table cannot be read, or its cells cannot be understood.
        SpecError: columns or arms that are asked for are not there.
    """
    table = open_table(Path(asked.question.table), asked.question.separator)
    if asked.question.summary:
        summary, asked = read_summary(table, asked)
        return Answers(asked.question, _of_summary(summary, asked.question))
    asked.check_columns(table.columns)
    return Answers(asked.question, _of_units(collect(table, asked), asked.question))


def _of_units(collected: Collected, question: Question) -> Results:
    units, word, metrics = collected.units, collected.accounts.unit, estimands(question)
    adjusts = bool(question.pre) and doubts.known_alike_before(collected)
    inquiry = _inquiry(question, word, "cuped" if adjusts else "raw")
    caps = [capped(units, metric, question.winsor[metric.name]) for metric in metrics if metric.name in question.winsor]
    by_estimator = _estimates(units, metrics, caps, inquiry, adjusts)
    deciding = by_estimator[inquiry.decider]
    doubt = doubts.about_units(collected, question)
    doubt += doubts.about_numbers(deciding.estimate.n, word, question)
    doubt += doubts.about_lifts(deciding.lifts, inquiry.goals)
    doubt += doubts.about_tails(collected, metrics, inquiry.goals)
    doubt += doubts.about_the_time_before(collected, metrics, question.control)
    first = next(metric for metric in metrics if metric.name == inquiry.goals[0])
    results = read(
        by_estimator,
        inquiry,
        checks_of(units, question.planned),
        blocked=doubt.blocked,
        conversion=f"{word}s with any {first.numerator}",
        conversions=units.counts(units.used & (units.columns[first.numerator] != 0)),
        meanings=notes.meanings(question),
        warnings=doubt.warnings,
    )
    by_level = lifts_by_level(units, metrics, inquiry)
    return replace(
        results,
        notes=notes.of_units(collected, question, caps),
        segments=by_level,
        segment_tests=segment_tests(by_level),
        replay=_replay(units, metrics, inquiry),
    )


def _of_summary(summary: Summary, question: Question) -> Results:
    adjusts = bool(question.pre)
    inquiry = _inquiry(question, "unit", "cuped" if adjusts else "raw")
    by_estimator = {"raw": estimated(summary.groups, summary.metrics, inquiry, cuped=False)}
    if adjusts:
        metrics = _adjustable(summary.metrics, by_estimator["raw"])
        by_estimator["cuped"] = estimated(summary.groups, metrics, inquiry, cuped=True)
    deciding = by_estimator[inquiry.decider]
    everybody = sum(deciding.estimate.n.values()) + sum(summary.unasked.values())
    doubt = doubts.about_plan(summary.unasked, everybody, question, "unit")
    doubt += doubts.about_numbers(deciding.estimate.n, "unit", question)
    doubt += doubts.about_lifts(deciding.lifts, inquiry.goals)
    shares = {arm: question.planned[arm] for arm in summary.groups} if question.planned else {}
    results = read(
        by_estimator,
        inquiry,
        ratio_checks(deciding.estimate.n, {}, shares) if shares else (),
        blocked=doubt.blocked,
        meanings=notes.meanings(question),
        warnings=doubt.warnings,
    )
    told = results if summary.joint else replace(results, tradeoff=None)
    return replace(told, notes=notes.of_summary(summary, question))


def _inquiry(question: Question, word: str, decider: str) -> Inquiry:
    return Inquiry(
        control=question.control,
        goals=question.declared_goals(),
        guardrails=question.guardrails,
        roles=roles(question),
        alpha=question.alpha,
        unit=word,
        decider=decider,
        few=question.clusters,
        lower_is_better=tuple(name for name, margin in question.guardrails.items() if margin > 0),
    )


def _estimates(
    units: Units, metrics: Sequence[Metric], caps: Sequence[Cap], inquiry: Inquiry, adjusts: bool
) -> dict[str, Estimated]:
    columns = {**units.columns, **{name: values for cap in caps for name, values in cap.columns.items()}}
    groups = units.groups(columns)
    found = {"raw": estimated(groups, metrics, inquiry, cuped=False)}
    if adjusts:
        found["cuped"] = estimated(groups, _adjustable(metrics, found["raw"]), inquiry, cuped=True)
    if caps:
        cut = _adjustable([cap.metric for cap in caps], found["raw"])
        found["capped"] = estimated(groups, cut, inquiry, cuped=adjusts)
    return found


def _adjustable(metrics: Sequence[Metric], raw: Estimated) -> list[Metric]:
    """The metrics, without a time before where an arm shows nothing that varies: an adjustment would lend it the
    spread of the time before, and an arm without any conversion would seem to be known."""
    unknown = {lift.metric for lift in raw.lifts if not lift.known}
    return [replace(metric, pre=None) if metric.name in unknown else metric for metric in metrics]


def _replay(units: Units, metrics: Sequence[Metric], inquiry: Inquiry) -> dict[str, float]:
    """How often random halves of the control's units differ on goals and guardrails."""
    judged = [metric for metric in metrics if inquiry.roles[metric.name] in ("goal", "guardrail")]
    columns = tuple(dict.fromkeys(column for metric in judged for column in metric.columns))
    control = units.used & (units.arm == units.arms.index(inquiry.control))
    values = np.column_stack([units.columns[column][control] for column in columns])
    return replayed(columns, values, judged, cuped=inquiry.decider == "cuped", alpha=inquiry.alpha, seed=SEED)
