"""Properties by name. A tolerance is in standard errors, two-sided: z = 5 is a false alarm of 6e-7 a test."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sim.records import LOG_COLUMNS, Log

Floats = NDArray[np.float64]


def assert_mean(sample: ArrayLike, expected: float, z: float = 5) -> None:
    """The mean of independent draws lies within z standard errors of what it should be."""
    values = np.asarray(sample, dtype=np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values))
    off = values.mean() - expected
    assert abs(off) <= z * error, (
        f"mean {values.mean():.6g}, expected {expected:.6g}: {off / error:.1f} standard errors"
    )


def assert_proportion(happened: ArrayLike, expected: float, z: float = 5) -> None:
    """A share of independent yes-or-no draws lies within z standard errors, by the variance that it should have."""
    yes = np.asarray(happened, dtype=bool)
    error = np.sqrt(expected * (1 - expected) / len(yes))
    off = yes.mean() - expected
    assert abs(off) <= z * error, f"share {yes.mean():.6g}, expected {expected:.6g}: {off / error:.1f} standard errors"


def assert_within(value: float, low: float, high: float, what: str) -> None:
    """A measured number lies in its band; prints it beside the band either way."""
    print(f"{what:<52} {value:>10.4g}   target {low:g} to {high:g}")
    assert low <= value <= high, f"{what}: {value:.5g} lies outside {low:g} to {high:g}"


def assert_uniform(sample: ArrayLike, false_alarm: float = 6e-7) -> None:
    """Draws are uniform on (0, 1): the Kolmogorov-Smirnov distance is not one that chance gives."""
    found = stats.kstest(np.asarray(sample), "uniform")
    assert found.pvalue > false_alarm, f"not uniform: distance {found.statistic:.4f}, p {found.pvalue:.2g}"


def assert_uncorrelated(a: ArrayLike, b: ArrayLike, z: float = 5) -> None:
    """Two samples of independent pairs do not go together; 1 / sqrt(n) is the standard error of no correlation."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    r = float(np.corrcoef(x, y)[0, 1])
    assert abs(r) * np.sqrt(len(x)) <= z, f"correlation {r:.4f}: {r * np.sqrt(len(x)):.1f} standard errors"


def assert_between_zero_and_one(values: ArrayLike) -> None:
    """Every value is a probability: finite, at least 0 and at most 1."""
    found = np.asarray(values)
    assert np.isfinite(found).all(), "not finite"
    assert (found >= 0).all(), f"smallest {found.min()}"
    assert (found <= 1).all(), f"largest {found.max()}"


def assert_never_lower(after: ArrayLike, before: ArrayLike) -> None:
    """Nowhere did the value fall: the definition of a monotone response, element by element."""
    fell = np.asarray(after) < np.asarray(before)
    assert not fell.any(), f"{fell.sum()} of {fell.size} values fell"


def assert_somewhere_higher(after: ArrayLike, before: ArrayLike) -> None:
    """The response is not flat: without this a monotone law would hold of a constant."""
    assert (np.asarray(after) > np.asarray(before)).any(), "nothing rose"


def assert_distinct_in_rows(rows: ArrayLike) -> None:
    """No row holds a value twice."""
    ordered = np.sort(np.asarray(rows), axis=1)
    assert (np.diff(ordered, axis=1) != 0).all(), "a value recurs in a row"


def assert_same_columns(a: object, b: object, names: tuple[str, ...] | None = None) -> None:
    """Two tables of arrays (dataclasses with slots) are equal bit for bit, column by column, types included."""
    for name in names or a.__slots__:  # type: ignore[attr-defined]
        one, other = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        assert one.dtype == other.dtype, f"{name}: {one.dtype} and {other.dtype}"
        assert one.tobytes() == other.tobytes(), f"{name} differs"


def assert_same_log(a: Log, b: Log) -> None:
    """Two logs hold the same impressions with the same outcomes in the same order, bit for bit."""
    assert len(a) == len(b), f"{len(a)} and {len(b)} impressions"
    assert a.arms == b.arms
    assert a.horizon == b.horizon
    assert_same_columns(a, b, tuple(LOG_COLUMNS))
    assert set(a.outcomes) == set(b.outcomes)
    for name in a.outcomes:
        assert np.array_equal(a[name], b[name]), f"{name} differs"


def assert_same_parquet(a: object, b: object) -> None:
    """Two Parquet files hold equal tables: schema, rows and order."""
    assert pq.read_table(a).equals(pq.read_table(b)), f"{a} and {b} differ"


def assert_zero_mean_per_column(differences: Floats, names: tuple[str, ...], z: float = 5) -> None:
    """Differences per user, shape (n_users, n_columns), are zero on average in every column."""
    for column, name in enumerate(names):
        values = differences[:, column]
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean()) <= z * error, f"{name}: off by {values.mean() / error:.1f} standard errors"


def assert_differs_from_zero(values: ArrayLike, z: float) -> None:
    """The mean is more than z standard errors from 0: a test has the power to see what it is there for."""
    found = np.asarray(values, dtype=np.float64)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean()) > z * error, f"only {found.mean() / error:.1f} standard errors from zero"
