"""`analysis`: how estimates become verdicts."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt
from pydantic import field_validator

from experiments.sections.common import Section


class AnalysisSection(Section):
    """How estimates become verdicts.

    alpha: family-wise error over goals and arms. cuped: judge by estimates adjusted with the warm-up.
    looks: days after which the test is also read, as it stood then.
    """

    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    cuped: bool = True
    looks: list[Annotated[int, Ge(1)]] = []

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int]) -> list[int]:
        if looks != sorted(set(looks)):
            raise ValueError(f"must be days that rise, got {looks}; try {sorted(set(looks))}")
        return looks
