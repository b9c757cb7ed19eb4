"""The page of a whole run and of a table of one's own, as a browser shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.report.page import page
from experiments.report.poster import poster
from experiments.report.sorting import SCRIPT, content_hash
from experiments.report.subject import Subject, subject_of
from experiments.results import Results
from tests.experiments.browser import dumped, measured, needs_browser
from tests.experiments.finished import Finished, finished, small

WIDTHS = (1280, 390)
ARMS = (
    "{production: {share: 0.4}, popular: {share: 0.3, policy: popular}, "
    "chance-with-a-rather-long-name: {share: 0.3, policy: random}}"
)
SECTIONS = (
    "Arm by arm",
    "What moved",
    "What it costs",
    "Who leads",
    "At what price does which arm win?",
    "All goals together",
    "Guardrails",
    "Night by night",
    "Is it the same for everybody?",
    "Exchange rates",
    "Every metric",
    "Can this run be trusted?",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    text = small(
        arms=ARMS,
        world="users: 2500, markets: 1",
        days=5,
        warm=3,
        metrics="{goals: [gmv_per_user, ctr], guardrails: {visits_per_user: -5%}}",
        more="truth: {users: 0.2, front: 5}\nanalysis: {looks: [2]}",
    )
    return finished(
        text.replace("goals: [stay_per_user, ctr]", "goals: [gmv_per_user, ctr]"), tmp_path_factory.mktemp("p") / "run"
    )


@pytest.fixture(scope="module")
def html(run: Finished) -> str:
    return page(subject_of(run.spec, run.results), run.results, {"name": "small"})


@pytest.fixture(scope="module")
def own(run: Finished) -> tuple[Subject, Results]:
    """The same numbers as of a table of one's own: nothing beside them is known."""
    nan = float("nan")
    blind = replace(
        run.results,
        rows=tuple(replace(row, true_lift=nan, true_lift_se=nan) for row in run.results.rows if row.role != "hidden"),
        truth=(),
        front=(),
        scorecard=None,
        looks=(),
        satisfaction_correlation={},
        segments=tuple(replace(row, true_lift=nan) for row in run.results.segments),
        daily=tuple(replace(row, true_lift=nan) for row in run.results.daily),
    )
    return Subject(name="shop", arms=subject_of(run.spec, run.results).arms, alpha=0.05), blind


def headings(text: str) -> list[str]:
    return [re.sub("<[^>]+>", "", found) for found in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]


def test_the_page_answers_in_the_order_of_the_questions(html: str) -> None:
    found = headings(html)
    assert [name for name in found if name in SECTIONS] == list(SECTIONS)


def test_every_interval_and_p_value_says_what_it_is(html: str) -> None:
    for said in (
        "fieller 95% per test",
        "at once (max-T)",
        "step-down max-T over",
        "Benjamini-Hochberg over",
        "repeated interval",
        "Fieller set",
        "Ellipses hold both lifts of an arm with 95 %",
    ):
        assert said in html, said


def test_nothing_on_the_page_is_nan(html: str, own: tuple[Subject, Results]) -> None:
    for text in (html, page(*own, {})):
        visible = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"\bnan\b|\binf\b", re.sub(r'="[^"]*"', "", visible))


def test_without_a_truth_the_page_says_nothing_of_it(own: tuple[Subject, Results], tmp_path: Path) -> None:
    text = page(*own, {"name": "shop"})
    visible = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    for word in ("truth", "in truth", "simulat", "warm-up"):
        assert word not in visible.lower(), word
    assert "Night by night" in visible
    poster(*own, tmp_path / "poster.png")
    assert (tmp_path / "poster.png").stat().st_size > 20_000


def test_the_only_script_is_allowed_by_its_hash(html: str) -> None:
    assert f"script-src '{content_hash(SCRIPT)}'" in html
    assert html.count("<script>") == 1
    assert f"<script>{SCRIPT}</script>" in html


def test_the_same_run_gives_the_same_page(run: Finished, html: str) -> None:
    assert page(subject_of(run.spec, run.results), run.results, {"name": "small"}) == html


@pytest.fixture(scope="module")
def screens(html: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    needs_browser()
    return measured(html, WIDTHS, tmp_path_factory.mktemp("screens"))


@pytest.mark.parametrize("width", WIDTHS)
def test_on_a_screen_nothing_is_cut_and_no_text_lies_on_another(screens: dict[int, dict[str, Any]], width: int) -> None:
    found = screens[width]
    assert found["needed"] <= width
    assert [found[fault] for fault in ("overlaps", "outside", "cut", "errors")] == [[], [], [], []]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_text_stands_out_from_what_is_behind_it(screens: dict[int, dict[str, Any]], width: int) -> None:
    assert screens[width]["pale"] == []


def test_every_table_is_sorted_within_its_groups_and_a_third_click_restores_it(
    screens: dict[int, dict[str, Any]],
) -> None:
    tables = screens[1280]["orders"]
    assert len(tables) > 8
    for before, down, up, after in tables:
        assert [state["said"] for state in (before, down, up, after)] == [None, "descending", "ascending", None]
        assert after["rows"] == before["rows"]
        for first, falling, rising in zip(before["rows"], down["rows"], up["rows"], strict=True):
            assert sorted(first) == sorted(falling) == sorted(rising)
            assert [at for at, row in enumerate(falling) if row == "group"] == [
                at for at, row in enumerate(first) if row == "group"
            ]
            numbers = [number(row) for row in falling if row != "group"]
            known = [value for value in numbers if value is not None]
            assert numbers[: len(known)] == sorted(known, reverse=True)
            assert [v for v in (number(row) for row in rising if row != "group") if v is not None] == sorted(known)


def number(text: str) -> float | None:
    """What a cell begins with, as a reader takes it."""
    found = re.match(r"[-+]?[\d.]+(e[-+]?\d+)?", text.strip().replace("\u2212", "-").replace(",", ""))
    return float(found[0]) if found else None


def test_the_browser_sees_every_fault_that_it_looks_for(tmp_path: Path) -> None:
    """The measurement itself: two texts in one place, one beyond the edge, a body too wide, grey on white, a table
    that does not sort."""
    needs_browser()
    texts = '<text x="5" y="20">one</text><text x="5" y="21">two</text><text x="2000" y="20">far</text>'
    heads, rows = "<th>name</th><th class='num'>n</th>", "<tr><td>a</td><td data-sort='{}'>1</td></tr>"
    table = f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{rows.format(2)}{rows.format(10)}</tbody>'
    svg = f'<figure><svg aria-label="test" width="3000" height="40">{texts}</svg></figure>'
    pale = '<p style="color:#999">pale</p><p style="color:#000;background:#333">dark</p>'
    clipped = '<p style="width:20px;overflow:hidden;white-space:nowrap">a long line</p>'
    body = f"{svg}{table}</table>{pale}{clipped}<script>{SCRIPT}</script>"
    found = measured(f"<!DOCTYPE html><body>{body}</body>", [390], tmp_path)[390]
    assert found["overlaps"] == ["test: one / two"]
    assert found["outside"] == ["far"]
    assert "P: a long line" in found["cut"]
    assert [text.split(": ")[1] for text in found["pale"]] == ["pale", "dark"]
    assert found["needed"] > 390
    assert [state["rows"] for state in found["orders"][0]] == [
        [["2", "10"]],
        [["10", "2"]],
        [["2", "10"]],
        [["2", "10"]],
    ]


def test_the_browser_has_nothing_to_complain_of(html: str, tmp_path: Path) -> None:
    """With its own content-security policy: the script runs, and the console stays empty."""
    needs_browser()
    (tmp_path / "report.html").write_text(html)
    dom, console = dumped(tmp_path / "report.html", tmp_path / "profile")
    assert '<button type="button">' in dom
    assert console == ""
