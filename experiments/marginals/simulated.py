"""The simulations that marginals are read from; each is run when the first marginal asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.marginals.sample import Sample
from policies.baselines import Production, RandomRanking
from sim.clock import DAY, HOUR
from sim.engine import Arm, opening, simulate
from sim.ledger import Expectations, Totals
from sim.records import Floats, Ints
from sim.scenario import Scenario
from sim.served import Recorder
from sim.state import State
from sim.world import World, build

WARMUP = Arm("production", Production(), 0.5)  # the logging policy of experiments
TRAINED = Arm("trained", Production(), 0.0)  # the shop's own history, exploring nothing
RANDOM = Arm("random", RandomRanking(), 0.0)
CONTRAST_DAYS = 3  # per impression, so that a few days of everybody are plenty
QUIET_TICK, SHARED_TICK = 6 * HOUR, HOUR  # where nothing is shared a tick changes no result


@dataclass(frozen=True, slots=True)
class Market:
    """What recruiters made of the applications. state: at the end. totals: of what landed by then."""

    state: State
    totals: Totals


class Simulated:
    """One scenario at work, in one market.

    Args:
        users, days: how large. seed: of the world; the luck's is the next.
    """

    def __init__(self, scenario: Scenario, users: int, days: int, seed: int = 1) -> None:
        self.scenario, self.users, self.days, self.seed = scenario, users, days, seed

    @cached_property
    def world(self) -> World:
        return build(self.scenario, self.seed, np.arange(self.users))

    @cached_property
    def totals(self) -> Totals:
        """What happened to each user under the warm-up's ranker."""
        return self._warmup[0]

    @cached_property
    def expected(self) -> Expectations:
        """The same, as it was to be expected: rates without the chance of clicks."""
        return self._warmup[1]

    @cached_property
    def sample(self) -> Sample:
        """Looks, stays, delays and gaps under the warm-up's ranker."""
        return self._warmup[2]

    @cached_property
    def trained(self) -> Expectations:
        """A few days under the shop's history alone, at temperature 0."""
        return self._contrast(TRAINED)

    @cached_property
    def random(self) -> Expectations:
        """The same days under a random ranking."""
        return self._contrast(RANDOM)

    @cached_property
    def market(self) -> Market | None:
        """The warm-up once more, with users sharing what the scenario says; None where it has no recruiters."""
        if self.scenario.market.recruiters is None:
            return None
        totals = Totals(self.world, 0)
        return Market(self._run(WARMUP, self.days, (totals,), sharing=True), totals)

    @cached_property
    def came(self) -> Ints:
        """Rows of the users who came at least once."""
        return np.flatnonzero(self.total("visits") > 0)

    def total(self, name: str) -> Ints:
        """What happened to each user, shape (n_users,), by column of the ledger."""
        return self.totals.totals[:, self.totals.columns.index(name)]

    def rate(self, numerator: str, denominator: str, of: Expectations | None = None) -> float:
        """Expected numerator per expected denominator over all users; late actions without the horizon."""
        found = of or self.expected
        return ratio(_eventual(found, numerator).sum(), _eventual(found, denominator).sum())

    @cached_property
    def _warmup(self) -> tuple[Totals, Expectations, Sample]:
        found = Totals(self.world, 0), Expectations(self.world, self.days * DAY), Sample(self.world)
        self._run(WARMUP, self.days, found)
        return found

    def _contrast(self, arm: Arm) -> Expectations:
        days = min(CONTRAST_DAYS, self.days)
        found = Expectations(self.world, days * DAY)
        self._run(arm, days, (found,))
        return found

    def _run(self, arm: Arm, days: int, recorders: tuple[Recorder, ...], *, sharing: bool = False) -> State:
        luck = self.seed + 1
        everybody = np.zeros(self.users, dtype=np.int64)
        start = opening(self.world, luck, sharing=sharing)
        tick = SHARED_TICK if sharing else QUIET_TICK
        return simulate(self.world, start, days, [arm], everybody, luck, recorders, tick)


def ratio(numerator: float, denominator: float) -> float:
    """NaN where there is nothing to divide by."""
    return float(numerator / denominator) if denominator > 0 else float("nan")


def _eventual(found: Expectations, name: str) -> Floats:
    column = f"eventual_{name}" if f"eventual_{name}" in found.columns else name
    return found.totals[:, found.columns.index(column)]
