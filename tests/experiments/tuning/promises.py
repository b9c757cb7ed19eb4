"""Do promises hold? Many small tunings in one shop, each on users and luck of its own, beside fresh users' truth.

`python -m tests.experiments.tuning.promises 400` makes 400 of them on two processes and prints what came of them. The
naive promise, the best observed lift with its own standard error, stands beside.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from experiments.executors import Crew
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.tuning.crossfit import promised
from experiments.tuning.picks import Z95, picks_of
from experiments.tuning.question import question_of
from experiments.tuning.simulated import Simulation
from experiments.tuning.tune import _Tuning
from tests.experiments.tuning.shop import spec

# Clicks are limited from above, where revenue would take them: a limit that binds at the best setting.
TUNE = """
tune:
  arm: fusion
  parameters: {alpha: [0.5, 2], c: [-0.5, 1]}
  maximise: [gmv_per_user]
  subject_to: ["lift(ctr) <= 2%"]
  users: 0.0125
  precision: 99%
  budget: {trials: 12, batch: 4}
"""
WORLD = "users: 48000, markets: 1"  # 600 to search on, 24,000 for the truth


@dataclass(frozen=True, slots=True)
class Promise:
    """One tuning's first pick.

    promised, sd: by quantity. believed: the goal by the posterior. truth, truth_se: on fresh users. feasible: P(limit
    holds). naive, naive_se: the observed best of what was observed to hold the limit; naive_truth: what that is worth.
    holds: whether the limit holds in truth, of the pick and of the naive pick.
    """

    promised: tuple[float, ...]
    sd: tuple[float, ...]
    believed: float
    truth: tuple[float, ...]
    truth_se: tuple[float, ...]
    feasible: float
    holds: bool
    naive: float
    naive_se: float
    naive_truth: float
    naive_holds: bool

    @property
    def kept_allowing(self) -> tuple[bool, ...]:
        """The same with the truth's own error allowed for."""
        found = zip(self.promised, self.truth, self.sd, self.truth_se, strict=True)
        return tuple(abs(p - t) <= Z95 * float(np.hypot(s, e)) for p, t, s, e in found)

    @property
    def kept(self) -> tuple[bool, ...]:
        """By quantity, whether the truth lies inside the promised 95 % interval."""
        return tuple(abs(p - t) <= Z95 * s for p, t, s in zip(self.promised, self.truth, self.sd, strict=True))


def prepared(folder: Path) -> Experiment:
    """The shop with its warm-up and fits done in a folder."""
    given = spec(TUNE, world=WORLD)
    run = RunFolder(folder)
    with run.claimed(given.identity(), False), Crew(run, 1, lambda _: None) as crew:
        simulation = Simulation(given, question_of(given), run, crew)
        simulation.fitted([simulation.control, simulation.present])
        simulation.do([])
    return given


def promise(source: Path, given: Experiment, number: int) -> Promise | None:
    """A tuning of its own luck and users; nothing where it picks nothing."""
    seeds = given.seed.model_copy(update={"split": 100 + number})
    mine, question = given.model_copy(update={"seed": seeds}), question_of(given)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        with run.claimed(mine.identity(), False), Crew(run, 1, lambda _: None) as crew:
            simulation = Simulation(mine, question, run, crew)
            simulation.luck = 10_000 + number
            simulation.adopt(RunFolder(source))
            tuning = _Tuning(mine, question, simulation)
            belief = tuning._search(lambda *_: None)
            picks = picks_of(belief, question)
            if not picks:
                return None
            best, seen = picks[0].trial, tuning.seen.measured
            told = promised(tuning.points, seen, tuning.seen.observed, picks, question)[picks[0].taste]
            able = np.flatnonzero(seen.values[:, 1] <= question.limits[0].bound)
            naive = int(able[seen.values[able, 0].argmax()]) if len(able) else best
            settings = [tuning.space.serving(tuning.seen.trials[trial]) for trial in (best, naive)]
            truth = simulation.confirmed("truth", settings)
    limit = question.limits[0].bound
    return Promise(
        promised=tuple(told.value.tolist()),
        sd=tuple(told.sd.tolist()),
        believed=float(belief.found.mean[best, 0]),
        truth=tuple(truth.values[0].tolist()),
        truth_se=tuple(truth.se[0].tolist()),
        feasible=float(ndtr((limit - told.value[1]) / told.sd[1])),
        holds=bool(truth.values[0, 1] <= limit),
        naive=float(seen.values[naive, 0]),
        naive_se=float(seen.se[naive, 0]),
        naive_truth=float(truth.values[1, 0]),
        naive_holds=bool(truth.values[1, 1] <= limit),
    )


def promises(source: Path, numbers: Sequence[int], workers: int) -> list[Promise]:
    """Several tunings, side by side; those that picked nothing are left out."""
    given = prepared(source)
    one = partial(promise, source, given)
    if workers == 1:
        made = [one(number) for number in numbers]
    else:
        with ProcessPoolExecutor(workers) as pool:
            made = list(pool.map(one, numbers))
    return [found for found in made if found is not None]


def told(made: Sequence[Promise]) -> str:
    """What came of them."""
    kept = np.array([one.kept for one in made])
    broken, expected = sum(not one.holds for one in made), sum(1 - one.feasible for one in made)
    sd = np.sqrt(sum(one.feasible * (1 - one.feasible) for one in made))
    naive = [abs(one.naive - one.naive_truth) <= Z95 * one.naive_se for one in made]
    off = np.mean([np.subtract(one.promised, one.truth) for one in made], axis=0)
    errors = np.mean([one.sd for one in made], axis=0), np.mean([one.truth_se for one in made], axis=0)
    too_much, naive_broken = np.mean([o.naive - o.naive_truth for o in made]), sum(not o.naive_holds for o in made)
    worth = np.mean([one.truth[0] for one in made]), np.mean([one.naive_truth for one in made])
    return "\n".join(
        [
            f"{len(made)} tunings with a pick",
            f"truth inside the promised 95 % interval, by quantity: {kept.sum(axis=0).tolist()}; allowing for the "
            f"truth's own error {np.array([one.kept_allowing for one in made]).sum(axis=0).tolist()}",
            f"promised less true, mean by quantity: {off}; sd promised {errors[0]}, se of the truth {errors[1]}",
            f"picks that break the limit: {broken}, expected {expected:.1f} + 3 x {sd:.1f}",
            f"naive: {sum(naive)} inside, {too_much:+.5f} too much on average, {naive_broken} break the limit",
            f"posterior: {np.mean([o.believed - o.truth[0] for o in made]):+.5f} too much on average",
            f"worth in truth {worth[0]:.5f}, naive {worth[1]:.5f}",
        ]
    )


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as kept_in:
        print(told(promises(Path(kept_in), range(int(sys.argv[1])), workers=2)))
