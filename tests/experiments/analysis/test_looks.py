from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.looks import DOWN, UNSURE, UP, LookRow, Reading, first_and_last


def look(day: int, low: float, high: float, arm: str = "b") -> LookRow:
    return LookRow(day, arm, "gmv", (low + high) / 2, (high - low) / 4, low, high, 0.0)


def test_first_and_last_are_by_day_whatever_the_order_of_rows() -> None:
    first, last = first_and_last([look(7, -0.2, 0.1), look(14, -0.2, -0.1), look(1, 0.1, 0.3)])
    assert first == Reading(1, 0.2, 0.1, 0.3, UP)
    assert (last.day, last.says) == (14, DOWN)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.1, UP),
        (-0.1, -0.01, DOWN),
        (-0.1, 0.1, UNSURE),
        (0.0, 0.1, UNSURE),
        (-np.inf, np.inf, UNSURE),
        (np.nan, np.nan, UNSURE),
    ],
)
def test_a_look_is_sure_only_where_its_interval_excludes_zero(low: float, high: float, says: str) -> None:
    row = LookRow(1, "b", "gmv", 0.0, 0.1, low, high, 0.0)
    assert first_and_last([row])[0].says == says


def test_a_single_look_is_first_and_last() -> None:
    first, last = first_and_last([look(3, -0.1, 0.1)])
    assert first == last


@pytest.mark.parametrize("rows", [[], [look(1, 0.0, 0.1), look(2, 0.0, 0.1, arm="c")]])
def test_looks_at_nothing_or_at_several_arms_are_refused(rows: list[LookRow]) -> None:
    with pytest.raises(ValueError, match="looks must be at one arm and metric"):
        first_and_last(rows)
