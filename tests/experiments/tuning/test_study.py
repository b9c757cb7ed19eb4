"""Studies: what is proposed depends on nothing but the seed and what was told, whoever was killed when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial

from experiments.sections.tune import SAMPLERS, Parameter
from experiments.tuning.samplers import GridSampler, samplers_of
from experiments.tuning.space import Space
from experiments.tuning.study import JOURNAL, Search
from experiments.tuning.thompson import Aim, Bound, Observed

BATCH, BATCHES = 4, 4
PARAMETERS = {
    "kind": Parameter(choices=["a", "b"]),
    "x": Parameter(low=0.0, high=1.0),
    "y": Parameter(low=0.01, high=1.0, log=True, when={"kind": "b"}),
    "n": Parameter(low=1, high=5, integer=True),
}
AIM = Aim((0, 1), (0.0, 0.0), (Bound(2, 1, -0.5),))


def metrics(params: dict[str, Any]) -> list[float]:
    """Two goals and what a limit is on, of a setting."""
    y = params.get("y", 0.1)
    return [params["x"] + 0.1 * params["n"], 1 - params["x"] ** 2 - (params["kind"] == "b") * y, params["x"] - 1]


def search(folder: Path, sampler: str) -> Search:
    space = Space(PARAMETERS, {name: f"policy.{name}" for name in PARAMETERS}, {"policy": {}, "explore": {}})

    def observe(trials: Sequence[FrozenTrial]) -> Observed:
        values = np.array([metrics(trial.params) for trial in trials])
        return Observed(values, np.array([0.01**2 * np.eye(len(trials))] * 3))

    made = samplers_of(
        sampler,
        AIM,
        space.distributions(),
        seed=7,
        batch=BATCH,
        trials=BATCH * BATCHES,
        observe=observe,
        active=space.active,
        conditional=True,
    )
    return Search(folder, "test", ["one", "two"], space, made, BATCH)


def told(found: Search, batch: int, stop_before: int = BATCH) -> list[dict[str, Any]]:
    """Ask for a batch, and tell the first of it."""
    proposals = found.proposals(batch)
    for k, proposal in enumerate(proposals):
        if not proposal.told and k < stop_before:
            values = metrics(proposal.params)
            found.tell(proposal, values[:2], {"third >= -0.5": -0.5 - values[2]})
    return [proposal.params for proposal in proposals]


def undisturbed(folder: Path, sampler: str) -> list[dict[str, Any]]:
    folder.mkdir()
    one = search(folder, sampler)
    return [params for batch in range(BATCHES) for params in told(one, batch)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_that_died_anywhere_proposes_what_the_undisturbed_one_does(sampler: str, tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "whole", sampler)
    folder = tmp_path / "killed"
    folder.mkdir()
    told(search(folder, sampler), 0, stop_before=2)  # dies with two told and two running
    told(search(folder, sampler), 0)
    search(folder, sampler).study.ask()  # dies with a trial that has no parameter yet
    told(search(folder, sampler), 1, stop_before=0)  # dies with all of the batch asked and none told
    found = search(folder, sampler)
    assert [params for batch in range(BATCHES) for params in told(found, batch)] == expected


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_settings_lie_in_their_ranges_and_have_what_has_a_say(sampler: str, tmp_path: Path) -> None:
    for params in undisturbed(tmp_path / "study", sampler):
        assert list(params) == [n for n in PARAMETERS if n in params]
        assert ("y" in params) == (params["kind"] == "b")
        assert 0 <= params["x"] <= 1
        assert params["n"] in range(1, 6)


def test_half_a_record_and_a_lock_of_a_dead_process_are_taken_off(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "whole", "random")
    folder = tmp_path / "killed"
    folder.mkdir()
    told(search(folder, "random"), 0)
    with (folder / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "worker_i')
    (folder / f"{JOURNAL}.lock").symlink_to(folder / JOURNAL)
    found = search(folder, "random")
    assert [params for batch in range(BATCHES) for params in told(found, batch)] == expected


def test_optuna_opens_the_journal_with_goals_and_limits(tmp_path: Path) -> None:
    undisturbed(tmp_path / "study", "tpe")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study" / JOURNAL)))
    study = optuna.load_study(study_name="test", storage=storage)
    assert study.metric_names == ["one", "two"]
    assert len(study.trials) == BATCH * BATCHES
    assert all(list(trial.constraints) == ["third >= -0.5"] for trial in study.trials)


def test_a_grid_is_as_fine_as_its_trials_allow_and_has_its_ends() -> None:
    space = Space(PARAMETERS, {name: f"policy.{name}" for name in PARAMETERS}, {"policy": {}, "explore": {}})
    grid = GridSampler(space.distributions(), 40, 1, space.active)
    assert {point["x"] for point in grid.points} >= {0.0, 1.0}
    assert {point["n"] for point in grid.points} >= {1, 5}
    assert len(grid.points) <= 40
    settings = [tuple(sorted(point.items())) for point in grid.points]
    assert len(set(settings)) == len(settings)
