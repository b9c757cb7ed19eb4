"""Settings lived through as one crowd: each as if it were alone, and as the truth of an arm has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.executors import Crew, execute
from experiments.plan import plan
from experiments.stages import truth
from experiments.stages.cached import Predictions, Remembering
from experiments.stages.common import EXPECTED, TOTALS
from experiments.stages.trials import load_settings, population_rows
from experiments.store import RunFolder
from experiments.sweeps import Serving
from experiments.tuning.question import question_of
from experiments.tuning.simulated import Simulation
from experiments.tuning.space import Space
from policies.fusion import FormulaPolicy
from policies.training import Training
from tests.experiments.tuning.shop import TUNE, spec
from tests.logs import asking, simulated

GIVEN = spec(TUNE + "truth: {users: 0.3}\n", world="users: 400, markets: 1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run's folder with the truth of its arms."""
    found, whole = RunFolder(tmp_path_factory.mktemp("run")), plan(GIVEN)
    with found.claimed(GIVEN.identity(), False):
        execute([*whole.warmups.values(), *whole.fits.values(), *whole.truths.values()], found, 1, lambda _: None)
    return found


@pytest.fixture(scope="module")
def simulation(folder: RunFolder) -> Simulation:
    return Simulation(GIVEN, question_of(GIVEN), folder, Crew(folder, 1, lambda _: None))


def arm(simulation: Simulation, **params: float) -> Serving:
    assert GIVEN.tune is not None
    return Space.of(GIVEN.tune.parameters, "fusion", simulation.present).serving(params)


def totals(simulation: Simulation, settings: list[Serving], **how: Any) -> np.ndarray:
    population = {"since": 0.0, "until": 0.3}
    tasks = simulation._tasks("test", settings, population, simulation.given.spec["seed"]["luck"], **how)
    simulation.do(tasks)
    return np.concatenate([load_settings(simulation.folder.result(task))[1] for task in tasks], axis=1)


@pytest.mark.parametrize("sampled", [False, True])
def test_the_present_setting_has_the_truth_of_its_arm(simulation: Simulation, folder: RunFolder, sampled: bool) -> None:
    """Other waves, other company, remembered predictions, users in parts: the same totals of the same users."""
    columns = simulation.question.columns
    found = totals(simulation, [arm(simulation, alpha=0.5, c=0.1), simulation.present], sampled=sampled)[1]
    with np.load(folder.result(plan(GIVEN).truths["fusion", 0]) / (TOTALS if sampled else EXPECTED)) as saved:
        names = saved["columns"].tolist()
        expected = np.stack(
            [np.ones(len(saved["totals"])) if c == "users" else saved["totals"][:, names.index(c)] for c in columns], 1
        )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_setting_is_the_same_in_any_company(simulation: Simulation) -> None:
    one, two = arm(simulation, alpha=2.0, c=-1.0), arm(simulation, alpha=0.3, c=0.7)
    np.testing.assert_array_equal(totals(simulation, [one])[0], totals(simulation, [two, one])[1])


def test_populations_that_do_not_meet_share_nobody_and_begin_with_the_users_of_the_truth() -> None:
    users = np.arange(1000)
    first, last = ({"since": a, "until": b} for a, b in ((0.0, 0.3), (0.3, 1.0)))
    rows = population_rows(users, first, 3), population_rows(users, last, 3)
    assert len(np.intersect1d(*rows)) == 0
    assert len(rows[0]) + len(rows[1]) == 1000
    np.testing.assert_array_equal(rows[0], truth.truth_rows(users, 0.3, 3))


def test_a_population_of_nobody_takes_two() -> None:
    assert len(population_rows(np.arange(10), {"since": 0.5, "until": 0.5}, 1)) == 2


def test_confirmation_is_on_other_users_with_other_luck(simulation: Simulation) -> None:
    searched, confirmed = (
        simulation.measured("a", [simulation.present]),
        simulation.confirmed("a", [simulation.present]),
    )
    assert searched.influence.shape[2] + confirmed.influence.shape[2] <= 400
    assert searched.values[0, 0] != confirmed.values[0, 0]


def test_arms_of_an_online_test_have_users_of_their_own(simulation: Simulation) -> None:
    users, by_arm = simulation.tested("test", [simulation.control, arm(simulation, alpha=1.0, c=0.0)], 1.0)
    assert users.sum() == 400
    assert [len(values) for values in by_arm] == users.tolist()
    assert abs(users[0] - 200) < 5 * 10  # sd 10
    np.testing.assert_array_equal(by_arm[0], np.rint(by_arm[0]))  # as they were sampled: whole numbers


def test_more_users_are_taken_until_the_precision_is_reached(folder: RunFolder) -> None:
    rough = spec(
        TUNE.replace("precision: 20%", "precision: 3%").replace("users: 0.3", "users: 0.05"),
        world="users: 400, markets: 1",
    )
    found = Simulation(rough, question_of(rough), folder, Crew(folder, 1, lambda _: None))
    found.sharpened([found.present])
    assert 0.05 < found.population <= 0.5


def test_remembered_predictions_are_the_policys_own_bits(tmp_path: Path) -> None:
    log = simulated(tmp_path, users=300, days=2).log
    policy = FormulaPolicy("ctr**a * price**c", {"a": 2.0, "c": 0.3}, training=Training(epochs=1)).fit(log)
    requests = asking(log.users, np.tile(np.arange(30), (len(log.users), 1)), log.items)
    store = Predictions()
    some = requests.take(np.arange(0, len(requests), 2))
    for asked in (some, requests, some, requests.take(np.zeros(0, dtype=np.int64))):
        np.testing.assert_array_equal(Remembering(policy, store).score(asked), policy.score(asked))
