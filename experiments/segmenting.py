"""Segments of users by what a company had seen of them before the test: newcomers, activity, the price they look at;
lifts on their levels, and whether the arms got their shares of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.lifts import Lift
from experiments.analysis.ratios import RatioCheck, ratio_checks
from experiments.analysis.segments import SegmentRow, segment_rows
from experiments.analysis.stats import SufficientStats
from experiments.gather import USER_ID, Floats, Gathered, Ints, estimand, load_totals
from experiments.readout import Inquiry, estimated
from experiments.stages.common import TOTALS
from experiments.truths import paired

NEW, RETURNING, NO_CLICK = "new", "returning", "no click"
THIRDS = ("low", "middle", "high")


@dataclass(frozen=True, slots=True)
class Segment:
    """Levels of users. level: shape (n_users,), by user id, the index into `names`; -1: of none."""

    names: tuple[str, ...]
    level: NDArray[np.int8]

    def rows(self, user: Ints) -> dict[str, Ints]:
        """By level, which of some users are on it; levels without any are left out."""
        found = {name: np.flatnonzero(self.level[user] == n) for n, name in enumerate(self.names)}
        return {name: rows for name, rows in found.items() if len(rows)}


def segments_of(run: Gathered, wanted: Sequence[str]) -> dict[str, Segment]:
    """The declared segments of a run's users, from the warm-up alone, so that no arm can move anybody."""
    if not wanted:
        return {}
    visits = _column(run, "visits")
    made = dict[str, Segment]()
    for name in wanted:
        match name:
            case "returning":
                made[name] = Segment((NEW, RETURNING), np.where(visits > 0, 1, 0).astype(np.int8))
            case "activity":  # newcomers are told by "returning"
                made[name] = Segment(THIRDS, _thirds(visits, visits > 0))
            case _:
                price, clicked = _clicked_price(run)
                if len(np.unique(price[clicked])) > 1:  # of a feed, there are no prices
                    level = np.where(clicked, _thirds(price, clicked), len(THIRDS)).astype(np.int8)
                    made[name] = Segment((*THIRDS, NO_CLICK), level)
    return made


def lifts_by_segment(run: Gathered, segments: Mapping[str, Segment], inquiry: Inquiry) -> tuple[SegmentRow, ...]:
    """Lifts of the goals among the users of each level, beside the truth of these users."""
    if not segments:
        return ()
    specs = [estimand(goal, run.scenario.metrics[goal]) for goal in inquiry.goals]
    users = run.users.needed_by(specs)
    assert users.user is not None
    found, units = dict[tuple[str, str], Sequence[Lift]](), dict[tuple[str, str], Mapping[str, int]]()
    for name, segment in segments.items():
        for level, rows in segment.rows(users.user).items():
            groups = {
                arm: SufficientStats.of(users.columns, users.values[rows[users.of_arm(arm)[rows]]]) for arm in run.arms
            }
            here = estimated(groups, specs, inquiry, cuped=inquiry.decider == "cuped")
            found[name, level], units[name, level] = here.lifts, here.estimate.n
    return segment_rows(found, units, inquiry.control, _truths(run, segments, inquiry))


def _truths(run: Gathered, segments: Mapping[str, Segment], inquiry: Inquiry) -> dict[tuple[str, str, str, str], float]:
    """The true lifts on each level, over the truth's users of it; nothing where users share, and are not told apart."""
    if run.experiment.world.sharing:
        return {}
    lived, metrics = {arm: run.truth(arm) for arm in run.arms}, run.scenario.metrics
    control = lived[inquiry.control]
    true = {}
    for name, segment in segments.items():
        for level, rows in segment.rows(control[USER_ID].astype(np.int64)).items():
            theirs = {column: values[rows] for column, values in control.items()}
            for arm in (arm for arm in run.arms if arm != inquiry.control):
                mine = {column: values[rows] for column, values in lived[arm].items()}
                for goal in inquiry.goals:
                    true[name, level, arm, goal] = paired(metrics[goal], mine, theirs).lift
    return true


def checks_of(
    run: Gathered,
    segments: Mapping[str, Segment],
    groups: Mapping[str, SufficientStats],
    stops: Mapping[str, tuple[int, str]],
) -> tuple[RatioCheck, ...]:
    """Units per arm against the planned shares: all, by segment, and by the day on which users first came. Of whole
    markets, which are dealt out as planned, there is nothing to check."""
    unit = run.experiment.experiment.assign.unit
    if unit == "market":
        return ()
    shares = {arm: section.share for arm, section in run.experiment.experiment.arms.items()}
    if unit != "user":
        return ratio_checks({arm: stats.n for arm, stats in groups.items()}, {}, shares)
    last = min((day for day, _ in stops.values()), default=run.experiment.experiment.days)
    by_day = {day: {a: g.n for a, g in run.groups(unit, day).items()} for day in run.days(unit) if day <= last}
    parts = dict[str, Mapping[str, int]]()
    if not stops:  # of a stopped arm's users, who came later is not known
        users = run.users
        assert users.user is not None
        for name, segment in segments.items():
            for level, rows in segment.rows(users.user).items():
                parts[f"{name}: {level}"] = _counted(users.arm[rows], users.names)
    before = dict.fromkeys(shares, 0)
    for day, counts in by_day.items():
        parts[f"day {day}"] = {arm: n - before[arm] for arm, n in counts.items()}
        before = counts
    whole = by_day[last] if last in by_day else {arm: stats.n for arm, stats in groups.items()}
    return ratio_checks(whole, parts, shares)


def _counted(arm: Ints, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(arm[arm >= 0], minlength=len(names)).tolist(), strict=True))


def _thirds(value: Floats, told: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Thirds of the users of whom something is told; -1 for the rest."""
    if not told.any():
        return np.full(len(value), -1, dtype=np.int8)
    edges = np.quantile(value[told], [1 / 3, 2 / 3])
    return np.where(told, np.searchsorted(edges, value, side="left"), -1).astype(np.int8)


def _column(run: Gathered, column: str) -> Floats:
    """A total of the warm-up by user id."""
    found = np.zeros(run.experiment.world.users)
    for task in run.plan.warmups.values():
        path = run.folder.result(task) / TOTALS
        columns, values = load_totals(path)
        with np.load(path, allow_pickle=False) as saved:
            found[saved["user"]] = values[:, columns.index(column)]
    return found


def _clicked_price(run: Gathered) -> tuple[Floats, NDArray[np.bool_]]:
    """The mean price of what each user clicked in the warm-up, by user id, and who clicked at all."""
    import pyarrow.parquet as pq

    from sim.logbook import LOG_FILE

    n = run.experiment.world.users
    total, count = np.zeros(n), np.zeros(n)
    for task in run.plan.warmups.values():
        file = pq.ParquetFile(run.folder.result(task) / LOG_FILE)
        for batch in file.iter_batches(batch_size=1_000_000, columns=["user", "price", "click"]):
            user, price, click = (
                batch.column(name).to_numpy(zero_copy_only=False) for name in ("user", "price", "click")
            )
            rows = np.flatnonzero(click)
            total += np.bincount(user[rows], price[rows], n)
            count += np.bincount(user[rows], minlength=n)
    return total / np.maximum(count, 1), count > 0
