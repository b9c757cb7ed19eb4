"""Answers about a table: right where they can be checked, and none where there is none to give."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.results import Results
from tests.experiments.tables.shop import answers_of, collected_of, shop, written

BLOCKED = "DO NOT SHIP"


def results_of(table: pd.DataFrame, folder: Path, **keys: Any) -> Results:
    return answers_of(written(table, folder), **keys).results


def assert_no_verdict(results: Results, why: str) -> None:
    """Nothing is shipped or extended, and the reason is both the decision and a warning."""
    assert results.decision.verdict == BLOCKED
    assert results.decision.arm is None
    assert why in results.decision.sentence
    assert any(why in warning for warning in results.warnings)


def test_hillstrom_is_reproduced(real_data: Callable[[str], Path]) -> None:
    path = real_data("hillstrom/hillstrom.csv")
    keys: dict[str, Any] = {
        "unit": None,
        "arm": "segment",
        "control": "No E-Mail",
        "arms": ["No E-Mail", "Mens E-Mail"],
        "metrics": {"visit": "visit", "conversion": "conversion", "spend": "spend"},
    }
    collected = collected_of(path, **keys)
    control, mens = collected.units.groups(collected.units.columns).values()
    for metric, before, after in (("visit", 10.617, 18.276), ("conversion", 0.5726, 1.2531)):
        assert 100 * control.mean[control.at(metric)] == pytest.approx(before, abs=5e-4)
        assert 100 * mens.mean[mens.at(metric)] == pytest.approx(after, abs=5e-4)
    at = control.at("spend")
    assert mens.mean[at] - control.mean[at] == pytest.approx(0.76983, abs=5e-6)
    se = math.sqrt(control.covariance[at, at] / control.n + mens.covariance[at, at] / mens.n)
    assert se == pytest.approx(0.14525, abs=5e-6)
    results = answers_of(path, **keys).results
    spend = results.row("Mens E-Mail", "spend")
    assert spend.arm_mean - spend.control_mean == pytest.approx(0.76983, abs=5e-6)
    assert results.decision.verdict == "SHIP"
    # Pooled over both arms, as the published z are; by statsmodels, and by the statistics that were read.
    for metric, published in (("visit", 22.49), ("conversion", 7.385)):
        counts = [round(one.n * one.mean[one.at(metric)]) for one in (mens, control)]
        z, _ = proportions_ztest(counts, [mens.n, control.n])
        both = sum(counts) / (mens.n + control.n)
        rates = [one.mean[one.at(metric)] for one in (mens, control)]
        pooled = (rates[0] - rates[1]) / math.sqrt(both * (1 - both) * (1 / mens.n + 1 / control.n))
        assert pooled == pytest.approx(z, rel=1e-12)
        assert pooled == pytest.approx(published, abs=5e-3)


def test_a_plain_mean_is_judged_as_by_statsmodels(tmp_path: Path) -> None:
    users = shop()
    row = results_of(users, tmp_path, goals=["gmv"]).row("B", "gmv")
    values = [DescrStatsW(users.loc[users["arm"] == arm, "value"]) for arm in ("B", "A")]
    _, p = CompareMeans(*values).ztest_ind(usevar="unequal")
    assert row.p_value == pytest.approx(p, rel=1e-9)
    assert row.arm_mean / row.control_mean - 1 == pytest.approx(row.lift)


def test_the_delta_method_holds_where_impressions_count_as_users_fails(tmp_path: Path) -> None:
    """Users differ in their rates, so a click tells less than a user: the naive error is far too small."""
    rng = np.random.default_rng(9)
    n = 2000
    rate, seen = rng.beta(0.5, 4.5, n), 1 + rng.poisson(30, n)
    users = pd.DataFrame({"user_id": range(n), "arm": rng.choice(["A", "B"], n), "impressions": seen, "value": 1.0})
    users["clicks"] = rng.binomial(seen, rate)
    row = results_of(users, tmp_path, metrics={"ctr": "clicks/impressions"}).row("B", "ctr")
    naive = math.sqrt(
        sum((1 - r) / r / s for r, s in ((row.control_mean, seen.sum() / 2), (row.arm_mean, seen.sum() / 2)))
    )
    is_b, boots = (users["arm"] == "B").to_numpy(), []
    for _ in range(300):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n)
        clicks, impressions = (
            [(drawn * users[c] * side).sum() for side in (is_b, ~is_b)] for c in ("clicks", "impressions")
        )
        boots.append(clicks[0] / impressions[0] / (clicks[1] / impressions[1]) - 1)
    assert row.se == pytest.approx(np.std(boots), rel=5 / math.sqrt(600))  # five standard errors of its own
    assert naive < row.se / 2


def test_the_time_before_sharpens_the_estimate_as_far_as_it_correlates(tmp_path: Path) -> None:
    users = shop(4000)
    results = results_of(users, tmp_path, pre={"gmv": "value_before"}, goals=["gmv"])
    within = users.assign(value=users["value"] - users.groupby("arm")["value"].transform("mean"))
    rho = within["value"].corr(within["value_before"] - users.groupby("arm")["value_before"].transform("mean"))
    assert results.estimator == "cuped"
    ratio = results.row("B", "gmv", "cuped").se / results.row("B", "gmv", "raw").se
    assert ratio == pytest.approx(math.sqrt(1 - rho**2), rel=0.03)


def test_a_capped_metric_stands_beside_the_raw_one_and_decides_nothing(tmp_path: Path) -> None:
    users = shop()
    users.loc[0, "value"] = 1e5
    results = results_of(users, tmp_path, goals=["gmv"], winsor={"gmv": 0.99})
    raw, capped = (results.row("B", "gmv", kind) for kind in ("raw", "capped"))
    cut = users["value"].clip(upper=float(np.quantile(users["value"], 0.99)))
    assert capped.control_mean == pytest.approx(cut[users["arm"] == "A"].mean())
    assert capped.se < raw.se / 2
    assert results.estimator == "raw"
    assert any(note.startswith("gmv cut at") and "(12 users are cut)" in note for note in results.notes)


def test_segments_have_their_lifts_and_their_sample_ratios(tmp_path: Path) -> None:
    users = shop(3000)
    results = results_of(users, tmp_path, goals=["gmv"], segments=["country"], day="date", planned={"A": 0.5, "B": 0.5})
    assert [(row.level, row.metric) for row in results.segments] == [("DE", "gmv"), ("FR", "gmv")]
    german = users[users["country"] == "DE"].groupby("arm")["value"].mean()
    assert results.segments[0].lift == pytest.approx(german["B"] / german["A"] - 1)
    assert [check.where for check in results.ratios] == [
        "all units",
        "country: DE",
        "country: FR",
        "day 2024-05-01",
        "day 2024-05-02",
    ]


def test_a_clear_gain_is_shipped_with_what_was_taken_for_granted(tmp_path: Path) -> None:
    results = results_of(shop(), tmp_path, metrics={"gmv": "value"})
    assert results.decision.verdict == "SHIP"
    assert list(results.notes) == [
        "1,200 rows read, 1,200 used",
        "every user has one row",
        "no goal was declared: gmv, the first metric, is the goal",
        "no shares were planned: whether arms got their shares can't be told (planned: A=0.5,B=0.5)",
    ]


def test_a_mismatch_of_one_day_blocks_the_verdict(tmp_path: Path) -> None:
    users = shop(6000)
    lost = (users["arm"] == "B") & (users["date"] == "2024-05-02") & (users.index % 4 == 0)
    planned = {"A": 0.5, "B": 0.5}
    assert results_of(users, tmp_path, goals=["gmv"], planned=planned, day="date").decision.verdict == "SHIP"
    results = results_of(users[~lost], tmp_path, goals=["gmv"], planned=planned, day="date")
    assert results.decision.verdict == BLOCKED
    assert "do not match the planned shares" in results.decision.sentence


@pytest.mark.parametrize("share", [0.005, 0.1])
def test_units_in_two_arms_are_dropped_and_beyond_a_hundredth_there_is_no_verdict(tmp_path: Path, share: float) -> None:
    users = shop(2000)
    both = users.head(int(share * len(users))).assign(arm=lambda t: t["arm"].map({"A": "B", "B": "A"}))
    results = results_of(pd.concat([users, both]), tmp_path, goals=["gmv"])
    assert sum(results.n_users.values()) == len(users) - len(both)
    text = f"{len(both)} of 2,000 users are in several arms and dropped"
    if share > 0.01:
        assert_no_verdict(results, f"{text}, so no comparison can be trusted")
    else:
        assert text in results.warnings
        assert results.decision.verdict == "SHIP"


def test_values_that_are_missing_in_one_arm_more_than_in_another_block_the_verdict(tmp_path: Path) -> None:
    users = shop(3000)
    rng = np.random.default_rng(0)
    at_random, in_one_arm = users.copy(), users.copy()
    at_random.loc[rng.random(3000) < 0.03, "value"] = np.nan
    in_one_arm.loc[(rng.random(3000) < 0.05) & (users["arm"] == "B"), "value"] = np.nan
    assert results_of(at_random, tmp_path, goals=["gmv"]).decision.verdict == "SHIP"
    assert_no_verdict(results_of(in_one_arm, tmp_path, goals=["gmv"]), "unknown values are more frequent in one arm")


def test_a_time_before_that_one_arm_lacks_is_not_used(tmp_path: Path) -> None:
    users = shop(3000)
    users.loc[(users["arm"] == "B") & (users.index % 10 == 0), "value_before"] = np.nan
    results = results_of(users, tmp_path, goals=["gmv"], pre={"gmv": "value_before"})
    assert results.estimator == "raw"
    assert any("judged without adjustment" in warning for warning in results.warnings)


def test_arms_that_differed_before_the_test_are_a_warning(tmp_path: Path) -> None:
    users = shop(3000)
    users.loc[users["arm"] == "B", "value_before"] *= 1.3
    results = results_of(users, tmp_path, goals=["gmv"], pre={"gmv": "value_before"})
    assert any("B differed from A in gmv before the test already" in warning for warning in results.warnings)


def test_arms_that_nobody_planned_are_dropped_and_block_the_verdict_where_they_are_many(tmp_path: Path) -> None:
    users = shop(3000)
    users.loc[users.index % 10 == 0, "arm"] = "C"
    results = results_of(users, tmp_path, goals=["gmv"], planned={"A": 0.5, "B": 0.5})
    assert results.arms == ("A", "B")
    assert_no_verdict(results, "300 of 3,000 users are in arms that nobody planned (C) and dropped")
    chosen = results_of(users, tmp_path, goals=["gmv"], planned={"A": 0.5, "B": 0.5}, arms=["A", "B"])
    assert chosen.decision.verdict == "SHIP"


HOPELESS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "few users": (lambda t: t.head(40), "too few users to compare"),
    "two users": (lambda t: t.groupby("arm").head(1), "too few users to compare"),
    "one arm empty": (lambda t: t, "too few users to compare: C 0"),
    "no conversions": (lambda t: t.assign(value=0.0), "can't tell gmv"),
    "no conversions in one arm": (lambda t: t.assign(value=t["value"].where(t["arm"] == "A", 0.0)), "can't tell gmv"),
    "a constant metric": (lambda t: t.assign(value=5.0), "can't tell gmv"),
    "all values missing": (lambda t: t.assign(value=np.nan), "too few users to compare: A 0, B 0"),
    "all values infinite": (lambda t: t.assign(value=np.inf), "too few users to compare: A 0, B 0"),
    "no impressions": (lambda t: t.assign(impressions=0), "can't tell ctr"),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_where_nothing_can_be_told_there_is_no_verdict(tmp_path: Path, case: str) -> None:
    """Adjusted too: an arm without any value once borrowed the spread of the time before, and seemed to be known."""
    change, why = HOPELESS[case]
    pre = {"gmv": "value_before", "ctr": "clicks/impressions"}
    plan = {"planned": {"A": 0.4, "B": 0.4, "C": 0.2}} if case == "one arm empty" else {}
    results = results_of(
        change(shop()), tmp_path, goals=["gmv", "ctr"], pre=pre, winsor={"gmv": 0.99}, segments=["country"], **plan
    )
    assert results.decision.verdict == BLOCKED
    assert results.decision.arm is None
    assert any(why in warning for warning in results.warnings), results.warnings
    if case != "one arm empty":  # of which the counts say so already
        assert why in results.decision.sentence
    assert "nan" not in " ".join([results.decision.sentence, *results.warnings, *results.notes]).split()


def test_a_few_clusters_are_judged_by_students_t_and_fewer_than_twenty_not_at_all(tmp_path: Path) -> None:
    markets = shop(60, lift=1.5)
    assert_no_verdict(results_of(markets, tmp_path, goals=["gmv"]), "too few users to compare")
    judged = results_of(markets, tmp_path, goals=["gmv"], clusters=True)
    assert judged.decision.verdict == "SHIP"
    assert judged.row("B", "gmv").ci_kind.startswith("t-based")
    assert_no_verdict(results_of(markets.head(30), tmp_path, goals=["gmv"], clusters=True), "too few clusters")


def test_few_buyers_are_a_warning_about_money_and_not_about_rates(tmp_path: Path) -> None:
    users = shop(2000).assign(bought=lambda t: (t.index % 20 == 0).astype(int))
    users["money"] = users["bought"] * users["value"]
    keys: dict[str, Any] = {"metrics": {"orders": "bought", "gmv": "money"}, "goals": ["orders", "gmv"]}
    found = [warning for warning in results_of(users, tmp_path, **keys).warnings if "at least 200" in warning]
    assert len(found) == 1
    assert "intervals of gmv" in found[0]


def test_repeated_rows_of_few_units_may_be_copies(tmp_path: Path) -> None:
    users = shop()
    results = results_of(pd.concat([users, users.head(3)]), tmp_path)
    assert any("these are copies: remove them" in note for note in results.notes)
