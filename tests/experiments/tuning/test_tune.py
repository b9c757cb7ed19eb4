"""A whole tuning: the same bytes for any workers and after any death, in files and a page that hold what is told."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.commands.tune import command
from experiments.document import write_yaml
from experiments.report.tuning import page
from experiments.spec import load_experiment
from experiments.store import FolderError
from experiments.tuning.answer import answer_of
from experiments.tuning.outputs import FRONT, JSON, PAGE, PICTURE, TABLE, YAML, tuned_spec
from experiments.tuning.question import QuestionError
from experiments.tuning.rows import trial_rows
from experiments.tuning.tuned import Tuned
from tests.experiments.browser import measured, needs_browser
from tests.experiments.tuning.shop import TUNE, spec, tuned

FILES = (TABLE, FRONT, YAML, JSON, PAGE, PICTURE)
WIDTHS = (1280, 390)
HAND = "  by_hand: {values: 2}\n"
SEESAW = "import sys; from experiments.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned") / "run"


@pytest.fixture(scope="module")
def found(folder: Path) -> Tuned:
    return tuned(spec(TUNE + HAND), folder)


@pytest.fixture(scope="module")
def yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "shop.yaml"
    write_yaml(spec(TUNE + HAND).resolved(), path, "a shop")
    return path


def test_every_file_is_there_and_the_picks_are_on_the_front(found: Tuned, folder: Path) -> None:
    assert all((folder / name).stat().st_size for name in FILES)
    assert len(found.trials) == 8
    assert found.trials[0] == {"alpha": 1, "c": 0.2}  # the present setting comes first
    assert found.picks[0].trial in found.belief.front
    with (folder / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(8))
    assert {int(row["trial"]) for row in rows if row["front"] == "True"} == set(found.belief.front.tolist())
    told = json.loads((folder / JSON).read_text())
    assert told["headline"] == answer_of(found).headline
    assert told["settings"][-1]["name"] == "present"


def test_promises_and_confirmations_are_of_other_users(found: Tuned) -> None:
    rows = answer_of(found).rows
    for row in rows:
        promised, confirmed = row.promised["lift(ctr)"], row.confirmed["lift(ctr)"]
        assert promised.value != confirmed.value
        assert abs(promised.value - confirmed.value) < 6 * np.hypot(promised.sd, confirmed.sd)


def test_the_picks_are_an_experiment_that_runs(found: Tuned, folder: Path) -> None:
    given = load_experiment(str(folder / YAML))
    assert given.tune is None
    arms = given.experiment.arms
    assert list(arms)[:2] == ["production", "fusion"]
    pick = arms["pick-1"].policy
    assert pick is not None
    assert pick["params"] == pytest.approx(dict(found.trials[found.picks[0].trial]))
    assert sum(arm.share for arm in arms.values()) <= 1
    assert load_experiment(str(folder / YAML)).resolved() == tuned_spec(found)


def test_by_hand_one_parameter_after_the_other_is_tested(found: Tuned) -> None:
    assert [test.parameter for test in found.hand] == ["alpha", "c"]
    assert found.hand[0].values == (0.0, 2.0)
    assert found.hand[0].params["c"] == 0.2
    assert found.hand[1].params["alpha"] == found.hand[0].kept
    assert found.hand[1].user_days == 2 * found.hand[0].user_days == 2 * 600 * 3
    assert found.hand_confirmed is not None
    assert found.hand_confirmed.values.shape == (2, len(found.question.quantities))


def test_more_workers_and_a_death_in_the_middle_leave_the_same_bytes(
    yaml: Path, found: Tuned, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    arguments = ["tune", str(yaml), "--out", str(out), "--workers", "2", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", SEESAW, *arguments], env=environment)
    deadline = time.monotonic() + 120
    while len(list(out.glob("tasks/trials-*/done.json"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / TABLE).exists()
    done = subprocess.run([sys.executable, "-c", SEESAW, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (out / name).read_bytes() == (folder / name).read_bytes(), name


def test_more_trials_go_on_from_where_the_study_ended(found: Tuned, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("tasks/trials-*/done.json")}
    longer = tuned(spec(TUNE.replace("trials: 8", "trials: 12") + HAND), folder)
    assert longer.trials[:8] == found.trials
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = tuned(spec(TUNE + HAND), folder)  # and back: what was asked for is told
    assert answer_of(again).headline == answer_of(found).headline


def test_another_question_is_refused_the_folder(found: Tuned, folder: Path) -> None:
    with pytest.raises(FolderError, match="must hold this experiment, found another one"):
        tuned(spec(TUNE.replace("0.5 * control", "0.4 * control")), folder)


def test_impossible_limits_end_in_a_sentence_and_no_pick(tmp_path: Path) -> None:
    none = tuned(spec(TUNE.replace("ctr >= 0.5 * control", "ctr >= 9 * control")), tmp_path / "run")
    answer = answer_of(none)
    assert answer.headline.startswith("NO PICK: no setting of 8 holds ctr >= 9 * control with confidence 0.9")
    assert not (tmp_path / "run" / YAML).exists()
    assert (tmp_path / "run" / PAGE).stat().st_size
    assert none.confirmed is None


def test_a_goal_that_nothing_moves_is_refused(tmp_path: Path) -> None:
    still = TUNE.replace("[stay_per_user, ctr]", "[ctr, visits_per_user]")
    with pytest.raises(QuestionError, match=r"visits_per_user must be moved by the parameters, got [+-]\d"):
        tuned(spec(still, world="users: 600, markets: 1, dynamics: false"), tmp_path / "run")


def test_a_present_setting_outside_the_ranges_is_told_and_no_trial(tmp_path: Path) -> None:
    given = spec(TUNE.replace("alpha: [0, 2]", "alpha: [1.5, 2]").replace("trials: 8", "trials: 4"))
    found = tuned(given, tmp_path / "run")
    assert found.present.trial == -1
    assert all(params["alpha"] >= 1.5 for params in found.trials)
    row = answer_of(found).rows[-1]
    assert (row.name, row.params["alpha"]) == ("present", 1)
    assert any("outside the ranges" in note for note in found.notes)


def test_a_parameter_of_training_is_a_fit_for_every_value(tmp_path: Path) -> None:
    fits = TUNE.replace("{alpha: [0, 2], c: [-1, 1]}", "{epochs: {low: 1, high: 2, integer: true}, c: [-1, 1]}")
    found = tuned(spec(fits.replace("trials: 8", "trials: 4")), tmp_path / "run")
    epochs = {params["epochs"] for params in found.trials}
    fitted = [json.loads(path.read_text()) for path in (tmp_path / "run").glob("tasks/fit-*/policy.json")]
    assert {one["training"]["epochs"] for one in fitted if one["type"] == "formula"} == epochs


def test_trees_are_tuned_as_networks_are(tmp_path: Path) -> None:
    """Their model is a file of its own beside the arrays."""
    given = load_experiment(
        "tune_label_gain",
        [
            *("world.users=600", "world.markets=1", "warmup.days=3", "experiment.days=2", "tune.users=0.3"),
            *("experiment.arms.lambdamart.policy.trees=3", "tune.budget={trials: 2, batch: 2}", "tune.precision=0.9"),
        ],
    )
    assert len(tuned(given, tmp_path / "run").trials) == 2


def test_where_users_share_everyone_is_searched_on(tmp_path: Path) -> None:
    few = TUNE.replace("trials: 8", "trials: 4")
    given = spec(few, world="users: 300, markets: 1, sharing: true")
    found = tuned(given, tmp_path / "run")
    assert any("users share" in note for note in found.notes)
    assert found.searched_on == "simulated for 100% of the users"


def test_a_log_is_enough_to_search_on(tmp_path: Path) -> None:
    log = TUNE.replace("trials: 8", "trials: 4")
    given = spec(log + "  evaluate: log\n  log: {requests: 2000}\n", world="users: 1500, markets: 1", warm="3")
    found = tuned(given, tmp_path / "run")
    assert "valued off-policy on" in found.searched_on
    covered = found.measured.values[:, -1]
    assert (covered > 0).all()
    assert (covered <= 1.2).all()
    assert found.question.quantities[-1].of == "log"
    assert (found.belief.feasible[covered < 0.8] < 0.5).all()


def test_the_log_of_a_run_is_taken_and_not_simulated_again(
    yaml: Path, found: Tuned, folder: Path, tmp_path: Path
) -> None:
    options = ["--set", "tune.budget.trials=4", "--set", "tune.by_hand=null", "--workers", "1", "--quiet"]
    done = CliRunner().invoke(command, [str(yaml), "--log", str(folder), "--out", str(tmp_path / "run"), *options])
    assert done.exit_code == 0, done.output
    assert "valued off-policy on" in done.output
    warmups = [path.parent.name for path in (tmp_path / "run").glob("tasks/warm-up-*/done.json")]
    assert len(warmups) == 1
    for name in ("impressions.parquet", "done.json"):
        mine, theirs = ((at / "tasks" / warmups[0] / name).stat() for at in (tmp_path / "run", folder))
        assert mine.st_ino == theirs.st_ino


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sampler", "magic"], "'magic' is not one of"),
        (["--trials", "0"], "0 is not in the range"),
        (["--set", "tune.arm=nobody"], "must name an arm, got 'nobody'"),
        (["--set", "tune=null"], "must have a section tune, found none"),
        (["--log", "nowhere"], "--log nowhere: must hold the warm-up of this experiment"),
    ],
)
def test_what_cannot_be_asked_ends_with_code_2(yaml: Path, options: list[str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(yaml), "--out", str(tmp_path / "run"), "--workers", "1", *options])
    assert done.exit_code == 2
    assert said in done.output


def test_the_command_tells_what_the_files_hold(yaml: Path, found: Tuned, folder: Path) -> None:
    options = [str(yaml), "--out", str(folder), "--workers", "1"]
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 0, done.output
    answer = answer_of(found)
    for text in (answer.headline, "pick-1", "present", "promised", "confirmed", "By hand, 2 online tests"):
        assert text in done.output
    told = json.loads(CliRunner().invoke(command, [*options, "--json"]).output)
    assert told["headline"] == answer.headline
    assert "NaN" not in json.dumps(told)


def test_the_page_is_self_contained_and_the_same_every_time(found: Tuned) -> None:
    html = page(found, answer_of(found))
    assert html == page(found, answer_of(found))
    assert "http://" not in html
    assert "https://" not in html
    assert ">nan" not in html
    for row in trial_rows(found):
        assert f'data-sort="{row["trial"]}"' in html


@pytest.mark.parametrize("width", WIDTHS)
def test_on_a_screen_nothing_is_cut_and_no_text_lies_on_another(found: Tuned, width: int, tmp_path: Path) -> None:
    needs_browser()
    told = measured(page(found, answer_of(found)), [width], tmp_path)[width]
    assert told["needed"] <= width
    assert [told[fault] for fault in ("overlaps", "outside", "cut", "errors")] == [[], [], [], []]
    assert told["pale"] == []
