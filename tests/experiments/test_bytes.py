"""What a run leaves is a function of its spec: byte for byte, whatever did the work and whoever else took part."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from experiments.spec import Experiment
from experiments.stages.common import STATE
from experiments.store import DONE
from tests.experiments.finished import Finished, finished, small
from tests.experiments.specs import experiment

TREES = "{type: lambdamart, trees: 3}"
SHOP = """like: ecommerce, catalogue: {items: 240}, browse: {candidates: 50, pages: 3}, people: {habit_days: 1},
  funnel: {actions: {buy: {rate: 0.3}, cart: {rate: 0.2}, collect: {rate: 0.2}}}, market: {stock: {median_units: 2}}"""
GOALS = "{goals: [ctr, gmv_per_user], guardrails: {visits_per_user: -5%}}"
GUARD = "guard: {metric: ctr, margin: -5%, alpha: 0.05}"
MORE = "truth: {users: 0.3}\nanalysis: {looks: [1, 3]}\nfaults: {novelty: {lift: 0.05}, lost_rows: {arm: luck}}"


def everything(more_arms: str = "", *, share: float = 0.3) -> str:
    """Sharing, four markets, a ramp, a guard, retraining on pooled logs, looks and faults."""
    return small(
        arms=f"{{production: {{share: {share}}}, luck: {{share: 0.3, policy: random}}, "
        f"trees: {{share: 0.3, policy: {TREES}, retrain: {{every_days: 2, on: pooled}}}}{more_arms}}}",
        world="users: 600, markets: 4, sharing: true",
        scenario=SHOP,
        days=4,
        calendar=f"ramp: [{{day: 0, share: 0.5}}, {{day: 1, share: 1}}]\n  {GUARD}",
        metrics=GOALS,
        more=MORE,
    )


def plain(more_arms: str = "", *, share: float = 0.5, world: str = "") -> str:
    """Two markets that nothing couples, three ways to divide them, looks and a front."""
    return small(
        arms=f"{{production: {{share: {share}}}, luck: {{share: 0.3, policy: random}}{more_arms}}}",
        world=f"users: 400, markets: 2{world}",
        scenario=SHOP.replace("items: 240", "items: 120"),
        calendar="assign: {unit: user, beside: [visit, switchback]}",
        metrics=GOALS,
        more="truth: {users: 0.3, front: 3}\nanalysis: {looks: [1]}",
    )


SPECS = {"everything": everything, "plain": plain}


def results_of(run: Finished) -> tuple[str, str]:
    """results.csv and decision.json, as they are written."""
    table = pd.DataFrame(run.results.to_dicts()).to_csv(index=False)
    return table, json.dumps(run.results.to_dict())


def files_of(run: Finished) -> dict[str, str]:
    """Hash of every file that a task left, by its place; what tasks say of themselves without their times."""
    found = {}
    for path in sorted(run.folder.tasks.rglob("*")):
        if path.is_file() and path.name != DONE:
            found[str(path.relative_to(run.folder.tasks))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for task in run.plan.tasks():
        notes = {key: value for key, value in run.notes(task).items() if not key.endswith("seconds")}
        found[f"{task.folder} notes"] = json.dumps(notes, sort_keys=True)
    return found


@pytest.fixture(scope="module", params=SPECS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Finished]:
    """A run of one worker, in this process."""
    return request.param, finished(SPECS[request.param](), tmp_path_factory.mktemp(request.param) / "run")


def test_the_specs_have_what_they_are_to_have(alone: tuple[str, Finished]) -> None:
    name, run = alone
    if name == "plain":
        assert len(run.results.front) == 3
        assert {row.design for row in run.results.designs} == {"user", "visit", "switchback"}
        return
    assert list(run.results.stops) == ["luck"]
    assert run.results.sides
    stop, _ = run.results.stops["luck"]
    days = {arm: {row.day for row in run.results.looks if row.arm == arm} for arm in ("luck", "trees")}
    assert days == {"luck": {day for day in (1, 3) if day <= stop}, "trees": {1, 3, 4}}
    assert len(set(run.plan.tests.values())) == 1  # coupled: one task
    assert run.spec.world.sharing


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_leaves_the_same_bytes(alone: tuple[str, Finished], tmp_path: Path, workers: int) -> None:
    name, run = alone
    other = finished(SPECS[name](), tmp_path / "run", workers=workers)
    assert results_of(other) == results_of(run)
    assert files_of(other) == files_of(run)


def truths_of(run: Finished) -> dict[tuple[str, int], dict[str, str]]:
    files = files_of(run)
    return {
        of: {place: digest for place, digest in files.items() if place.startswith(task.folder + "/")}
        for of, task in run.plan.truths.items()
    }


def test_an_added_arm_leaves_the_truth_of_the_others_as_it_was(alone: tuple[str, Finished], tmp_path: Path) -> None:
    name, run = alone
    other = finished(SPECS[name](", popular: {share: 0.1, policy: popular}", share=0.2), tmp_path / "run")
    before, after = truths_of(run), truths_of(other)
    assert len(after) == len(before) + run.spec.world.markets
    assert all(before.values())
    assert all(after[of] == files for of, files in before.items())


def test_a_tick_is_no_part_of_what_is_found_where_nothing_is_shared(
    alone: tuple[str, Finished], tmp_path: Path
) -> None:
    name, run = alone
    if name != "plain":
        pytest.skip("is about what is not shared")
    ticking = finished(plain(world=", tick_minutes: 240"), tmp_path / "run")
    assert ticking.spec.identity() == run.spec.identity()
    assert results_of(ticking) == results_of(run)
    # A state lists orders under way as they were made, wave by wave; nothing depends on their order.
    one, other = ({p: h for p, h in files_of(r).items() if not p.endswith(STATE)} for r in (ticking, run))
    assert one == other


def ticking(minutes: int, sharing: str) -> Experiment:
    text = plain(world=f", sharing: {sharing}, tick_minutes: {minutes}").replace(", front: 3", "")
    return experiment(text.replace(", beside: [visit, switchback]", ""))


def test_a_tick_is_part_of_a_run_where_users_share(tmp_path: Path) -> None:
    """A wave finds the shelf as it was when its tick began: two ticks gave two results under one identity, and a
    folder of one was shown as a run of the other."""
    fine, coarse = ticking(360, "true"), ticking(1440, "true")
    assert fine.identity() != coarse.identity()
    assert ticking(360, "false").identity() == ticking(1440, "false").identity()
    one, other = (finished(spec, tmp_path / str(n)) for n, spec in enumerate((fine, coarse)))
    assert {task.key for task in one.plan.tasks()} & {task.key for task in other.plan.tasks()} == set()
    assert results_of(one) != results_of(other)
