"""`seesaw compare`: the maths on runs made by hand, and the command on real ones."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP
from experiments.cli import main
from experiments.commands.compare import name_of
from experiments.compare.comparison import ALL, Comparison, compare
from experiments.compare.folders import ComparedArm, ComparedRun, RunsError, expanded, read_run, read_runs
from experiments.compare.names import differences, policy_labels, world_labels
from experiments.compare.summary import Trial, agreement, dominances, mean_ranks, ranks, spread, true_verdict
from experiments.report.compare import headline, page
from experiments.run import run
from tests.experiments.finished import small
from tests.experiments.specs import experiment

NAN = math.nan
TODAY = {"policy": {"type": "production"}, "explore": {"temperature": 0}}
LOWER = frozenset({"hate"})


def serving(kind: str, **keys: Any) -> dict[str, Any]:
    return {"policy": {"type": kind, **keys}, "explore": {"temperature": 0}}


def an_arm(name: str, ctr: float, gmv: float, serves: Mapping[str, Any] | None = None, **more: Any) -> ComparedArm:
    lift = {"ctr": ctr, "gmv": gmv, "hate": ctr}
    given = {"verdict": EXTEND, "reached": NAN} | more
    return ComparedArm(name, serves or serving(name), lift, dict.fromkeys(lift, 0.001), **given)


def a_run(
    folder: str,
    *arms: ComparedArm,
    seed: int = 1,
    users: int = 100,
    days: int = 3,
    control: Mapping[str, Any] = TODAY,
    goals: tuple[str, ...] = ("ctr", "gmv"),
    scenario: str = "shop",
) -> ComparedRun:
    spec = {
        "name": "by-hand",
        "seed": {"world": seed, "luck": seed, "split": seed},
        "world": {"scenario": {"name": scenario, "targets": {"a": seed}}, "users": users, "tick_minutes": seed},
        "warmup": {"days": 2},
        "experiment": {
            "days": days,
            "control": "today",
            "arms": {"today": dict(control), **{arm.name: dict(arm.serves) for arm in arms}},
        },
        "truth": {"users": 0.2},
        "faults": {},
        "metrics": {"goals": list(goals), "guardrails": {"hate": 0.05}},
    }
    return ComparedRun(folder, folder, spec, arms, LOWER)


def only(*runs: ComparedRun) -> Comparison:
    (comparison,) = compare(runs).comparisons
    return comparison


def test_spread_is_that_of_a_sample_with_a_t_interval() -> None:
    """By hand: 1, 2, 3, 6 have mean 3, squares about it of 4 + 1 + 0 + 9 = 14, and t(3) is 3.18245 at 97.5 %."""
    found = spread([1, 2, NAN, 3, 6])
    sd, se = math.sqrt(14 / 3), math.sqrt(14 / 3) / 2
    assert (found.n, found.mean) == (4, 3)
    assert found.sd == pytest.approx(sd, rel=1e-12)
    assert found.se == pytest.approx(se, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((3 - 3.182446305 * se, 3 + 3.182446305 * se), rel=1e-9)


def test_of_one_run_there_is_a_mean_and_no_spread_and_of_none_nothing() -> None:
    one, none = spread([0.5]), spread([NAN])
    assert (one.n, one.mean) == (1, 0.5)
    assert all(map(math.isnan, (one.sd, one.se, one.low, one.high, none.mean, none.low)))


def test_ranks_share_places_turn_round_where_lower_is_better_and_leave_out_what_is_unknown() -> None:
    lifts = {"a": 0.1, "b": 0.3, "c": 0.1, "d": NAN, "e": -0.2}
    assert ranks(lifts) == {"b": 1, "a": 2, "c": 2, "e": 4}
    assert ranks(lifts, lower=True) == {"e": 1, "a": 2, "c": 2, "b": 4}
    assert mean_ranks([{"a": 1, "b": 2}, {"a": 1, "b": 0}, {"a": 5}]) == {"a": pytest.approx(4 / 3), "b": 1.5}


def test_dominance_is_counted_in_the_runs_that_have_both_and_judged_in_their_mean() -> None:
    goals = ("x", "y")
    by_run = [
        (goals, {"a": {"x": 2, "y": 2}, "b": {"x": 1, "y": 1}, "c": {"x": 3, "y": 0}}),
        (goals, {"a": {"x": 2, "y": 2}, "b": {"x": 3, "y": 1}, "c": {"x": 4, "y": 3}}),
        (goals, {"a": {"x": 5, "y": 5}, "b": {"x": 3, "y": 1}}),
    ]
    found = {(d.better, d.worse): (d.runs, d.wins, d.in_mean) for d in dominances(by_run)}
    assert found == {
        ("a", "b"): (3, 2, True),
        ("c", "b"): (2, 1, True),  # in the mean 3.5 and 1.5 over 2 and 1
        ("c", "a"): (2, 1, False),  # 3.5 and 1.5 beside 2 and 2
    }
    assert next(iter(dominances(by_run))).better == "a"  # the surest first


def test_runs_with_different_goals_are_judged_each_by_its_own_and_together_by_the_common() -> None:
    by_run = [
        (("x", "y"), {"a": {"x": 1.0, "y": 0.0}, "b": {"x": 0.0, "y": 1.0}}),
        (("x",), {"a": {"x": 1.0, "y": 0.0}, "b": {"x": 0.0, "y": 1.0}}),
    ]
    (found,) = dominances(by_run)
    assert (found.better, found.wins, found.runs, found.in_mean) == ("a", 1, 2, True)


@pytest.mark.parametrize(
    ("ctr", "gmv", "hate", "verdict"),
    [
        (0.1, 0.0, 0.0, SHIP),
        (0.1, -0.0019, 0.0, SHIP),  # within two standard errors of the truth
        (0.1, -0.0021, 0.0, DO_NOT_SHIP),
        (0.1, 0.1, 0.06, DO_NOT_SHIP),  # beyond the margin
        (0.1, 0.1, 0.05, SHIP),
        (0.0, 0.001, 0.0, EXTEND),
        (0.1, NAN, 0.0, SHIP),
        (0.1, 0.0, NAN, EXTEND),  # a margin that cannot be told is neither kept nor broken
    ],
)
def test_the_true_verdict_is_that_of_the_rule_with_known_lifts(
    ctr: float, gmv: float, hate: float, verdict: str
) -> None:
    lift = {"ctr": ctr, "gmv": gmv, "hate": hate}
    assert true_verdict(lift, dict.fromkeys(lift, 0.001), ("ctr", "gmv"), {"hate": 0.05}) == verdict


def test_tests_are_right_wrong_or_undecided() -> None:
    def trial(verdict: str, true: str) -> Trial:
        return Trial("r", "p", "w", {}, {}, verdict, true, NAN)

    pairs = [(SHIP, SHIP), (SHIP, EXTEND), (DO_NOT_SHIP, SHIP), (EXTEND, SHIP), (EXTEND, EXTEND), (SHIP, SHIP)]
    found = agreement("p", [trial(*pair) for pair in pairs])
    assert (found.runs, found.agreed, found.erred, found.undecided) == (6, 2, 2, 2)


def test_policies_are_told_apart_by_their_specs_and_not_by_their_names() -> None:
    runs = [
        a_run("r1", an_arm("bold", 0, 0, serving("x", k=1)), an_arm("shy", 0, 0)),
        a_run("r2", an_arm("bold", 0, 0, serving("x", k=2)), an_arm("timid", 0, 0, serving("shy")), seed=2),
    ]
    labels, notes = policy_labels(runs)
    assert labels == {(0, "bold"): "bold #1", (0, "shy"): "shy", (1, "bold"): "bold #2", (1, "timid"): "shy"}
    assert notes == [
        "bold names 2 different policies, kept apart: bold #1 (k 1) in r1; bold #2 (k 2) in r2",
        "shy is one policy under 2 names: shy, timid",
    ]


def test_a_challenger_that_serves_as_the_control_or_as_another_goes_by_its_own_name() -> None:
    found = only(a_run("r1", an_arm("aa", 0, 0, TODAY), an_arm("b", 0, 0), an_arm("b2", 0, 0, serving("b"))))
    assert found.policies == ("today", "aa", "b", "b2")


def test_worlds_are_called_by_what_differs_and_neither_ticks_nor_targets_do() -> None:
    arm = an_arm("bold", 0, 0)
    runs = [a_run("r1", arm), a_run("r2", arm, seed=9), a_run("r3", arm, users=50), a_run("r4", arm, scenario="feed")]
    assert world_labels(runs) == ["shop (users 100)", "shop (users 100)", "shop (users 50)", "feed"]
    assert differences([{"a": {"b": 1}, "c": 1}, {"a": {"b": 2}, "c": 1}, {"c": 1}]) == ["b 1", "b 2", "as it is"]


def test_seeds_are_pooled_within_and_over_worlds() -> None:
    found = only(
        a_run("r1", an_arm("bold", 0.1, 0.2), seed=1),
        a_run("r2", an_arm("bold", 0.3, -0.2), seed=2),
        a_run("r3", an_arm("bold", -0.1, 0.3), an_arm("shy", 0.0, 0.1), users=50),
    )
    whole, one, shy = (
        found.standing(*which) for which in (("bold", "ctr"), ("bold", "ctr", "shop (users 100)"), ("shy", "ctr"))
    )
    assert whole and one and shy  # noqa: PT018
    assert (whole.spread.n, whole.spread.mean) == (3, pytest.approx(0.1))
    assert (one.spread.n, one.spread.mean, one.spread.sd) == (2, pytest.approx(0.2), pytest.approx(math.sqrt(0.02)))
    assert (whole.rank, shy.rank) == (1, None)  # shy lived through one world of two, whose lifts are no match
    assert whole.mean_rank == pytest.approx((1 + 1 + 3) / 3)  # in the last run the control and shy tie before it
    assert found.standing("shy", "ctr", "shop (users 100)") is None
    hate = found.standing("bold", "hate")
    assert hate is not None
    assert (hate.role, hate.rank) == ("guardrail", 2)  # better when lower
    assert [(w.world, w.goal, w.policy, w.wins, w.runs) for w in found.winners] == [
        ("shop (users 100)", "ctr", "bold", 2, 2),
        ("shop (users 50)", "ctr", "today", 1, 1),
        ("shop (users 100)", "gmv", "today", 1, 2),
        ("shop (users 50)", "gmv", "bold", 1, 1),
    ]


def test_different_controls_are_never_pooled() -> None:
    other = serving("popular")
    found = compare([a_run("r1", an_arm("bold", 0.1, 0.1)), a_run("r2", an_arm("bold", 0.5, 0.5), control=other)])
    assert [comparison.standing("bold", "ctr").spread.n for comparison in found.comparisons] == [1, 1]  # type: ignore[union-attr]
    assert found.notes[0] == (
        "controls differ, and lifts over different controls are not pooled, but compared within each: "
        "today in r1; today in r2"
    )


def test_the_same_truth_counts_once_and_the_same_run_is_left_out() -> None:
    first = a_run("r1", an_arm("bold", 0.1, 0.1, verdict=SHIP))
    again = a_run("r2", an_arm("bold", 0.1, 0.1, verdict=DO_NOT_SHIP), an_arm("shy", 0.2, 0.2))
    found = compare([first, again, replace(first, folder="r3")])
    (comparison,) = found.comparisons
    bold = comparison.standing("bold", "ctr")
    assert bold is not None
    assert bold.spread.n == 1
    assert bold.mean_rank == 2  # shy of the other run lived in the same world with the same luck
    assert comparison.agreements[0].runs == 2  # two tests all the same
    assert found.notes == (
        "r3 is the same run as r1, and is left out",
        "r2 has bold in common with another run of the same people with the same luck: their lifts are counted once",
        "r1, r2 have the same people with the same luck: their policies are ranked as of one run",
    )


def test_what_else_differs_is_told() -> None:
    arm = an_arm("bold", 0.1, 0.1)
    runs = [a_run("r1", arm), a_run("r2", arm, days=5, seed=2), a_run("r3", arm, goals=("gmv",), seed=4)]
    assert compare(runs).notes == (
        "the runs differ in more than worlds and seeds, so their lifts are not of one thing: "
        "days 3 in r1, r3; days 5 in r2",
        "the runs have different goals; those of all runs: gmv",
    )


def test_the_same_people_for_longer_are_no_second_sample() -> None:
    """Two runs that differed in truth.users alone once counted as two, and their spread as that of seeds."""
    found = only(a_run("r1", an_arm("bold", 0.1, 0.1)), a_run("r2", an_arm("bold", 0.11, 0.1), days=5))
    bold = found.standing("bold", "ctr")
    assert bold is not None
    assert (bold.spread.n, bold.spread.mean) == (1, 0.1)
    assert [(w.policy, w.wins, w.runs) for w in found.winners] == [("bold", 1, 1), ("bold", 1, 1)]
    assert [(d.better, d.wins, d.runs) for d in found.dominances] == [("bold", 1, 1)]


def test_another_split_of_the_same_people_is_no_second_sample() -> None:
    """The split says who lives in the truth; log and fits are the same, so that the seeds' spread is not in it."""
    first, again = (a_run(folder, an_arm("bold", lift, 0.1)) for folder, lift in (("r1", 0.1), ("r2", 0.11)))
    again = replace(again, spec={**again.spec, "seed": {**again.spec["seed"], "split": 9}})
    bold = only(first, again).standing("bold", "ctr")
    assert bold is not None
    assert (bold.spread.n, bold.spread.mean) == (1, 0.1)


def test_seeds_that_worlds_have_in_common_are_told() -> None:
    arm, said = an_arm("bold", 0.1, 0.1), "runs in different worlds have seeds in common"
    runs = [a_run("r1", arm), a_run("r2", arm, users=50)]
    assert any(note.startswith(said) for note in compare(runs).notes)
    assert not compare([runs[0], a_run("r2", arm, users=50, seed=2)]).notes


def test_the_page_holds_every_policy_world_and_note_and_escapes_what_it_is_given() -> None:
    hostile = "<script>alert(1)</script>"
    runs = [
        a_run("r1", an_arm("bold", 0.1, 0.2), an_arm(hostile, -0.1, 0.3)),
        a_run("r2", an_arm("bold", 0.2, 0.1, reached=0.4), users=50, control=TODAY),
        a_run("r3", an_arm("bold", NAN, 0.1), control=serving("popular"), goals=("gmv",)),
    ]
    compared = compare(runs)
    html = page(compared)
    assert html == page(compare(runs))
    assert hostile not in html
    assert "&lt;script&gt;" in html
    assert "https://" not in html.replace("https://www.w3.org", "")
    for text in ("shop (users 50)", "controls differ", "40 %", "<!DOCTYPE html>", "Over today"):
        assert text in html
    assert headline(compared).startswith("bold has the most ctr over 2 runs in 2 worlds: in truth +15.0 % over today")


ARMS = "{production: {share: 0.4}, luck: {share: 0.3, policy: random}, popular: {share: 0.3, policy: popular}}"


def folder_of(out: Path, seed: int, more: str = "") -> Path:
    text = small(
        arms=ARMS,
        seed=seed,
        world="users: 300, markets: 1",
        scenario="like: ecommerce, catalogue: {items: 120}, browse: {candidates: 50, pages: 2}",
        metrics="{goals: [ctr, gmv_per_user], guardrails: {visits_per_user: -5%}}",
        more=f"truth: {{users: 0.5{more}}}",
    )
    run(experiment(text), out, workers=1, force=False, listen=lambda event: None, announce=lambda stage: None)
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, one with a true front."""
    there = tmp_path_factory.mktemp("runs")
    folder_of(there / "small-1", 1, ", front: 3, front_users: 0.5")
    folder_of(there / "small-2", 2)
    return there


def test_a_runs_files_say_what_its_results_said(runs: Path) -> None:
    found = read_run(runs / "small-1")
    table = pd.read_csv(runs / "small-1" / "truth.csv").set_index(["arm", "metric"])
    for arm in found.arms:
        for metric, lift in arm.lift.items():
            assert lift == pytest.approx(table.expected_lift[arm.name, metric], rel=1e-15, nan_ok=True)
    assert found.lower_is_better == {"return_rate"}
    assert all(math.isfinite(arm.reached) for arm in found.arms)
    assert all(math.isnan(arm.reached) for arm in read_run(runs / "small-2").arms)
    assert found.control_serves["policy"] == {"type": "production"}


def test_the_command_writes_page_figure_and_tables_and_says_who_leads(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["compare", str(runs / "small-*")])
    printed = capsys.readouterr().out
    assert "2 runs in 1 world: mean true lift over production" in printed
    there = tmp_path / "comparisons" / "small"
    assert sorted(path.name for path in there.iterdir()) == [
        "compare-runs.csv", "compare.csv", "compare.html", "compare.png",
    ]  # fmt: skip
    table, trials = pd.read_csv(there / "compare.csv"), pd.read_csv(there / "compare-runs.csv")
    luck = table[(table.policy == "luck") & (table.metric == "ctr") & (table.world == ALL)].iloc[0]
    lifts = trials[(trials.policy == "luck") & (trials.metric == "ctr")].true_lift
    assert (luck.n, luck["mean"]) == (2, pytest.approx(lifts.mean()))
    assert luck.sd == pytest.approx(lifts.std())
    before = (there / "compare.html").read_bytes()
    main(["compare", str(runs / "small-1"), str(runs / "small-2"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert {row["policy"] for row in told["comparisons"][0]["standings"]} == {"production", "luck", "popular"}
    assert (there / "compare.html").read_bytes() == before


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


def test_every_folder_that_is_no_finished_run_is_a_line(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("unfinished", "torn", "garbled", "lacking"):
        shutil.copytree(runs / "small-2", name, ignore=shutil.ignore_patterns("tasks", "log", "hidden"))
    Path("unfinished/manifest.json").unlink()
    Path("torn/decision.json").write_text('{"verdict": ')
    Path("garbled/experiment.yaml").write_text("name: [\n")
    Path("lacking/truth.csv").write_text("arm,metric,expected_lift,expected_lift_se\nluck,ctr,0.1,0.01\n")
    Path("empty").mkdir()
    Path("file").write_text("")
    names = ["unfinished", "torn", "garbled", "lacking", "empty", "file", "nowhere", str(runs / "small-1")]
    lines = refused(capsys, *names)
    assert len(lines) == 7
    for line, (start, said) in zip(
        lines,
        [
            ("unfinished: ", "must be a finished run, found no manifest.json; run it again to finish it"),
            ("torn: ", "must hold the files of a run, found them broken (Expecting value"),
            ("garbled/experiment.yaml:", "must be YAML"),
            ("lacking: ", "found them broken (no 'popular')"),
            ("empty: ", "must be the folder of a run, found no experiment.yaml, truth.csv, decision.json"),
            ("file: ", "must be the folder of a finished run, found a file"),
            ("nowhere: ", "must be the folder of a finished run, found nothing"),
        ],
        strict=True,
    ):
        assert line.startswith(start)
        assert said in line
    assert not Path("comparisons").exists()
    (line,) = refused(capsys, "no-such-*")
    assert line.startswith("no-such-*: must match run folders, found none")
    (line,) = refused(capsys, str(runs / "small-1"), "--out", "file")
    assert line.startswith("file: must be a folder that can be written")


def test_a_pattern_and_a_path_that_name_one_folder_name_it_once(runs: Path) -> None:
    names = [path.name for path in expanded([str(runs / "small-2"), str(runs / "small-*")])]
    assert names == ["small-2", "small-1"]
    assert len(read_runs(expanded([str(runs / "small-*")]))) == 2
    with pytest.raises(RunsError):
        expanded([str(runs / "large-*")])


def test_a_folder_is_called_by_the_runs_in_it() -> None:
    assert name_of(["b", "a", "b"]) == "a+b"
    assert name_of(["same", "same"]) == "same"
    assert len(name_of([f"experiment-{n}" for n in range(20)])) == 64
