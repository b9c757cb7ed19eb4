"""The log on disk: the published columns and nothing hidden, requests whole, checksums that mean something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.clock import DAY
from sim.engine import Arm
from sim.logbook import HIDDEN_FILE, LOG_FILE, Logbook, read_log, read_public, write_public
from sim.records import Log
from sim.world import World
from tests.asserts import assert_same_columns, assert_same_log
from tests.worlds import WARMUP, Run, Waves, run, run_logged, small_world, with_action

COLUMNS = (
    "request market arm day time user visit page slot item pool price score propensity "
    "click stay collect cart buy buy_time return_goods return_goods_time value refund"
).split()
DAYS = 3
BUSY: dict[str, Any] = {"people": {"habit_days": 1.0}, "funnel": with_action("buy", rate=0.3)}


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(250, **BUSY)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def heard() -> Waves:
    return Waves()


@pytest.fixture(scope="module")
def written(world: World, folder: Path, heard: Waves) -> tuple[Run, str]:
    book = Logbook(folder, world, ["a", "b"], 0, DAYS * DAY)
    found = run(world, DAYS, (WARMUP, WARMUP), world.people.user % 2, also=(book, heard))
    write_public(folder, world.people.public, world.items)
    return found, book.finish()


@pytest.fixture(scope="module")
def log(folder: Path, written: tuple[Run, str]) -> Log:
    return read_log([folder])


def test_columns_are_exactly_those_of_the_design(folder: Path, log: Log) -> None:
    names = pq.read_schema(folder / LOG_FILE).names
    assert sorted(names) == sorted(COLUMNS)


def test_log_holds_nothing_hidden_and_the_truth_nothing_observed(folder: Path, log: Log) -> None:
    observed, hidden = (set(pq.read_schema(folder / name).names) for name in (LOG_FILE, HIDDEN_FILE))
    assert observed & hidden == {"request", "page", "slot"}
    assert hidden - observed == {"true_click", "true_buy", "true_return_goods", "examined"}
    assert not any("true" in name or "examin" in name or "satisf" in name for name in observed)


def test_hidden_rows_stand_beside_their_impressions(world: World, folder: Path, log: Log) -> None:
    hidden = pq.read_table(folder / HIDDEN_FILE)
    for key in ("request", "page", "slot"):
        assert np.array_equal(hidden[key].to_numpy(), getattr(log, key))
    examined = hidden["examined"].to_numpy()
    assert not log["click"][~examined].any()
    assert 0.2 < examined.mean() < 0.4
    chance = hidden["true_click"].to_numpy()
    top = np.argsort(-chance)[: len(chance) // 5]
    assert log["click"][top].mean() > 1.5 * log["click"].mean()


def test_impressions_are_those_that_were_served(log: Log, written: tuple[Run, str], heard: Waves) -> None:
    assert len(log) == written[0].totals.n_impressions
    shown = {}
    for wave in heard.waves:
        for page, visit in enumerate(wave.visit_of):
            shown[int(wave.requests.request[visit]), int(wave.page[page])] = wave.item[page].tolist()
    rows = log.item.reshape(-1, 10)
    for row, (request, page) in enumerate(zip(log.request[::10].tolist(), log.page[::10].tolist(), strict=True)):
        assert rows[row].tolist() == shown[request, page]


def test_rows_of_a_request_are_contiguous_and_in_the_order_shown(log: Log) -> None:
    changes = np.flatnonzero(np.diff(log.request)) + 1
    assert len(changes) + 1 == len(np.unique(log.request))
    rank = log.page.astype(int) * 10 + log.slot
    starts = np.concatenate([[0], changes])
    within = np.arange(len(log)) - np.repeat(starts, np.diff(np.append(starts, len(log))))
    assert np.array_equal(rank, within)


def test_rows_are_in_the_order_of_visits(log: Log) -> None:
    first = log.take((log.page == 0) & (log.slot == 0))
    assert (np.diff(first.time.astype(int)) >= 0).all()
    assert np.array_equal(first.day, first.time // DAY)


def test_outcomes_need_their_clicks(log: Log) -> None:
    clicked = log["click"] == 1
    for name in ("collect", "cart", "buy", "stay", "value"):
        assert not log[name][~clicked].any(), name
    assert (log["stay"][clicked] > 0).all()
    assert np.array_equal(log["value"] > 0, log["buy"] == 1)
    assert set(np.unique(log["click"])) == {0, 1}


def test_price_and_score_are_the_items_own(world: World, log: Log) -> None:
    assert np.array_equal(log.price, world.catalogue.price[log.item])
    segment = world.people.public.segment[log.user]
    assert np.array_equal(log.score, world.items.popularity[log.item, segment].astype(np.float32))


def test_arms_are_named(log: Log) -> None:
    assert log.arms == ("a", "b")
    assert np.array_equal(log.arm, log.user % 2)


def test_late_orders_land_on_the_rows_that_were_clicked(log: Log, heard: Waves) -> None:
    rank = log.page * 10 + log.slot
    row_of = {key: row for row, key in enumerate(zip(log.request.tolist(), rank.tolist(), strict=True))}
    columns = (("buy", "value"), ("return_goods", "refund"))
    happened = np.zeros((2, len(log)), dtype=bool)
    for orders in heard.landings:
        for n in range(len(orders)):
            row = row_of[int(orders.request[n]), int(orders.rank[n])]
            name, money = columns[orders.action[n]]
            happened[orders.action[n], row] = True
            assert log[f"{name}_time"][row] == orders.due[n]
            assert log[money][row] == orders.value[n]
            assert log.user[row] == orders.user[n]
            assert log.time[row] == orders.clicked[n]
    assert happened[0].sum() > 50
    assert happened[1].sum() > 2
    assert np.array_equal(log["buy"] == 1, happened[0])
    assert np.array_equal(log["return_goods"] == 1, happened[1])


def test_horizon_travels_with_the_file(log: Log) -> None:
    assert log.horizon == DAYS * DAY


def test_public_tables_come_back_as_they_were(world: World, folder: Path, log: Log) -> None:
    users, items = read_public([folder])
    assert_same_columns(users, world.people.public)
    assert_same_columns(items, world.items)


def test_checksum_is_stable_and_tells_rows_apart(world: World, written: tuple[Run, str], tmp_path: Path) -> None:
    again = {}
    for name, luck in (("same", 2), ("other", 3)):
        arms = (Arm("a", WARMUP.ranker, 0.5), Arm("b", WARMUP.ranker, 0.5))
        again[name] = run_logged(tmp_path / name, world, DAYS, arms, world.people.user % 2, luck=luck)[1]
    assert again["same"] == written[1]
    assert again["other"] != written[1]
    assert len(written[1]) == 64


def test_checksum_sees_the_names_of_arms(world: World, written: tuple[Run, str], tmp_path: Path) -> None:
    arms = (Arm("a", WARMUP.ranker, 0.5), Arm("c", WARMUP.ranker, 0.5))
    assert run_logged(tmp_path, world, DAYS, arms, world.people.user % 2)[1] != written[1]


def test_no_draft_is_left(folder: Path, log: Log) -> None:
    assert {file.name for file in folder.iterdir()} == {LOG_FILE, HIDDEN_FILE, "users.parquet", "items.parquet"}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_reading_some_rows_keeps_requests_whole(folder: Path, log: Log, share: float) -> None:
    most = int(share * len(log))
    some = read_log([folder], max_rows=most)
    assert most - 50 <= len(some) <= most
    sizes = dict(zip(*np.unique(log.request, return_counts=True), strict=True))
    ids, counts = np.unique(some.request, return_counts=True)
    assert [sizes[request] for request in ids] == counts.tolist()
    assert_same_log(some, log.take(np.isin(log.request, ids)))


def test_chosen_requests_are_a_random_share_by_seed(folder: Path, log: Log) -> None:
    half = len(log) // 2
    one, same, other = (set(read_log([folder], half, seed).request.tolist()) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert 0.4 < len(one & other) / len(one) < 0.6
    early = read_log([folder], half).day == 0
    assert abs(early.mean() - (log.day == 0).mean()) < 0.1


def test_more_rows_than_there_are_reads_everything(folder: Path, log: Log) -> None:
    assert_same_log(read_log([folder], max_rows=10**9), log)


def test_markets_are_read_as_one_log(tmp_path: Path) -> None:
    folders = []
    for market in range(2):
        part = small_world(np.arange(market, 120, 2), market=market, n_markets=2, **BUSY)
        run_logged(tmp_path / str(market), part, 2)
        folders.append(tmp_path / str(market))
    both, *parts = read_log(folders), *(read_log([folder]) for folder in folders)
    assert len(both) == sum(len(part) for part in parts)
    assert set(np.unique(both.market)) == {0, 1}
    assert (both.item % 2 == both.market).all()
    assert (both.user % 2 == both.market).all()
    assert both.users.user.tolist() == list(range(120))
    assert both["buy"].sum() == sum(part["buy"].sum() for part in parts)
    assert len(read_log(folders, max_rows=500)) <= 500


def test_day_without_visits_is_no_obstacle(world: World, tmp_path: Path) -> None:
    lonely = small_world(1, people={"habit_days": 3.0})
    run_logged(tmp_path, lonely, 60)
    assert len(np.unique(read_log([tmp_path]).day)) < 60


def test_period_without_visits_says_what_to_do(world: World, tmp_path: Path) -> None:
    book = Logbook(tmp_path, world, ["a"], 0, DAY)
    book.closed(0)
    with pytest.raises(ValueError, match="no visit was served; let the period last longer or add users"):
        book.finish()
