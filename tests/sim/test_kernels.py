"""Sums of rows: equal to NumPy's in every bit, whatever the width and whatever the other rows."""

from __future__ import annotations

import numpy as np
import pytest

from sim.kernels import row_sums

WIDTHS = [1, 2, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 64, 100, 127, 128, 129, 300]


def terms(*shape: int) -> np.ndarray:
    """Of very different sizes, so that the order of addition shows in the last bits."""
    luck = np.random.default_rng(shape[-1])
    wide = luck.standard_normal(shape) * 10.0 ** luck.integers(-3, 4, shape)
    return wide.astype(np.float32)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [(0,), (1,), (500,), (40, 10)])
def test_row_sums_are_those_of_numpy_bit_for_bit(rows: tuple[int, ...], width: int) -> None:
    some = terms(*rows, width)
    found = row_sums(some)
    assert found.dtype == np.float32
    assert np.array_equal(found, some.sum(-1))


@pytest.mark.parametrize("width", [w for w in WIDTHS if w > 2])
def test_the_order_of_addition_shows_in_these_terms(width: int) -> None:
    """Else the test above could not fail: backwards, some sums must differ."""
    some = terms(500, width)
    assert not np.array_equal(row_sums(some), np.add.accumulate(some[:, ::-1], axis=-1)[:, -1])


@pytest.mark.parametrize("width", [3, 8, 13, 40])
def test_sum_of_a_row_does_not_depend_on_the_other_rows(width: int) -> None:
    some = terms(50, width)
    assert np.array_equal(row_sums(some), np.concatenate([row_sums(row[None]) for row in some]))


def test_terms_are_left_as_they_were() -> None:
    some = terms(5, 19)
    before = some.copy()
    row_sums(some)
    assert np.array_equal(some, before)
