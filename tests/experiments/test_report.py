"""The report: what it says, what it never says, and that it fits a screen."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP, ArmVerdict, Decision, Guardrail
from experiments.report.figures import limits, tradeoff_pair
from experiments.report.format import CANT_TELL, apart, cell, p_value, percent, shorten, typeset
from experiments.report.page import page
from experiments.report.poster import poster
from experiments.results import Results, Row, TrueRow
from experiments.spec import Experiment, load_experiment

NAN, INF = math.nan, math.inf
HOSTILE = "<script>alert('$x^2$')</script>"
ROLES = {"gmv_per_user": "goal", "ctr": "goal", "visits_per_user": "guardrail", "satisfaction": "hidden"}
LIFTS = {"fusion": 0.057, "esmm": -0.031}
MANIFEST = {
    "name": "ecommerce",
    "identity": "0123456789abcdef" * 4,
    "seed": {"world": 1, "luck": 2, "split": 3},
    "source_hash": "fedcba9876543210" * 4,
    "versions": {"python": "3.11", "seesaw": "0.1.0"},
    "log_checksums": {"arms, market 0": "c0ffee" * 10},
    "impressions": 1_234_567,
    "impressions_per_cpu_second": 98_765,
    "cpu_seconds_by_stage": {"warm-up": 1.31, "fit": 9.93},
    "fits": {"esmm f8cb240e": {"cpu_seconds": 1.27, "rows": 99_980}},
    "wall_seconds": 9.0,
    "workers": 2,
}
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


def a_row(arm: str, metric: str, estimator: str = "cuped") -> Row:
    lift = LIFTS.get(arm, 0.02)
    low, high, truth = lift - 0.019, lift + 0.019, lift - 0.008
    kind = "fieller 95% per test"
    return Row(
        arm, metric, ROLES[metric], estimator, 2.5, 2.6, lift, 0.01, low, high, kind, 0.01, 0.02, truth, 0.001, 900
    )


def unbounded(row: Row) -> Row:
    """A row whose control can't be told from zero."""
    return replace(row, ci_low=-INF, ci_high=INF)


def unknown(row: Row) -> Row:
    """A row of a metric that nobody moved or saw."""
    return replace(
        row,
        arm_mean=NAN,
        control_mean=NAN,
        lift=NAN,
        se=NAN,
        ci_low=NAN,
        ci_high=NAN,
        p_value=NAN,
        p_adjusted=NAN,
        true_lift=NAN,
        true_lift_se=NAN,
    )


def some_results(arms: tuple[str, ...] = ("fusion", "esmm"), verdict: str = SHIP) -> Results:
    """Two goals, a guardrail and a hidden metric; every arm passes."""
    rows = tuple(a_row(arm, metric, kind) for kind in ("raw", "cuped") for arm in arms for metric in ROLES)
    truth = tuple(TrueRow(arm, metric, 2.5, 2.6, 0.05, 0.001, 0.06, 0.02, 0.07) for arm in arms for metric in ROLES)
    guardrails = (Guardrail("visits_per_user", -0.01, 0.02, 0.005, "PASS"),)
    verdicts = tuple(ArmVerdict(arm, verdict, ("ctr",), (), guardrails, "gains ctr +5.7%") for arm in arms)
    everyone = ("production", *arms)
    return Results(
        control="production",
        arms=everyone,
        goals=("gmv_per_user", "ctr"),
        guardrails={"visits_per_user": -0.01},
        estimator="cuped",
        rows=rows,
        truth=truth,
        decision=Decision(verdict, arms[0], f"{verdict} {arms[0]}: gains ctr +5.7%.", verdicts, 0.43),
        satisfaction_correlation={"ctr": 0.29, "gmv_per_user": -0.11},
        n_users=dict.fromkeys(everyone, 900),
        orders=dict.fromkeys(everyone, 321),
        notes=("esmm: stopped after 7 epochs",),
        warnings=("too few orders",),
    )


def blind_results() -> Results:
    """One arm unbounded, the other unknown, on every metric; shares that do not match."""
    whole = some_results(verdict=DO_NOT_SHIP)
    rows = tuple(unbounded(row) if row.arm == "fusion" else unknown(row) for row in whole.rows)
    truth = tuple(replace(row, expected_lift=NAN, sampled_lift_se=NAN, eventual_lift=INF) for row in whole.truth)
    verdicts = tuple(
        replace(verdict, guardrails=(Guardrail("visits_per_user", -0.01, NAN, -INF, "UNCLEAR"),))
        for verdict in whole.decision.arms
    )
    decision = replace(whole.decision, arms=verdicts, srm_p_value=1e-9)
    return replace(whole, rows=rows, truth=truth, decision=decision, satisfaction_correlation={})


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("ecommerce")


def seen(html: str) -> str:
    """What a reader sees or hears: the page without its style sheet."""
    return re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)


def test_percent_has_a_sign_unless_it_rounds_to_zero() -> None:
    assert [percent(x) for x in (0.057, -0.057, 0.0, -0.0001, 12.5)] == [
        "+5.7 %",
        "-5.7 %",
        "0.0 %",
        "0.0 %",
        "+1,250.0 %",
    ]


@pytest.mark.parametrize("x", [NAN, INF, -INF])
def test_percent_of_no_number_says_so(x: float) -> None:
    assert percent(x) == CANT_TELL


def test_cell_holds_lift_half_width_and_truth() -> None:
    assert cell(a_row("fusion", "ctr")) == "+5.7 % ± 1.9 (+4.9)"


def test_cell_says_what_it_can_when_the_interval_or_the_lift_is_missing() -> None:
    row = a_row("fusion", "ctr")
    assert cell(unbounded(row)) == "+5.7 % ± can't tell (+4.9)"
    assert cell(unknown(row)) == "can't tell (can't tell)"


def test_narrow_interval_gets_a_digit_more() -> None:
    row = replace(a_row("fusion", "ctr"), ci_low=0.0568, ci_high=0.0572)
    assert cell(row) == "+5.70 % ± 0.02 (+4.90)"


def test_bound_beside_its_margin_never_looks_equal_to_it() -> None:
    digits = apart(-0.0103, -0.01)
    assert percent(-0.0103, digits) != percent(-0.01, digits)
    assert apart(-0.01, -0.01) == 1


def test_p_values_below_a_thousandth_are_not_told_apart() -> None:
    assert [p_value(p) for p in (1e-30, 0.0123, NAN)] == ["< 0.001", "0.012", CANT_TELL]


def test_minus_signs_are_set_before_numbers_only() -> None:
    assert typeset("arm-2 lost -3.8% (-1 %)") == "arm-2 lost \u22123.8% (\u22121 %)"


def test_shortened_names_keep_both_ends() -> None:
    assert shorten("fusion") == "fusion"
    short = shorten("fusion-of-everything-v2")
    assert len(short) == 16
    assert short.startswith("fusion")
    assert short.endswith("v2")


def test_every_arm_and_metric_appears(experiment: Experiment) -> None:
    html = page(experiment, some_results(), MANIFEST)
    for name in ("production", "fusion", "esmm", *ROLES):
        assert f">{name}<" in html


def test_page_tells_run_facts_warnings_and_notes(experiment: Experiment) -> None:
    html = page(experiment, some_results(), MANIFEST)
    for fact in ("0123456789ab", "1,234,567", "98,765", "c0ffee", "too few orders", "stopped after 7 epochs"):
        assert fact in html


@pytest.mark.parametrize("verdict", [SHIP, EXTEND, DO_NOT_SHIP])
def test_verdict_comes_before_every_figure_and_table(experiment: Experiment, verdict: str) -> None:
    html = seen(page(experiment, some_results(verdict=verdict), MANIFEST))
    body = html[html.index("<body>") :]
    assert body.index(f">{verdict}<") < min(body.index("<table"), body.index("<svg"))


def test_mismatch_of_sample_ratio_is_an_alert(experiment: Experiment) -> None:
    assert "Sample-ratio mismatch" in page(experiment, blind_results(), MANIFEST)
    assert "Sample-ratio mismatch" not in page(experiment, some_results(), MANIFEST)


def test_hostile_names_and_notes_are_escaped(experiment: Experiment) -> None:
    """Text from outside reaches tables, figures, labels read aloud and the title; none of it may become markup."""
    results = some_results(arms=(HOSTILE, "a&b"))
    results = replace(results, notes=(HOSTILE,), warnings=(HOSTILE,))
    html = page(experiment, results, MANIFEST | {"name": HOSTILE, "log_checksums": {HOSTILE: HOSTILE}})
    assert "<script" not in html
    assert "a&b" not in html
    assert "&lt;script&gt;" in html


def test_unbounded_and_unknown_rows_show_no_nan(experiment: Experiment) -> None:
    html = seen(page(experiment, blind_results(), MANIFEST))
    assert not re.search(r"\b((?i:nan|inf)|None)\b", html)
    assert "can&#39;t tell" in html


def test_page_asks_nothing_of_the_network(experiment: Experiment) -> None:
    html = page(experiment, some_results(), MANIFEST)
    assert not re.search(r"https?:|//[a-z]|@import|\burl\((?!#)", html)
    assert not re.search(r"<(link|script|img|iframe|object)\b", html)


def test_page_is_the_same_bytes_twice(experiment: Experiment) -> None:
    assert page(experiment, some_results(), MANIFEST) == page(experiment, some_results(), MANIFEST)


def test_ids_on_a_page_are_unique(experiment: Experiment) -> None:
    """Figures number their parts alike: a clip path of one would cut another."""
    ids = re.findall(r'\bid="([^"]*)"', page(experiment, some_results(), MANIFEST))
    assert len(ids) == len(set(ids))


def test_figures_leave_the_global_style_alone(experiment: Experiment, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    page(experiment, some_results(), MANIFEST)
    poster(experiment, some_results(), tmp_path / "poster.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("results", [some_results(), blind_results(), some_results(arms=(HOSTILE,))])
def test_poster_is_a_picture_of_1600_by_1000(experiment: Experiment, tmp_path: Path, results: Results) -> None:
    poster(experiment, results, tmp_path / "poster.png")
    drawn = (tmp_path / "poster.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert (int.from_bytes(drawn[16:20], "big"), int.from_bytes(drawn[20:24], "big")) == (1600, 1000)


def test_poster_is_the_same_bytes_twice(experiment: Experiment, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        poster(experiment, some_results(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_trade_off_of_one_goal_is_against_its_first_guardrail() -> None:
    assert tradeoff_pair(replace(some_results(), goals=("ctr",))) == ("ctr", "visits_per_user")
    assert tradeoff_pair(replace(some_results(), goals=("ctr",), guardrails={})) == ("ctr", "gmv_per_user")


def test_one_endless_interval_does_not_flatten_the_others() -> None:
    rows = [a_row("fusion", "ctr"), a_row("esmm", "ctr")]
    wide = replace(a_row("wild", "ctr"), ci_low=-40.0, ci_high=90.0)
    low, high = limits([*rows, wide], [])
    assert -0.2 < low < -0.05
    assert 0.076 < high < 0.2
    assert limits([unbounded(wide), unknown(wide)], [-0.01])[0] < -0.01


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not on PATH")
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_the_width_of_a_screen(experiment: Experiment, tmp_path: Path, width: int) -> None:
    """Wide tables scroll within themselves; the document never does, long names or not."""
    long = "fusion-of-everything-and-its-successor.v2_rather_long_indeed"
    html = page(experiment, some_results(arms=(long, "esmm", "lambdamart", "weighted", "a&b")), MANIFEST)
    asking = (
        "<script>for (const d of document.querySelectorAll('details')) d.open = true;"
        "parent.postMessage(`${innerWidth} ${document.documentElement.scrollWidth}`, '*')</script></body>"
    )
    opened = re.sub(r"<meta http-equiv[^>]*>", "", html).replace("</body>", asking)
    (tmp_path / "page.html").write_text(opened)
    # In a frame, since a headless window is never narrower than 500 pixels.
    frame = f'<iframe src="page.html" style="border:0;width:{width}px;height:900px"></iframe>'
    listening = "<script>onmessage = (told) => { document.title = told.data }</script>"
    (tmp_path / "frame.html").write_text(f"<!DOCTYPE html><title>silent</title>{listening}{frame}")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--disable-quic", "--virtual-time-budget=5000"]
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--dump-dom"]
    command += [(tmp_path / "frame.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    told = re.search(r"<title>(\d+) (\d+)</title>", dom)
    assert told is not None
    assert int(told[1]) == width
    assert int(told[2]) <= width
