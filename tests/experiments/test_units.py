"""What is divided between the arms: users, visits, markets, or markets for a block of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats
from experiments.assignment import assign_markets
from experiments.evaluate import results_of
from experiments.gather import Table
from experiments.plan import plan
from experiments.results import Results
from experiments.spec import Experiment, SpecError
from experiments.stages.arms import VISITS, market_folder
from sim.clock import HOUR
from sim.records import Ints
from tests.experiments.finished import Finished, finished, small
from tests.experiments.specs import experiment

UNITS = ("user", "visit", "market", "switchback")
MARKETS, DAYS, BLOCK = 8, 4, 12
TWINS = "{production: {share: 0.5}, twin: {share: 0.3, policy: production}}"  # a fifth of the units is unclaimed


def divided_by(unit: str) -> Experiment:
    """The same test with another unit, and, since their tasks are the same, the others beside it where they run."""
    beside = ", ".join(other for other in UNITS if other != unit)
    return experiment(
        small(
            arms=TWINS,
            world=f"users: 1200, markets: {MARKETS}",
            scenario="like: ecommerce, catalogue: {items: 480}, browse: {candidates: 60, pages: 3}",
            days=DAYS,
            calendar=f"assign: {{unit: {unit}, block_hours: {BLOCK}, beside: [{beside}]}}",
        )
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of all four units, so that everything is of the same world and warm-up."""
    return finished(divided_by("user"), tmp_path_factory.mktemp("units") / "run")


@pytest.fixture(scope="module")
def results(shop: Finished) -> dict[str, Results]:
    return {unit: results_of(spec, shop.folder, plan(spec)) for unit in UNITS for spec in [divided_by(unit)]}


def visits_of(shop: Finished, unit: str, market: int) -> dict[str, np.ndarray]:
    with np.load(market_folder(shop.folder.result(shop.plan.tests[unit, market]), market) / VISITS) as saved:
        return dict(saved)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_gives_every_row_with_finite_numbers_for_rates(results: dict[str, Results], unit: str) -> None:
    """Satisfaction, which no visit has, once made every number of a test by visit or switchback NaN."""
    found = results[unit]
    assert found.unit == unit
    assert {row.metric for row in found.rows} == {row.metric for row in results["user"].rows}
    row = found.row("twin", "ctr")
    assert np.isfinite([row.lift, row.se, row.ci_low, row.ci_high, row.p_value]).all()
    assert row.ci_low < row.lift < row.ci_high


@pytest.mark.parametrize("unit", UNITS)
def test_identical_arms_differ_by_no_more_than_chance_by_any_unit(results: dict[str, Results], unit: str) -> None:
    for metric in ("ctr", "stay_per_user"):
        row = results[unit].row("twin", metric)
        assert abs(row.lift) < 5 * row.se, row
        assert row.true_lift == 0


def test_units_are_counted_and_nothing_else(shop: Finished, results: dict[str, Results]) -> None:
    users = shop.run.users
    by_user = {name: int((users.arm == index).sum()) for index, name in enumerate(users.names)}
    assert results["user"].n_users == {arm: by_user[arm] for arm in shop.run.arms}
    assert results["market"].n_users == {"production": 4, "twin": 2}  # 4.0, 2.4 and 1.6 unclaimed: largest remainder
    visits = dict.fromkeys(shop.run.arms, 0)
    cells: dict[str, set[tuple[int, int]]] = {arm: set() for arm in shop.run.arms}
    for market in range(MARKETS):
        saved = visits_of(shop, "visit", market)
        for index, name in enumerate(saved["names"].tolist()):
            visits[name] += int((saved["arm"] == index).sum())
        saved = visits_of(shop, "switchback", market)
        for index, name in enumerate(saved["names"].tolist()):
            blocks = np.unique(saved["time"][saved["arm"] == index] // (BLOCK * HOUR)).tolist()
            cells[name] |= {(market, block) for block in blocks}
    assert results["visit"].n_users == visits
    assert results["switchback"].n_users == {arm: len(found) for arm, found in cells.items()}


def test_the_warm_up_adjusts_users_and_markets_alone(results: dict[str, Results]) -> None:
    assert {unit: results[unit].estimator for unit in UNITS} == {
        "user": "cuped",
        "visit": "raw",
        "market": "cuped",
        "switchback": "raw",
    }
    told = {"user": {"raw", "cuped", "capped"}, "market": {"raw", "cuped"}}
    for unit in UNITS:
        assert {row.estimator for row in results[unit].rows} == told.get(unit, {"raw"})


def test_few_units_have_intervals_of_student_and_many_of_the_normal(results: dict[str, Results]) -> None:
    kinds = {unit: {row.ci_kind for row in results[unit].rows} for unit in UNITS}
    assert kinds["user"] == kinds["visit"] == {"fieller 95% per test"}
    assert kinds["market"] == kinds["switchback"] == {"t-based fieller 95% per test"}


def test_a_users_visits_are_in_several_arms_when_visits_are_divided(shop: Finished) -> None:
    saved = visits_of(shop, "visit", 0)
    user = saved["request"] >> 20
    several = [len(set(saved["arm"][user == u].tolist())) for u in np.unique(user) if (user == u).sum() >= 2]
    assert len(several) >= 20
    assert np.mean(several) > 1.3


def test_all_visits_of_a_market_and_block_share_an_arm_in_a_switchback_and_blocks_change_arms(shop: Finished) -> None:
    pairs: dict[tuple[int, int], set[int]] = {}
    for market in range(MARKETS):
        saved = visits_of(shop, "switchback", market)
        for arm, block in zip(saved["arm"].tolist(), (saved["time"] // (BLOCK * HOUR)).tolist(), strict=True):
            pairs.setdefault((market, block), set()).add(arm)
    assert all(len(arms) == 1 for arms in pairs.values())
    changing = [len({next(iter(a)) for (m, _), a in pairs.items() if m == market}) for market in range(MARKETS)]
    assert max(changing) == 2
    assert len(pairs) > MARKETS * DAYS * 24 / BLOCK / 2  # most cells are in the test


def test_arms_that_are_alike_leave_the_world_as_it_is_however_visits_are_divided(shop: Finished) -> None:
    """Where everyone is served alike, the division touches nobody: by visit, a person's counted visits sum to what
    they are by user, as far as all are claimed; so the whole world is compared through the same log."""
    for market in range(MARKETS):
        logs = [
            (market_folder(shop.folder.result(shop.plan.tests[unit, market]), market) / "truth.parquet").read_bytes()
            for unit in UNITS
        ]
        assert logs[0] == logs[1] == logs[2] == logs[3]


def test_visit_totals_of_all_arms_sum_to_the_user_totals(tmp_path: Path) -> None:
    arms = "{production: {share: 0.5}, twin: {share: 0.5, policy: production}}"
    more = "world: {scenario: {like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}}"
    text = small(arms=arms, days=5, calendar="assign: {unit: user, beside: [visit, switchback]}")
    assert more in text
    shop = finished(text, tmp_path / "run")
    users = shop.run.users
    days = ("active_days", "returned_1", "returned_7")  # of users, not of visits
    for unit in ("visit", "switchback"):
        saved = visits_of(shop, unit, 0)
        columns = saved["columns"].tolist()
        for column in (name for name in columns if name not in days):
            sum_by_visit = saved["totals"][:, columns.index(column)].sum()
            assert sum_by_visit == users.values[:, users.columns.index(column)].sum(), (unit, column)
    assert saved["totals"][:, columns.index("click")].sum() > 100


def test_markets_fewer_than_arms_need_are_refused_and_few_are_told(tmp_path: Path) -> None:
    text = small(arms=TWINS, world="users: 300, markets: 2", calendar="assign: {unit: market}")
    with pytest.raises(SpecError, match="market needs at least 2 markets per arm, better 20, got 2 for 2 arms"):
        experiment(text)
    few = text.replace("markets: 2", "markets: 4").replace("items: 400", "items: 800")
    found = finished(few, tmp_path / "run").results
    assert any(line.startswith("too few markets to compare: production ") for line in found.warnings), found.warnings
    assert np.isnan(found.decision.srm_p_value)


N_MARKETS, SHOCK = 40, 0.3
JUDGED = (
    Metric("visits", "visits", "users"),
    Metric("stay", "stay_ms", "users"),
    Metric("ctr", "click", "impressions"),
)


@pytest.fixture(scope="module")
def shocked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Ints]:
    """Users in 40 groups under one policy, with what each group did multiplied by its own luck; and their groups."""
    shop = finished(small(arms=TWINS, world="users: 2000, markets: 1"), tmp_path_factory.mktemp("shocked") / "run")
    table = shop.run.users
    # Users who share nothing are what they are in any market: forty small ones cost forty calibrations.
    market = np.arange(len(table.arm)) % N_MARKETS
    columns, values = (*table.columns, "users"), np.column_stack([table.values, np.ones(len(table.arm))])
    luck = np.random.default_rng(1).lognormal(0, SHOCK, N_MARKETS)
    for column in ("visits", "stay_ms", "click"):
        values[:, columns.index(column)] *= luck[market]
    return Table(table.names, columns, np.zeros(len(values), dtype=np.int64), values), market


def rejections(users: Table, market: Ints, *, by_market: bool, n_salts: int) -> dict[str, float]:
    """Share of divisions of the markets in which each metric differs at the level of 5 %, nothing being different."""
    sums = users.summed(market)
    units, of = (sums.values, np.arange(N_MARKETS)) if by_market else (users.values, market)
    columns = sums.columns if by_market else users.columns
    found = {metric.name: 0 for metric in JUDGED}
    for salt in range(n_salts):
        arm = assign_markets(N_MARKETS, {"a": 0.5, "b": 0.5}, f"salt {salt}", 1)[of]
        groups = {name: SufficientStats.of(columns, units[arm == k]) for k, name in enumerate("ab")}
        for lift in lifts(joint_estimate(groups, list(JUDGED), cuped=False), "a", 0.05, small_sample=by_market):
            found[lift.metric] += lift.p_value < 0.05
    return {name: count / n_salts for name, count in found.items()}


def test_intervals_by_market_reject_identical_arms_in_five_percent_and_by_user_far_more_often(
    shocked: tuple[Table, Ints],
) -> None:
    """Simulated once, 40 markets re-divided by salts; the 99.9 % band. Users of one market share its luck, so an
    analysis that takes them for independent is sure of differences that are not there."""
    users, market = shocked
    n_salts = 1000
    low, high = binom.ppf([0.0005, 0.9995], n_salts, 0.05) / n_salts
    rates = rejections(users, market, by_market=True, n_salts=n_salts)
    naive = rejections(users, market, by_market=False, n_salts=300)
    print("by market", rates, "by user", naive, "band", low, high)
    assert all(low <= rate <= high for rate in rates.values()), rates
    assert all(rate > 2 * high for rate in naive.values()), naive
