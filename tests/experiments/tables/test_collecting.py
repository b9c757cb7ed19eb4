"""From rows to units: what is summed, what is dropped, and that it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments.spec import SpecError
from experiments.tables import reading, sums
from experiments.tables.accounts import Dropped
from experiments.tables.collecting import Collected, unit_word
from experiments.tables.reading import TableError
from tests.experiments.tables.shop import collected_of, shop, written


def by_unit(collected: Collected, column: str) -> dict[str, float]:
    units = collected.units
    groups = units.groups({column: units.columns[column]})
    return {arm: round(float(stats.n * stats.mean[0]), 6) for arm, stats in groups.items()}


def same_statistics(one: Collected, other: Collected) -> None:
    for arm, stats in one.units.groups(one.units.columns).items():
        mine = other.units.groups(other.units.columns)[arm]
        assert (mine.columns, mine.n) == (stats.columns, stats.n)
        np.testing.assert_allclose(mine.mean, stats.mean, rtol=1e-12)
        np.testing.assert_allclose(mine.scatter, stats.scatter, rtol=1e-9)


def small(**columns: list[Any]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    whole = {"user_id": [f"u{k}" for k in range(n)], "arm": ["A", "B"] * (n // 2), "impressions": [10.0] * n}
    return pd.DataFrame({**whole, "clicks": [1.0] * n, "value": [2.0] * n, **columns})


def test_events_sum_to_the_table_of_units(tmp_path: Path) -> None:
    users = shop(300)
    events = users.loc[users.index.repeat(3)].reset_index(drop=True)
    third = events.groupby("user_id").cumcount()
    for column in ("clicks", "impressions", "value"):  # parts that sum to the whole
        events[column] = np.where(third == 2, events[column] - 2 * (events[column] // 3), events[column] // 3)
    shuffled = events.sample(frac=1, random_state=1)
    whole = collected_of(written(users, tmp_path))
    parts = collected_of(written(shuffled, tmp_path, "events.csv"))
    assert parts.accounts.rows == 900
    assert parts.accounts.several == 300
    assert whole.units.counts() == parts.units.counts()
    same_statistics(whole, parts)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_pieces_and_merges_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    events = shop(400).loc[lambda t: t.index.repeat(2)].sample(frac=1, random_state=2)
    path = written(events, tmp_path, name)
    keys: dict[str, Any] = {"pre": {"gmv": "value_before"}, "segments": ["country"], "day": "date"}
    at_once = collected_of(path, **keys)
    monkeypatch.setattr(reading, "PIECE_BYTES", 3000)
    monkeypatch.setattr(reading, "PIECE_ROWS", 70)
    monkeypatch.setattr(sums, "LEAST", 50)
    in_pieces = collected_of(path, **keys)
    assert in_pieces.accounts == at_once.accounts
    assert in_pieces.once == at_once.once == ("value_before",)
    same_statistics(in_pieces, at_once)
    for level, there in at_once.units.segments["country"].masks().items():
        assert in_pieces.units.counts(in_pieces.units.segments["country"].masks()[level]) == at_once.units.counts(there)


def test_csv_and_parquet_give_the_same_units(tmp_path: Path) -> None:
    users = shop(200)
    one, other = (collected_of(written(users, tmp_path, name)) for name in ("t.csv", "t.parquet"))
    assert one.accounts == other.accounts
    same_statistics(one, other)


def test_without_a_unit_every_row_is_one(tmp_path: Path) -> None:
    found = collected_of(written(shop(50), tmp_path), unit=None)
    assert found.accounts.units_used == found.accounts.rows == 50
    assert found.accounts.unit == "row"


def test_a_unit_with_an_empty_value_is_dropped_and_never_counts_as_zero(tmp_path: Path) -> None:
    found = collected_of(written(small(value=[5.0, 2, None, 2, 1, 2]), tmp_path))
    assert by_unit(found, "value") == {"A": 6.0, "B": 6.0}
    assert found.accounts.dropped == (Dropped("value is empty", 1, 1, {"A": 1, "B": 0}),)
    assert found.accounts.lines() == ["6 rows read, 5 used", "dropped 1 row (A 1): value is empty"]


def test_one_empty_event_makes_its_unit_unknown(tmp_path: Path) -> None:
    events = small(user_id=["a", "b", "a", "b", "c", "d"], value=[1.0, 1, None, 1, 1, 1])
    found = collected_of(written(events, tmp_path))
    assert found.accounts.dropped == (Dropped("value is empty", 2, 1, {"A": 1, "B": 0}),)
    assert by_unit(found, "value") == {"A": 1.0, "B": 3.0}


def test_infinite_values_are_dropped_as_such(tmp_path: Path) -> None:
    found = collected_of(written(small(value=[5.0, np.inf, 1, -np.inf]), tmp_path))
    assert found.accounts.dropped == (Dropped("value is infinite", 2, 2, {"A": 0, "B": 2}),)


def test_rows_used_and_dropped_add_up_to_those_read(tmp_path: Path) -> None:
    table = small(
        user_id=["a", "a", "b", None, "c", "d", "e", "f", "g", "h"],
        arm=["A", "B", "B", "A", None, "C", "A", "B", "A", "B"],
        value=[1.0, 1, None, 1, 1, 1, np.inf, 1, 1, 1],
        clicks=[1.0, 1, 1, 1, 1, 1, 1, None, 1, 1],
    )
    found = collected_of(written(table, tmp_path), arms=["A", "B"])
    accounts = found.accounts
    assert [(drop.why, drop.rows, drop.units) for drop in accounts.dropped] == [
        ("user_id is empty", 1, 0),
        ("arm is empty", 1, 1),
        ("in several arms", 2, 1),
        ("in an arm that is not compared", 1, 1),
        ("clicks is empty", 1, 1),
        ("value is empty", 1, 1),
        ("value is infinite", 1, 1),
    ]
    assert accounts.rows == accounts.rows_used + sum(drop.rows for drop in accounts.dropped) == 10
    assert (found.crossed, found.unasked, found.named) == (1, {"C": 1}, 7)


def test_a_unit_has_the_arm_of_its_rows_that_name_one(tmp_path: Path) -> None:
    found = collected_of(written(small(user_id=["a", "b", "a", "b"], arm=["A", "B", None, "B"]), tmp_path))
    assert found.units.counts() == {"A": 1, "B": 1}
    assert found.accounts.rows_used == 4


def test_an_unknown_time_before_adjusts_nothing_and_drops_nobody(tmp_path: Path) -> None:
    table = small(before=[1.0, 2, None, 3, 6, None])
    found = collected_of(written(table, tmp_path), pre={"gmv": "before"})
    assert found.accounts.units_used == 6
    assert found.unadjusted == {"A": 1, "B": 1}
    assert sorted(found.units.columns["before"]) == [1, 2, 3, 3, 3, 6]  # the mean of the known is 3


def test_a_time_before_that_stands_on_every_event_is_taken_once(tmp_path: Path) -> None:
    """Its sum would grow with the number of events, on which the arm acts: an adjustment would eat the effect."""
    events = small(user_id=["a", "b", "a", "b", "c", "d"], before=[4.0, 5, 4, 5, 6, 7])
    found = collected_of(written(events, tmp_path), pre={"gmv": "before"})
    assert found.once == ("before",)
    assert sorted(found.units.columns["before"]) == [4, 5, 6, 7]


def test_events_of_the_time_before_are_summed(tmp_path: Path) -> None:
    events = small(user_id=["a", "b", "a", "b", "c", "d"], before=[4.0, 5, 0, 5, 6, 7])
    found = collected_of(written(events, tmp_path), pre={"gmv": "before"})
    assert found.once == ()
    assert sorted(found.units.columns["before"]) == [4, 6, 7, 10]


def test_levels_are_those_of_units_and_a_unit_on_two_is_on_none(tmp_path: Path) -> None:
    events = small(
        user_id=["a", "b", "a", "b", "c", "d"],
        country=["DE", "FR", "DE", "DE", None, "FR"],
        date=["2024-05-03", "2024-05-02", "2024-05-01", None, "2024-05-02", None],
    )
    units = collected_of(written(events, tmp_path), segments=["country"], day="date").units
    assert units.segments["country"].names == ("(empty)", "DE", "FR")
    assert sorted(units.segments["country"].level) == [-1, 0, 1, 2]  # b, c, a, d
    assert units.day is not None
    assert units.day.names == ("2024-05-01", "2024-05-02")
    assert sorted(units.day.level) == [-1, 0, 1, 1]  # d; and the first day of a, b, c


def test_days_are_numbers_or_dates_and_not_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_ROWS", 20)
    table = small(day=["9"] * 20 + ["2024-05-01"] * 20)
    with pytest.raises(TableError, match="must hold dates or numbers of days, found both"):
        collected_of(written(table, tmp_path, "t.parquet"), day="day")
    units = collected_of(written(small(day=["9", "10"] * 5), tmp_path), day="day").units
    assert units.day is not None
    assert units.day.names == ("9", "10")


def test_a_column_may_be_asked_for_twice_and_be_called_anything(tmp_path: Path) -> None:
    table = small(rows=[3.0, 4, 5, 6]).rename(columns={"value": "sum value", "user_id": "unit"})
    table["least arm"] = table["sum value"]
    found = collected_of(
        written(table, tmp_path),
        unit="unit",
        metrics={"a": "rows/least arm", "b": "least arm", "c": "sum value"},
        pre={"b": "rows"},
        segments=["rows"],
    )
    assert sorted(found.units.columns["rows"]) == [3, 4, 5, 6]
    assert found.units.columns["sum value"].tolist() == found.units.columns["least arm"].tolist() == [2] * 4
    assert found.units.segments["rows"].names == ("3.0", "4.0", "5.0", "6.0")


def test_text_in_a_column_of_numbers_is_told_with_row_and_column(tmp_path: Path) -> None:
    path = written(small(value=["1", "2", "x", "y"], clicks=["1", "?", "1", "1"]), tmp_path)
    with pytest.raises(TableError) as caught:
        collected_of(path)
    assert caught.value.lines == [
        f"{path}: row 2 below the header, column 'clicks': must be a number, got '?'; mend it, or leave it empty where "
        "unknown",
        f"{path}: row 3 below the header, column 'value': must be a number, got 'x'; mend it, or leave it empty where "
        "unknown",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"control": "a"},
            "--control control: must be an arm of the table, got 'a'; did you mean 'A'? the arms are A, B",
        ),
        ({"control": "C"}, "--control control: must be an arm of the table, got 'C'; the arms are A, B"),
        (
            {"arms": ["A", "b"]},
            "--arms arms: must be an arm of the table, got 'b'; did you mean 'B'? the arms are A, B",
        ),
        ({"planned": {"A": 0.5, "X": 0.5}}, "--planned planned: must be an arm of the table, got 'X'"),
    ],
    ids=str,
)
def test_an_arm_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        collected_of(written(small(value=[1.0, 2, 3, 4]), tmp_path), **keys)
    assert len(caught.value.lines) == 1
    assert message in caught.value.lines[0]


def test_one_arm_alone_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must hold at least two arms in the table, found only A"):
        collected_of(written(small(arm=["A"] * 4), tmp_path))


def test_a_planned_arm_that_nobody_is_in_is_an_empty_arm(tmp_path: Path) -> None:
    found = collected_of(written(small(value=[1.0, 2]), tmp_path), planned={"A": 0.4, "B": 0.3, "C": 0.3})
    assert found.units.counts() == {"A": 1, "B": 1, "C": 0}


def test_a_column_of_ids_is_no_column_of_arms(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="column 'user_id' must have at most 50 different values"):
        collected_of(written(shop(100), tmp_path), arm="user_id", unit=None, control="u1")


@pytest.mark.parametrize(
    "content", ["user_id,arm,clicks,impressions,value\n", "user_id,arm,clicks,impressions,value\n,A,1,1,1\n"]
)
def test_a_table_without_units_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(TableError, match="must hold rows below the header that name a unit, found none"):
        collected_of(path)


def test_arms_and_units_may_be_numbers_in_parquet(tmp_path: Path) -> None:
    table = small(user_id=[1, 1, 2, 3], arm=[0.0, None, 1.0, 1.0])
    found = collected_of(written(table, tmp_path, "t.parquet"), control="0")
    assert found.units.counts() == {"0": 1, "1": 2}
    pq.write_table(pq.read_table(tmp_path / "t.parquet").slice(0, 0), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="found none"):
        collected_of(tmp_path / "t.parquet", control="0")


@pytest.mark.parametrize(
    ("column", "word"),
    [
        ("user_id", "user"),
        ("userId", "user"),
        ("Customer ID", "customer"),
        ("id", "unit"),
        ("session", "session"),
        (None, "row"),
    ],
)
def test_units_are_called_by_their_column(column: str | None, word: str) -> None:
    assert unit_word(column) == word
