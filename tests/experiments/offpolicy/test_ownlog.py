from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments.offpolicy.estimable import estimable
from experiments.offpolicy.evaluator import Evaluator
from experiments.offpolicy.ownlog import order_of, slates_of
from experiments.offpolicy.slates import Slates
from experiments.plan import plan
from experiments.policy_spec import build_policy
from experiments.stages import warmup
from policies.baselines import Popular, Production, RandomRanking
from sim.clock import DAY
from sim.engine import Arm
from sim.logbook import CANDIDATES_FILE, read_candidates, read_log, write_candidates
from sim.world import World
from tests.experiments.finished import small
from tests.experiments.specs import experiment
from tests.worlds import run_logged, small_world

DAYS = 5


@dataclass(frozen=True)
class Logged:
    folders: list[Path]
    worlds: list[World]
    slates: Slates


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Two markets, of which slates hold about half of the users."""
    folders, worlds = [], []
    for market in range(2):
        world = small_world(np.arange(market, 300, 2), market=market, n_markets=2)
        folder = tmp_path_factory.mktemp(f"market{market}")
        run_logged(folder, world, DAYS, [Arm("warm-up", Production(), 0.5)], tick=DAY // 4)
        write_candidates(folder, world, range(DAYS))
        folders.append(folder)
        worlds.append(world)
    return Logged(folders, worlds, slates_of(folders, Production(), 0.5, most_requests=400))


def test_candidates_are_read_as_they_were_drawn(logged: Logged) -> None:
    days, pools = read_candidates(logged.folders[1])
    assert days.tolist() == list(range(DAYS))
    for day in days:
        np.testing.assert_array_equal(pools[day], logged.worlds[1].pools(int(day)))


def test_requests_are_those_that_were_served(logged: Logged) -> None:
    """Rebuilt propensities are those of the log, to the digits that it holds: candidates, scores and order agree."""
    slates, log = logged.slates, read_log(logged.folders)
    rows = np.isin(log.request, slates.request)
    np.testing.assert_allclose(slates.steps, log.propensity[rows], rtol=1e-3)
    assert slates.requests is not None
    shown = np.take_along_axis(slates.requests.candidates, np.maximum(slates.shown, 0), axis=1)
    np.testing.assert_array_equal(shown[slates.shown >= 0], log.item[rows])
    np.testing.assert_array_equal(slates.of_rows("click"), log["click"][rows])
    np.testing.assert_array_equal(slates.of_rows("value_cents"), log["value"][rows])


def test_users_come_whole_and_their_choice_is_keyed(logged: Logged) -> None:
    slates, log = logged.slates, read_log(logged.folders)
    assert 300 < len(slates) <= 400
    mine = np.isin(log.user, slates.user)
    assert set(log.request[mine].tolist()) == set(slates.request.tolist())
    fewer = slates_of(logged.folders, Production(), 0.5, most_requests=200)
    assert set(fewer.user.tolist()) < set(slates.user.tolist())
    other = slates_of(logged.folders, Production(), 0.5, most_requests=400, seed=1)
    assert set(other.user.tolist()) != set(slates.user.tolist())


def test_orders_of_fitted_policies_are_evaluated(logged: Logged) -> None:
    slates = logged.slates
    fitted = Popular().fit(read_log(logged.folders))
    evaluator = Evaluator(slates, {"ctr": ("click", "impressions"), "stay": ("stay_ms", "users")})
    found = evaluator.lifts(order_of(fitted, slates), order_of(Production(), slates))
    assert found.lifts.shape == (2,)
    assert np.isfinite(found.influence).all()


def test_another_policy_or_temperature_than_the_logs_is_refused(logged: Logged) -> None:
    for policy, temperature in ((RandomRanking(), 0.5), (Production(), 0.4)):
        with pytest.raises(ValueError, match="propensity: must be what the logging policy gives"):
            slates_of(logged.folders, policy, temperature)
    with pytest.raises(ValueError, match="must be above 0"):
        slates_of(logged.folders, Production(), 0.0)


def test_a_log_without_candidates_is_refused(tmp_path: Path) -> None:
    run_logged(tmp_path, small_world(30), 1)
    with pytest.raises(ValueError, match=f"must hold {CANDIDATES_FILE}"):
        slates_of([tmp_path], Production(), 0.5)


def test_predictions_become_features(logged: Logged) -> None:
    plain = logged.slates.features.shape[2]
    given = slates_of(
        logged.folders,
        Production(),
        0.5,
        most_requests=100,
        predictions=lambda requests: {"ctr": np.full(requests.candidates.shape, 0.1)},
    )
    assert given.features.shape[2] == plain + 1
    np.testing.assert_allclose(given.features[:, :, -1], np.log(0.1), rtol=1e-6)


def test_candidates_leave_the_log_as_it_is(logged: Logged) -> None:
    names = pq.read_schema(logged.folders[0] / "impressions.parquet").names
    assert "candidates" not in names
    assert pq.read_schema(logged.folders[0] / CANDIDATES_FILE).names == ["day", "pool", "item"]


def test_a_warm_up_leaves_what_slates_are_rebuilt_from(tmp_path: Path) -> None:
    """Through the stage and the spec, as a run has it."""
    spec = experiment(small(arms="{production: {share: 0.5}, random: {share: 0.5, policy: random}}"))
    task = plan(spec).warmups[0]
    warmup.run({**task.arguments, "tick_minutes": 360}, {}, tmp_path, lambda *_: None)
    policy = build_policy(task.arguments["policy"])
    slates = slates_of([tmp_path], policy, task.arguments["temperature"])
    ratios, _ = estimable(spec.world.scenario.metrics, slates.rewards)
    found = Evaluator(slates, ratios).lifts(order_of(policy, slates), order_of(policy, slates))
    assert found.names == tuple(ratios)
    assert "visits_per_user" not in found.names


def test_a_target_fitted_on_its_own_judge_is_flattered_and_one_of_other_users_is_not(tmp_path: Path) -> None:
    """An order by what was clicked of 2,000 items: each was shown some 15 times, and what was clicked by chance counts
    twice. Told honestly, both are worse than the shop's history."""
    world = small_world(1500, catalogue={"items": 2000})
    run_logged(tmp_path, world, 7, [Arm("warm-up", Production(), 1.0)], tick=DAY // 4)
    write_candidates(tmp_path, world, range(7))
    log = read_log([tmp_path])
    half = np.arange(0, 1500, 2)
    slates = slates_of([tmp_path], Production(), 1.0, judging=lambda request: ~np.isin(request >> 20, half))
    assert not np.isin(slates.user, half).any()
    evaluator = Evaluator(slates, {"ctr": ("click", "impressions")}, least_covered=0.0)
    base = order_of(Production(), slates)
    on_others, on_these = (
        evaluator.lifts(order_of(Popular().fit(log.take(np.isin(log.user, half) == others)), slates), base)
        for others in (True, False)
    )
    assert on_others.interval()[1][0] < 0
    assert on_these.lifts[0] - on_others.lifts[0] > 0.1
