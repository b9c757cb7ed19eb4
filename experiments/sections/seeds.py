"""`seed`: where all chance begins."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from experiments.sections.common import Section

Seed = Annotated[int, Ge(0), Le(2**63 - 1)]


class Seeds(Section):
    """Three seeds, so that one source of chance can change while the others stay.

    world: who the users and items are. luck: what happens to them. split: which users get which arm.
    """

    world: Seed = 1
    luck: Seed = 2
    split: Seed = 3
