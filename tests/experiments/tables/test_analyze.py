"""`seesaw analyze` as a user meets it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from tests.experiments.tables.shop import shop, written
from tests.experiments.tables.test_summary import long, wide

PAGE = (Path(__file__).parent.parent.parent.parent / "docs" / "analyze.md").read_text(encoding="utf-8")
QUESTION = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)[0]
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
ASK = "shop.csv --unit user_id --arm arm --control A --metric ctr=clicks/impressions --metric gmv=value --goal gmv"
FILES = ["cov.npz", "decision.json", "question.yaml", "report.html", "report.png", "results.csv"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tables that the page is about, as the place where commands are called."""
    monkeypatch.chdir(tmp_path)
    users = shop().assign(visits=lambda t: 1 + t["impressions"] // 5)
    written(users, tmp_path)
    written(users.loc[users.index.repeat(2)], tmp_path, "events.parquet")
    written(wide(users), tmp_path, "wide.csv")
    written(long(users), tmp_path, "long.csv")
    (tmp_path / "question.yaml").write_text(QUESTION)
    return tmp_path


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without page and poster, which take seconds."""
    monkeypatch.setattr("experiments.report.page.page", lambda *_: "")
    monkeypatch.setattr("experiments.report.poster.poster", lambda subject, results, path: path.write_bytes(b""))


def seesaw(line: str) -> int:
    """Exit code of a command."""
    try:
        main(shlex.split(line.replace("\\\n", " "))[1:])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on standard error of a command that must end with 2."""
    capsys.readouterr()
    assert seesaw(f"seesaw analyze {line}") == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


def test_the_whole_way_from_a_table_to_files_and_a_decision(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--goal ctr --pre gmv=value_before --planned A=0.5,B=0.5 --segment country --winsor gmv=0.99 --day date"
    assert seesaw(f"seesaw analyze {ASK} {options} --out mine") == 0
    told = capsys.readouterr().out
    assert "1,200 rows read, 1,200 used" in told
    assert "SHIP B" in told
    assert "mine/report.html" in told
    assert not re.search(r"\bnan\b", told, re.IGNORECASE)
    out = here / "mine"
    assert [name for name in [*FILES, "segments.csv"] if not (out / name).is_file()] == []
    html = (out / "report.html").read_text()
    assert "SHIP" in html
    assert not re.search(r">\s*nan\b", html, re.IGNORECASE)
    rows = pd.read_csv(out / "results.csv")
    assert set(rows["estimator"]) == {"raw", "cuped", "capped"}
    with np.load(out / "cov.npz") as saved:
        at = saved["metrics"].tolist().index("gmv")
        mine = rows[(rows["metric"] == "gmv") & (rows["estimator"] == "cuped")].iloc[0]
        assert np.sqrt(saved["covariance"][at, at]) == pytest.approx(mine["se"], rel=1e-9)
    assert json.loads((out / "decision.json").read_text())["arm"] == "B"


def test_a_hopeless_table_has_a_page_without_a_verdict_or_a_number_that_is_none(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(shop(40).assign(value=0), here, "hopeless.csv")
    assert seesaw(f"seesaw analyze {ASK.replace('shop', 'hopeless')} --segment country --out none") == 0
    told = capsys.readouterr().out
    assert "can't tell" in told
    html = (here / "none" / "report.html").read_text()
    assert "too few users to compare" in html
    for text in (told, html):
        assert not re.search(r"(?<![\w-])nan(?![\w-])", text, re.IGNORECASE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_runs(here: Path, unpainted: None, line: str) -> None:
    assert seesaw(line) == 0


def test_every_option_is_on_the_page() -> None:
    from experiments.commands.analyze import command

    options = [option.opts[0] for option in command.params if option.opts[0].startswith("--")]
    assert len(options) > 15
    assert [name for name in options if f"`{name}" not in PAGE and f" {name}" not in PAGE] == []


def test_the_question_that_is_left_asks_the_same_again(here: Path, unpainted: None) -> None:
    assert seesaw(f"seesaw analyze {ASK} --planned 'A=50%,B=0.5' --guardrail ctr=-1% --out one") == 0
    assert seesaw("seesaw analyze one/question.yaml --out two") == 0
    for name in ("results.csv", "decision.json", "question.yaml"):
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes()


def test_json_has_rows_read_and_no_number_that_json_lacks(
    here: Path, unpainted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    written(shop().assign(value=0), here)
    capsys.readouterr()
    assert seesaw(f"seesaw analyze {ASK} --json") == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["folder"] == "analyses/shop"
    assert told["notes"][0] == "1,200 rows read, 1,200 used"
    assert told["decision"]["arm"] is None


def test_the_same_question_may_be_asked_again_and_another_needs_force(
    here: Path, unpainted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seesaw(f"seesaw analyze {ASK}") == 0
    before = (here / "analyses/shop/results.csv").read_bytes()
    written(shop(lift=0.5), here)
    lines = refused(f"{ASK} --alpha 0.1", capsys)
    assert len(lines) == 1
    assert "--force" in lines[0]
    assert (here / "analyses/shop/results.csv").read_bytes() == before
    assert seesaw(f"seesaw analyze {ASK}") == 0  # the table has grown
    assert (here / "analyses/shop/results.csv").read_bytes() != before
    assert seesaw(f"seesaw analyze {ASK} --alpha 0.1 --force") == 0


def test_a_folder_with_other_files_is_left_alone(
    here: Path, unpainted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "results.csv").write_text("precious")
    for force in ("", " --force"):
        lines = refused(f"{ASK} --out mine{force}", capsys)
        assert len(lines) == 1
        assert "found other files" in lines[0]
    assert [path.name for path in (here / "mine").iterdir()] == ["results.csv"]
    assert (here / "mine" / "results.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("none.csv --arm arm --control A --metric gmv=value", ["none.csv: must exist, found nothing"]),
        ("none.yaml", ["none.yaml: must exist, found nothing"]),
        ("shop.csv", ["--arm must be given", "--control must be given", "--metric must be given"]),
        (f"{ASK} --winsor gmv=2 --alpha x", ["--alpha x alpha", "--winsor gmv=2 winsor.gmv: must be < 1"]),
        (f"{ASK} --goal gmw", ["--goal gmv --goal gmw goals: must name a metric, got 'gmw'; did you mean 'gmv'?"]),
        (f"{ASK} --segment land", ["--segment land segments: must be a column of the table, got 'land'"]),
        (f"{ASK} --guardrail ctr=low", ["--guardrail ctr=low guardrails.ctr: must be a number, got 'low'"]),
        (f"{ASK} --alpha x", ["--alpha x alpha: must be a number, got 'x'"]),
        (f"{ASK} --control B", ["--control B: must be given once"]),
        (f"{ASK} --metric gmv=clicks", ["--metric gmv=clicks: must be given once"]),
        (f"{ASK} --metric =clicks", ["must be letters, digits"]),
        (f"{ASK} --planned A,B", ["planned"]),
        (f'{ASK} --metric \'x=__import__("os").mkdir("pwned")\'', ["must be a column of the table"]),
        (ASK.replace("--control A", "--control a"), ["must be an arm of the table, got 'a'; did you mean 'A'?"]),
        (f"{ASK} --summary", ["--unit user_id unit: must not be given with a summary"]),
        (ASK.replace("shop.csv", "."), ["found a folder"]),
    ],
)
def test_wrong_input_ends_with_2_a_line_for_each_problem_and_nothing_written(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, messages: list[str]
) -> None:
    there = sorted(path.name for path in here.iterdir())
    lines = refused(line, capsys)
    assert len(lines) == len(messages), lines
    for found, message in zip(lines, messages, strict=True):
        assert message in found
    assert sorted(path.name for path in here.iterdir()) == there
