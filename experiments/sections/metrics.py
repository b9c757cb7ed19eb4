"""`metrics`: what the test is to improve, and what it must not harm."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Lt
from pydantic import Field, field_validator, model_validator

from experiments.sections.common import Change, Section

Margin = Annotated[Change, Gt(-1), Lt(1)]


class MetricsSection(Section):
    """Goals decide, guardrails veto, everything else that the scenario measures is reported.

    goals: in order of importance; higher must be better.
    guardrails: by metric, the largest loss that is acceptable, such as -1%; the largest rise, such as +5%, of a
        metric that is better when lower.
    """

    goals: Annotated[list[str], Field(min_length=1)]
    guardrails: dict[str, Margin] = {}

    @field_validator("guardrails")
    @classmethod
    def _not_zero(cls, margins: dict[str, float]) -> dict[str, float]:
        for name, margin in margins.items():
            if margin == 0:
                raise ValueError(f"a margin must not be 0, got 0 for {name}; try -1%")
        return margins

    @model_validator(mode="after")
    def _disjoint(self) -> MetricsSection:
        twice = [goal for goal in self.goals if goal in self.guardrails]
        if twice or len(set(self.goals)) < len(self.goals):
            raise ValueError(f"a metric may be named once, as a goal or a guardrail, got {twice or self.goals}")
        return self
