"""Whole runs on small worlds: files, identity, resuming, and what must not change what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments.executors import Event, TaskError, execute
from experiments.plan import plan
from experiments.run import Run, run
from experiments.spec import Experiment, load_experiment
from experiments.stages.common import EXPECTED, TOTALS
from experiments.store import FolderError, RunFolder
from tests.experiments.specs import TINY, experiment

FUSION = (
    '    fusion: {share: 0.1, policy: {type: formula, formula: "ctr**a * price", params: {a: 1}, '
    "training: {epochs: 1}}}\n"
)


def perform(spec: Experiment, out: Path, *, workers: int = 1, force: bool = False) -> tuple[Run, list[Event]]:
    events: list[Event] = []
    done = run(spec, out, workers=workers, force=force, listen=events.append, announce=lambda stage: None)
    return done, events


def identity_of(run: Run) -> tuple[bytes, bytes, object]:
    """What makes two runs the same: results, decision and the checksums of the logs."""
    files = [(run.folder / name).read_bytes() for name in ("results.csv", "decision.json")]
    return files[0], files[1], run.manifest["log_checksums"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return perform(experiment(), tmp_path_factory.mktemp("runs") / "tiny")[0]


def test_a_run_leaves_the_files_it_promises(tiny: Run) -> None:
    names = {path.name for path in tiny.folder.iterdir()}
    promised = {"experiment.yaml", "log", "hidden", "results.csv", "decision.json", "report.html", "report.png"}
    assert promised | {"truth.csv", "manifest.json"} <= names
    assert (tiny.folder / "report.png").read_bytes().startswith(b"\x89PNG")


RESULT_COLUMNS = """arm metric role estimator control_mean arm_mean lift se ci_low ci_high ci_kind p_value
    p_adjusted true_lift true_lift_se n_users adjusted_by sim_low sim_high sim_kind bias covers"""
LOG_COLUMNS = """request market arm day time user visit page slot item pool price score propensity
    click stay collect cart buy buy_time value return_goods return_goods_time refund"""


def test_results_have_the_published_columns_and_every_arm_metric_and_estimator(tiny: Run) -> None:
    table = pd.read_csv(tiny.folder / "results.csv")
    assert list(table.columns) == RESULT_COLUMNS.split()
    assert len(table) == 2 * (12 * 2 + 2)  # arms but the control, metrics by raw and cuped, and money capped
    assert set(table.arm) == {"popular", "trees"}


def test_the_log_has_the_published_columns_and_no_truth(tiny: Run) -> None:
    columns = pq.read_schema(tiny.folder / "log" / "test-market0.parquet").names
    assert set(columns) == set(LOG_COLUMNS.split())


def test_only_served_days_are_in_the_logs(tiny: Run) -> None:
    warm = pq.read_table(tiny.folder / "log" / "warmup-market1.parquet").to_pandas()
    test = pq.read_table(tiny.folder / "log" / "test-market1.parquet").to_pandas()
    assert (warm.day.min(), warm.day.max()) == (0, 3)
    assert (test.day.min(), test.day.max()) == (4, 6)
    assert (warm.user % 2 == 1).all()  # market 1 holds the odd users
    assert set(warm.user) >= set(test.user) - set(range(700))


def test_the_resolved_spec_in_the_folder_is_the_same_experiment(tiny: Run) -> None:
    assert load_experiment(str(tiny.folder / "experiment.yaml")).identity() == tiny.manifest["identity"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny: Run, tmp_path: Path) -> None:
    again, _ = perform(experiment(), tmp_path / "again")
    other, _ = perform(experiment(TINY.replace("seed: 5", "seed: 0")), tmp_path / "other")
    assert identity_of(again) == identity_of(tiny)
    assert all(mine != theirs for mine, theirs in zip(identity_of(other), identity_of(tiny), strict=True))


def test_two_workers_give_the_bytes_of_one(tmp_path: Path) -> None:
    spec = experiment(TINY.replace("metrics:", FUSION + "metrics:"))
    one, _ = perform(spec, tmp_path / "one")
    two, _ = perform(spec, tmp_path / "two", workers=2)
    assert identity_of(one) == identity_of(two)
    assert (one.folder / "truth.csv").read_bytes() == (two.folder / "truth.csv").read_bytes()


def truth_of(run: Run, spec: Experiment) -> dict[tuple[str, int], bytes]:
    folder = RunFolder(run.folder)
    return {
        who: b"".join((folder.result(task) / name).read_bytes() for name in (TOTALS, EXPECTED))
        for who, task in plan(spec).truths.items()
    }


def test_adding_or_reordering_arms_leaves_the_truth_of_the_others_bit_identical(tiny: Run, tmp_path: Path) -> None:
    lines = TINY.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("    popular"))
    swapped = "".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
    changed = experiment(swapped.replace("metrics:", "    luck: {share: 0.05, policy: random}\nmetrics:"))
    other, _ = perform(changed, tmp_path / "changed")
    before, after = truth_of(tiny, experiment()), truth_of(other, changed)
    assert len(after) == len(before) + 2
    assert all(after[who] == content for who, content in before.items())


def test_a_finished_run_is_shown_again_and_simulates_nothing(tiny: Run) -> None:
    again, events = perform(experiment(), tiny.folder)
    assert again.reused
    assert not events
    assert again.results.decision == tiny.results.decision


def test_a_run_that_stopped_continues_where_it_was(tmp_path: Path, tiny: Run) -> None:
    def stop_at_the_arms(event: Event) -> None:
        if event.kind == "start" and event.task.stage == "arms":
            raise KeyboardInterrupt

    spec = experiment()
    with pytest.raises(KeyboardInterrupt):
        run(spec, tmp_path / "r", workers=1, force=False, listen=stop_at_the_arms, announce=lambda stage: None)
    done, events = perform(spec, tmp_path / "r")
    reused = {event.task.stage for event in events if event.kind == "reused"}
    repeated = {event.task.stage for event in events if event.kind == "start"}
    assert {"warm-up", "fit"} <= reused
    assert "warm-up" not in repeated
    assert identity_of(done) == identity_of(tiny)


def test_a_folder_with_another_experiment_is_refused_and_kept(tiny: Run) -> None:
    before = (tiny.folder / "results.csv").read_bytes()
    with pytest.raises(FolderError, match="must hold this experiment, found another one; use --out"):
        perform(experiment(TINY.replace("seed: 5", "seed: 6")), tiny.folder)
    assert (tiny.folder / "results.csv").read_bytes() == before


ONE, TWO = "1" * 64, "2" * 64  # identities


@pytest.mark.parametrize("name", ["thesis.txt", "identity", "tasks"])
def test_a_folder_that_is_no_run_is_refused_and_kept_also_with_force(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("years of work")
    for force in (False, True):
        with (
            pytest.raises(FolderError, match="must be empty or a run's folder"),
            RunFolder(tmp_path / "mine").claimed(ONE, force),
        ):
            pass
    assert (tmp_path / "mine" / name).read_text() == "years of work"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]


def test_force_deletes_what_a_run_left_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(ONE, False):
        (folder.path / "results.csv").write_text("old")
        (folder.path / "notes.md").write_text("mine")
    with folder.claimed(TWO, True):
        assert not (folder.path / "results.csv").exists()
        assert (folder.path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_use_is_refused_and_untouched(tmp_path: Path, force: bool) -> None:
    folder = RunFolder(tmp_path / "r")
    with folder.claimed(ONE, False):
        (folder.path / "results.csv").write_text("being written")
        with (
            pytest.raises(FolderError, match="another run is using it"),
            RunFolder(tmp_path / "r").claimed(ONE, force),
        ):
            pass
        assert (folder.path / "results.csv").exists()


@pytest.mark.parametrize("lost", ["report.html", "results.csv", "manifest.json"])
def test_a_finished_run_that_lost_a_file_writes_it_again_from_what_is_done(
    tmp_path: Path, tiny: Run, lost: str
) -> None:
    done, _ = perform(experiment(), tmp_path / "r")
    (done.folder / lost).unlink()
    again, events = perform(experiment(), tmp_path / "r")
    assert not again.reused
    assert {event.kind for event in events} == {"reused"}
    assert identity_of(again) == identity_of(tiny)


def test_results_written_by_another_program_are_written_again(tmp_path: Path) -> None:
    done, _ = perform(experiment(), tmp_path / "r")
    manifest = json.loads((done.folder / "manifest.json").read_text())
    (done.folder / "manifest.json").write_text(json.dumps(manifest | {"program": "older"}))
    (done.folder / "results.csv").write_text("older")
    perform(experiment(), tmp_path / "r")
    assert (done.folder / "results.csv").read_text().startswith("arm,")


def test_a_tick_is_no_part_of_a_runs_identity_nor_of_its_results(tmp_path: Path, tiny: Run) -> None:
    ticking = experiment(TINY.replace("markets: 2", "markets: 2, tick_minutes: 30"))
    assert ticking.identity() == experiment().identity()
    other, _ = perform(ticking, tmp_path / "ticking")
    assert identity_of(other) == identity_of(tiny)


def test_arms_with_equal_policies_share_their_truth() -> None:
    twins = "    twin: {share: 0.1, policy: popular}\n    other: {share: 0.1, policy: popular}\n"
    whole = plan(experiment(TINY.replace("metrics:", twins + "metrics:")))
    assert whole.truths["twin", 0].key == whole.truths["popular", 0].key
    assert len(whole.tasks()) == len({task.key for task in whole.tasks()})


def test_a_task_that_fails_names_stage_task_and_cause_and_keeps_the_rest(tmp_path: Path) -> None:
    starved = experiment(TINY.replace("users: 700", "users: 20").replace("days: 4", "days: 1"))
    with pytest.raises(TaskError, match=r"^fit \(lambdamart\) failed: at least 20 impressions with click are needed"):
        perform(starved, tmp_path / "r")
    folder = RunFolder(tmp_path / "r")
    assert all(folder.is_done(task) for task in plan(starved).warmups.values())
    assert folder.finished() is None


def test_a_worker_that_dies_is_an_error_that_says_so(tmp_path: Path) -> None:
    import os
    import signal
    import subprocess

    def kill_a_worker(event: Event) -> None:
        if event.kind == "start" and event.task.stage == "warm-up":
            children = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "spawn_main"], capture_output=True, text=True
            )
            for pid in children.stdout.split()[:1]:
                os.kill(int(pid), signal.SIGKILL)

    spec = experiment()
    folder = RunFolder(tmp_path / "r")
    with folder.claimed(spec.identity(), False), pytest.raises(TaskError, match="its process died"):
        execute(plan(spec).tasks(), folder, 2, kill_a_worker)


def test_equal_fits_are_one_task() -> None:
    arms = FUSION + FUSION.replace("fusion:", "other:").replace("ctr**a * price", "ctr**a * price**2")
    tasks = plan(experiment(TINY.replace("metrics:", arms + "metrics:"))).fits.values()
    assert sorted(task.name for task in tasks) == ["formula", "goal ctr", "lambdamart", "popular", "production"]


def test_the_truth_is_over_the_same_users_under_every_arm(tiny: Run) -> None:
    folder, spec = RunFolder(tiny.folder), experiment()
    came = {}
    for (arm, market), task in plan(spec).truths.items():
        with np.load(folder.result(task) / EXPECTED) as saved:
            visits = saved["totals"][:, saved["columns"].tolist().index("visits")]
            came[arm, market] = saved["user"][visits > 0].tolist()
    for market in (0, 1):
        assert came["production", market] == came["trees", market] == came["popular", market]
        assert came["production", market]


def test_decision_and_results_hold_no_nan_where_json_is_read(tiny: Run) -> None:
    json.loads((tiny.folder / "decision.json").read_text(), parse_constant=_refuse)
    json.loads(json.dumps(tiny.results.to_dict(), allow_nan=False))


def _refuse(constant: str) -> Sequence[str]:
    raise AssertionError(f"{constant} is no JSON")
