"""Interference: where users share something, a test divided by user does not estimate what serving everyone does."""

from __future__ import annotations

import pytest

from experiments.analysis.interference import DesignRow
from tests.experiments.finished import Finished, finished, small

MARKETS = 8
# A market of 10 recruiters with 50 applications read a day for 800 people who send several times as many applications.
# `popular` shows everybody the openings that attract most, which belong to a few recruiters.
JOBS = f"""like: recruiting, catalogue: {{items: {40 * MARKETS}, popularity_noise: 0.1}},
  browse: {{candidates: 20, pages: 1, pool_sharpness: 0}}, attention: {{examination: [1, 1, 1, 1]}},
  people: {{habit_days: 1}},
  funnel: {{actions: {{click: {{rate: 0.15, drivers: {{appeal: 1.5}}}}, apply: {{rate: 0.5}},
    answer: {{rate: 0.7, delay: {{short_share: 1, short_mean_hours: 1, long_mean_days: 1}}}}}}}},
  market: {{recruiters: {{openings: 4, reads_per_day: 5, reads_log_sd: 0, willing_sd: 0, swamped: 0, mood: 0,
    patience_days: 60, lapse_days: 1}}}}"""


def designed(factory: pytest.TempPathFactory, sharing: str) -> Finished:
    text = small(
        arms="{spread: {share: 0.5, policy: random}, crowd: {share: 0.5, policy: popular}}",
        control="spread",
        scenario=JOBS,
        world=f"users: {800 * MARKETS}, markets: {MARKETS}, sharing: {sharing}",
        days=7,
        calendar="assign: {unit: user, beside: [market]}",
        metrics="{goals: [answers_per_user, applications_per_user]}",
        more="truth: {users: 1}\nfinding: {type: interference, arm: crowd, metric: answers_per_user}"
        if sharing == "true"
        else "truth: {users: 1}",
    )
    return finished(text, factory.mktemp(f"sharing-{sharing}") / "run")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return designed(tmp_path_factory, "true")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return designed(tmp_path_factory, "false")


def design(run: Finished, unit: str, metric: str = "answers_per_user") -> DesignRow:
    row = next(row for row in run.results.designs if (row.design, row.metric) == (unit, metric))
    print(f"by {unit}: {row.estimate:+.3f} ({row.se:.3f}), truth {row.truth:+.3f} ({row.truth_se:.3f}), z {row.z:+.1f}")
    return row


def test_divided_by_user_an_arm_is_credited_with_the_answers_it_takes_from_the_control(shared: Finished) -> None:
    """With half of the people, the crowd competes with itself half as much, and brings its applications to piles
    that the control's people wait on too; with everyone in it, its recruiters answer no more than they can."""
    row = design(shared, "user")
    assert row.z > 4
    assert row.truth < 0 < row.estimate - 2 * row.se  # the test would have shipped what harms


def test_divided_by_market_the_estimate_is_that_of_serving_everyone(shared: Finished) -> None:
    row = design(shared, "market")
    assert abs(row.z) < 3
    assert row.estimate + 2 * row.se < design(shared, "user").estimate


def test_what_nobody_has_to_share_is_estimated_alike_by_user_and_by_market(shared: Finished) -> None:
    assert abs(design(shared, "user", "applications_per_user").z) < 4
    assert abs(design(shared, "market", "applications_per_user").z) < 4


@pytest.mark.parametrize("unit", ["user", "market"])
def test_where_nothing_is_shared_both_divisions_estimate_the_truth(alone: Finished, unit: str) -> None:
    row = design(alone, unit)
    assert abs(row.z) < 4
    assert row.truth > 0.5  # more applications are more answers


def test_a_test_divided_by_user_says_that_its_users_share_and_only_then(shared: Finished, alone: Finished) -> None:
    assert any(line.startswith("users share the attention of recruiters, so arms") for line in shared.results.warnings)
    assert not any("users share" in line for line in alone.results.warnings)


def test_the_finding_names_both_divisions_and_is_sure_of_the_users_alone(shared: Finished) -> None:
    finding = shared.results.finding
    assert finding.startswith("serving everyone by crowd changes answers_per_user by -")
    by_user, by_market = finding.split("; ")
    assert "divided by user the test says +" in by_user
    assert by_user.endswith("(sure)")
    assert "divided by market the test says -" in by_market


def test_the_other_side_is_told_where_it_is_shared_and_only_there(shared: Finished, alone: Finished) -> None:
    sides = {side.arm: side for side in shared.results.sides}
    assert sides["crowd"].concentration > sides["spread"].concentration + 0.1
    assert all(side.active == 1 for side in sides.values())  # nobody's patience has an end here
    assert alone.results.sides == ()
