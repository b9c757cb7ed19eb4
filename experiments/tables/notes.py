"""What was done with a table, in sentences: rows used and dropped, and what was taken for granted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.tables.accounts import Accounts
from experiments.tables.capping import Cap
from experiments.tables.collecting import Collected
from experiments.tables.question import Question
from experiments.tables.summary import Summary

FEW_REPEATED = 0.01  # of all units have several rows: they may be copies


def meanings(question: Question) -> dict[str, str]:
    """Metrics in words."""
    return {
        name: f"{f.numerator} per {f.denominator}" if f.denominator else f"{f.numerator} per unit"
        for name, f in question.formulas.items()
    }


def of_units(collected: Collected, question: Question, caps: Sequence[Cap]) -> tuple[str, ...]:
    """Of a table of units or of their events."""
    accounts = collected.accounts
    said = [*accounts.lines(), *_about_rows(accounts, question), *_assumed(question)]
    said += [
        f"{column} is the same on all rows of a {accounts.unit} and was taken once, not summed"
        for column in collected.once
    ]
    n = sum(collected.unadjusted.values())
    if n:
        said.append(f"the time before the test is unknown of {n:,} {accounts.unit}s, for which nothing is adjusted")
    said += [_about_cap(cap, question, accounts.unit) for cap in caps]
    return tuple(said)


def of_summary(summary: Summary, question: Question) -> tuple[str, ...]:
    """Of a table of counts, means and variances."""
    n = sum(stats.n for stats in summary.groups.values())
    said = [f"{summary.rows} rows read, {summary.used} used: {n:,} units in {len(summary.groups)} arms"]
    if summary.used < summary.rows:
        said.append(f"dropped {summary.rows - summary.used} rows: in an arm that is not compared")
    said += _assumed(question)
    if not summary.joint:
        said.append(
            "covariances between metrics are not in the summary: what holds for all at once holds as if metrics were "
            "independent, which makes intervals rather too wide (Sidak 1967), and trade-offs between them can't be told"
        )
    return tuple(said)


def _about_rows(accounts: Accounts, question: Question) -> list[str]:
    if question.unit is None:
        return ["no unit was named: every row is a unit"]
    if not accounts.several:
        return [f"every {accounts.unit} has one row"]
    several = f"{accounts.several:,} of {accounts.units_used:,} {accounts.unit}s have several rows, which were summed"
    if accounts.several < FEW_REPEATED * accounts.units_used:
        return [f"{several}; if the table is to have one row per {accounts.unit}, these are copies: remove them"]
    return [several]


def _assumed(question: Question) -> list[str]:
    said = []
    if not question.goals:
        said.append(f"no goal was declared: {question.declared_goals()[0]}, the first metric, is the goal")
    if not question.planned:
        said.append("no shares were planned: whether arms got their shares can't be told (planned: A=0.5,B=0.5)")
    return said


def _about_cap(cap: Cap, question: Question, word: str) -> str:
    quantile, name = 100 * question.winsor[cap.metric.name], cap.metric.name
    if not np.isfinite(cap.cap):
        return f"{name} is not cut: {quantile:g} % of {word}s have none of it"
    cut = (
        f"{name} cut at {cap.cap:g} per {word}, the {quantile:g} % quantile over all arms ({cap.cut:,} {word}s are cut)"
    )
    return f"{cut}; shown as capped, beside the uncut that decides"
