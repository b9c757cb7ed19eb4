"""The simulation: the same fate in waves of one and of a thousand, in one go and in parts, alone and in company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.baselines import Production, RandomRanking
from sim.clock import DAY, HOUR
from sim.engine import Arm, State, opening, simulate
from sim.logbook import HIDDEN_FILE, LOG_FILE, read_log
from sim.records import LOG_COLUMNS, Log
from sim.served import Orders
from sim.world import World
from tests.asserts import (
    assert_between_zero_and_one,
    assert_differs_from_zero,
    assert_same_columns,
    assert_same_log,
    assert_same_parquet,
    assert_zero_mean_per_column,
)
from tests.worlds import (
    NO_DYNAMICS,
    WARMUP,
    Run,
    Waves,
    ecommerce,
    examination,
    run,
    run_logged,
    small_world,
    with_action,
)

OFTEN = {"habit_days": 1.0}
BUSY = with_action("buy", rate=0.3)
ARMS = (WARMUP, Arm("random", RandomRanking()), Arm("warm", Production(), 2.0))


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(200, people=OFTEN, funnel=BUSY)


def thirds(world: World) -> np.ndarray:
    return world.people.user % 3


def rows_of(log: Log, users: np.ndarray) -> Log:
    return log.take(np.isin(log.user, users))


def assert_same_fate(a: Log, b: Log) -> None:
    """The same impressions and outcomes, whatever else the logs hold and however their arms are numbered."""
    assert len(a) == len(b) > 0
    assert_same_columns(a, b, tuple(name for name in LOG_COLUMNS if name != "arm"))
    for name in a.outcomes:
        assert np.array_equal(a[name], b[name]), name


def assert_same_state(a: State, b: State) -> None:
    assert a.day == b.day
    assert_same_columns(a, b, ("next_visit", "visits", "satisfaction"))
    # Orders on their way are a set: waves file them in the order in which they come.
    assert order_set(a.orders) == order_set(b.orders)


def order_set(orders: Orders) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(orders, f.name).tolist() for f in fields(Orders)), strict=True))


# Waves ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tick", [1, 60, HOUR])
def test_waves_of_one_and_of_everybody_leave_the_same_bytes(world: World, tmp_path: Path, tick: int) -> None:
    whole, checksum = run_logged(tmp_path / "day", world, 3, ARMS, thirds(world), tick=DAY)
    parts, other = run_logged(tmp_path / "tick", world, 3, ARMS, thirds(world), tick=tick)
    assert checksum == other
    assert (tmp_path / "day" / LOG_FILE).read_bytes() == (tmp_path / "tick" / LOG_FILE).read_bytes()
    assert_same_parquet(tmp_path / "day" / HIDDEN_FILE, tmp_path / "tick" / HIDDEN_FILE)
    assert_same_state(whole.state, parts.state)
    assert whole.totals.totals.tobytes() == parts.totals.totals.tobytes()
    assert whole.expected.totals.tobytes() == parts.expected.totals.tobytes()


def test_ticks_do_make_waves_of_different_size(world: World) -> None:
    sizes = {}
    for tick in (1, DAY):
        waves = Waves()
        run(world, 2, tick=tick, also=(waves,))
        sizes[tick] = np.mean([len(wave.user) for wave in waves.waves])
    assert sizes[1] < 1.1
    assert sizes[DAY] > 20


@pytest.mark.parametrize("tick", [60, HOUR, DAY])
def test_wave_never_spans_midnight(world: World, tick: int) -> None:
    waves = Waves()
    run(world, 3, tick=tick, also=(waves,))
    for wave in waves.waves:
        assert len(np.unique(wave.requests.time // DAY)) == 1
        assert len(np.unique(wave.requests.time // tick)) == 1
        assert (np.diff(wave.user) > 0).all()  # sorted, each person once


def test_days_are_closed_in_order_after_all_their_visits(world: World) -> None:
    class Diary(Waves):
        def closed(self, day: int) -> None:
            assert all(wave.requests.time[0] // DAY <= day for wave in self.waves)
            super().closed(day)

    diary = Diary()
    run(world, 4, also=(diary,))
    assert diary.days == [0, 1, 2, 3]


def test_everybody_comes_when_they_said_they_would(world: World) -> None:
    waves = Waves()
    found = run(world, 4, also=(waves,))
    appointment = opening(world, 2).next_visit
    for wave in waves.waves:
        assert np.array_equal(wave.requests.time, appointment[wave.user])
        appointment[wave.user] = wave.next_visit
    assert np.array_equal(found.state.next_visit, appointment)
    assert (appointment >= 4 * DAY).all()  # nobody was forgotten


ADDING = ("visits", "impressions", "click", "collect", "cart", "stay_ms")  # over days; what is late lands later

# Parts ---------------------------------------------------------------------------------------------------------


def through_file(state: State, path: Path) -> State:
    """A state as it comes back from an archive of arrays."""
    orders = {f"orders.{f.name}": getattr(state.orders, f.name) for f in fields(Orders)}
    np.savez(
        path, day=state.day, next_visit=state.next_visit, visits=state.visits, satisfaction=state.satisfaction, **orders
    )
    with np.load(path, allow_pickle=False) as saved:
        back = Orders(*(saved[f"orders.{f.name}"] for f in fields(Orders)))
        return State(int(saved["day"]), saved["next_visit"], saved["visits"], saved["satisfaction"], back)


def test_four_days_are_two_days_and_two_more(world: World, tmp_path: Path) -> None:
    whole, _ = run_logged(tmp_path / "whole", world, 4, ARMS, thirds(world))
    first, _ = run_logged(tmp_path / "first", world, 2, ARMS, thirds(world))
    middle = through_file(first.state, tmp_path / "state.npz")
    second, _ = run_logged(tmp_path / "second", world, 2, ARMS, thirds(world), state=middle)
    assert_same_state(whole.state, second.state)
    log, *halves = (read_log([tmp_path / name]) for name in ("whole", "first", "second"))
    for half, mine in zip(halves, (log.take(log.day < 2), log.take(log.day >= 2)), strict=True):
        assert_same_columns(half, mine, tuple(LOG_COLUMNS))
        for name in ("click", "collect", "cart", "stay"):
            assert np.array_equal(half[name], mine[name])
    assert np.array_equal(halves[1]["buy"], log.take(log.day >= 2)["buy"])
    at_once = [whole.totals.columns.index(name) for name in ADDING]
    together = first.totals.totals + second.totals.totals
    assert np.array_equal(whole.totals.totals[:, at_once], together[:, at_once])


def test_one_recorder_over_both_halves_sees_the_whole(world: World) -> None:
    whole = run(world, 4)
    first = run(world, 2)
    arm_of = np.zeros(200, dtype=np.int64)
    simulate(world, first.state, 4, (WARMUP,), arm_of, 2, (first.totals,))
    assert first.totals.totals.tobytes() == whole.totals.totals.tobytes()


def test_simulating_to_the_present_day_changes_nothing(world: World) -> None:
    state = run(world, 1).state
    assert run(world, 0, state=state).state is state


def test_state_handed_in_is_left_as_it_was(world: World) -> None:
    state = opening(world, 2)
    before = state.next_visit.copy(), state.visits.copy(), state.satisfaction.copy()
    run(world, 2, state=state)
    assert np.array_equal(before[0], state.next_visit)
    assert np.array_equal(before[1], state.visits)
    assert np.array_equal(before[2], state.satisfaction)


def test_state_of_some_users_is_theirs_renumbered(world: World) -> None:
    state = run(world, 3).state
    rows = np.array([5, 17, 120, 199])
    some = state.take(rows)
    assert np.array_equal(some.next_visit, state.next_visit[rows])
    mine = np.isin(state.orders.user, rows)
    assert np.array_equal(rows[some.orders.user], state.orders.user[mine])
    assert np.array_equal(some.orders.due, state.orders.due[mine])
    assert len(state.take(np.arange(0, 200, 2)).orders) > 0


def test_some_users_continue_as_they_would_among_all(world: World, tmp_path: Path) -> None:
    state = run(world, 2).state
    rows = np.arange(0, 200, 5)
    few = small_world(rows, people=OFTEN, funnel=BUSY)
    whole, part = run(world, 3, state=state), run(few, 3, state=state.take(rows))
    assert whole.totals.totals[rows].tobytes() == part.totals.totals.tobytes()
    assert whole.expected.totals[rows].tobytes() == part.expected.totals.tobytes()


# Company -------------------------------------------------------------------------------------------------------


def test_one_user_more_changes_nobodys_fate(world: World, tmp_path: Path) -> None:
    run_logged(tmp_path / "some", world, 3, ARMS, thirds(world))
    more = small_world(201, people=OFTEN, funnel=BUSY)
    run_logged(tmp_path / "more", more, 3, ARMS, thirds(more))
    log, longer = read_log([tmp_path / "some"]), read_log([tmp_path / "more"])
    assert len(longer) > len(log)
    assert_same_fate(log, rows_of(longer, world.people.user))


def test_an_added_arm_changes_nobody_it_does_not_take(world: World, tmp_path: Path) -> None:
    taken = np.arange(0, 200, 4)
    others = np.setdiff1d(np.arange(200), taken)
    arm_of = np.arange(200) % 2
    run_logged(tmp_path / "two", world, 3, ARMS[:2], arm_of)
    arm_of = arm_of.copy()
    arm_of[taken] = 2
    run_logged(tmp_path / "three", world, 3, ARMS, arm_of)
    two, three = read_log([tmp_path / "two"]), read_log([tmp_path / "three"])
    assert_same_fate(rows_of(two, others), rows_of(three, others))
    assert not np.array_equal(rows_of(two, taken).item[:100], rows_of(three, taken).item[:100])


def test_order_of_arms_does_not_matter(world: World, tmp_path: Path) -> None:
    run_logged(tmp_path / "a", world, 2, ARMS, thirds(world))
    run_logged(tmp_path / "b", world, 2, ARMS[::-1], 2 - thirds(world))
    assert_same_fate(read_log([tmp_path / "a"]), read_log([tmp_path / "b"]))


@pytest.mark.parametrize("luck", [0, 5])
def test_equal_luck_is_equal_fate_and_other_luck_another(world: World, tmp_path: Path, luck: int) -> None:
    for name in ("one", "two"):
        run_logged(tmp_path / name, world, 2, luck=luck)
    assert_same_log(read_log([tmp_path / "one"]), read_log([tmp_path / "two"]))
    run_logged(tmp_path / "other", world, 2, luck=luck + 1)
    assert read_log([tmp_path / "other"]).time[:20].tolist() != read_log([tmp_path / "one"]).time[:20].tolist()


def test_seed_zero_is_a_world_and_a_luck_like_any_other() -> None:
    clicks = {}
    for seed in (0, 1, 2):
        found = run(small_world(600, seed=seed, people=OFTEN), 4, luck=seed)
        clicks[seed] = found.column("click").sum() / found.column("impressions").sum()
    assert all(0.03 < rate < 0.075 for rate in clicks.values()), clicks


def test_first_visits_are_the_same_under_every_arm(world: World, tmp_path: Path) -> None:
    for name, arm in (("a", WARMUP), ("b", ARMS[1])):
        run_logged(tmp_path / name, world, 1, (arm,))
    a, b = (read_log([tmp_path / name]) for name in ("a", "b"))
    first_a, first_b = (np.unique(log.time[(log.visit == 0) & (log.page == 0)]) for log in (a, b))
    assert np.array_equal(first_a, first_b)


# Late orders ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def horizons(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Log, Run]]:
    """The same days seen on day 2 and on day 8."""
    seen = {}
    for days in (2, 8):
        folder = tmp_path_factory.mktemp(f"until{days}")
        found, _ = run_logged(folder, world, days)
        log = read_log([folder])
        seen[days] = (log.take(log.day < 2), found)
    return seen


def test_order_that_lands_late_is_absent_early_and_present_later(horizons: dict[int, tuple[Log, Run]]) -> None:
    """Without the events of late orders the two logs would hold the same purchases, or none."""
    early, late = horizons[2][0], horizons[8][0]
    assert_same_columns(early, late, tuple(LOG_COLUMNS))
    by_then = (late["buy_time"] >= 0) & (late["buy_time"] < 2 * DAY)
    assert np.array_equal(early["buy"] == 1, by_then)
    assert np.array_equal(early["buy_time"], np.where(by_then, late["buy_time"], -1))
    assert np.array_equal(early["value"], np.where(by_then, late["value"], 0))
    assert early["buy"].sum() > 20
    assert late["buy"].sum() > 1.2 * early["buy"].sum()


def test_what_lands_after_the_horizon_is_censored(horizons: dict[int, tuple[Log, Run]]) -> None:
    for days, (log, found) in horizons.items():
        assert log["buy_time"].max() < days * DAY
        assert np.array_equal(log["buy_time"] >= 0, log["buy"] == 1)
        assert (found.state.orders.due >= days * DAY).all()
        assert len(found.state.orders) > 0


def test_totals_hold_what_had_landed_by_the_horizon(world: World, horizons: dict[int, tuple[Log, Run]]) -> None:
    log, found = horizons[2]
    assert np.array_equal(found.column("buy"), np.bincount(log.user, log["buy"], minlength=200))
    late, longer = horizons[8]
    assert longer.column("buy").sum() > late["buy"].sum() > found.column("buy").sum()


def test_every_order_lands_once_at_its_second(world: World) -> None:
    waves = Waves()
    found = run(world, 5, also=(waves,))
    expected = [wave.orders for wave in waves.waves]
    made = [row for orders in expected for row in order_set(orders)]
    landed = [row for orders in waves.landings for row in order_set(orders)]
    assert len(landed) > 100
    assert sorted(landed + order_set(found.state.orders)) == sorted(made)


def test_order_of_a_warm_up_click_is_not_counted_in_the_test(world: World, tmp_path: Path) -> None:
    before = run(world, 2)
    assert len(before.state.orders) > 20
    test, _ = run_logged(tmp_path / "test", world, 3, state=before.state)
    log = read_log([tmp_path / "test"])
    assert log.day.min() == 2
    assert np.array_equal(test.column("buy"), np.bincount(log.user, log["buy"], minlength=200))
    assert np.array_equal(test.column("value_cents"), np.bincount(log.user, log["value"], minlength=200))
    # They did land during these days: a recorder of the whole time counts them.
    whole = run(world, 5)
    assert whole.column("buy").sum() > before.column("buy").sum() + test.column("buy").sum()


def test_period_of_an_order_is_that_of_its_impression(tmp_path: Path) -> None:
    """Also when the visit began before midnight and the click came after.

    Pages two hours apart make such visits common. Warm-up and test must each count the orders of
    their own impressions, as their logs do.
    """
    slow = small_world(300, people=OFTEN, funnel=with_action("buy", rate=0.5), browse={"seconds_per_page": 2 * HOUR})
    first, _ = run_logged(tmp_path / "warm-up", slow, 2)
    second, _ = run_logged(tmp_path / "test", slow, 2, state=first.state)
    for name, found in (("warm-up", first), ("test", second)):
        log = read_log([tmp_path / name])
        for column, outcome in (("buy", "buy"), ("value_cents", "value"), ("click", "click")):
            logged = np.bincount(log.user, log[outcome], minlength=300)
            assert np.array_equal(found.column(column), logged), f"{column} of the {name}"


def test_log_of_a_day_holds_what_had_happened_by_that_day(tmp_path: Path) -> None:
    """No page is in a log before it was shown, even when its visit began earlier."""
    slow = small_world(300, people=OFTEN, browse={"seconds_per_page": 2 * HOUR})
    run_logged(tmp_path, slow, 2)
    log = read_log([tmp_path])
    assert log.time.max() < log.horizon


# Sampled and expected ------------------------------------------------------------------------------------------

COMPARED = ("click", "collect", "cart", "buy", "value_cents", "stay_ms")


def differences(found: Run, names: Sequence[str] = COMPARED) -> np.ndarray:
    return np.stack([found.column(name) - found.expectation(name) for name in names], axis=1)


@pytest.fixture(scope="module")
def alike() -> Run:
    return run(small_world(3000, people=OFTEN), 6)


@pytest.mark.parametrize(
    "overrides",
    [{}, {"satisfaction": NO_DYNAMICS}, {"browse": {"hidden_intent": 0.8}}],
    ids=["dynamics", "no dynamics", "intent"],
)
def test_sampled_outcomes_agree_with_expected_ones(overrides: dict[str, Any]) -> None:
    world = small_world(3000, people=OFTEN, **overrides)
    assert_zero_mean_per_column(differences(run(world, 6)), COMPARED)


def test_sampled_and_expected_agree_in_a_test_that_follows_a_warm_up() -> None:
    world = small_world(3000, people=OFTEN, funnel=BUSY)
    test = run(world, 4, ARMS, thirds(world), state=run(world, 3).state)
    assert_zero_mean_per_column(differences(test), COMPARED)


def test_sampled_and_expected_agree_for_each_arm() -> None:
    world = small_world(3000, people=OFTEN)
    found = differences(run(world, 6, ARMS, thirds(world)))
    for arm in range(3):
        assert_zero_mean_per_column(found[thirds(world) == arm], COMPARED)


def test_expectation_without_the_horizon_is_far_from_what_lands() -> None:
    """The power of the comparison: leaving out the delay is more than ten standard errors."""
    found = run(small_world(3000, people=OFTEN, funnel=BUSY), 6)
    assert_differs_from_zero(found.column("buy") - found.expectation("eventual_buy"), z=10)


def test_expectation_without_position_bias_is_far_from_what_is_clicked(alike: Run) -> None:
    """Slots are examined 29 % of the time: the comparison would see a forgotten attention curve."""
    examined = np.mean(examination(ecommerce()))
    assert_differs_from_zero(alike.column("click") - alike.expectation("click") / examined, z=10)


# Satisfaction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning", [0.2, 1.0])
def test_satisfaction_stays_between_zero_and_one(learning: float) -> None:
    world = small_world(
        300, people=OFTEN, satisfaction={"learning": learning, "drivers": {"match": 4.0, "quality": 4.0}}
    )
    assert_between_zero_and_one(run(world, 5).state.satisfaction)


def test_without_visits_satisfaction_stays_where_it_started(world: World) -> None:
    found = run(world, 1)
    absent = found.column("visits") == 0
    assert absent.any()
    assert (found.state.satisfaction[absent] == world.scenario.satisfaction.start).all()


def test_dynamics_let_a_better_ranker_bring_people_back() -> None:
    """Random against the shop's ranker upside up: equal luck, so every difference is the ranker's."""

    def visits(overrides: dict[str, float], arm: Arm) -> np.ndarray:
        world = small_world(1500, people=OFTEN, satisfaction={"learning": 0.8, **overrides})
        return run(world, 10, (arm,)).column("visits")

    production, chance = Arm("production", Production()), Arm("random", RandomRanking())
    assert_differs_from_zero(visits({}, production) - visits({}, chance), z=5)
    assert np.array_equal(visits(NO_DYNAMICS, production), visits(NO_DYNAMICS, chance))


def test_world_without_due_visits_is_quiet() -> None:
    world = small_world(3)
    state = replace(opening(world, 2), next_visit=np.full(3, 99 * DAY))
    waves = Waves()
    found = run(world, 5, state=state, also=(waves,))
    assert waves.waves == []
    assert waves.days == [0, 1, 2, 3, 4]
    assert found.state.day == 5
