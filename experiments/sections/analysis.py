"""`analysis`: how estimates become verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import field_validator

from experiments.sections.common import Section


class AnalysisSection(Section):
    """How estimates become verdicts.

    alpha: family-wise error over goals and arms. cuped: judge by estimates adjusted with the warm-up.
    looks: days after which the test is also read, as it stood then, ready to be stopped.
    spending: how looks spend alpha (Lan and DeMets 1983): obrien_fleming, little at first; pocock, evenly; none, as if
        nobody acted on them.
    segments: what users are divided by, as seen in the warm-up: returning, activity, price (of what they click).
    cap: metrics of money are also told with users' money cut at this quantile over the users of the warm-up; empty,
        only as it is.
    """

    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    cuped: bool = True
    looks: list[Annotated[int, Ge(1)]] = []
    spending: Literal["obrien_fleming", "pocock", "none"] = "obrien_fleming"
    segments: list[Literal["returning", "activity", "price"]] = ["returning", "activity", "price"]
    cap: Annotated[float, Ge(0.5), Lt(1)] | None = (
        0.999  # 99.9 %: halves the error of heavy tails, moves the mean little
    )

    @field_validator("segments")
    @classmethod
    def _once(cls, segments: list[str]) -> list[str]:
        if len(set(segments)) < len(segments):
            raise ValueError(f"must name each segment once, got {segments}; drop the second")
        return segments

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int]) -> list[int]:
        if looks != sorted(set(looks)):
            raise ValueError(f"must be days that rise, got {looks}; try {sorted(set(looks))}")
        return looks
