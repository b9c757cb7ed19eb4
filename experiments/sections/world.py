"""`world`: which scenario, and how large."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from pydantic import model_validator

from experiments.sections.common import Section
from sim.bounds import Share, Spread
from sim.clock import DAY, HOUR
from sim.records import Ints
from sim.scenario import Scenario, with_conflict
from sim.world import World, build

LEAST_WAVE = 1000  # visits per wave; waves of a thousand run at the speed of a plain NumPy loop
_TICKS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)  # minutes that divide a day


class WorldSection(Section):
    """The simulated shop.

    scenario: a name in the library, a path to a YAML file beside this one, or the scenario itself.
    users: over all markets. markets: parts that do not touch each other; user u lives in market u mod markets.
    dynamics: whether satisfaction changes when people come back.
    sharing: whether users share what the scenario's market says: stock, or the attention of recruiters.
    conflict: how far what makes people click is opposed to what makes them stay and buy: 0 aligned, 0.5
        unrelated, 1 opposed; empty, as the scenario says.
    hidden_intent: sd of a mood that drives click and buy together and that nobody sees; 0 is off, empty as
        the scenario says.
    tick_minutes: length of a wave. Empty: chosen so that a wave holds about a thousand visits. It groups
        work and changes no result, unless users share: a wave finds what is shared as it was when it began.
    """

    scenario: Scenario
    users: Annotated[int, Ge(2), Le(10**9)] = 40_000
    markets: Annotated[int, Ge(1), Le(10_000)] = 2
    dynamics: bool = True
    sharing: bool = False
    conflict: Share | None = None
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
        new = scenario.catalogue.new_share
        there = per_market * (1 - new) - 4 * np.sqrt(per_market * new * (1 - new))  # of chance: 4 sd on the safe side
        if there < candidates:
            raise ValueError(
                f"every market needs at least scenario.browse.candidates = {candidates} items on day 0, and with "
                f"scenario.catalogue.new_share {new} may have {there:.0f}; raise scenario.catalogue.items"
            )
        market = scenario.market
        if self.sharing and market.stock is None and market.recruiters is None:
            raise ValueError(
                f"sharing needs scenario.market.stock or scenario.market.recruiters, {scenario.name} has neither; "
                f"give one or drop sharing"
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
        if self.conflict is not None:
            scenario = with_conflict(scenario, self.conflict)
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
        tick = enough[0] * 60 if enough else DAY
        # What is shared is found as it was when the tick began: an hour, however few the users are.
        return min(tick, HOUR) if self.sharing else tick
