"""Looks: the test as it stood on earlier days, beside the truth of that day."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.gather import load_totals
from experiments.stages.common import EXPECTED, TOTALS
from tests.experiments.finished import Finished, finished, small

DAYS, LOOKS = 6, (1, 3)
SHOP = """like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}, people: {habit_days: 1.5},
  funnel: {actions: {buy: {rate: 0.2}}}"""


def run_of(factory: pytest.TempPathFactory, days: int, analysis: str) -> Finished:
    text = small(
        arms="{production: {share: 0.5}, luck: {share: 0.5, policy: random}}",
        scenario=SHOP,
        world="users: 900, markets: 2",
        days=days,
        metrics="{goals: [gmv_per_user, ctr], guardrails: {visits_per_user: -5%}}",
        more=f"truth: {{users: 0.5}}\n{analysis}",
    )
    return finished(text, factory.mktemp(f"days{days}") / "run")


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    analysis = f"analysis: {{looks: {list(LOOKS)}}}\nfinding: {{type: delay, arm: luck, metric: gmv_per_user}}"
    return run_of(tmp_path_factory, DAYS, analysis)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same test, had it ended on the day of the last look."""
    return run_of(tmp_path_factory, LOOKS[-1], "")


def test_there_is_a_row_for_every_look_and_the_end_of_every_goal_and_guardrail(looked: Finished) -> None:
    rows = {(row.day, row.arm, row.metric) for row in looked.results.looks}
    judged = ("gmv_per_user", "ctr", "visits_per_user")
    assert rows == {(day, "luck", metric) for day in (*LOOKS, DAYS) for metric in judged}
    assert len(looked.results.looks) == len(rows)
    known = [row for row in looked.results.looks if row.metric != "gmv_per_user"]
    assert np.isfinite([(row.lift, row.se, row.low, row.high, row.true_lift) for row in known]).all()
    assert all(row.low < row.lift < row.high for row in known)


def test_the_last_look_is_the_result(looked: Finished) -> None:
    for metric in ("gmv_per_user", "ctr"):
        last = next(row for row in looked.results.looks if (row.day, row.metric) == (DAYS, metric))
        row = looked.results.row("luck", metric)
        assert (last.lift, last.low, last.high, last.true_lift) == (row.lift, row.ci_low, row.ci_high, row.true_lift)


def test_an_early_look_sees_fewer_conversions_and_users(looked: Finished) -> None:
    buys, users = [], []
    for day in (*LOOKS, 0):
        groups = looked.run.groups("user", day).values()
        buys.append(sum(stats.n * stats.mean[stats.at("buy")] for stats in groups))
        users.append(sum(stats.n for stats in groups))
    assert buys == sorted(set(buys))
    assert users == sorted(set(users))


def test_the_truth_of_a_look_is_that_of_a_test_of_so_many_days(looked: Finished, short: Finished) -> None:
    """What was to be expected by then is found in a run that goes on, as in one that ended: same people, same luck."""
    day = LOOKS[-1]
    for of, task in looked.plan.truths.items():
        for file in (EXPECTED, TOTALS):
            columns, early = load_totals(looked.folder.result(task) / f"day{day}-{file}")
            others, ended = load_totals(short.folder.result(short.plan.truths[of]) / file)
            assert columns == others
            keep = [n for n, column in enumerate(columns) if column != "satisfaction"]
            np.testing.assert_allclose(early[:, keep], ended[:, keep], rtol=1e-12, atol=1e-9)
    for row in (row for row in looked.results.looks if row.day == day):
        assert row.true_lift == pytest.approx(short.results.row("luck", row.metric).true_lift, rel=1e-9)


def test_the_estimate_of_a_look_is_that_of_a_test_of_so_many_days(looked: Finished, short: Finished) -> None:
    for row in (row for row in looked.results.looks if row.day == LOOKS[-1]):
        ended = short.results.row("luck", row.metric)
        found, expected = ((r.lift, r.se) for r in (row, ended))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_finding_sets_the_first_look_beside_the_last(looked: Finished) -> None:
    finding = looked.results.finding
    first, last = (
        next(row for row in looked.results.looks if (row.day, row.metric) == (day, "gmv_per_user"))
        for day in (LOOKS[0], DAYS)
    )
    eventual = next(row for row in looked.results.truth if row.metric == "gmv_per_user").eventual_lift
    assert finding.startswith(f"read on day {LOOKS[0]}, luck by itself shows ")
    assert f"true as of then {100 * first.true_lift:+.1f} %" in finding
    assert f"on day {DAYS} it shows " in finding
    assert f"true {100 * last.true_lift:+.1f} %; once everything has landed {100 * eventual:+.1f} %" in finding
    assert finding.endswith(("The test changed its mind.", "The test said the same."))
