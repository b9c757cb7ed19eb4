"""`world`: which scenario, and how large."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from pydantic import model_validator

from experiments.sections.common import Section
from sim.bounds import Spread
from sim.clock import DAY
from sim.records import Ints
from sim.world import Scenario, World, build

LEAST_WAVE = 1000  # visits per wave; waves of a thousand run at the speed of a plain NumPy loop
NEEDED_ACTIONS = ("click", "collect", "cart", "buy")
_TICKS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)  # minutes that divide a day


class WorldSection(Section):
    """The simulated shop.

    scenario: a name in the library, a path to a YAML file beside this one, or the scenario itself.
    users: over all markets. markets: parts that do not touch each other; user u lives in market u mod markets.
    dynamics: whether satisfaction changes when people come back.
    hidden_intent: sd of a mood that drives click and buy together and that nobody sees; 0 is off, empty as
        the scenario says.
    tick_minutes: length of a wave. Empty: chosen so that a wave holds about a thousand visits. It groups
        work and changes no result.
    """

    scenario: Scenario
    users: Annotated[int, Ge(2), Le(10**9)] = 40_000
    markets: Annotated[int, Ge(1), Le(10_000)] = 2
    dynamics: bool = True
    hidden_intent: Spread | None = None
    tick_minutes: Annotated[int, Ge(1), Le(1440)] | None = None

    @model_validator(mode="after")
    def _sizes(self) -> WorldSection:
        if self.users < 2 * self.markets:
            raise ValueError(
                f"every market needs at least 2 users, got {self.users} users in {self.markets} markets; "
                f"raise users or lower markets"
            )
        scenario = self.scenario
        per_market, candidates = scenario.catalogue.items // self.markets, scenario.browse.candidates
        if per_market < candidates:
            raise ValueError(
                f"every market needs at least scenario.browse.candidates = {candidates} items, got "
                f"{scenario.catalogue.items} items in {self.markets} markets; raise scenario.catalogue.items or "
                f"lower markets"
            )
        lacking = [action for action in NEEDED_ACTIONS if action not in scenario.funnel.actions]
        if lacking:
            raise ValueError(
                f"scenario.funnel.actions must hold {', '.join(NEEDED_ACTIONS)}, which the metrics and policies are "
                f"about, got none named {', '.join(lacking)}"
            )
        if self.tick_minutes is not None and 1440 % self.tick_minutes:
            raise ValueError(f"tick_minutes must divide a day of 1440 minutes, got {self.tick_minutes}; try 60")
        return self

    def effective(self) -> Scenario:
        """The scenario with this section's switches applied."""
        scenario = self.scenario
        if not self.dynamics:
            scenario = replace(scenario, satisfaction=replace(scenario.satisfaction, return_strength=0.0))
        if self.hidden_intent is not None:
            scenario = replace(scenario, browse=replace(scenario.browse, hidden_intent=self.hidden_intent))
        return scenario

    def users_of(self, market: int) -> Ints:
        """Ids of the users of one market."""
        return np.arange(self.users)[market :: self.markets]

    def build(self, seed: int, market: int, users: Ints | None = None) -> World:
        """The world of one market, of all its users or of some."""
        chosen = self.users_of(market) if users is None else users
        return build(self.effective(), seed, chosen, market, self.markets)

    def tick(self, n_users: int) -> int:
        """Seconds per wave when so many users are simulated together."""
        if self.tick_minutes is not None:
            return self.tick_minutes * 60
        # With log-normal gaps, a person comes about once in habit x exp(sd^2 / 2) days.
        spread = self.scenario.satisfaction.gap_log_sd**2 / 2
        per_day = n_users / (self.scenario.people.habit_days * np.exp(spread))
        enough = [minutes for minutes in _TICKS if per_day * minutes / 1440 >= LEAST_WAVE]
        return min(enough[0] * 60 if enough else DAY, DAY)
