from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.stats import SufficientStats, pooled

COLUMNS = ("x", "y", "z")


def sample(n: int, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 2.0, (n, 3)) + offset


def test_moments_are_those_of_numpy() -> None:
    values = sample(1000)
    stats = SufficientStats.of(COLUMNS, values)
    assert stats.mean == pytest.approx(values.mean(0), rel=1e-13)
    assert stats.covariance == pytest.approx(np.cov(values.T), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 999), max_size=63), st.sampled_from([0.0, 1e8]), st.randoms())
def test_shards_of_disjoint_users_add_up_in_any_order(cuts: list[int], offset: float, shuffle) -> None:  # type: ignore[no-untyped-def]
    values = sample(1000, offset)
    parts = [SufficientStats.of(COLUMNS, part) for part in np.split(values, sorted(cuts))]
    shuffle.shuffle(parts)
    total = pooled(parts)
    exact = np.cov(sample(1000).T)  # two-pass, at offset 0
    assert total.n == 1000
    assert total.mean == pytest.approx(values.mean(0), rel=1e-12)
    assert total.covariance == pytest.approx(exact, rel=1e-12 if offset == 0 else 1e-6)


def test_the_textbook_formula_fails_where_centring_holds() -> None:
    """Sum of squares minus n times the squared mean gives a variance far from 1 at an offset of 1e8."""
    values = np.random.default_rng(1).standard_normal((1000, 3)) + 1e8
    naive = ((values**2).sum(0) - 1000 * values.mean(0) ** 2) / 999
    ours = np.diag(SufficientStats.of(COLUMNS, values).covariance)
    assert (abs(naive - 1) > 0.5).any()
    assert ours == pytest.approx(values.var(0, ddof=1), rel=1e-9)


def test_no_users_add_nothing() -> None:
    some = SufficientStats.of(COLUMNS, sample(10))
    none = SufficientStats.of(COLUMNS, np.empty((0, 3)))
    assert (some + none).mean == pytest.approx(some.mean)
    assert (none + some).covariance == pytest.approx(some.covariance)
    assert (none + none).n == 0


def test_different_columns_do_not_add() -> None:
    with pytest.raises(ValueError, match="columns must be equal"):
        SufficientStats.of(("x",), np.ones((2, 1))) + SufficientStats.of(("y",), np.ones((2, 1)))
