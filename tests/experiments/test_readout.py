"""What a run says beside its lifts: families, nights, segments, caps, sample ratios; held against the run itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.ratios import ratio_checks
from experiments.capping import caps_of
from experiments.covariance import COVARIANCE, save_covariance
from experiments.evaluate import results_of
from experiments.gather import estimand
from experiments.readout import Inquiry, estimated, read
from experiments.segmenting import segments_of
from experiments.stages.common import PRE
from experiments.stages.recorders import DayMoments
from sim.logbook import LOG_FILE
from tests.experiments.finished import Finished, finished, small

ARMS = "{production: {share: 0.4}, twin: {share: 0.3, policy: production}, luck: {share: 0.3, policy: random}}"
DAYS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    text = small(arms=ARMS, world="users: 1500, markets: 2", days=DAYS, warm=3, more="truth: {users: 0.3}")
    text = text.replace("goals: [ctr, stay_per_user]", "goals: [ctr, gmv_per_user]")
    return finished(text, tmp_path_factory.mktemp("readout") / "run")


# --- families ---------------------------------------------------------------------------------------------------


def test_goals_and_guardrails_hold_together_and_the_rest_is_explored(run: Finished) -> None:
    for row in run.results.rows:
        if row.role in ("goal", "guardrail"):
            assert row.adjusted_by.startswith("step-down max-T over ")
            if np.isfinite(row.ci_low):
                assert row.sim_low <= row.ci_low <= row.ci_high <= row.sim_high
        else:
            assert row.adjusted_by.startswith("Benjamini-Hochberg over ")
            assert np.isnan(row.sim_low)
        if np.isfinite(row.p_value):
            assert row.p_adjusted >= row.p_value - 1e-12


def test_the_decision_is_made_by_the_p_values_of_the_table(run: Finished) -> None:
    for verdict in run.results.decision.arms:
        rows = [run.results.row(verdict.arm, goal) for goal in run.results.goals]
        sure = [row for row in rows if row.p_adjusted < 0.05 and np.isfinite(row.ci_low)]
        assert set(verdict.gains) == {row.metric for row in sure if row.lift > 0}
        assert set(verdict.losses) == {row.metric for row in sure if row.lift < 0}


def test_chance_loses_clicks_surely_and_the_twin_nothing(run: Finished) -> None:
    by = {verdict.arm: verdict for verdict in run.results.decision.arms}
    assert by["luck"].losses == ("ctr",)
    assert by["twin"].losses == by["twin"].gains == ()


def test_bias_and_coverage_are_told_of_every_row_with_a_truth(run: Finished) -> None:
    row = run.results.row("luck", "ctr")
    assert row.bias == pytest.approx(row.lift - row.true_lift)
    assert row.covers == (row.ci_low <= row.true_lift <= row.ci_high)
    assert {"bias", "covers"} <= set(run.results.to_dicts()[0])


def test_the_joint_lifts_are_those_of_the_rows(run: Finished, tmp_path: Path) -> None:
    joint = run.results.joint
    assert joint is not None
    save_covariance(joint, tmp_path)
    with np.load(tmp_path / COVARIANCE, allow_pickle=False) as saved:
        arms, metrics, lift = saved["arms"].tolist(), saved["metrics"].tolist(), saved["lift"]
        sd = np.sqrt(np.diagonal(saved["covariance"])).reshape(lift.shape)
    for a, arm in enumerate(arms):
        for m, metric in enumerate(metrics):
            row = run.results.row(arm, metric)
            assert lift[a, m] == pytest.approx(row.lift, nan_ok=True)
            if np.isfinite(row.se):
                assert sd[a, m] == pytest.approx(row.se)


def test_what_the_test_could_see_is_more_than_its_error(run: Finished) -> None:
    """At least 1.96 + .84 standard errors for a goal; a guardrail is one-sided."""
    worst = max(run.results.row(arm, "ctr").se for arm in ("twin", "luck"))
    assert run.results.detectable["ctr"] > 2.8 * worst
    worst = max(run.results.row(arm, "visits_per_user").se for arm in ("twin", "luck"))
    assert run.results.detectable["visits_per_user"] == pytest.approx(2.486 * worst, rel=1e-3)


# --- nights -----------------------------------------------------------------------------------------------------


def test_every_night_is_told_and_the_last_is_the_result(run: Finished) -> None:
    for arm in ("twin", "luck"):
        rows = [row for row in run.results.daily if (row.arm, row.metric) == (arm, "ctr")]
        assert [row.day for row in rows] == list(range(1, DAYS + 1))
        assert rows[-1].lift == run.results.row(arm, "ctr").lift
        assert rows[-1].true_lift == run.results.row(arm, "ctr").true_lift
        assert rows[-1].information == 1
        assert all(row.repeated_low <= row.low <= row.high <= row.repeated_high for row in rows)


def test_moments_of_the_last_night_are_those_of_the_totals(run: Finished) -> None:
    last, whole = run.run.groups("user", DAYS), run.run.groups("user")
    for arm, stats in last.items():
        same = whole[arm].only(stats.columns)
        assert stats.n == same.n
        np.testing.assert_allclose(stats.mean, same.mean, rtol=1e-12)
        np.testing.assert_allclose(stats.scatter, same.scatter, rtol=1e-9, atol=1e-6)
        assert PRE + "click" in stats.columns


def test_a_long_test_keeps_evenly_spread_nights_and_the_last() -> None:
    class Nobody:
        columns = ("visits",)
        totals = np.zeros((0, 1), dtype=np.int64)

    made = DayMoments(Nobody(), np.zeros(0, dtype=int), ["a"], ["visits"], {}, 5, 400)  # type: ignore[arg-type]
    assert max(made.wanted) == 400
    assert len(made.wanted) <= 92
    assert set(np.diff(sorted(made.wanted))) == {5}


def test_a_declared_look_at_a_long_test_is_kept_beside_them(tmp_path: Path) -> None:
    """Of more than 92 nights some are left out, and a look that fell on one of these ended the analysis."""
    text = small(arms=ARMS, world="users: 200, markets: 1", days=93, warm=1, more="truth: {users: 0.2}")
    looked = finished(text + "analysis: {looks: [2]}\n", tmp_path / "run")
    assert {row.day for row in looked.results.looks} == {2, 93}
    assert 2 not in {day for day in range(1, 94) if (93 - day) % 2 == 0}


def test_declared_looks_leave_less_for_the_end(tmp_path: Path) -> None:
    """A Pocock look half-way costs the goals of the end; the same test without looks decides by more."""
    text = small(arms=ARMS, world="users: 600, markets: 1", days=DAYS, more="truth: {users: 0.2}")
    plain = finished(text, tmp_path / "run")
    looking = text + "analysis: {looks: [1, 2], spending: pocock}\n"
    looked = finished(looking, tmp_path / "looked")
    for goal in ("ctr", "stay_per_user"):
        before, after = plain.results.row("luck", goal), looked.results.row("luck", goal)
        assert before.lift == after.lift
        assert after.p_adjusted >= before.p_adjusted
        assert after.sim_high - after.sim_low > before.sim_high - before.sim_low
    calm = finished(looking.replace("pocock", "none"), tmp_path / "calm")
    assert calm.results.row("luck", "ctr").p_adjusted == plain.results.row("luck", "ctr").p_adjusted
    assert all(np.isnan(row.repeated_low) for row in calm.results.looks)


# --- segments and sample ratios ---------------------------------------------------------------------------------


def test_levels_divide_the_users_and_add_up_to_the_arms(run: Finished) -> None:
    users = run.run.users
    assert users.user is not None
    for name, segment in segments_of(run.run, ["returning", "price"]).items():
        rows = np.concatenate(list(segment.rows(users.user).values()))
        assert sorted(rows.tolist()) == list(range(len(users.arm))), name
    for arm in ("twin", "luck"):
        counted = {(r.level, r.units) for r in run.results.segments if (r.segment, r.arm) == ("returning", arm)}
        assert sum(units for _, units in counted) == run.results.n_users[arm]


def test_newcomers_are_those_who_never_came_before(run: Finished) -> None:
    users = run.run.users
    assert users.user is not None
    new = segments_of(run.run, ["returning"])["returning"].rows(users.user)["new"]
    before = users.values[:, users.columns.index(PRE + "visits")]
    assert (before[new] == 0).all()
    assert (before == 0).sum() == len(new)


def test_the_price_a_user_looks_at_is_that_of_the_log(run: Finished) -> None:
    parts = [pd.read_parquet(run.folder.result(task) / LOG_FILE) for task in run.plan.warmups.values()]
    log = pd.concat(parts)
    mean = log[log.click > 0].groupby("user").price.mean()
    segment = segments_of(run.run, ["price"])["price"]
    levels = [mean[segment.level[mean.index] == n] for n in range(3)]
    assert levels[0].max() <= levels[1].min() <= levels[1].max() <= levels[2].min()
    assert (segment.level[~np.isin(np.arange(1500), mean.index)] == 3).all()


def test_sample_ratios_are_checked_by_segment_and_by_day_of_the_first_visit(run: Finished) -> None:
    checks = {check.where: check for check in run.results.ratios}
    assert {"all units", "returning: new", "activity: high", "price: low", "day 1", f"day {DAYS}"} <= set(checks)
    first = [checks[f"day {day}"].counts for day in range(1, DAYS + 1)]
    for arm, n in checks["all units"].counts.items():
        assert sum(counts[arm] for counts in first) == n
    assert not any(check.mismatch for check in checks.values())


def test_a_mismatch_in_a_part_blocks_the_verdict(run: Finished) -> None:
    inquiry = Inquiry("production", ("ctr",), {}, {"ctr": "goal"}, 0.05, "user", "raw")
    one = estimated(run.run.groups("user"), [estimand("ctr", run.run.scenario.metrics["ctr"])], inquiry, cuped=False)
    whole, shares = {"a": 500, "b": 500}, {"a": 0.5, "b": 0.5}
    found = read({"raw": one}, inquiry, ratio_checks(whole, {"activity: low": {"a": 90, "b": 10}}, shares))
    assert found.decision.verdict == "DO NOT SHIP"
    assert found.decision.arm is None
    assert "activity: low" in found.decision.sentence


def test_a_segment_that_nobody_declares_costs_nothing(run: Finished) -> None:
    none = run.spec.model_copy(update={"analysis": run.spec.analysis.model_copy(update={"segments": [], "cap": None})})
    found = results_of(none, run.folder, run.plan)
    assert found.segments == ()
    assert {row.estimator for row in found.rows} == {"raw", "cuped"}


# --- caps -------------------------------------------------------------------------------------------------------


def test_money_is_capped_where_the_warm_up_says(run: Finished) -> None:
    users, quantile = run.run.users, 0.99
    before = users.values[:, users.columns.index(PRE + "value_cents")]
    came = users.values[:, users.columns.index(PRE + "visits")] > 0
    cap = caps_of(run.run, ["value_cents"], quantile)["value_cents"]
    assert cap == pytest.approx(np.quantile(before[came], quantile) * DAYS / 3)


def test_capped_money_is_told_beside_the_money_as_it_is(run: Finished) -> None:
    low = run.spec.model_copy(update={"analysis": run.spec.analysis.model_copy(update={"cap": 0.985})})
    rows = results_of(low, run.folder, run.plan).rows
    by = {(r.arm, r.estimator): r for r in rows if r.metric == "gmv_per_user"}
    for arm in ("twin", "luck"):
        assert 0 < by[arm, "capped"].arm_mean < by[arm, "cuped"].arm_mean
    assert {row.metric for row in rows if row.estimator == "capped"} == {"gmv_per_user", "net_gmv_per_user"}
    assert run.results.estimator == "cuped"  # the cap is shown beside, and decides nothing


def test_halves_of_the_controls_own_users_are_replayed(run: Finished) -> None:
    """Few orders, but of the control: a split that tells nothing at all would be NaN."""
    assert set(run.results.replay) == {"ctr", "gmv_per_user", "visits_per_user"}
    for share in run.results.replay.values():
        assert 0 <= share < 0.13  # the 99.9 % band of 200 splits ends at .11; units are resampled without replacement


# --- without a truth --------------------------------------------------------------------------------------------


def test_without_a_truth_nothing_is_said_of_it(run: Finished) -> None:
    inquiry = Inquiry("production", ("ctr",), {}, {"ctr": "goal", "gmv_per_user": "secondary"}, 0.05, "user", "raw")
    metrics = [estimand(name, run.run.scenario.metrics[name]) for name in inquiry.roles]
    one = estimated(run.run.groups("user"), metrics, inquiry, cuped=False)
    found = read({"raw": one}, inquiry, ())
    assert found.truth == ()
    assert all(row.covers is None and np.isnan(row.bias) for row in found.rows)
    assert np.isnan(found.decision.srm_p_value)
    assert found.tradeoff is None  # one goal: nothing to trade
    two = replace(inquiry, goals=("ctr", "gmv_per_user"), roles=dict.fromkeys(inquiry.roles, "goal"))
    both = read({"raw": one}, two, ())
    assert both.tradeoff is not None
