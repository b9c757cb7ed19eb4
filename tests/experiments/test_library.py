"""Every experiment of the library, far smaller: it runs to its end, and answers its question in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.document import write_yaml
from experiments.spec import LIBRARY, Experiment, load_experiment
from tests.experiments.finished import finished, small
from tests.experiments.specs import experiment

NAMES = sorted(path.stem for path in LIBRARY.glob("*.yaml"))
USERS, DAYS, LOOK = 600, 3, 2
OFTEN = 0.25  # so that a few hundred people do everything often enough to learn from


def reduced(name: str) -> Experiment:
    """The design as it is, on few people for few days who do everything often, learned in one epoch."""
    full = load_experiment(name)
    sets = [
        f"world.users={USERS}",
        f"world.markets={min(full.world.markets, 2 * len(full.experiment.arms))}",
        f"warmup.days={DAYS}",
        "warmup.max_train_rows=8000",
        f"experiment.days={8 if 'return_day_7' in full.metrics.guardrails else DAYS}",
    ]
    if full.analysis.looks:
        sets.append(f"analysis.looks=[{LOOK}]")
    for action, spec in full.world.scenario.funnel.actions.items():
        if spec.rate is not None and spec.rate < OFTEN:
            sets.append(f"world.scenario.funnel.actions.{action}.rate={OFTEN}")
    for arm in full.experiment.arms:
        sets += [f"experiment.arms.{arm}.policy.{key}=1" for key in _epochs(full.policy(arm).spec())]
    return load_experiment(name, sets)


def _epochs(policy: Mapping[str, Any]) -> list[str]:
    """Where a policy says how long it learns."""
    return ["training.epochs"] if "epochs" in policy.get("training", {}) else []


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_of_the_library_runs_and_answers_its_question(name: str, tmp_path: Path) -> None:
    run = finished(reduced(name), tmp_path / "run")
    results = run.results
    assert results.unit == run.spec.experiment.assign.unit
    rates = [row for row in results.rows if row.metric in results.goals and row.estimator == results.estimator]
    assert len(rates) == len(results.goals) * (len(results.arms) - 1)
    assert np.isfinite([row.true_lift for row in rates]).all()
    assert not any("nan" in line.lower().split() for line in results.warnings)
    finding = run.spec.finding
    if finding is None:
        assert results.finding == ""
        return
    assert finding.arm is None or finding.arm in results.finding
    assert finding.metric in results.finding
    assert results.finding.endswith(".")
    assert "\n" not in results.finding
    assert "nan" not in results.finding.lower().split()


def test_most_experiments_of_the_library_are_asked_for_a_finding() -> None:
    run = [given for name in NAMES if (given := load_experiment(name)).tune is None]  # the others are for `seesaw tune`
    asked = [given for given in run if given.finding is not None]
    assert len(asked) > len(run) / 2


@pytest.mark.parametrize("name", NAMES)
def test_quick_keeps_an_experiment_of_the_library_valid(name: str, tmp_path: Path) -> None:
    quick = load_experiment(name).quick()
    assert again(quick, tmp_path).identity() == quick.identity()
    assert len(quick.analysis.looks) == len(load_experiment(name).analysis.looks)


def again(spec: Experiment, tmp_path: Path) -> Experiment:
    """The experiment as it is read back from the file that spells it out."""
    write_yaml(spec.resolved(), tmp_path / "again.yaml", "all values")
    return load_experiment(str(tmp_path / "again.yaml"))


@pytest.mark.parametrize("days", [1, 2, 5, 9, 14])
def test_quick_halves_the_calendar_with_the_days(days: int, tmp_path: Path) -> None:
    """Looks, ramp and guard kept their days of a halved test, beyond its end: such a run died in its analysis."""
    steps = ", ".join(f"{{day: {day}, share: {(day + 1) / days}}}" for day in range(days))
    text = small(
        arms="{production: {share: 0.5}, trees: {share: 0.5, policy: lambdamart, retrain: {every_days: 3}}}",
        days=days,
        calendar=f"ramp: [{steps}]\n  guard: {{metric: ctr, margin: -5%, from_day: {days}}}",
        more=f"analysis: {{looks: {list(range(1, days + 1))}}}",
    )
    quick = again(experiment(text).quick(), tmp_path)  # valid: what lies beyond the end would be refused
    assert quick.experiment.days == (days + 1) // 2
    assert quick.analysis.looks == list(range(1, quick.experiment.days + 1))
    assert [step.day for step in quick.experiment.ramp] == list(range(quick.experiment.days))
    assert quick.experiment.guard is not None
    assert quick.experiment.guard.from_day == quick.experiment.days
    assert quick.experiment.arms["trees"].retrain is not None
    assert quick.experiment.arms["trees"].retrain.every_days == 2
