"""`analysis`: how estimates become verdicts."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Lt

from experiments.sections.common import Section


class AnalysisSection(Section):
    """alpha: family-wise error over goals and arms. cuped: judge by estimates adjusted with the warm-up."""

    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    cuped: bool = True
