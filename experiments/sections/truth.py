"""`truth`: how much of the counterfactual is simulated."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from experiments.sections.common import Section


class TruthSection(Section):
    """Every arm over the same users with the same luck.

    users: share of all users that live through every arm. More users, a sharper truth, and more time.
    """

    users: Annotated[float, Gt(0), Le(1)] = 0.2
