"""What a simulation leaves of looks, stays, delays and gaps: a recorder whose memory does not grow with time."""

from __future__ import annotations

import numpy as np

from experiments.marginals.histogram import LogHistogram
from sim.actions import Action
from sim.clock import DAY
from sim.records import Bools, Floats, Ints
from sim.scenario import Scenario
from sim.served import Orders, Served
from sim.world import World


class Sample:
    """A recorder of marginals.

    examined: shape (n_slots,). How often each slot was looked at, on n_pages pages.
    pages: shape (most pages + 1,). Visits by how many pages they were shown.
    stay, gap, watched, worth, delay: histograms of seconds on an item, days between visits, share of the item's
        length, value of orders that may happen (weighted by their chance), and seconds from a click to the first
        late action.
    late: shape (n_late_actions,). How many of each late action began, landed or not.
    first_day: shape (n_users,). Day of the first visit; -1 before it.
    """

    def __init__(self, world: World) -> None:
        scenario = world.scenario
        self.examined: Floats = np.zeros(scenario.attention.slots)
        self.n_pages = 0
        self.pages: Ints = np.zeros(scenario.browse.pages + 1, dtype=np.int64)
        self.stay, self.gap, self.watched, self.worth, self.delay = (LogHistogram() for _ in range(5))
        self.late: Ints = np.zeros(len(scenario.funnel.late), dtype=np.int64)
        self.first_day: Ints = np.full(len(world.people), -1)
        self._earner = earner(scenario)

    def served(self, wave: Served) -> None:
        """Count what a wave did."""
        self.examined += wave.examined.sum(axis=0)
        self.n_pages += len(wave.item)
        read = np.bincount(wave.visit_of, minlength=len(wave.user))
        self.pages += np.bincount(read, minlength=len(self.pages))
        self.stay.add(wave.stay_ms / 1000)
        self.gap.add((wave.next_visit - wave.requests.time) / DAY)
        if wave.world.scenario.funnel.stay.median_share is not None:
            self.watched.add(wave.stay_ms / wave.world.catalogue.length[wave.met.item])
        self.late += np.bincount(wave.orders.action, minlength=len(self.late))
        first = wave.orders.action == 0
        self.delay.add((wave.orders.due - wave.orders.clicked)[first])
        new: Bools = self.first_day[wave.user] < 0
        self.first_day[wave.user[new]] = wave.requests.time[new] // DAY
        if self._earner is not None:
            self._value(wave, *self._earner)

    def _value(self, wave: Served, name: str, action: Action) -> None:
        """Price x units of every order that may happen, by its chance: far less noisy than the few that do."""
        happens = wave.click_probability * wave.world.funnel.probability_after_click(name, wave.shown)
        cents = wave.world.catalogue.price[wave.item] * wave.world.people.units[wave.user[wave.visit_of]][:, None]
        for units, share in enumerate(action.units, start=1):
            self.worth.add((cents * units / 100).ravel(), (happens * share).ravel())

    def landed(self, orders: Orders) -> None:
        """Nothing to do: delays are known when they begin, whether or not the simulation sees them end."""

    def closed(self, day: int) -> None:
        """Nothing to do: counts are always up to date."""


def earner(scenario: Scenario) -> tuple[str, Action] | None:
    """The first action that earns money."""
    return next(((name, action) for name, action in scenario.funnel.actions.items() if action.units), None)
