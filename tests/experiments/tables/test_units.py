"""Statistics of units by arm, in one pass."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.stats import SufficientStats
from experiments.tables.units import BLOCK, stats_of

ARMS = ("A", "B", "C")


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_statistics_are_those_of_each_arms_rows_whatever_is_added_to_them(offset: float) -> None:
    rng = np.random.default_rng(3)
    n = 3 * BLOCK + 17
    values = rng.lognormal(size=(n, 4))
    codes = rng.integers(-1, 3, n)
    found = stats_of({f"c{k}": values[:, k] + offset for k in range(4)}, codes, ARMS)
    for index, arm in enumerate(ARMS):
        mine = values[codes == index]
        assert found[arm].n == len(mine)
        assert found[arm].columns == ("c0", "c1", "c2", "c3")
        np.testing.assert_allclose(found[arm].mean, mine.mean(axis=0) + offset, rtol=1e-12)
        np.testing.assert_allclose(found[arm].covariance, np.cov(mine.T), rtol=1e-12 if not offset else 1e-6)


def test_the_sum_of_squares_formula_loses_what_this_keeps() -> None:
    values = np.random.default_rng(3).normal(size=BLOCK) + 1e8
    found = stats_of({"c": values}, np.zeros(BLOCK, dtype=np.int8), ("A",))["A"]
    naive = ((values**2).sum() - values.sum() ** 2 / BLOCK) / (BLOCK - 1)
    assert abs(found.covariance[0, 0] - 1) < 0.05
    assert abs(naive - 1) > 0.2


def test_an_arm_without_units_has_no_statistics_but_a_place() -> None:
    found = stats_of({"c": np.array([1.0, 2.0])}, np.array([0, 0]), ("A", "B"))
    assert found["B"].n == 0
    whole = found["A"] + found["B"]
    assert (whole.n, whole.mean.tolist()) == (2, [1.5])


def test_columns_may_be_of_any_type_of_number() -> None:
    columns = {"i": np.array([1, 2, 3], np.int32), "f": np.array([1, 2, 3], np.float32), "b": np.array([0, 1, 1], bool)}
    found = stats_of(columns, np.zeros(3, np.int64), ("A",))["A"]
    np.testing.assert_allclose(found.mean, [2, 2, 2 / 3])


def test_statistics_of_parts_add_up_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(5)
    column, codes = rng.normal(size=5000), rng.integers(0, 2, 5000)
    parts = [stats_of({"c": column[part]}, codes[part], ("A", "B")) for part in (slice(0, 999), slice(999, None))]
    whole = stats_of({"c": column}, codes, ("A", "B"))
    both: SufficientStats = parts[0]["B"] + parts[1]["B"]
    np.testing.assert_allclose(both.scatter, whole["B"].scatter, rtol=1e-12)
