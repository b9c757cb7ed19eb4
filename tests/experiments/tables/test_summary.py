"""Tables of counts, means and variances: the same answers as of the units they are of."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.results import Results
from experiments.spec import SpecError
from experiments.tables.reading import TableError
from tests.experiments.tables.shop import answers_of, shop, written

COLUMNS = ("clicks", "impressions", "value", "value_before")


def wide(users: pd.DataFrame, *, covariances: bool = True) -> pd.DataFrame:
    """A row per arm."""
    rows = []
    for arm, mine in users.groupby("arm"):
        row: dict[str, Any] = {"arm": arm, "n": len(mine)}
        row |= {f"mean_{c}": mine[c].mean() for c in COLUMNS} | {f"variance_{c}": mine[c].var() for c in COLUMNS}
        pairs = combinations(COLUMNS, 2) if covariances else [("impressions", "clicks")]
        rows.append(row | {f"covariance_{a}_{b}": mine[a].cov(mine[b]) for a, b in pairs})
    return pd.DataFrame(rows)


def long(users: pd.DataFrame) -> pd.DataFrame:
    """A row per arm and column."""
    rows = [
        (arm, column, len(mine), mine[column].mean(), mine[column].var(), mine["clicks"].cov(mine["impressions"]))
        for arm, mine in users.groupby("arm")
        for column in ("clicks", "impressions", "value")
    ]
    table = pd.DataFrame(rows, columns=["arm", "metric", "n", "mean", "variance", "covariance"])
    return table.assign(covariance=table["covariance"].where(table["metric"] == "clicks"))


def summary_of(path: Path, **keys: Any) -> Results:
    return answers_of(path, summary=True, unit=None, **keys).results


def assert_same_rows(one: Results, other: Results) -> None:
    assert [(r.arm, r.metric, r.estimator, r.n_users) for r in one.rows] == [
        (r.arm, r.metric, r.estimator, r.n_users) for r in other.rows
    ]
    for mine, theirs in zip(one.rows, other.rows, strict=True):
        for name in ("control_mean", "arm_mean", "lift", "se", "ci_low", "ci_high", "p_value"):
            assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-9), (mine.metric, name)


def test_a_wide_summary_with_all_covariances_answers_as_its_units_do(tmp_path: Path) -> None:
    users = shop()
    keys: dict[str, Any] = {"pre": {"gmv": "value_before"}, "goals": ["gmv", "ctr"]}
    whole = answers_of(written(users, tmp_path), **keys).results
    told = summary_of(written(wide(users), tmp_path, "wide.csv"), **keys)
    assert_same_rows(told, whole)
    assert told.joint is not None
    assert whole.joint is not None
    np.testing.assert_allclose(told.joint.covariance, whole.joint.covariance, rtol=1e-9)
    assert told.tradeoff is not None


def test_a_long_summary_answers_each_metric_as_its_units_do(tmp_path: Path) -> None:
    users = shop()
    assert_same_rows(
        summary_of(written(long(users), tmp_path, "long.csv")), answers_of(written(users, tmp_path)).results
    )


def test_without_covariances_between_metrics_they_count_as_independent_and_that_is_said(tmp_path: Path) -> None:
    users = shop()
    path = written(wide(users, covariances=False), tmp_path)
    told = summary_of(path, goals=["gmv", "ctr"])
    assert told.joint is not None
    assert told.joint.correlation[0, 1] == 0
    assert told.tradeoff is None
    assert any("as if metrics were independent" in note for note in told.notes)


def test_metrics_that_share_a_denominator_stay_apart_where_their_covariance_is_unknown(tmp_path: Path) -> None:
    """With zeros in the place of what is not known, clicks and orders both follow impressions and not each other,
    which no users do: the lifts' correlation came out beyond 1."""
    rng = np.random.default_rng(4)
    n = 4000
    seen = rng.lognormal(3, 1, n)
    users = pd.DataFrame({"arm": rng.choice(["A", "B"], n), "seen": seen})
    users["clicks"], users["orders"] = (seen * rng.uniform(0.09, 0.11, n) for _ in range(2))
    rows = []
    for arm, mine in users.groupby("arm"):
        row: dict[str, Any] = {"arm": arm, "n": len(mine)}
        row |= {f"mean_{c}": mine[c].mean() for c in ("clicks", "orders", "seen")}
        row |= {f"variance_{c}": mine[c].var() for c in ("clicks", "orders", "seen")}
        rows.append(row | {f"covariance_{c}_seen": mine[c].cov(mine["seen"]) for c in ("clicks", "orders")})
    path = written(pd.DataFrame(rows), tmp_path)
    metrics = {"ctr": "clicks/seen", "cvr": "orders/seen"}
    told = summary_of(path, metrics=metrics)
    whole = answers_of(written(users, tmp_path, "users.csv"), unit=None, metrics=metrics).results
    assert_same_rows(told, whole)
    assert told.joint is not None
    assert told.joint.correlation[0, 1] == 0


def test_without_metrics_all_that_is_told_is_one(tmp_path: Path) -> None:
    users = shop()
    for table, name in ((wide(users), "wide.csv"), (long(users), "long.csv")):
        told = summary_of(written(table, tmp_path, name), metrics=None)
        assert told.metrics() == [c for c in COLUMNS if c in set(told.metrics())]
        assert told.goals == ("clicks",)
    with pytest.raises(SpecError, match="must name a metric, got 'visits'"):
        summary_of(tmp_path / "long.csv", metrics=None, goals=["visits"])


def test_an_empty_mean_is_unknown_and_cannot_be_told(tmp_path: Path) -> None:
    table = long(shop())
    table.loc[table["metric"] == "value", "mean"] = table["mean"].where(table["arm"] == "A")
    told = summary_of(written(table, tmp_path), goals=["ctr"])
    assert np.isnan(told.row("B", "gmv").lift)
    assert np.isfinite(told.row("B", "ctr").lift)
    assert any("can't tell gmv" in warning for warning in told.warnings)


def test_counts_are_held_against_the_plan(tmp_path: Path) -> None:
    table = long(shop()).assign(n=lambda t: np.where(t["arm"] == "A", 6000, 4000))
    told = summary_of(written(table, tmp_path), planned={"A": 0.5, "B": 0.5})
    assert told.decision.arm is None
    assert "do not match the planned shares" in told.decision.sentence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(variance=-1), "arm A: variance of clicks must be at least 0, got -1"),
        (lambda t: t.assign(covariance=1e6), "covariance of clicks and impressions must be within"),
        (lambda t: t.drop(columns="covariance"), "the covariance of clicks and impressions must be known for ctr"),
        (lambda t: t.assign(n=[1, 2, 3, 4, 5, 6]), "arm A must have one n, of the same units in all rows, got 1, 2, 3"),
        (lambda t: t.assign(n=1.5), "arm A: n must be a whole number of units, got 1.5"),
        (lambda t: t.assign(n=None), "arm A: n must be a whole number of units, got nan"),
        (lambda t: t[t["metric"] != "value"], "arm A must have a row for value, found clicks, impressions; add it"),
        (lambda t: pd.concat([t, t]), "arm A must have a row per metric, found 6 of 3 metrics"),
        (lambda t: t.assign(mean="many"), "column 'mean': must be a number, got 'many'"),
        (lambda t: t.assign(arm=["A", "A", "A", None, "B", "B"]), "row 4 below the header must have a 'arm'"),
        (lambda t: t.rename(columns={"arm": "group"}), "must have a column 'arm', found none; there are group"),
    ],
)
def test_what_cannot_be_true_of_any_units_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = written(change(long(shop())), tmp_path)
    with pytest.raises(TableError) as caught:
        summary_of(path)
    assert any(message in line for line in caught.value.lines), caught.value.lines
    assert all(line.startswith(str(path)) for line in caught.value.lines)


def test_a_wide_summary_needs_a_row_per_arm_and_the_columns_of_its_metrics(tmp_path: Path) -> None:
    table = wide(shop())
    with pytest.raises(TableError, match="arm A must have one row, found 2"):
        summary_of(written(pd.concat([table, table]), tmp_path))
    with pytest.raises(TableError, match="must have a column 'variance_value', found none"):
        summary_of(written(table.drop(columns="variance_value"), tmp_path))


def test_pre_needs_the_wide_form(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="must be wide"):
        summary_of(written(long(shop()), tmp_path), pre={"gmv": "value_before"})


def test_an_arm_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must be an arm of the table, got 'a'; did you mean 'A'"):
        summary_of(written(long(shop()), tmp_path), control="a")
