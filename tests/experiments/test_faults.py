"""Faults that are switched on, and whether the run notices them; each beside the same run without it."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.stages.common import EXPECTED, TOTALS
from tests.experiments.finished import Finished, finished, small

WARM, DAYS = 2, 8
SHOP = """like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}, people: {habit_days: 1.5},
  funnel: {actions: {click: {rate: 0.15},
    buy: {rate: 0.2, delay: {short_share: 0.9, short_mean_hours: 2, long_mean_days: 5}}}}"""
NOVELTY = "novelty: {lift: 1.0, half_life_days: 2}"
LOST = "lost_rows: {arm: twin, share: 0.2}"


def faulty(factory: pytest.TempPathFactory, fault: str) -> Finished:
    text = small(
        arms="{production: {share: 0.5}, twin: {share: 0.5, policy: production}}",
        scenario=SHOP,
        world="users: 1500, markets: 2",
        warm=WARM,
        days=DAYS,
        more=f"truth: {{users: 0.2}}\nfaults: {{{fault}}}",
    )
    return finished(text, factory.mktemp("faults") / "run")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return faulty(tmp_path_factory, "")


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return faulty(tmp_path_factory, "heavy_spenders: {share: 0.003, units: 200}")


@pytest.fixture(scope="module")
def novel(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return faulty(tmp_path_factory, NOVELTY)


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return faulty(tmp_path_factory, LOST)


def warned(run: Finished, beginning: str) -> list[str]:
    return [line for line in run.results.warnings if line.startswith(beginning)]


def test_a_run_without_faults_warns_of_none(sound: Finished) -> None:
    assert min(sound.results.conversions.values()) > 200
    assert sound.results.warnings == ()


def test_a_few_who_buy_most_of_it_are_told(heavy: Finished) -> None:
    (line,) = warned(heavy, "heavy spenders: ")
    value = np.sort(heavy.run.users.values[:, heavy.run.users.columns.index("value_cents")])[::-1]
    buyers = int((value > 0).sum())
    few = round(0.005 * buyers)
    share = (value[:few] ** 2).sum() / (value**2).sum()
    assert line.startswith(f"heavy spenders: {few} of {buyers} buyers make {100 * share:.0f} % of the spread")
    assert share > 0.5


def test_a_handful_of_orders_is_no_sign_of_heavy_spenders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of four orders the dearest has a quarter of the value: a tiny run was told to distrust its money by that."""
    text = small(arms="{production: {share: 0.5}, twin: {share: 0.5, policy: production}}")
    run = finished(text, tmp_path_factory.mktemp("few") / "run")
    assert 0 < sum(run.results.conversions.values()) < 50
    assert not warned(run, "heavy spenders")


def test_what_is_new_wears_off_and_the_run_says_so(novel: Finished, sound: Finished) -> None:
    (line,) = warned(novel, "the lift of ctr of twin changed from +")
    assert "what is new wears off, or what is learned grows; the lasting lift is nearer to the second" in line
    early = float(line.split("changed from ")[1].split(" %")[0])
    late = float(line.split(" of the test to ")[1].split(" %")[0])
    assert early > late + 10
    assert warned(novel, "novelty is on: the estimates hold it, the truth is without it")
    assert not warned(sound, "the lift of")


def test_novelty_lifts_the_estimate_and_not_the_truth(novel: Finished, sound: Finished) -> None:
    assert novel.results.row("twin", "ctr").lift > 6 * novel.results.row("twin", "ctr").se
    assert novel.results.row("twin", "ctr").true_lift == 0
    for of in novel.plan.truths:
        for file in (EXPECTED, TOTALS):
            ours, theirs = (run.folder.result(run.plan.truths[of]) / file for run in (novel, sound))
            assert ours.read_bytes() == theirs.read_bytes()


def test_novelty_of_nothing_and_a_small_one_are_not_told_as_a_trend(
    tmp_path_factory: pytest.TempPathFactory, sound: Finished
) -> None:
    run = faulty(tmp_path_factory, "novelty: {lift: 0}")
    assert not warned(run, "the lift of")
    assert [row.lift for row in run.results.rows] == [row.lift for row in sound.results.rows]


def test_novelty_is_of_the_challenger_alone(novel: Finished, sound: Finished) -> None:
    with_it, without = (run.results.row("twin", "ctr", "raw").control_mean for run in (novel, sound))
    assert with_it == without


def test_orders_without_an_impression_in_the_log_are_counted_by_arm(lossy: Finished, sound: Finished) -> None:
    for run in (lossy, sound):
        told = [run.notes(task)["orphans"] for task in run.plan.tests.values()]
        landed = {arm: sum(notes[arm][1] for notes in told) for arm in run.run.arms}
        lost = {arm: sum(notes[arm][0] for notes in told) for arm in run.run.arms}
        assert lost["production"] == 0
        assert landed["production"] == sound.results.conversions["production"]
        if run is sound:
            assert lost["twin"] == 0
        else:
            expected, n = 0.2, landed["twin"]
            # Orders of one visit are lost together: twice the spread of independent ones is more than enough.
            assert abs(lost["twin"] - expected * n) < 5 * 2 * np.sqrt(n * expected * (1 - expected))
            assert landed["twin"] == sound.results.conversions["twin"]


def test_rows_lost_in_one_arm_are_told_with_that_arms_share(lossy: Finished, sound: Finished) -> None:
    (line,) = warned(lossy, "the log loses rows in one arm more than in another")
    told = [lossy.notes(task)["orphans"]["twin"] for task in lossy.plan.tests.values()]
    share = 100 * sum(lost for lost, _ in told) / sum(landed for _, landed in told)
    assert f"production 0.0 %, twin {share:.1f} % (p = " in line
    assert line == lossy.results.warnings[0]  # the gravest first
    assert not warned(sound, "the log loses rows")


def test_totals_of_the_damaged_arm_are_lower_and_fewer_of_its_users_seem_to_have_come(
    lossy: Finished, sound: Finished
) -> None:
    columns = sound.run.users.columns
    users = (lossy.run.users, sound.run.users)
    for index, arm in enumerate(users[1].names):
        sums = {k: users[k].values[users[k].arm == index].sum(axis=0) for k in (0, 1)}
        for column in ("visits", "impressions", "click", "buy", "value_cents"):
            at = columns.index(column)
            if arm == "twin":
                assert 0.7 * sums[1][at] < sums[0][at] < 0.9 * sums[1][at], column
            else:
                assert sums[0][at] == sums[1][at], column
    assert lossy.results.n_users["production"] == sound.results.n_users["production"]
    assert lossy.results.n_users["twin"] < sound.results.n_users["twin"]


def test_people_live_on_as_if_nothing_had_been_lost(lossy: Finished, sound: Finished) -> None:
    """Faults of the log are of the log: the rows that are left are those of the sound run."""
    for of, task in lossy.plan.truths.items():
        ours, theirs = (run.folder.result(t) / TOTALS for run, t in ((lossy, task), (sound, sound.plan.truths[of])))
        assert ours.read_bytes() == theirs.read_bytes()
    assert lossy.results.row("twin", "visits_per_user").true_lift == 0
    assert lossy.results.row("twin", "visits_per_user").lift < 0
