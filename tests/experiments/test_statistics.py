"""Is the inference right? Held against replications, not against itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats
from experiments.assignment import assign
from experiments.evaluate import results_of
from experiments.executors import execute
from experiments.gather import PRE, estimand
from experiments.plan import plan
from experiments.results import Results
from experiments.spec import load_experiment
from experiments.store import RunFolder
from policies.baselines import Production, RandomRanking
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.ledger import Totals
from sim.records import Floats, Ints
from tests.experiments.specs import TINY, experiment
from tests.worlds import ecommerce

DAYS, LUCK = 6, 11
N_GROUPS, GROUP = 200, 700


@dataclass(frozen=True)
class Simulated:
    """Totals of the users of one simulation, pre-period beside test, one row per user."""

    columns: tuple[str, ...]
    values: Floats
    user: Ints

    def stats(self, rows: Ints) -> SufficientStats:
        came = rows[self.values[rows, self.columns.index("visits")] > 0]
        return SufficientStats.of(self.columns, self.values[came])


def simulated(n_users: int, rankers: Sequence[Arm], arm_of: Ints) -> Simulated:
    world = load_experiment("ecommerce").world.build(3, 0, np.arange(n_users))
    before, during = Totals(world, 0), Totals(world, DAYS * DAY)
    warm = [Arm("warm-up", Production(), 0.5)]
    state = simulate(world, opening(world, LUCK), DAYS, warm, np.zeros(n_users, int), LUCK, [before], DAY // 2)
    after = simulate(world, state, 2 * DAYS, rankers, arm_of, LUCK, [during], DAY // 2)
    values = np.column_stack([during.totals, after.satisfaction, before.totals])
    columns = (*during.columns, "satisfaction", *(PRE + column for column in before.columns))
    return Simulated(columns, values.astype(float), np.arange(n_users))


@cache
def identical_arms() -> Simulated:
    return simulated(16_000, [Arm("a", Production())], np.zeros(16_000, int))


def metrics() -> list[Metric]:
    return [estimand(name, metric) for name, metric in ecommerce().metrics.items()]


def estimated(data: Simulated, groups: dict[str, Ints], *, cuped: bool) -> JointEstimate:
    return joint_estimate({arm: data.stats(rows) for arm, rows in groups.items()}, metrics(), cuped=cuped)


def test_identical_arms_split_by_2000_salts_reject_in_five_percent_for_every_metric() -> None:
    """Simulated once, re-split by salts; the 99.9 % band of 2,000 replications."""
    data, n_salts = identical_arms(), 2000
    rejected = np.zeros((2, len(metrics())))
    for salt in range(n_salts):
        arm = assign(data.user, {"a": 0.5, "b": 0.5}, f"salt {salt}", 1)
        groups = {"a": data.stats(np.flatnonzero(arm == 0)), "b": data.stats(np.flatnonzero(arm == 1))}
        for kind, cuped in enumerate((False, True)):
            found = lifts(joint_estimate(groups, metrics(), cuped=cuped), "a", 0.05)
            rejected[kind] += [lift.p_value < 0.05 for lift in found]
    rates = rejected / n_salts
    for kind, name in enumerate(("raw", "cuped")):
        print(name, dict(zip([m.name for m in metrics()], rates[kind].round(4), strict=True)))
    low, high = binom.ppf([0.0005, 0.9995], n_salts, 0.05) / n_salts
    assert (low, high) == pytest.approx((0.0345, 0.0665), abs=5e-4)
    assert ((rates >= low) & (rates <= high)).all(), rates


def test_standard_errors_match_the_spread_over_200_small_worlds() -> None:
    """200 disjoint sets of users with their own luck, each split by its own salt: one small test each.

    Metrics of money need more orders than a small world has, so those with fewer than ten per arm are out.
    """
    n = N_GROUPS * GROUP
    users = np.arange(n)
    group = users // GROUP
    arm_of = np.concatenate([assign(users[group == g], {"a": 0.5, "b": 0.5}, f"group {g}", 1) for g in range(N_GROUPS)])
    data = simulated(n, [Arm("a", Production()), Arm("b", RandomRanking())], arm_of)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for g in range(N_GROUPS):
        groups = {name: np.flatnonzero((group == g) & (arm_of == k)) for k, name in enumerate("ab")}
        for cuped in (False, True):
            joint = estimated(data, groups, cuped=cuped)
            for lift in lifts(joint, "a", 0.05):
                found.setdefault((joint.kind, lift.metric), []).append((lift.lift, lift.se))
    for metric in ("ctr", "stay_per_user", "visits_per_user", "satisfaction"):
        for kind in ("raw", "cuped"):
            lift, se = np.array(found[kind, metric]).T
            ratio = lift.std(ddof=1) / se.mean()
            print(f"{kind} {metric}: sd(lift) / mean(se) = {ratio:.3f}")
            assert 0.85 < ratio < 1.15, (kind, metric, ratio)


def finished(tmp_path: Path, seed: int, text: str) -> Results:
    spec = experiment(text.replace("seed: 5", f"seed: {seed}"))
    folder = RunFolder(tmp_path / str(seed))
    whole = plan(spec)
    with folder.claimed(spec.identity(), False):
        execute(whole.tasks(), folder, 1, lambda event: None)
    return results_of(spec, folder, whole)


@pytest.mark.slow
def test_whole_runs_over_200_seeds_have_honest_errors_and_cover_the_truth(tmp_path: Path) -> None:
    """Everything drawn anew, catalogue included; the error is against the truth of the same world."""
    text = TINY.replace(
        "trees: {share: 0.25, policy: {type: lambdamart, trees: 5}}", "luck: {share: 0.25, policy: random}"
    )
    text = text.replace("users: 700, markets: 2", "users: 1600, markets: 1").replace(
        "truth: {users: 0.5}", "truth: {users: 1}"
    )
    errors: dict[str, list[tuple[float, float, bool]]] = {}
    for seed in range(200):
        for row in finished(tmp_path, seed, text).rows:
            if row.estimator == "cuped" and row.arm == "luck":
                covered = row.ci_low <= row.true_lift <= row.ci_high
                errors.setdefault(row.metric, []).append((row.lift - row.true_lift, row.se, covered))
    low, high = binom.ppf([0.0005, 0.9995], 200, 0.95) / 200
    for metric in ("ctr", "stay_per_user", "visits_per_user"):
        error, se, covered = np.array(errors[metric]).T
        ratio, coverage = error.std(ddof=1) / se.mean(), covered.mean()
        print(f"{metric}: sd(error) / mean(se) = {ratio:.3f}, coverage {coverage:.3f}")
        assert 0.85 < ratio < 1.15
        assert low <= coverage <= high


def library_run(tmp_path: Path) -> Results:
    spec = load_experiment("ecommerce")
    folder = RunFolder(tmp_path / "ecommerce")
    whole = plan(spec)
    with folder.claimed(spec.identity(), False):
        execute(whole.tasks(), folder, 2, lambda event: None)
    return results_of(spec, folder, whole)


def test_the_ecommerce_run_decides_on_a_goal_that_the_truth_confirms_and_shows_a_seesaw(tmp_path: Path) -> None:
    results = library_run(tmp_path)
    assert min(results.conversions.values()) >= 500
    sure = [r for r in results.rows if r.role == "goal" and r.estimator == results.estimator and r.p_adjusted < 0.05]
    assert sure
    assert all(np.sign(r.lift) == np.sign(r.true_lift) for r in sure)
    true = {(row.arm, row.metric): (row.expected_lift, row.expected_lift_se) for row in results.truth}
    # esmm is fused to expected revenue and buys it with clicks; lambdamart gains most clicks and earns less.
    gmv, ctr = ({arm: true[arm, metric][0] for arm in ("esmm", "lambdamart")} for metric in ("gmv_per_user", "ctr"))
    se = max(error for _, error in true.values())
    assert gmv["esmm"] > gmv["lambdamart"] + 5 * se
    assert ctr["lambdamart"] > ctr["esmm"] + 5 * true["esmm", "ctr"][1]
    for row in results.truth:
        if row.metric != "satisfaction":
            gap = abs(row.expected_lift - row.sampled_lift)
            assert gap < 5 * max(row.sampled_lift_se, row.expected_lift_se), row
