from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from experiments.commands.evaluate import command
from experiments.offpolicy.reading import evaluate
from sim.attention import PositionBased
from sim.records import Floats
from tests.experiments.offpolicy.made import Made, best_first, expected_clicks, made

ATTENTION = PositionBased((1.0, 0.6))
MAP = "reward=click,request=request,slot=slot,target_rank=rank"


def exact_chances(found: Made) -> Floats:
    """P(item at slot) for two slots in closed form, shape (R, C, 2)."""
    w = np.exp(found.slates.utilities)
    first = w / w.sum(axis=1, keepdims=True)
    left = w.sum(axis=1, keepdims=True) - w  # after each has come first
    second = w * ((first / left).sum(axis=1, keepdims=True) - first / left)
    return np.stack([first, second], axis=2)


def saved(folder: Path, found: Made, order: np.ndarray) -> Path:
    slates, chance = found.slates, exact_chances(found)
    rows = slates.rows
    target = np.full(slates.utilities.shape, -1)
    np.put_along_axis(target, order, np.arange(2)[None, :], axis=1)
    mine = chance[rows.request, rows.candidate]
    columns = {
        "request": rows.request,
        "slot": rows.rank,
        "click": slates.of_rows("click"),
        "step": slates.steps,
        "here": mine[np.arange(len(rows)), rows.rank],
        "p_0": mine[:, 0],
        "p_1": mine[:, 1],
        "rank": target[rows.request, rows.candidate],
    }
    path = folder / "slates.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("ips", ",marginal=here"),
        ("snips", ",marginal=here"),
        ("slate_ips", ",propensity=step"),
        ("pbm", ",marginals=p_"),
        ("ips", ",marginals=p_"),
    ],
)
def test_estimates_per_slate_are_right(tmp_path: Path, name: str, more: str) -> None:
    found = made(ATTENTION, 8000, candidates=4)
    order = best_first(found, found.attraction)
    row = evaluate(saved(tmp_path, found, order), MAP + more, None, name, None).rows[0]
    truth = expected_clicks(ATTENTION, found, order) / len(found.slates)
    assert row.refused is None
    assert abs(row.answer.value - truth) < 5 * row.answer.se
    assert row.answer.se < 0.2 * truth


def test_all_that_the_columns_allow_is_told_and_position_based_is_sharpest(tmp_path: Path) -> None:
    found = made(ATTENTION, 8000, candidates=6)
    path = saved(tmp_path, found, best_first(found, found.attraction))
    rows = evaluate(path, MAP + ",marginal=here,marginals=p_,propensity=step", None, None, None).rows
    se = {row.answer.estimator: row.answer.se for row in rows}
    assert list(se) == ["ips", "snips", "pbm", "slate_ips"]
    assert se["pbm"] < se["ips"] < se["slate_ips"]


@pytest.mark.parametrize(
    ("more", "estimator", "says"),
    [
        (",propensity=step", "dr", "needs the candidates of every request"),
        (",propensity=step", "ips", "must have marginal=COLUMN"),
        (",marginal=here", "slate_ips", "must have propensity=COLUMN"),
        (",marginal=here", "pbm", "must have marginals=START"),
        (",propensity=step", "nonsense", "must be one of ips, snips, pbm, slate_ips"),
    ],
)
def test_what_the_columns_do_not_allow_is_refused(tmp_path: Path, more: str, estimator: str, says: str) -> None:
    found = made(ATTENTION, 50, candidates=4)
    path = saved(tmp_path, found, best_first(found))
    result = CliRunner().invoke(command, ["--log", str(path), "--map", MAP + more, "--estimator", estimator])
    assert result.exit_code == 2
    assert says in result.output
