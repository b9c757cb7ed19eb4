"""Estimators beside the truth, through the spec and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.commands.evaluate import command
from experiments.document import write_yaml
from tests.experiments.tuning.shop import TUNE, spec

REHEARSED = (
    TUNE.replace("trials: 8, batch: 4", "trials: 4, batch: 2")
    + "  log: {requests: 3000, rehearse: {temperatures: [1, 0.05], estimators: [slate_ips, dr]}}\n"
)


@pytest.fixture(scope="module")
def yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "shop.yaml"
    write_yaml(spec(REHEARSED, world="users: 1500, markets: 1", warm="3").resolved(), path, "a shop")
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "run"


@pytest.fixture(scope="module")
def told(yaml: Path, out: Path) -> str:
    done = CliRunner().invoke(command, [str(yaml), "--out", str(out), "--workers", "1"])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_estimator_stands_on_every_log_beside_the_truth(told: str, out: Path) -> None:
    with (out / "rehearsal.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["temperature"]), row["estimator"]) for row in rows] == [
        (1, "slate_ips"),
        (1, "dr"),
        (0.05, "slate_ips"),
        (0.05, "dr"),
    ]
    warn, robust = rows[0]["error ctr"], float(rows[1]["error ctr"])
    assert warn == "" or float(warn) > 5 * robust
    assert robust < 0.3
    assert "log speaks of" in told


def test_with_thin_exploration_it_cannot_tell(told: str, out: Path) -> None:
    with (out / "rehearsal.csv").open(newline="") as file:
        thin = [row for row in csv.DictReader(file) if float(row["temperature"]) < 0.1]
    assert [int(row["answer"]) for row in thin] == [-1, -1]
    assert told.count("cannot tell") >= 2


def test_the_same_is_told_as_json_and_nothing_is_done_twice(yaml: Path, out: Path, told: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.glob("tasks/*/done.json")}
    done = CliRunner().invoke(command, [str(yaml), "--out", str(out), "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.output)["rows"]) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "must have --log and --map, or an experiment"),
        (["ope_vs_truth", "--log", "x.csv"], "must stand without --log and --map"),
        (["ecommerce"], "must have a section tune, found none"),
    ],
)
def test_what_cannot_be_asked_ends_with_code_2(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert said in done.output
