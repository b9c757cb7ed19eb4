"""`metrics`: what the test is to improve, and what it must not harm."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Lt
from pydantic import Field, field_validator, model_validator

from experiments.metrics import METRICS, nearest
from experiments.sections.common import Change, Section

Margin = Annotated[Change, Gt(-1), Lt(0)]


class MetricsSection(Section):
    """Goals decide, guardrails veto, everything else is reported.

    goals: in order of importance. guardrails: by metric, the largest loss that is acceptable, such as -1%.
    """

    goals: Annotated[list[str], Field(min_length=1)]
    guardrails: dict[str, Margin] = {}

    @field_validator("goals", "guardrails")
    @classmethod
    def _known(cls, names: list[str] | dict[str, float]) -> list[str] | dict[str, float]:
        observed = [metric.name for metric in METRICS.values() if not metric.hidden]
        for name in names:
            if name not in observed:
                near = nearest(name, observed)
                raise ValueError(f"must be observed metrics, got {name!r}; {near}the metrics are {', '.join(observed)}")
        return names

    @model_validator(mode="after")
    def _disjoint(self) -> MetricsSection:
        twice = [goal for goal in self.goals if goal in self.guardrails]
        if twice or len(set(self.goals)) < len(self.goals):
            raise ValueError(f"a metric may be named once, as a goal or a guardrail, got {twice or self.goals}")
        return self
