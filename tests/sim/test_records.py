"""Records: columns of one length, requests whole, and outcomes found by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.records import LOG_COLUMNS, Items, Log, Requests, Users


def users(n: int = 3) -> Users:
    return Users(np.arange(n), np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64))


def items(n: int = 5) -> Items:
    return Items(
        np.zeros(n, dtype=np.int64), np.full(n, 100), np.zeros(n), np.zeros((n, 2)), np.zeros(n, dtype=np.int64)
    )


def log(n: int = 4) -> Log:
    columns: dict[str, Any] = {name: np.arange(n) for name in LOG_COLUMNS}
    columns |= {name: np.arange(n, dtype=np.float32) for name in ("score", "propensity")}
    return Log(
        **columns, outcomes={"click": np.array([0, 1] * (n // 2))}, users=users(), items=items(), arms=("a",), horizon=9
    )


def test_users_of_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Users: all columns must have one length, got .*'segment': 2"):
        Users(np.arange(3), np.arange(2), np.arange(3))


def test_items_of_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="Items: all columns must have one length"):
        replace(items(), price=np.arange(4))


def test_log_of_unequal_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="Log: all columns must have one length"):
        replace(log(), slot=np.arange(3))


def test_outcome_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="click: must have 4 rows like request, got 3"):
        replace(log(), outcomes={"click": np.arange(3)})


def test_unknown_outcome_names_those_there_are() -> None:
    with pytest.raises(KeyError, match="no outcome 'like'; it has click"):
        log()["like"]


def test_log_columns_are_the_ids_and_what_was_shown() -> None:
    shown = "request market arm day time user visit page slot item pool price score propensity"
    assert list(LOG_COLUMNS) == [n for n in Log.__slots__ if n in shown.split()]
    assert set(LOG_COLUMNS) == set(shown.split())


def test_taking_rows_of_a_log_takes_them_of_every_column() -> None:
    some = log().take(np.array([2, 0]))
    assert len(some) == 2
    assert all(getattr(some, name).tolist() == [2, 0] for name in LOG_COLUMNS)
    assert some["click"].tolist() == [0, 0]
    assert len(log().take(log()["click"] > 0)) == 2


def test_taking_rows_of_requests_keeps_candidates_with_their_request() -> None:
    pools = np.array([[1, 2], [3, 4]])
    asked = Requests(np.array([10, 11, 12]), np.array([5, 6, 7]), users(), np.array([1, 0, 1]), pools, items())
    some = asked.take(np.array([2, 1]))
    assert asked.candidates.tolist() == [[3, 4], [1, 2], [3, 4]]
    assert some.candidates.tolist() == [[3, 4], [1, 2]]
    assert some.request.tolist() == [12, 11]
    assert some.users.user.tolist() == [2, 1]
    assert len(some) == 2


def test_segments_are_counted_from_the_popularity_table() -> None:
    assert items().n_segments == 2
