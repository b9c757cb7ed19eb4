"""`faults`: what goes wrong in real tests, each switched on by its key."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from experiments.sections.common import Section


class HeavySpenders(Section):
    """A few people buy many times the usual units: money becomes heavy-tailed.

    share: of all users. units: how many times the usual.
    """

    share: Annotated[float, Gt(0), Lt(1)] = 0.001
    units: Annotated[int, Ge(2), Le(10_000)] = 50


class Novelty(Section):
    """People click more on a ranking only because it is new, for a while; the control's is not new to them.

    lift: log-odds of a click at first. half_life_days: until it has halved.
    """

    lift: Annotated[float, Gt(-5), Lt(5)] = 0.3
    half_life_days: Annotated[float, Gt(0), Le(3650)] = 3.0


class LostRows(Section):
    """Logging of one arm loses whole visits; what people did in them happened all the same.

    arm: whose. share: of its visits.
    """

    arm: str
    share: Annotated[float, Gt(0), Lt(1)] = 0.05


class FaultsSection(Section):
    """Faults of the world (heavy_spenders), of the people (novelty) and of the log (lost_rows)."""

    heavy_spenders: HeavySpenders | None = None
    novelty: Novelty | None = None
    lost_rows: LostRows | None = None
