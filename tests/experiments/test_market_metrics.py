"""Metrics of whole markets: how many recruiters stay, and how unevenly applications fall on openings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from experiments.spec import SpecError
from experiments.stages.arms import market_folder
from experiments.stages.common import ASSIGNED
from tests.experiments.finished import Finished, finished, small
from tests.experiments.specs import experiment

SCENARIO = (
    "like: recruiting, catalogue: {items: 320}, browse: {candidates: 40, pages: 3}, "
    "market: {recruiters: {patience_days: 4, mean_fit: 0.3}}"
)
ARMS = "{production: {share: 0.5}, chance: {share: 0.5, policy: random}}"
MARKET = "assign: {unit: market}"
WORLD = "users: 640, markets: 8, sharing: true"
METRICS = "{goals: [ctr], guardrails: {active_recruiters: -50%}}"


def text(calendar: str = MARKET, world: str = WORLD, metrics: str = METRICS) -> str:
    return small(arms=ARMS, world=world, scenario=SCENARIO, warm=4, days=4, calendar=calendar, metrics=metrics)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(text(), tmp_path_factory.mktemp("markets") / "run")


def test_active_recruiters_are_those_still_there_of_those_who_came(run: Finished) -> None:
    row, mine = run.results.row("chance", "active_recruiters"), [0, 0]
    for (_, market), task in run.plan.tests.items():
        with np.load(market_folder(run.folder.result(task), market) / ASSIGNED) as saved:
            served_by = saved["names"][saved["arm"][0]]
        (side,) = run.notes(task)["sides"]
        if served_by == "chance":
            mine = [mine[0] + side["recruiters_active"], mine[1] + side["recruiters"]]
    share = mine[0] / mine[1]
    assert 0 < share < 1
    assert row.arm_mean == pytest.approx(share)
    assert row.role == "guardrail"
    assert row.ci_kind.startswith("t-based")


def test_concentration_lies_between_none_and_all_and_has_a_truth(run: Finished) -> None:
    row = run.results.row("chance", "concentration")
    assert 0 < row.control_mean < 1
    assert math.isfinite(row.true_lift)
    sides = {side.arm: side for side in run.results.sides}
    lift = sides["chance"].concentration / sides["production"].concentration - 1
    assert row.true_lift == pytest.approx(lift)


def test_a_test_by_user_does_not_tell_them(tmp_path: Path) -> None:
    plain = text(calendar="", metrics="{goals: [ctr]}")
    told = finished(plain, tmp_path / "run").results.metrics()
    assert "applications_per_user" in told
    assert not {"active_recruiters", "concentration"} & set(told)


@pytest.mark.parametrize(
    "changed", [text(calendar=""), text(world="users: 640, markets: 8")], ids=["by user", "nothing shared"]
)
def test_asking_another_design_for_them_is_refused_with_the_cure(changed: str) -> None:
    with pytest.raises(SpecError, match=r"active_recruiters is of whole markets: it needs experiment\.assign"):
        experiment(changed)
