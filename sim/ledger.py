"""Running totals per user: what was seen to happen, and what was to be expected.

Counts, cents and milliseconds are whole numbers, so totals are the same in any order of events.
"""

from __future__ import annotations

import numpy as np

from sim.funnel import FunnelSpec
from sim.records import Floats, Ints
from sim.served import Orders, Served
from sim.world import World

EVENTUAL = "eventual_"  # prefix of totals that count what lands after the horizon too


def ledger_columns(funnel: FunnelSpec) -> tuple[str, ...]:
    """Names of the totals: visits, impressions, each action, stay_ms, value_cents."""
    return ("visits", "impressions", *funnel.actions, "stay_ms", "value_cents")


class Totals:
    """Sampled totals per user, late orders included as they land.

    Args:
        since: second from which clicks count; an order of an earlier click belongs to an earlier period.

    totals: shape (n_users, n_columns), int64, columns as `ledger_columns`.
    """

    def __init__(self, world: World, since: int) -> None:
        self.columns = ledger_columns(world.scenario.funnel)
        self.since = since
        self.totals: Ints = np.zeros((len(world.people), len(self.columns)), dtype=np.int64)
        actions = world.scenario.funnel.actions
        self.at_once = [name for name, action in actions.items() if not action.delay]
        self.delayed = [name for name, action in actions.items() if action.delay]
        self.n_impressions = 0

    def served(self, wave: Served) -> None:
        slots = wave.item.shape[1]
        self._column("visits")[wave.user] += 1
        self._column("impressions")[wave.user] += slots * np.bincount(wave.visit_of, minlength=len(wave.user))
        self.n_impressions += wave.item.size
        for name in self.at_once:
            np.add.at(self._column(name), wave.click_user, wave.actions[name].astype(np.int64))
        np.add.at(self._column("stay_ms"), wave.click_user, wave.stay_ms)

    def landed(self, orders: Orders) -> None:
        orders = orders.take(orders.clicked >= self.since)
        for index, name in enumerate(self.delayed):
            np.add.at(self._column(name), orders.user[orders.action == index], 1)
        np.add.at(self._column("value_cents"), orders.user, orders.value)

    def closed(self, day: int) -> None:
        """Nothing to do: totals are always up to date."""

    def _column(self, name: str) -> Ints:
        return self.totals[:, self.columns.index(name)]


class Expectations:
    """Expected totals per user, given what each visit was shown: the truth without the chance of clicks.

    Clicks count as examination x attraction, what follows as its probability given the click, and a
    delayed action as far as it is expected to land before the horizon. Visits and impressions are as
    they happened. Columns as in `Totals`, then `eventual_` ones without the horizon for what is delayed.
    """

    def __init__(self, world: World, horizon: int) -> None:
        funnel = world.scenario.funnel
        self.horizon = horizon
        self.delayed = [name for name, action in funnel.actions.items() if action.delay]
        late = [*self.delayed, "value_cents"]
        self.columns = (*ledger_columns(funnel), *(EVENTUAL + name for name in late))
        self.totals: Floats = np.zeros((len(world.people), len(self.columns)))

    def served(self, wave: Served) -> None:
        world, met = wave.world, wave.shown
        click = world.scenario.attention.click_probability(world.funnel.attraction(met).astype(np.float64))
        self._add(wave, "visits", np.ones(len(wave.user)))
        self._add_pages(wave, "impressions", np.ones_like(click))
        self._add_pages(wave, "click", click)
        self._add_pages(wave, "stay_ms", 1000 * click * world.funnel.mean_stay(met))
        for name, action in world.scenario.funnel.actions.items():
            if name == "click":
                continue
            happens = click * world.funnel.probability_after_click(name, met)
            if action.delay is None:
                self._add_pages(wave, name, happens)
                continue
            landed = happens * action.delay.landed_probability(self.horizon - wave.page_time)[:, None]
            worth = world.catalogue.price[wave.item] * action.mean_units()
            self._add_pages(wave, name, landed)
            self._add_pages(wave, "value_cents", landed * worth)
            self._add_pages(wave, EVENTUAL + name, happens)
            self._add_pages(wave, EVENTUAL + "value_cents", happens * worth)

    def landed(self, orders: Orders) -> None:
        """Nothing to do: expectations count a landing before it happens."""

    def closed(self, day: int) -> None:
        """Nothing to do: totals are always up to date."""

    def _add_pages(self, wave: Served, column: str, per_slot: Floats) -> None:
        self._add(
            wave,
            column,
            np.bincount(wave.visit_of, per_slot.sum(axis=1), minlength=len(wave.user)).astype(np.float64, copy=False),
        )

    def _add(self, wave: Served, column: str, per_visit: Floats) -> None:
        self.totals[wave.user, self.columns.index(column)] += per_visit
