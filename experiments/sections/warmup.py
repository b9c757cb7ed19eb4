"""`warmup`: the days before the test, which every policy learns from."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from experiments.policy_spec import PolicyMapping
from experiments.sections.common import Section


class Explore(Section):
    """Plackett-Luce exploration.

    temperature: of Gumbel noise, in standard deviations of a request's scores; 0 is none.
    """

    temperature: Annotated[float, Ge(0), Le(1000)] = 0.0


class LoggingExplore(Explore):
    """Exploration of the logging policy; without any, nothing can be learned about what it does not show."""

    temperature: Annotated[float, Gt(0), Le(1000)] = 0.5


class WarmupSection(Section):
    """The logging policy serves everyone; its log trains every policy and is the test's pre-period.

    policy: must need no training. max_train_rows: a random share of whole requests beyond that.
    """

    days: Annotated[int, Ge(1), Le(3650)] = 14
    policy: PolicyMapping = {"type": "production"}
    explore: LoggingExplore = LoggingExplore()
    max_train_rows: Annotated[int, Ge(1000)] = 1_000_000
