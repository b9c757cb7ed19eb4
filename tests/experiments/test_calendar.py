"""The calendar of a test: opened in steps, watched by a guard, learning while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments.gather import load_totals
from experiments.stages.branch import UNCLAIMED, market_folder
from experiments.stages.common import ASSIGNED, TOTALS
from policies.listwise import LambdaMART
from sim.clock import DAY
from sim.records import Log
from tests.asserts import assert_proportion
from tests.experiments.finished import Finished, finished, small

WARM = 2
TWINS = "{production: {share: 0.5}, twin: {share: 0.5, policy: production}}"
HARM = "{production: {share: 0.5}, luck: {share: 0.5, policy: random}}"
EAGER = "like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}, people: {habit_days: 1}"


def log_of(run: Finished, market: int = 0) -> Any:
    """The log of a market as a table."""
    task = run.plan.tests["user", market]
    table = pq.read_table(market_folder(run.folder.result(task), market) / "impressions.parquet").to_pandas()
    return table.astype({"arm": str})


# --- ramp -------------------------------------------------------------------------------------------------------


STEPS = ((0, 0.1), (2, 0.4), (4, 1.0))


@pytest.fixture(scope="module")
def ramped(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    steps = ", ".join(f"{{day: {day}, share: {share}}}" for day, share in STEPS)
    text = small(
        arms=HARM,
        world="users: 1500, markets: 1",
        scenario=EAGER,
        days=6,
        calendar=f"ramp: [{steps}]",
        more="analysis: {looks: [2, 4]}\ntruth: {users: 0.2}",
    )
    return finished(text, tmp_path_factory.mktemp("ramp") / "run")


def test_users_enter_in_steps_and_stay_where_they_entered(ramped: Finished) -> None:
    log = log_of(ramped)
    day = log.day - WARM
    inside = log.arm != UNCLAIMED  # the last arm serves whoever is not in the test yet
    entered: set[int] = set()
    for first, share in STEPS:
        on_day = set(log.user[(day == first) & inside])
        came = set(log.user[day == first])
        assert_proportion([user in on_day for user in came], share)
        entered |= on_day
    before = log[(day < STEPS[1][0]) & inside]
    later = log[log.user.isin(set(before.user))]
    assert (later.groupby("user").arm.nunique() == 1).all()  # who is in, stays in the same arm
    assert inside[day >= 4].all()


def test_only_visits_after_the_entry_count(ramped: Finished) -> None:
    log = log_of(ramped)
    inside = log[log.arm != UNCLAIMED]
    users = ramped.run.users
    assert users.values[:, users.columns.index("click")].sum() == inside.click.sum() < log.click.sum()
    assert users.values[:, users.columns.index("impressions")].sum() == len(inside)
    assert len(users.arm) == inside.user.nunique()


def test_arms_stay_balanced_on_every_day_of_a_ramp(ramped: Finished) -> None:
    assert ramped.results.decision.srm_p_value > 0.001
    for day in (2, 4):
        counts = [stats.n for stats in ramped.run.groups("user", day).values()]
        assert_proportion(np.repeat([True, False], counts), 0.5)


def test_the_first_days_of_a_ramp_have_few_users(ramped: Finished) -> None:
    users = {day: sum(s.n for s in ramped.run.groups("user", day).values()) for day in (2, 4, 0)}
    assert users[2] < 0.2 * users[0]
    assert 0.25 * users[0] < users[4] < 0.6 * users[0]


# --- guard ------------------------------------------------------------------------------------------------------


FROM = 2
GUARD = f"guard: {{metric: ctr, margin: -5%, from_day: {FROM}}}"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    arms = HARM.replace("0.5}, luck", "0.4}, twin: {share: 0.2, policy: production}, luck").replace("0.5, p", "0.4, p")
    text = small(
        arms=arms, world="users: 1600, markets: 2", scenario=EAGER, days=5, calendar=GUARD, more="truth: {users: 0.2}"
    )
    return finished(text, tmp_path_factory.mktemp("guard") / "run")


def test_an_arm_that_surely_harms_is_stopped_on_the_first_night_allowed(stopped: Finished) -> None:
    assert list(stopped.results.stops) == ["luck"]
    day, cause = stopped.results.stops["luck"]
    assert day == FROM
    assert cause.startswith("ctr -")
    assert cause.endswith("surely beyond the margin of -5 %")
    assert f"luck was stopped after day {FROM}: {cause}" in stopped.results.warnings


def test_users_of_a_stopped_arm_are_served_by_control_and_counted_no_more(stopped: Finished) -> None:
    log = log_of(stopped)
    day = log.day - WARM
    luck = set(log.user[log.arm == "luck"])
    assert log.day[log.arm == "luck"].max() == WARM + FROM - 1
    after = log[(day >= FROM) & log.user.isin(luck)]
    assert len(after) > 100
    assert (after.arm == UNCLAIMED).all()
    assert after.score.nunique() > 100  # production's scores, not chance
    folder = market_folder(stopped.folder.result(stopped.plan.tests["user", 0]), 0)
    columns, values = load_totals(folder / TOTALS)
    with np.load(folder / ASSIGNED) as saved:
        theirs = values[saved["arm"] == saved["names"].tolist().index("luck")]
    assert theirs[:, columns.index("impressions")].sum() == (log.arm == "luck").sum()


def test_a_stopped_arm_is_compared_with_the_control_as_both_stood_on_that_day(stopped: Finished) -> None:
    then = stopped.run.groups("user", FROM)
    ctr = {arm: s.mean[s.at("click")] / s.mean[s.at("impressions")] for arm, s in then.items()}
    row = stopped.results.row("luck", "ctr", "raw")
    assert row.lift == pytest.approx(ctr["luck"] / ctr["production"] - 1)
    assert row.se > 0
    whole = stopped.run.groups("user")
    ctr = {arm: s.mean[s.at("click")] / s.mean[s.at("impressions")] for arm, s in whole.items()}
    assert stopped.results.row("twin", "ctr", "raw").lift == pytest.approx(ctr["twin"] / ctr["production"] - 1)


def test_a_stopped_arm_does_not_look_like_a_mismatch_of_sample_ratios(stopped: Finished) -> None:
    assert stopped.results.decision.srm_p_value > 0.001


@pytest.mark.parametrize("salt", ["one", "two", "three"])
def test_an_arm_that_is_as_good_as_control_is_not_stopped(tmp_path: Path, salt: str) -> None:
    text = small(arms=TWINS, scenario=EAGER, days=4, calendar=f"{GUARD}\n  assign: {{salt: {salt}}}")
    assert finished(text, tmp_path / "run").results.stops == {}


# --- retraining -------------------------------------------------------------------------------------------------


EVERY, DAYS = 2, 5


class Spied:
    """What the fits of a policy were given, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs: list[Log] = []
        fit = LambdaMART.fit

        def spy(policy: LambdaMART, log: Log, fitted: Any = None) -> LambdaMART:
            self.logs.append(log)
            return fit(policy, log, fitted)

        monkeypatch.setattr(LambdaMART, "fit", spy)


def learning(on: str) -> str:
    again = f"retrain: {{every_days: {EVERY}, on: {on}}}"
    arms = f"{{production: {{share: 0.5}}, trees: {{share: 0.5, policy: {{type: lambdamart, trees: 5}}, {again}}}}}"
    return small(
        arms=arms,
        scenario=EAGER + ", funnel: {actions: {buy: {rate: 0.3}, cart: {rate: 0.3}, collect: {rate: 0.3}}}",
        days=DAYS,
        world="users: 500, markets: 2",
        more="truth: {users: 0.05}",
    ).replace("max_train_rows: 20000", "max_train_rows: 1000000")


@pytest.fixture(scope="module", params=["own", "pooled"])
def learned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Finished, list[Log]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        spied = Spied(monkeypatch)
        run = finished(learning(request.param), tmp_path_factory.mktemp(request.param) / "run")
    return request.param, run, spied.logs


Learned = tuple[str, Finished, list[Log]]


def test_an_arm_is_fitted_before_the_test_and_then_every_so_many_days(learned: Learned) -> None:
    _, _, logs = learned
    days = [int(log.day.max()) for log in logs]
    assert days == [WARM - 1, WARM + 1, WARM + 3]


def test_no_row_of_a_fit_is_of_after_the_night_nor_any_outcome(learned: Learned) -> None:
    _, _, logs = learned
    for log, night in zip(logs, (WARM, WARM + 2, WARM + 4), strict=True):
        assert log.time.max() < night * DAY
        assert log["buy_time"].max() < night * DAY
        assert log["buy"].sum() > 0


def test_own_sees_its_own_arm_and_the_warm_up_and_pooled_sees_all(learned: Learned) -> None:
    on, run, logs = learned
    whole = [log_of(run, market) for market in (0, 1)]
    for log, night in zip(logs[1:], (WARM + 2, WARM + 4), strict=True):
        names = [log.arms[index] for index in sorted(set(log.arm.tolist()))]
        assert names == (["warm-up", "trees"] if on == "own" else ["warm-up", "production", "trees"])
        in_test = int((log.day >= WARM).sum())
        mine = ["trees"] if on == "own" else ["production", "trees"]
        expected = sum(int(((t.day < night) & t.arm.isin(mine)).sum()) for t in whole)
        assert in_test == expected > 0


def test_the_ranker_changes_on_the_morning_after_the_fit_and_not_before(learned: Learned) -> None:
    """The same item under the same candidates gets another score from the day of a fit on; within a fit, items
    that are scored from public features alone keep theirs."""
    _, run, _ = learned
    log = log_of(run)
    mine = log[log.arm == "trees"]
    by_day = {day: set(np.round(group.score, 6)) for day, group in mine.groupby(mine.day - WARM)}
    within = [len(by_day[a] & by_day[b]) / min(len(by_day[a]), len(by_day[b])) for a, b in ((0, 1), (2, 3))]
    across = [len(by_day[a] & by_day[b]) / min(len(by_day[a]), len(by_day[b])) for a, b in ((1, 2), (3, 4), (0, 3))]
    print("scores in common within a fit", within, "across fits", across)
    assert min(within) > 2 * max(across)


def test_an_arm_that_learns_is_told_beside_the_truth_that_does_not(learned: Learned) -> None:
    _, run, _ = learned
    assert any(
        line.startswith("trees learned during the test, which the truth does not") for line in run.results.warnings
    )
    assert any("couples the markets" in line for line in run.results.warnings)


# --- arriving items ---------------------------------------------------------------------------------------------


def test_items_arrive_during_the_test_and_not_before_their_day(tmp_path: Path) -> None:
    catalogue = "items: 400, new_share: 0.3, new_days: 6"
    run = finished(small(arms=TWINS, scenario=EAGER.replace("items: 400", catalogue), days=5), tmp_path / "run")
    log = log_of(run)
    first_day = run.spec.world.build(5, 0).catalogue.first_day
    assert (log.day >= first_day[log["item"]]).all()
    late = first_day > WARM
    shown = set(log["item"])
    assert late.sum() > 30
    assert sum(item in shown for item in np.flatnonzero(late)) > 10
    assert run.results.row("twin", "ctr").true_lift == 0
