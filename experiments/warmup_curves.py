"""What a warm-up tells about a test to come, by day: who comes, how much they differ, how well their past tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.analysis.accrual import STEEPEST, arrivals, cut_of, extended, noise_to_signal
from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.stats import SufficientStats, pooled
from experiments.executors import Listener, execute
from experiments.metrics import USERS
from experiments.plan import Plan, plan
from experiments.spec import Experiment
from experiments.stages.recorders import MOMENTS, load_moments
from experiments.stages.warmup import NAME, REHEARSAL
from experiments.store import RunFolder
from experiments.strangers import keep_sources, references_in

Floats = NDArray[np.float64]
ByDay = Mapping[int, SufficientStats]


@dataclass(frozen=True)
class WarmupCurves:
    """Moments of everybody who had come, by day.

    unit: user or market. population: units that there are. whole: since the first day.
    rehearsal: since the middle, with the first half as pre-period; empty of a warm-up of one day. Who comes within
        some days of the middle is what a test will see; on the first days of a world more people come than later.
    """

    unit: str
    population: int
    days: int
    whole: ByDay
    rehearsal: ByDay

    def came(self, wanted: Floats) -> Floats:
        """Units that have come after so many days of a test, shape (D,)."""
        curve = self.rehearsal if len(self.rehearsal) > 1 else self.whole
        return arrivals(list(curve), [stats.n for stats in curve.values()], self.population, wanted)

    def relative_variance(self, metric: Metric, wanted: Floats) -> Floats:
        """Variance of one unit over the squared mean (delta method) after so many days, shape (D,); NaN if unknown."""
        plain = replace(metric, pre=None)
        values = np.array([_relative_variance(plain, stats) for stats in self.whole.values()])
        return extended(list(self.whole), values, wanted, STEEPEST)

    def cut(self, metric: Metric, wanted: Floats) -> Floats:
        """Share of the variance that CUPED takes away, with the whole warm-up as the pre-period, shape (D,).

        Measured on the second half with the first half, and carried over to longer periods.
        """
        if metric.pre is None or not self.rehearsal:
            return np.zeros(len(wanted))
        during = max(self.rehearsal)
        stats = self.rehearsal[during]
        raw, adjusted = _relative_variance(replace(metric, pre=None), stats), _relative_variance(metric, stats)
        if not raw > 0:
            return np.zeros(len(wanted))
        return cut_of(noise_to_signal(1 - adjusted / raw, self.days - during, during), self.days, wanted)

    def estimate(self, metrics: list[Metric], day: int) -> JointEstimate:
        """All metrics after so many days, or as many of them as the warm-up had."""
        stats = self.whole[max((d for d in self.whole if d <= day), default=min(self.whole))]
        return joint_estimate({NAME: stats}, [replace(metric, pre=None) for metric in metrics], cuped=False)


def warmed_up(experiment: Experiment, out: Path, workers: int, listen: Listener) -> WarmupCurves:
    """Do the warm-up of an experiment in its run's folder, unless it is done, and read it.

    Raises:
        FolderError: the folder holds something else or cannot be written.
        TaskError: a task failed; what was finished is kept.
    """
    folder, whole = RunFolder(out), plan(experiment)
    with folder.claimed(experiment.identity(), force=False), threadpool_limits(1):
        keep_sources(references_in(experiment.resolved()), out)
        execute(list(whole.warmups.values()), folder, workers, listen)
        return curves_of(experiment, folder, whole)


def curves_of(experiment: Experiment, folder: RunFolder, whole: Plan) -> WarmupCurves:
    """The curves of a warm-up whose tasks are done, over all markets, for the unit that the test divides."""
    unit, world = experiment.experiment.assign.unit, experiment.world
    results = [folder.result(task) for task in whole.warmups.values()]
    since_first = _together([load_moments(result / MOMENTS) for result in results], unit)
    rehearsed = [result / REHEARSAL / MOMENTS for result in results]
    rehearsal = _together([load_moments(path) for path in rehearsed], unit) if rehearsed[0].exists() else {}
    population = world.users if unit == "user" else world.markets
    return WarmupCurves(unit, population, experiment.warmup.days, since_first, rehearsal)


def _together(markets: list[dict[int, dict[str, SufficientStats]]], unit: str) -> ByDay:
    """By day, the units of all markets."""

    def of(stats: SufficientStats) -> SufficientStats:
        return stats if unit == "user" else stats.as_one(USERS)

    return {day: pooled([of(market[day][NAME]) for market in markets]) for day in markets[0]}


def _relative_variance(metric: Metric, stats: SufficientStats) -> float:
    estimate = joint_estimate({NAME: stats}, [metric], cuped=metric.pre is not None)
    value, variance = float(estimate.value[0, 0]), float(estimate.variance()[0, 0]) * stats.n
    return variance / value**2 if value and np.isfinite(variance) else float("nan")
