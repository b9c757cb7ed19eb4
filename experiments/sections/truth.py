"""`truth`: how much of the counterfactual is simulated."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field

from experiments.sections.common import Section
from experiments.sections.sweep import Sweep

SweepName = Annotated[str, Field(min_length=1, max_length=64)]


class TruthSection(Section):
    """Every arm over the same users with the same luck.

    users: share of all users that live through every arm. More users, a sharper truth, and more time. Where users
        share something, everybody does.
    front: points of the true trade-off front: rankers that know the truth and weigh the first two goals; 0, none.
    front_users: share of all users that live through each of these.
    sweeps: by name, one policy at several values of its keys, which live in the truth alone and get no traffic.
    """

    users: Annotated[float, Gt(0), Le(1)] = 0.2
    front: Annotated[int, Ge(0), Le(101)] = 0
    front_users: Annotated[float, Gt(0), Le(1)] = 0.05
    sweeps: dict[SweepName, Sweep] = {}
