"""Many runs of one design: seeds, worker processes, sudden ends, and what the runs say together."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.analysis.decision import DO_NOT_SHIP, SHIP
from experiments.commands.run import command
from experiments.many import running
from experiments.many.reading import read_runs
from experiments.many.running import VariantsError, run_all
from experiments.many.sentence import sentence
from experiments.many.summary import Characteristics, characteristics
from experiments.many.variants import SeedsError, Variant, over_seeds, parse_seeds
from experiments.many.writing import write_summary
from experiments.spec import load_experiment
from experiments.store import FolderError
from tests.experiments.finished import small

ARMS = "{production: {share: 0.4}, twin: {share: 0.3, policy: production}, luck: {share: 0.3, policy: random}}"
SEEDS = range(1, 13)
SEESAW = "from experiments.cli import main; import sys; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "design.yaml"
    path.write_text(small(arms=ARMS, world="users: 300, markets: 1"))
    return path


@pytest.fixture(scope="module")
def folder(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seeds, one after the other in this process."""
    out = tmp_path_factory.mktemp("many") / "runs"
    done = CliRunner().invoke(command, [str(spec), "--seeds", "1..12", "--workers", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    (out / "said.txt").write_text(done.output)
    return out


@pytest.fixture(scope="module")
def found(spec: Path, folder: Path) -> Characteristics:
    return summary(spec, folder, SEEDS)


def summary(spec: Path, folder: Path, seeds: range) -> Characteristics:
    experiment = load_experiment(str(spec))
    return characteristics(experiment, read_runs(over_seeds(experiment, seeds, folder)))


def do_all(variants: list[Variant], out: Path) -> None:
    run_all(variants, out, workers=1, force=False, pages=False, heard=lambda *_: None)


@pytest.mark.parametrize(("text", "seeds"), [("1..4", [1, 2, 3, 4]), ("7", [7]), ("1,2, 5..7", [1, 2, 5, 6, 7])])
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5..1", "try 1..5"),
        ("a..b", "got 'a..b'"),
        ("", "got ''"),
        ("-1", "got '-1'"),
        ("1...3", "got '1...3'"),
        ("1..3,2", "got 2 twice"),
        ("0..100000", "at most 100,000"),
        ("1..50000,60000..120000", "at most 100,000"),
        ("9223372036854775808", "at most 9223372036854775807"),
    ],
)
def test_other_seeds_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(SeedsError, match="--seeds") as problem:
        parse_seeds(text)
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_variant_over_seeds_is_the_run_of_that_seed(spec: Path) -> None:
    [variant] = over_seeds(load_experiment(str(spec)), [9], Path("out"))
    assert variant.experiment.identity() == load_experiment(str(spec), (), 9).identity()
    assert variant.folder == Path("out/seed-9")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seeds", "5..1"], "must rise"),
        (["--seeds", "1..2", "--seed", "3"], "drop one"),
        (["--reports"], "with --seeds"),
    ],
)
def test_wrong_options_end_with_code_2(spec: Path, more: list[str], said: str) -> None:
    done = CliRunner().invoke(command, [str(spec), *more])
    assert done.exit_code == 2
    assert said in done.output


def test_a_folder_of_something_else_is_refused(spec: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = {
        "must hold runs of this experiment, found another in seed-1": [
            "--set",
            "world.users=310",
            "--out",
            str(folder),
        ],
        "found a single run": ["--out", str(folder / "seed-1")],
        "found a file": ["--out", str(tmp_path / "file")],
    }
    for said, options in refused.items():
        done = CliRunner().invoke(command, [str(spec), "--seeds", "1..12", *options])
        assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
        assert said in done.output


def test_every_seed_is_a_run_of_its_own_without_pages(folder: Path) -> None:
    for seed in SEEDS:
        run = folder / f"seed-{seed}"
        assert json.loads((run / "manifest.json").read_text())["seed"] == dict.fromkeys(
            ("world", "luck", "split"), seed
        )
        assert (run / "decision.json").is_file()
        assert not (run / "report.html").exists()
        assert not (run / "report.png").exists()


def test_finished_runs_are_only_read_again(spec: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr(running, "run", never)
    before = (folder / "operating.csv").read_bytes()
    done = CliRunner().invoke(command, [str(spec), "--seeds", "1..12", "--out", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["decisions"]["losers"]["n"] == len(SEEDS)
    assert (folder / "operating.csv").read_bytes() == before


def test_two_processes_killed_in_the_middle_and_continued_leave_the_same_bytes(
    spec: Path, folder: Path, found: Characteristics, tmp_path: Path
) -> None:
    out, seeds = tmp_path / "again", range(1, 5)
    arguments = ["run", str(spec), "--seeds", "1..4", "--out", str(out), "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-c", SEESAW, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})
    until(lambda: any(out.glob("seed-*/manifest.json")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("seed-*/manifest.json")}
    assert 0 < len(finished) < len(seeds)

    def continued() -> bool:  # once its processes have noticed and let go of their folders
        done = CliRunner().invoke(command, [*arguments[1:-1], "1"])
        return done.exit_code == 0

    until(continued)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    write_summary(summary(spec, folder, seeds), tmp_path)
    assert (out / "operating.csv").read_bytes() == (tmp_path / "operating.csv").read_bytes()
    assert (out / "operating.json").read_bytes() == (tmp_path / "operating.json").read_bytes()


def until(happened: object) -> None:
    for _ in range(300):
        if happened():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def test_ctrl_c_says_how_to_continue(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["seesaw", "run", "design.yaml", "--seeds", "1..2", "--force"])
    done = CliRunner().invoke(command, [str(spec), "--seeds", "1..2", "--out", str(tmp_path), "--workers", "1"])
    assert done.exit_code == 130
    assert f"kept in {tmp_path}. To continue: " in done.output
    assert done.output.strip().endswith("run design.yaml --seeds 1..2")


def test_a_failure_that_is_everyones_stops_at_once_and_one_of_its_own_stops_nobody(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def run(_: object, out: Path, **__: object) -> None:
        tried.append(out.name)
        if out.name in ("seed-1", "seed-3"):
            raise FolderError(f"{out}: in the way")

    monkeypatch.setattr(running, "run", run)
    experiment = load_experiment(str(spec))
    with pytest.raises(VariantsError) as problem:
        do_all(over_seeds(experiment, [1, 2], tmp_path), tmp_path)
    assert tried == ["seed-1"]
    with pytest.raises(VariantsError) as problem:
        do_all(over_seeds(experiment, [2, 3, 4], tmp_path), tmp_path)
    assert tried == ["seed-1", "seed-2", "seed-3", "seed-4"]
    assert problem.value.lines == [f"seed 3: {tmp_path / 'seed-3'}: in the way"]


def test_the_twin_raises_false_alarms_only_and_the_loss_is_seen(found: Characteristics) -> None:
    twin, luck = found.of("twin", "ctr"), found.of("luck", "ctr")
    assert found.twins == ("twin",)
    assert twin.true_mean == twin.true_sd == 0
    assert twin.false_positive.n == twin.false_alarm.n == found.families["goal"].false_alarm.n == len(SEEDS)
    assert twin.power.n == luck.false_positive.n == 0
    assert luck.true_mean < -0.2  # random ranking loses clicks
    assert luck.power.n == len(SEEDS)
    assert luck.power.share > 0.5
    assert luck.wrong_sign.happened == 0
    assert found.decisions.verdicts["luck"][DO_NOT_SHIP].share > 0.5
    assert found.decisions.verdicts["luck"][SHIP].happened == 0


def test_counts_are_those_of_the_files(found: Characteristics, folder: Path) -> None:
    held, together = 0, 0
    for seed in SEEDS:
        with (folder / f"seed-{seed}" / "results.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["estimator"] == "cuped"]
        held += next(row["covers"] for row in rows if (row["arm"], row["metric"]) == ("luck", "ctr")) == "True"
        goals = [[float(row[n]) for n in ("sim_low", "true_lift", "sim_high")] for row in rows if row["role"] == "goal"]
        together += all(low <= true <= high for low, true, high in goals)
    assert found.of("luck", "ctr").coverage.happened == held
    assert found.families["goal"].coverage.happened == together
    verdicts = [json.loads((folder / f"seed-{s}" / "decision.json").read_text())["verdict"] for s in SEEDS]
    counts = {verdict: rate.happened for verdict, rate in found.decisions.experiment.items() if rate.happened}
    assert counts == {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}


def test_the_summary_is_told_and_written(found: Characteristics, folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    assert sentence(found) in said
    assert sentence(found).startswith("Over 12 seeds this design covers the truth in ")
    assert "nan" not in said
    assert json.loads((folder / "operating.json").read_text())["sentence"] == sentence(found)
    with (folder / "operating.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.rows)
    assert {row["estimator"] for row in rows} == {"raw", "cuped", "capped"}
    assert "nan" not in (folder / "operating.csv").read_text()


def test_the_page_is_self_contained_and_names_everything(found: Characteristics, folder: Path) -> None:
    page = (folder / "operating.html").read_text()
    for text in ("design covers the truth", "luck", "twin", "seed 12", "Do the intervals hold the truth?"):
        assert text in page
    assert "http://" not in page
    assert "https://" not in page
    assert ">nan" not in page


def test_a_single_run_gets_its_page_from_what_the_sweep_has_done(spec: Path, folder: Path) -> None:
    run = folder / "seed-2"
    before = {path: path.stat().st_mtime_ns for path in run.glob("tasks/*/done.json")}
    done = CliRunner().invoke(command, [str(spec), "--seed", "2", "--out", str(run), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert (run / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in run.glob("tasks/*/done.json")} == before
