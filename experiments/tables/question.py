"""What is asked of a table: the keys of a question's YAML, which are the options of `seesaw analyze`."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, Field, model_validator

from experiments.metrics import nearest
from experiments.policy_spec import Place
from experiments.sections.common import Change, Problems, Section
from experiments.sections.metrics import Margin
from experiments.tables.formulas import Formula, parse_formula

Found = list[tuple[tuple[str, ...], str]]  # problems, each with its place


def _checked(text: str) -> str:
    parse_formula(text)
    return text


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Text = Annotated[str, Field(min_length=1)]
FormulaText = Annotated[str, AfterValidator(_checked)]
Quantile = Annotated[float, Ge(0.5), Lt(1)]
Share = Annotated[Change, Gt(0), Le(1)]
OF_UNITS = ("unit", "segments", "winsor", "day")  # keys that a table of sums cannot answer


class Question(Section):
    """An experiment of one's own, as a table of what units did.

    table: CSV or Parquet. summary: it holds counts, means and variances by arm instead of rows.
    unit: column of what was divided between the arms; units with several rows are summed. Empty: a row is a unit.
    clusters: units are few and large, such as markets: Student's t, and 20 to an arm are enough.
    arm: column. control: the arm that others are compared with. arms: the only ones to be compared; empty, all.
    metrics: by name, a column (mean per unit) or one over another (ratio of sums).
    pre: by metric, the same of the time before the test: what the metric is adjusted by (CUPED).
    goals: in order of importance; higher is better. Empty: the first metric.
    guardrails: by metric, the largest fall accepted, such as -1%; the largest rise, such as +5%.
    planned: shares by arm; without them a sample-ratio mismatch cannot be told.
    segments: columns known before the test, whose levels are compared.
    winsor: by metric, the quantile over all units at which its numerator is cut, told beside the uncut.
    day: column; units are counted by the first day on which they came.
    separator, decimal: of a CSV file; an empty separator is found out.
    """

    table: Text
    summary: bool = False
    unit: Text | None = None
    clusters: bool = False
    arm: Text
    control: Text
    arms: list[Text] = []
    metrics: dict[Name, FormulaText] = {}
    pre: dict[str, FormulaText] = {}
    goals: list[str] = []
    guardrails: dict[str, Margin] = {}
    planned: dict[str, Share] = {}
    segments: list[Text] = []
    winsor: dict[str, Quantile] = {}
    day: Text | None = None
    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."

    @property
    def formulas(self) -> dict[str, Formula]:
        return {name: parse_formula(text) for name, text in self.metrics.items()}

    @property
    def pre_formulas(self) -> dict[str, Formula]:
        return {name: parse_formula(text) for name, text in self.pre.items()}

    def declared_goals(self) -> tuple[str, ...]:
        """The goals, or the first metric that is not a guardrail."""
        return tuple(self.goals or [name for name in self.metrics if name not in self.guardrails][:1])

    def places(self) -> dict[Place, str]:
        """Every column that is asked for, by the key that asks."""
        found: dict[Place, str] = {("arm",): self.arm}
        found |= {(key,): column for key, column in (("unit", self.unit), ("day", self.day)) if column is not None}
        found |= {("segments", n): column for n, column in enumerate(self.segments)}
        for key, formulas in (("metrics", self.formulas), ("pre", self.pre_formulas)):
            for name, formula in formulas.items():
                found |= {(key, name, n): column for n, column in enumerate(formula.columns)}
        return found

    @model_validator(mode="after")
    def _fits(self) -> Question:
        problems = [*self._about_metrics(), *self._about_arms(), *self._about_units()]
        if problems:
            raise Problems(problems)
        return self

    def _about_metrics(self) -> Found:
        problems: Found = []
        if not self.metrics and not self.summary:
            problems.append((("metrics",), "must hold a metric, found none; add one such as gmv: value"))
        named: Found = [(("goals",), goal) for goal in self.goals]
        named += [((key, name), name) for key in ("pre", "guardrails", "winsor") for name in getattr(self, key)]
        unknown = [(place, name) for place, name in named if name not in self.metrics] if self.metrics else []
        known = f"known: {', '.join(self.metrics)}"
        problems += [
            (place, f"must name a metric, got {n!r}; {nearest(n, self.metrics)}{known}") for place, n in unknown
        ]
        twice = [goal for n, goal in enumerate(self.goals) if goal in self.guardrails or goal in self.goals[:n]]
        problems += [(("goals",), f"a metric must be named once, as a goal or a guardrail, got {g!r}") for g in twice]
        zero = [name for name, margin in self.guardrails.items() if margin == 0]
        problems += [(("guardrails", name), "a margin must not be 0, got 0; try -1%") for name in zero]
        if self.metrics and not self.declared_goals():
            problems.append((("guardrails",), "must leave a metric to be the goal, got all of them; add a metric"))
        return problems

    def _about_arms(self) -> Found:
        problems: Found = []
        for key, arms in (("planned", list(self.planned)), ("arms", self.arms)):
            listed = ", ".join(arms)
            if arms and self.control not in arms:
                text = f"must be one of the {key} arms, got {self.control!r}; {nearest(self.control, arms)}"
                problems.append((("control",), f"{text}they are {listed}"))
            if len(arms) == 1 or len(set(arms)) < len(arms):
                problems.append(((key,), f"must hold at least two arms, each once, got {listed}"))
        if self.arms and self.planned and set(self.arms) != set(self.planned):
            text = f"must have a share for each of {', '.join(self.arms)}, got {', '.join(self.planned)}"
            problems.append((("planned",), text))
        total = sum(self.planned.values())
        if total > 1 + 1e-9:
            problems.append((("planned",), f"shares must sum to at most 1, got {total:.6g}; lower some"))
        return problems

    def _about_units(self) -> Found:
        asked = [key for key in OF_UNITS if getattr(self, key)] if self.summary else []
        text = "must not be given with a summary, which knows no units; remove it"
        problems: Found = [((key,), text) for key in asked]
        named = [self.arm, self.unit, self.day, *self.segments]
        columns = [column for column in named if column is not None]
        twice = dict.fromkeys(column for n, column in enumerate(columns) if column in columns[:n])
        text = "arm, unit, day and segments must be different columns, got {!r} twice; drop one"
        return problems + [(("arm",), text.format(column)) for column in twice]
