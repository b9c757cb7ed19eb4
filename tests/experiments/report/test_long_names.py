"""A page with everything on it, and names that are too long, on two screens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.report.page import page
from experiments.report.subject import subject_of
from experiments.spec import load_experiment
from tests.experiments.browser import measured, needs_browser
from tests.experiments.report.given import joint_results
from tests.experiments.test_report import MANIFEST

ARMS = ("fusion-of-everything-and-its-successor.v2_rather_long_indeed", "esmm", "lambdamart", "weighted", "a&b")


@pytest.fixture(scope="module")
def html() -> str:
    results = joint_results(ARMS)
    results = replace(results, goals=results.goals, notes=("unbroken" * 40,))
    return page(subject_of(load_experiment("ecommerce"), results), results, MANIFEST)


def test_wide_tables_scroll_within_themselves_and_the_document_never_does(html: str, tmp_path: Path) -> None:
    needs_browser()
    for width, found in measured(html, (1280, 390), tmp_path).items():
        assert found["needed"] <= width
        assert [found[fault] for fault in ("overlaps", "outside", "cut", "pale", "errors")] == [[], [], [], [], []]


def test_every_part_of_the_joint_analysis_is_there(html: str) -> None:
    for said in (
        "measured highest on gmv_per_user. <strong>Expected on repetition:</strong>",
        "after correction for having been chosen among 5 arms",
        "95 %, for all 4 at once (max-T)",
        "Chance to be best",
        "At what price does which arm win?",
        "Exchange rates",
        "Night by night",
        "Is it the same for everybody?",
        "4 more, as planned",
        "± 3.1 %",
        "4.5 %",
        "step-down max-T over 4 lifts",
        "which explores and decides nothing",
        "bias +0.8, held",
    ):
        assert said in html, said


def test_a_lone_goal_has_no_prices_and_no_chances() -> None:
    results = replace(joint_results(("esmm",)), goals=("ctr",), tradeoff=None, selected=None)
    text = page(subject_of(load_experiment("ecommerce"), results), results, MANIFEST)
    assert "What it costs" in text
    for gone in ("At what price", "All goals together", "Exchange rates", "Chance to be best", "on repetition"):
        assert gone not in text
