"""What a trial costs: impressions lived through by settings side by side, beside one arm after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.executors import Crew, execute
from experiments.plan import plan
from experiments.spec import load_experiment
from experiments.stages import trials, truth
from experiments.store import RunFolder
from experiments.tasks import Task
from experiments.tuning.question import question_of
from experiments.tuning.simulated import Simulation
from experiments.tuning.space import Space
from tests.bench.measure import Figure, race

SETS = (
    *("world.users=20000", "world.markets=1", "warmup.days=5", "warmup.max_train_rows=100000"),
    *("truth.users=0.5", "tune.users=0.5", "tune.by_hand=null"),
)
SETTINGS = 4
Stage = Callable[[Mapping[str, Any], Mapping[str, Path], Path, Callable[..., None]], dict[str, Any]]


def figures() -> Iterator[Figure]:
    """Models are trained; the first round makes the predictions that the others remember."""
    given = load_experiment("tune_fusion", SETS)
    with tempfile.TemporaryDirectory() as folder:
        run, whole = RunFolder(Path(folder)), plan(given)
        with run.claimed(given.identity(), False), Crew(run, 1, lambda _: None) as crew:
            execute([*whole.warmups.values(), *whole.fits.values()], run, 1, lambda _: None)
            simulation = Simulation(given, question_of(given), run, crew)
            yield race(
                "impressions that four settings of five parameters live through, of 100 candidates a request",
                "impressions per CPU second",
                "one arm at a time, predicting anew",
                _work(run, _batch(simulation), trials.run),
                _work(run, [whole.truths["fusion", 0]], truth.run),
            )


def _batch(simulation: Simulation) -> list[Task]:
    space = Space.of(simulation.tune.parameters, simulation.tune.arm, simulation.present)
    rng = np.random.default_rng(0)
    settings = [
        space.serving({"alpha": 1.0, "a": 0.01, "beta": float(b), "b": 1.0, "c": float(c)})
        for b, c in zip(rng.uniform(0, 2, SETTINGS), rng.uniform(0, 1.5, SETTINGS), strict=True)
    ]
    return simulation._tasks("bench", settings, {"since": 0.0, "until": 0.5}, simulation.luck)


def _work(run: RunFolder, tasks: list[Task], stage: Stage) -> Callable[[], int]:
    def work() -> int:
        impressions = 0
        for task in tasks:
            needs = {role: run.result(other) for role, other in task.needs.items()}
            with tempfile.TemporaryDirectory() as out:
                told = stage({**task.arguments, **task.context}, needs, Path(out), lambda *_: None)
            impressions += told["impressions"]
        return impressions

    return work
