"""Metrics as the analysis sees them: columns of the test, and of the time before it as covariates."""

from __future__ import annotations

from experiments.analysis.joint import Metric
from experiments.tables.question import Question


def estimands(question: Question) -> tuple[Metric, ...]:
    """The metrics of a question, in the order of the table: goals, guardrails, the rest."""
    formulas, before = question.formulas, question.pre_formulas
    found = []
    for name in roles(question):
        pre = before.get(name)
        covariate = None if pre is None else (pre.numerator, pre.denominator)
        found.append(Metric(name, formulas[name].numerator, formulas[name].denominator, covariate))
    return tuple(found)


def roles(question: Question) -> dict[str, str]:
    """What each metric is for."""
    deciding = dict.fromkeys(question.declared_goals(), "goal") | dict.fromkeys(question.guardrails, "guardrail")
    return deciding | {name: "secondary" for name in question.metrics if name not in deciding}
