"""From the files of a run to arrays and statistics: who got which arm, what came of it, unit by unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.joint import Metric
from experiments.analysis.stats import SufficientStats
from experiments.metrics import USERS
from experiments.plan import Plan
from experiments.spec import Experiment
from experiments.stages.arms import VISITS, market_folder
from experiments.stages.common import ASSIGNED, EXPECTED, PRE, TOTALS
from experiments.stages.recorders import MOMENTS, load_moments
from experiments.store import RunFolder
from experiments.tasks import Task
from sim.clock import HOUR
from sim.scenario import MARKET_COLUMNS, MetricSpec, Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
SATISFACTION = "satisfaction"
USER_ID = "user"


@dataclass(frozen=True)
class Gathered:
    """A finished run, as the analysis reads it."""

    experiment: Experiment
    folder: RunFolder
    plan: Plan

    @property
    def arms(self) -> list[str]:
        return list(self.experiment.experiment.arms)

    @property
    def scenario(self) -> Scenario:
        return self.experiment.world.scenario

    def groups(self, unit: str, day: int = 0) -> dict[str, SufficientStats]:
        """By arm, statistics of the units that were served; `day` > 0: as it stood after so many days of the test."""
        if day:
            return self._groups_of_day(unit, day)
        return grouped(self.tables(unit), self.arms)

    def tables(self, unit: str) -> Iterator[Table]:
        """The units that were served, one market after the other."""
        return (self._table(unit, market) for market in self.plan.warmups)

    def days(self, unit: str) -> list[int]:
        """Days of which moments were kept."""
        return sorted(self._moments(unit, next(iter(self.plan.warmups))))

    def _groups_of_day(self, unit: str, day: int) -> dict[str, SufficientStats]:
        groups: dict[str, SufficientStats] = {}
        for market in self.plan.warmups:
            moments = self._moments(unit, market)[day]
            for name in self.arms:
                # What is of a market alone is not known of a night.
                one = moments[name] if unit == "user" else moments[name].as_one(USERS).with_unmeasured(MARKET_COLUMNS)
                groups[name] = groups[name] + one if name in groups else one
        return groups

    def _moments(self, unit: str, market: int) -> dict[int, dict[str, SufficientStats]]:
        if (unit, market) not in self._nights:  # every night is asked for, and they are one file
            result = market_folder(self.folder.result(self.plan.tests[unit, market]), market)
            self._nights[unit, market] = load_moments(result / MOMENTS)
        return self._nights[unit, market]

    @cached_property
    def _nights(self) -> dict[tuple[str, int], dict[int, dict[str, SufficientStats]]]:
        return {}

    @cached_property
    def users(self) -> Table:
        """All users who came during the test, of all markets, with their ids."""
        return joined([self._users(market) for market in self.plan.warmups])

    def paired_users(self, day: int) -> tuple[Table, Table]:
        """Users who came during the test, with all of their test, and with its first `day` days: the same rows."""
        whole: list[Table] = []
        early: list[Table] = []
        for market, task in ((m, t) for (of, m), t in self.plan.tests.items() if of == "user"):
            result = market_folder(self.folder.result(task), market)
            (columns, last), (_, first) = (load_totals(result / name) for name in (TOTALS, f"day{day}-{TOTALS}"))
            with np.load(result / ASSIGNED, allow_pickle=False) as saved:
                arm_of, names = saved["arm"], saved["names"].tolist()
            came = last[:, columns.index("visits")] > 0
            for parts, values in ((whole, last), (early, first)):
                parts.append(Table(names, columns[:-1], arm_of[came], values[came, :-1]))
        return joined(whole), joined(early)

    def _table(self, unit: str, market: int) -> Table:
        if unit == "user":
            return self._users(market)
        if unit == "market":
            return self._whole_market(self._users(market, unit), market)
        return self._visits(unit, market)

    def _users(self, market: int, unit: str = "user") -> Table:
        """Users who came, with their test and their warm-up; the first visit is decided before the test."""
        result = market_folder(self.folder.result(self.plan.tests[unit, market]), market)
        columns, values = load_totals(result / TOTALS)
        pre_columns, pre = load_totals(self.folder.result(self.plan.warmups[market]) / TOTALS)
        keep = [n for n, column in enumerate(pre_columns) if column != SATISFACTION]
        with np.load(result / ASSIGNED, allow_pickle=False) as saved:
            user, arm_of, names = saved["user"], saved["arm"], saved["names"].tolist()
        came = values[:, columns.index("visits")] > 0
        together = np.concatenate([values, pre[:, keep]], axis=1)[came]
        return Table(names, (*columns, *(PRE + pre_columns[n] for n in keep)), arm_of[came], together, user[came])

    def _whole_market(self, users: Table, market: int) -> Table:
        """One row for the market, with what is of the market alone."""
        whole = users.summed(np.zeros(len(users.arm), dtype=np.int64))
        task = self.plan.tests["market", market]
        side = self.folder.notes(task)["sides"][task.arguments["markets"].index(market)]
        own = np.array([[side[column] for column in MARKET_COLUMNS]] * len(whole.arm))
        own = own.reshape(len(whole.arm), len(MARKET_COLUMNS))
        return Table(whole.names, (*whole.columns, *MARKET_COLUMNS), whole.arm, np.hstack([whole.values, own]))

    def _visits(self, unit: str, market: int) -> Table:
        """Visits, or the cells of a switchback; `users` is how many visits there are."""
        result = market_folder(self.folder.result(self.plan.tests[unit, market]), market)
        with np.load(result / VISITS, allow_pickle=False) as saved:
            names, columns = saved["names"].tolist(), (*saved["columns"].tolist(), SATISFACTION, USERS)
            arm, time, totals = saved["arm"], saved["time"], saved["totals"].astype(np.float64)
        one = np.ones((len(arm), 1))
        # Of a visit there is no satisfaction at the end.
        table = Table(names, columns, arm, np.concatenate([totals, np.nan * one, one], axis=1))
        if unit == "visit":
            return table
        block = time // (self.experiment.experiment.assign.block_hours * HOUR)
        return table.summed(block)

    def truth(self, arm: str, file: str = EXPECTED, day: int = 0) -> dict[str, Floats]:
        """Columns of all truth users who came, in the order of markets and users; of markets where users share."""
        name = f"day{day}-{file}" if day else file
        return self._everyone([task for (owner, _), task in self.plan.truths.items() if owner == arm], name)

    def front(self, point: int) -> dict[str, Floats]:
        """The same for one point of the true front."""
        return self._everyone([task for (k, _), task in self.plan.fronts.items() if k == point], EXPECTED)

    def sweep(self, name: str, point: int) -> dict[str, Floats]:
        """The same for one point of a sweep."""
        return self._everyone([t for (of, k, _), t in self.plan.sweeps.items() if (of, k) == (name, point)], EXPECTED)

    def _everyone(self, tasks: Sequence[Task], name: str) -> dict[str, Floats]:
        parts, users = [], []
        for path in (self.folder.result(task) / name for task in tasks):
            columns, values = load_totals(path)
            with np.load(path, allow_pickle=False) as saved:
                user = saved["user"]
            # The first visit of the test is decided before it: the same users come under every arm.
            came = values[:, columns.index("visits")] > 0
            parts.append(values[came])
            users.append(user[came])
        if self.experiment.world.sharing:  # those who share are no independent users: a market is one
            count = np.array([len(part) for part in parts], dtype=np.float64)
            parts, ids = [part.sum(axis=0, keepdims=True) for part in parts], np.arange(len(parts))
        else:
            count, ids = np.ones(sum(len(part) for part in parts)), np.concatenate(users)
        together = np.concatenate(parts)
        named = {column: together[:, n] for n, column in enumerate(columns)}
        if self.experiment.world.sharing:
            sides = [self.folder.notes(task)["sides"] for task in tasks]
            named |= {column: np.array([float(side[column]) for side in sides]) for column in MARKET_COLUMNS}
        return named | {USERS: count, USER_ID: ids.astype(np.float64)}


@dataclass(frozen=True)
class Table:
    """Units of a test: shape (n,) arms by index into names, shape (n, k) values; user: shape (n,) ids, if units are
    users."""

    names: list[str]
    columns: tuple[str, ...]
    arm: Ints
    values: Floats
    user: Ints | None = None

    def needed_by(self, metrics: Sequence[Metric]) -> Table:
        """The same units without the columns that no metric asks for."""
        asked = {column for metric in metrics for column in metric.columns}
        at = [n for n, column in enumerate(self.columns) if column in asked]
        return replace(self, columns=tuple(self.columns[n] for n in at), values=self.values[:, at])

    def of_arm(self, name: str) -> Bools:
        """Which units are an arm's."""
        return self.arm == self.names.index(name)

    def summed(self, cell: Ints) -> Table:
        """Sums by cell and arm; cell: shape (n,), ids."""
        columns, values = self.columns, self.values
        if USERS not in columns:
            columns, values = (*columns, USERS), np.concatenate([values, np.ones((len(values), 1))], axis=1)
        keys, place = np.unique(np.stack([cell, self.arm], axis=1), axis=0, return_inverse=True)
        sums: Floats = np.stack([np.bincount(place.ravel(), v, len(keys)) for v in values.T], axis=1).astype(float)
        return Table(self.names, columns, keys[:, 1], sums)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of all tables, which have the same arms and columns."""
    arm, values = (np.concatenate(parts) for parts in zip(*((t.arm, t.values) for t in tables), strict=True))
    ids = [table.user for table in tables if table.user is not None]
    return Table(tables[0].names, tables[0].columns, arm, values, np.concatenate(ids) if ids else None)


def grouped(tables: Iterable[Table], arms: Sequence[str]) -> dict[str, SufficientStats]:
    """By arm, statistics of the units of all tables; one table after the other, as the bits of a sum want it."""
    groups: dict[str, SufficientStats] = {}
    for table in tables:
        for index, name in enumerate(table.names):
            stats = SufficientStats.of(table.columns, table.values[table.arm == index])
            groups[name] = groups[name] + stats if name in groups else stats
    return {name: groups[name] for name in arms}


def completed(groups: Mapping[str, SufficientStats], like: Mapping[str, SufficientStats]) -> dict[str, SufficientStats]:
    """The statistics with the columns that others have; what was not measured is NaN."""
    return {arm: stats.with_unmeasured(like[arm].columns) for arm, stats in groups.items()}


def load_totals(path: Path) -> tuple[tuple[str, ...], Floats]:
    """Columns, and totals per user (n, k) with hidden satisfaction as the last column."""
    with np.load(path, allow_pickle=False) as saved:
        columns = (*saved["columns"].tolist(), SATISFACTION)
        return columns, np.column_stack([saved["totals"], saved["satisfaction"]]).astype(np.float64)


def estimand(name: str, metric: MetricSpec, unit: str = "user") -> Metric:
    """A metric as the analysis sees it: columns of the test, and of the warm-up as covariate where units have one."""
    alone = unit == "user" and metric.denominator == USERS
    below = None if alone else metric.denominator
    if metric.hidden or metric.of_market or unit in ("visit", "switchback"):
        return Metric(name, metric.numerator, below)
    # Of a market, the users of the test are those of the warm-up: the count is the same column.
    pre_below = None if below is None else (USERS if below == USERS else PRE + below)
    return Metric(name, metric.numerator, below, (PRE + metric.numerator, pre_below))


def conversion_of(experiment: Experiment) -> str:
    """The rare event that a test lives on: what earns money, what recruiters decide, or the first goal's action."""
    spec = experiment.world.scenario.funnel
    earning = [name for name, action in spec.actions.items() if action.units]
    decided = [name for name, action in spec.actions.items() if action.decided_by]
    metrics: Mapping[str, MetricSpec] = experiment.world.scenario.metrics
    goal = metrics[experiment.metrics.goals[0]].numerator
    return [*earning, *decided, goal if goal in spec.actions else "click"][0]
