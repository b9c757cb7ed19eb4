"""Running totals: what was seen to happen per user or per visit, and what was to be expected.

Counts, cents and milliseconds are whole numbers, so totals are the same in any order of events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.actions import FunnelSpec
from sim.clock import DAY
from sim.funnel import logistic
from sim.records import Bools, Floats, Ints
from sim.scenario import ledger_columns
from sim.served import Counts, Orders, Served
from sim.world import World

EVENTUAL = "eventual_"  # prefix of totals that count what lands after the horizon too
FOREVER = 1e12  # seconds


class Totals:
    """Sampled totals per user, late orders included as they land.

    Args:
        since: second from which clicks count; an order of an earlier click belongs to an earlier period.
        counts: which visits count, with all that comes of them; without it, all do.
    """

    def __init__(self, world: World, since: int, counts: Counts | None = None) -> None:
        self.columns = ledger_columns(world.scenario)
        self.since, self.counts = since, counts
        # A row per column: adding to a few columns of one wave costs a quarter of adding whole rows of users.
        self._sums: Ints = np.zeros((len(self.columns), len(world.people)), dtype=np.int64)
        self.n_impressions = 0
        self._funnel = world.scenario.funnel
        self._first_day = np.full(len(world.people), -1)
        self._last_day = np.full(len(world.people), -1)

    def served(self, wave: Served) -> None:
        self.n_impressions += wave.item.size
        user, time, happened = wave.user, wave.requests.time, per_visit(wave, self.columns)
        if self.counts is not None:
            here = np.flatnonzero(self.counts(wave.requests.request, wave.arm))
            user, time = user[here], time[here]
            happened = {name: counts[here] for name, counts in happened.items()}
        for name, counts in happened.items():
            self._column(name)[user] += counts  # nobody is twice in a wave
        self._days(user, time // DAY)

    def landed(self, orders: Orders) -> None:
        orders = _counted(orders, self.since, self.counts)
        _book(self._sums, self.columns, self._funnel, orders, orders.user)

    def closed(self, day: int) -> None:
        """Nothing to do: totals are always up to date."""

    def _days(self, user: Ints, day: Ints) -> None:
        self._column("active_days")[user] += self._last_day[user] != day
        self._last_day[user] = day
        first = self._first_day[user]
        fresh = np.flatnonzero(first < 0)
        self._first_day[user[fresh]] = day[fresh]
        since = day - first
        since[fresh] = 0
        for gap in (1, 7):
            self._column(f"returned_{gap}")[user[since == gap]] = 1

    @property
    def totals(self) -> Ints:
        """Shape (n_users, n_columns), columns as `ledger_columns`; a view, not a copy."""
        return self._sums.T

    def _column(self, name: str) -> Ints:
        return self._sums[self.columns.index(name)]


class VisitTotals:
    """Sampled totals per visit, for tests whose unit is smaller than a user; arguments as in `Totals`.

    Days are of users: active days and returns stay 0.
    """

    def __init__(self, world: World, since: int, counts: Counts | None = None) -> None:
        self.columns = ledger_columns(world.scenario)
        self.since, self.counts = since, counts
        self._funnel = world.scenario.funnel
        self._request: list[Ints] = []
        self._arm: list[Ints] = []
        self._time: list[Ints] = []
        self._totals: list[Ints] = []
        self._landed: list[Orders] = []

    def served(self, wave: Served) -> None:
        request, arm = wave.requests.request, wave.arm
        here = np.ones(len(arm), dtype=bool) if self.counts is None else self.counts(request, arm)
        self._request.append(request[here])
        self._arm.append(arm[here])
        self._time.append(wave.requests.time[here])
        totals = np.zeros((len(arm), len(self.columns)), dtype=np.int64)
        for name, counts in per_visit(wave, self.columns).items():
            totals[:, self.columns.index(name)] = counts
        self._totals.append(totals[here])

    def landed(self, orders: Orders) -> None:
        self._landed.append(_counted(orders, self.since, self.counts))

    def closed(self, day: int) -> None:
        """Nothing to do: orders are joined to their visits when asked for."""

    def table(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Request, arm and second of each visit, shape (V,), and totals (V, n_columns); by request."""
        request = np.concatenate([np.zeros(0, dtype=np.int64), *self._request])
        by_request = np.argsort(request, kind="stable")
        request = request[by_request]
        totals = np.concatenate([np.zeros((0, len(self.columns)), dtype=np.int64), *self._totals])[by_request]
        orders = Orders.concatenate(self._landed)
        _book(totals.T, self.columns, self._funnel, orders, np.searchsorted(request, orders.request))
        arm, time = (np.concatenate([np.zeros(0, dtype=np.int64), *parts]) for parts in (self._arm, self._time))
        return request, arm[by_request], time[by_request], totals


def _counted(orders: Orders, since: int, counts: Counts | None) -> Orders:
    """Of landed orders those of this period's clicks that came in time for them and are in the test."""
    orders = orders.take((orders.clicked >= since) & (orders.attributed > 0))
    return orders if counts is None else orders.take(counts(orders.request, orders.arm))


def _book(sums: Ints, columns: tuple[str, ...], funnel: FunnelSpec, orders: Orders, place: Ints) -> None:
    """Add late actions and their money to sums of shape (n_columns, n); place: shape (n_orders,), whose each is."""
    for index, name in enumerate(funnel.late):
        rows, action = np.flatnonzero(orders.action == index), funnel.actions[name]
        np.add.at(sums[columns.index(name)], place[rows], 1)
        if action.units:
            np.add.at(sums[columns.index("value_cents")], place[rows], orders.value[rows])
        if "net_cents" in columns and (action.units or action.refunds):
            sign = -1 if action.refunds else 1
            np.add.at(sums[columns.index("net_cents")], place[rows], sign * orders.value[rows])


def per_visit(wave: Served, columns: tuple[str, ...]) -> dict[str, Ints]:
    """What happened at once in each visit of a wave, by column, each of shape (R,)."""
    n, slots, visit = len(wave.user), wave.item.shape[1], wave.click_visit

    def of_clicks(per_click: Ints | Bools) -> Ints:
        # Whole numbers below 2^53 are exact in the floats of bincount.
        return np.bincount(visit, per_click, minlength=n).astype(np.int64)

    counts = {"visits": np.ones(n, dtype=np.int64), "impressions": slots * np.bincount(wave.visit_of, minlength=n)}
    counts |= {name: of_clicks(wave.actions[name]) for name in wave.world.scenario.funnel.at_once}
    counts["stay_ms"] = of_clicks(wave.stay_ms)
    if "watched_milli" in columns:
        counts["watched_milli"] = of_clicks(watched_milli(wave))
    if "fit_milli" in columns:
        counts["fit_milli"] = of_clicks(applied_fit_milli(wave))
    return counts


def watched_milli(wave: Served) -> Ints:
    """Thousandths of the item's length that each click watched, shape (K,); above 1000 on replays."""
    return np.rint(1000 * wave.stay_ms / wave.world.catalogue.length[wave.met.item]).astype(np.int64)


def applied_fit_milli(wave: Served) -> Ints:
    """Thousandths of the fit of each application, 0 where nobody applied; shape (K,)."""
    spec = wave.world.scenario.funnel
    decided = next((action for action in spec.actions.values() if action.decided_by), None)
    if decided is None:
        return np.zeros(len(wave.met.item), dtype=np.int64)
    fit = logistic(wave.world.funnel.fit(wave.met)).astype(np.float64)
    return np.rint(1000 * fit * wave.actions[decided.parent]).astype(np.int64)


class Expectations:
    """Expected totals per user, given what each visit was shown: the truth without the chance of clicks.

    Clicks count as examination x attraction, what follows as its probability given the click, and a late
    action as far as it is expected to count before the horizon. Visits, impressions and days are as they
    happened. Columns as in `Totals`, then `eventual_` ones without the horizon for what is late. Where users
    share something, what is late depends on everybody's luck: use `Totals` for those columns.

    Args:
        horizon: second before which a late action counts.
        only: columns that are wanted, in this order; without it, all. Of a few, a visit costs half as much.
    """

    def __init__(self, world: World, horizon: int, only: Sequence[str] | None = None) -> None:
        self.horizon = horizon
        self.money = [name for name in ("value_cents", "net_cents") if name in ledger_columns(world.scenario)]
        late = [*world.scenario.funnel.late, *self.money]
        every = (*ledger_columns(world.scenario), *(EVENTUAL + name for name in late))
        self.columns = every if only is None else tuple(only)
        self.totals: Floats = np.zeros((len(world.people), len(self.columns)))
        self._days = Totals(world, 0)

    def served(self, wave: Served) -> None:
        funnel, spec, met, click = wave.world.funnel, wave.world.scenario.funnel, wave.shown, wave.click_probability
        self._days.served(wave)
        for name in set(self.columns) & {"visits", "impressions", "active_days", "returned_1", "returned_7"}:
            known = self._days.totals[wave.user, self._days.columns.index(name)]
            self.totals[wave.user, self.columns.index(name)] = known
        if self._wants("stay_ms", "watched_milli"):
            seconds = click * funnel.mean_stay(met)
            self._add_pages(wave, "stay_ms", 1000 * seconds)
            if self._wants("watched_milli"):
                self._add_pages(wave, "watched_milli", 1e6 * seconds / wave.world.catalogue.length[wave.item])
        applying = {action.parent for action in spec.actions.values() if action.decided_by}
        for name, action in spec.actions.items():
            fits = name in applying and self._wants("fit_milli")
            worth = self.money if action.units else ["net_cents"] if action.refunds else []
            if not (fits or self._wants(*(prefix + c for prefix in ("", EVENTUAL) for c in (name, *worth)))):
                continue
            happens = click * funnel.probability_after_click(name, met)
            if spec.is_late(name):
                self._add_late(wave, name, happens)
                continue
            self._add_pages(wave, name, happens)
            if fits:
                self._add_pages(wave, "fit_milli", 1000 * happens * logistic(funnel.fit(met)))

    def _wants(self, *columns: str) -> bool:
        return any(column in self.columns for column in columns)

    def _add_late(self, wave: Served, name: str, happens: Floats) -> None:
        spec = wave.world.scenario.funnel
        left = self.horizon - wave.page_time
        landed = happens * spec.landed_probability(name, left)[:, None]
        in_the_end = happens * spec.landed_probability(name, np.array(FOREVER))
        worth = self._worth(wave, name)
        for prefix, count in (("", landed), (EVENTUAL, in_the_end)):
            self._add_pages(wave, prefix + name, count)
            for money, sign in worth.items():
                self._add_pages(wave, prefix + money, count * sign)

    def _worth(self, wave: Served, name: str) -> dict[str, Floats]:
        """Expected cents of one action, shape (P, S), by the column of money that it goes to."""
        actions = wave.world.scenario.funnel.actions
        action = actions[name]
        earner = actions[action.parent] if action.refunds else action
        if not earner.units:
            return {}
        units = earner.mean_units() * wave.world.people.units[wave.user[wave.visit_of]][:, None]
        cents = wave.world.catalogue.price[wave.item] * units
        if action.refunds:
            return {"net_cents": -cents}
        return dict.fromkeys(self.money, cents)

    def landed(self, orders: Orders) -> None:
        """Nothing to do: expectations count a landing before it happens."""

    def closed(self, day: int) -> None:
        """Nothing to do: totals are always up to date."""

    def _add_pages(self, wave: Served, column: str, per_slot: Floats) -> None:
        if column not in self.columns:
            return
        per_visit = np.bincount(wave.visit_of, per_slot.sum(axis=1), minlength=len(wave.user))
        self.totals[wave.user, self.columns.index(column)] += per_visit
