"""What cells mean: numbers, names, days; empty is unknown."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from experiments.tables.cells import CellError, days, keys, names, numbers


def test_empty_cells_and_words_for_nothing_are_unknown_and_never_zero() -> None:
    found = numbers(pa.array(["1", "", " ", "NA", "n/a", "#N/A", "NaN", "null", "None", "0"]))
    assert found[0] == 1
    assert np.isnan(found[1:9]).all()
    assert found[9] == 0


def test_numbers_are_read_as_people_and_programs_write_them() -> None:
    cells = ["3", "-2.5", "+1", "1e3", "1E-2", ".5", "5.", " 7 ", "true", "False"]
    assert numbers(pa.array(cells)).tolist() == [3, -2.5, 1, 1000, 0.01, 0.5, 5, 7, 1, 0]


def test_infinite_cells_stay_infinite_for_others_to_drop() -> None:
    assert numbers(pa.array(["inf", "-Infinity", "1e999", "x"[:0]])).tolist()[:3] == [np.inf, -np.inf, np.inf]


@pytest.mark.parametrize("cell", ["abc", "1_000", "0x10", "12 €", "1,5", "1.2.3", "--1", "1e", "nano"])
def test_text_among_numbers_is_named_with_its_row(cell: str) -> None:
    with pytest.raises(CellError, match="must be a number") as caught:
        numbers(pa.array(["1", "2", cell]))
    assert caught.value.row == 2
    assert cell in str(caught.value)


def test_a_decimal_comma_is_read_where_it_is_told_and_suggested_where_not() -> None:
    assert numbers(pa.array(["3,5", "1", ""]), ",").tolist()[:2] == [3.5, 1]
    with pytest.raises(CellError, match="--decimal ,"):
        numbers(pa.array(["3,5"]))
    with pytest.raises(CellError, match="must be a number"):
        numbers(pa.array(["1.234"]), ",")  # a thousand and more, or hardly one: nobody can tell


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([1, 2, None], pa.int32()),
        pa.array([1.0, 2.0, None]),
        pa.array([Decimal("1.0"), Decimal("2.0"), None]),
        pa.array([1.0, 2.0, float("nan")]),
        pa.array(["1", "2", None]).dictionary_encode(),
    ],
    ids=lambda cells: str(cells.type),
)
def test_every_kind_of_number_in_parquet_is_read(cells: pa.Array) -> None:
    found = numbers(cells)
    assert found[:2].tolist() == [1, 2]
    assert np.isnan(found[2])


def test_truth_values_in_parquet_are_ones_and_zeros() -> None:
    assert numbers(pa.array([True, False])).tolist() == [1, 0]


def test_dates_are_no_numbers() -> None:
    with pytest.raises(CellError, match="must be numbers"):
        numbers(pa.array([datetime.date(2024, 5, 1)]))


def test_names_lose_the_blanks_around_them_and_empty_ones_have_no_index() -> None:
    index, named = names(pa.array(["A", " A", "B ", "", None, "A"]))
    assert named == ["A", "B"]
    assert index.tolist() == [0, 0, 1, -1, -1, 0]


def test_whole_numbers_are_the_same_names_whatever_their_type() -> None:
    assert names(pa.array([0, 1]))[1] == ["0", "1"]
    index, named = names(pa.array([0.0, 1.0, float("nan"), 1.5]))
    assert named == ["0", "1", "1.5"]
    assert index.tolist() == [0, 1, -1, 2]


def test_keys_are_null_where_empty() -> None:
    assert keys(pa.array(["a", " a ", "", None])).to_pylist() == ["a", "a", None, None]
    assert keys(pa.array([1.0, float("nan")])).to_pylist() == [1.0, None]
    assert keys(pa.array([7, None])).to_pylist() == [7, None]


def test_days_are_dates_or_whole_numbers_in_their_own_order() -> None:
    found, dates = days(pa.array(["2024-05-02", "2024-05-01T23:59:00", "2024-05-01 00:00", ""]))
    assert dates
    assert found.to_pylist() == [19845, 19844, 19844, None]
    found, dates = days(pa.array(["9", "10", None]))
    assert not dates
    assert found.to_pylist() == [9, 10, None]
    when = datetime.datetime(2024, 5, 2, 13, 30)
    assert days(pa.array([when]))[0].to_pylist() == [19845]


@pytest.mark.parametrize("cell", ["31/05/2024", "May", "2024-02-31", "1.5"])
def test_what_is_no_day_is_refused(cell: str) -> None:
    with pytest.raises(CellError, match="must be"):
        days(pa.array(["2024-05-01", cell]))
