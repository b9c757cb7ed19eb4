"""The report: what it says, what it never says, and that it fits a screen."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP, ArmVerdict, Decision, Guardrail
from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.report import page as pages
from experiments.report import poster as posters
from experiments.report.drawing import limits, style
from experiments.report.figures import forest_metrics, forest_panel
from experiments.report.format import CANT_TELL, apart, cell, dashed, p_value, percent, shorten, span, typeset
from experiments.report.front import attainable, gaps
from experiments.report.rows import looks_at
from experiments.report.subject import subject_of
from experiments.report.terminal import show
from experiments.report.tradeoff import front_is_near, tradeoff_pair
from experiments.results import FrontPoint, Results, Row, Side, TrueRow
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
        unit="user",
        meanings={"ctr": "clicks per impression"},
        n_users=dict.fromkeys(everyone, 900),
        conversion="buy",
        conversions=dict.fromkeys(everyone, 321),
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


FRONT = (  # the first goal, the second; the third point is worse than the second on both
    FrontPoint(0.0, 0.10, 0.30),
    FrontPoint(0.5, 0.40, 0.20),
    FrontPoint(0.7, 0.38, 0.19),
    FrontPoint(1.0, 0.50, 0.10),
)


def a_design(design: str, metric: str, arm: str) -> DesignRow:
    return DesignRow(design, metric, arm, 0.11, 0.01, 0.09, 0.13, 0.06, 0.02, 0.05, 0.022, 2.27)


def full_results(arms: tuple[str, ...] = ("fusion", "esmm")) -> Results:
    """With everything that only some experiments ask for; the first arm was stopped."""
    judged = ("gmv_per_user", "ctr", "visits_per_user")
    looks = tuple(
        LookRow(day, arm, metric, 0.01 * day, 0.01, 0.01 * day - 0.019, 0.01 * day + 0.019, 0.04)
        for day in (2, 4, 7)
        for arm in arms
        for metric in judged
    )
    return replace(
        some_results(arms),
        designs=tuple(a_design(unit, metric, arm) for unit in ("user", "market") for metric in judged for arm in arms),
        looks=looks,
        front=FRONT,
        sides=tuple(Side(arm, 0.613, 0.874, 0.552) for arm in ("production", *arms)),
        stops={arms[0]: (4, "ctr fell by 5.6 %")},
        finding=f"{arms[0]} wins what it wins by -1.5 %.",
        warnings=(f"{arms[0]} was stopped after day 4: ctr fell by 5.6 %", "too few orders"),
    )


def blind_full_results() -> Results:
    """The same, where nothing can be told."""
    whole, blind = full_results(), blind_results()
    nothing = {"low": NAN, "high": NAN, "se": NAN}
    designs = tuple(
        replace(row, estimate=NAN, truth=NAN, truth_se=NAN, bias=NAN, bias_se=NAN, z=NAN, **nothing)
        if row.design == "market"
        else replace(row, low=-INF, high=INF)
        for row in whole.designs
    )
    return replace(
        blind,
        designs=designs,
        looks=tuple(
            replace(row, lift=NAN, true_lift=NAN, **nothing) if row.day < 7 else replace(row, low=-INF, high=INF)
            for row in whole.looks
        ),
        front=(*whole.front, FrontPoint(0.2, NAN, NAN)),
        sides=tuple(replace(side, active=NAN) if n else side for n, side in enumerate(whole.sides)),
    )


def page(experiment: Experiment, results: Results, manifest: dict[str, Any]) -> str:
    """The page of a simulated test."""
    return pages.page(subject_of(experiment, results), results, manifest)


def poster(experiment: Experiment, results: Results, path: Path) -> None:
    posters.poster(subject_of(experiment, results), results, path)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("ecommerce")


@pytest.fixture(scope="module")
def plain_page(experiment: Experiment) -> str:
    return page(experiment, some_results(), MANIFEST)


@pytest.fixture(scope="module")
def full_page(experiment: Experiment) -> str:
    return page(experiment, full_results(), MANIFEST)


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
    assert cell(span(a_row("fusion", "ctr"))) == "+5.7 % ± 1.9 (+4.9)"


def test_cell_says_what_it_can_when_the_interval_or_the_lift_is_missing() -> None:
    row = a_row("fusion", "ctr")
    assert cell(span(unbounded(row))) == "+5.7 % ± can't tell (+4.9)"
    assert cell(span(unknown(row))) == "can't tell (can't tell)"


def test_narrow_interval_gets_a_digit_more() -> None:
    row = replace(a_row("fusion", "ctr"), ci_low=0.0568, ci_high=0.0572)
    assert cell(span(row)) == "+5.70 % ± 0.02 (+4.90)"


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


def test_every_arm_and_metric_appears(plain_page: str) -> None:
    for name in ("production", "fusion", "esmm", *ROLES):
        assert f">{name}<" in plain_page


def test_page_tells_run_facts_warnings_and_notes(plain_page: str) -> None:
    for fact in ("0123456789ab", "1,234,567", "98,765", "c0ffee", "too few orders", "stopped after 7 epochs"):
        assert fact in plain_page


@pytest.mark.parametrize("verdict", [SHIP, EXTEND, DO_NOT_SHIP])
def test_verdict_comes_before_every_figure_and_table(experiment: Experiment, verdict: str) -> None:
    html = seen(page(experiment, some_results(verdict=verdict), MANIFEST))
    body = html[html.index("<body>") :]
    assert body.index(f">{verdict}<") < min(body.index("<table"), body.index("<svg"))


def test_mismatch_of_sample_ratio_is_an_alert(experiment: Experiment, plain_page: str) -> None:
    assert "Sample-ratio mismatch" in page(experiment, blind_results(), MANIFEST)
    assert "Sample-ratio mismatch" not in plain_page


def test_hostile_names_and_notes_are_escaped(experiment: Experiment) -> None:
    """Text from outside reaches tables, figures, labels read aloud and the title; none of it may become markup."""
    results = full_results(arms=(HOSTILE, "a&b"))
    results = replace(results, notes=(HOSTILE,), warnings=(HOSTILE,), finding=HOSTILE, conversion=HOSTILE)
    results = replace(results, stops={HOSTILE: (4, HOSTILE)}, meanings={"ctr": HOSTILE})
    results = replace(results, designs=tuple(replace(row, design=HOSTILE) for row in results.designs))
    html = page(experiment, results, MANIFEST | {"name": HOSTILE, "log_checksums": {HOSTILE: HOSTILE}})
    assert html.count("<script") == 1  # ours, which sorts tables
    assert "<script>alert" not in html
    assert "a&b" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("results", [blind_results(), blind_full_results()])
def test_unbounded_and_unknown_rows_show_no_nan(experiment: Experiment, results: Results) -> None:
    html = seen(page(experiment, results, MANIFEST))
    assert not re.search(r"\b((?i:nan|inf)|None)\b", html)
    assert "can&#39;t tell" in html


def test_page_asks_nothing_of_the_network(full_page: str) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|\burl\((?!#)", full_page)
    assert not re.search(r"<(link|img|iframe|object)\b|<script [^>]*src", full_page)


def test_page_is_the_same_bytes_twice(experiment: Experiment) -> None:
    assert page(experiment, full_results(), MANIFEST) == page(experiment, full_results(), MANIFEST)


def test_ids_on_a_page_are_unique(full_page: str) -> None:
    """Figures number their parts alike: a clip path of one would cut another."""
    ids = re.findall(r'\bid="([^"]*)"', full_page)
    assert len(ids) == len(set(ids))


def test_figures_leave_the_global_style_alone(experiment: Experiment, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    page(experiment, full_results(), MANIFEST)
    poster(experiment, some_results(), tmp_path / "poster.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("results", [some_results(), blind_results(), full_results(arms=(HOSTILE,))])
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
    rows = [span(a_row("fusion", "ctr")), span(a_row("esmm", "ctr"))]
    wide = replace(a_row("wild", "ctr"), ci_low=-40.0, ci_high=90.0)
    low, high = limits([*rows, span(wide)], [])
    assert -0.2 < low < -0.05
    assert 0.076 < high < 0.2
    assert limits([span(unbounded(wide)), span(unknown(wide))], [-0.01])[0] < -0.01


SECTIONS = ("designs", "looks", "sides")


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_are_there_when_asked_for_and_only_then(
    experiment: Experiment, section: str, plain_page: str, full_page: str
) -> None:
    heading = f'<h2 id="{section}">'
    assert heading in full_page
    assert heading not in plain_page
    assert heading not in page(experiment, replace(full_results(), **{section: ()}), MANIFEST)


def test_finding_follows_the_decision_and_comes_before_everything_else(plain_page: str, full_page: str) -> None:
    html = seen(full_page)
    finding = html.index("</strong> fusion wins what it wins by \u22121.5\N{NO-BREAK SPACE}%.")
    assert html.index("</h1>") < finding < html.index('<dl class="strip"')
    assert "Finding" not in plain_page


def test_stopped_arm_is_an_alert_with_day_and_cause_and_is_said_once(plain_page: str, full_page: str) -> None:
    assert "fusion was stopped after day 4 of 14:</strong> ctr fell by 5.6\N{NO-BREAK SPACE}%." in full_page
    assert full_page.count("was stopped after") == 1
    assert "too few orders" in full_page
    assert "was stopped after" not in plain_page


def test_front_is_what_no_other_point_beats() -> None:
    assert attainable(full_results()) == [(0.10, 0.50), (0.20, 0.40), (0.30, 0.10)]
    assert attainable(some_results()) == []
    assert attainable(replace(full_results(), goals=("ctr",))) == []


def with_truth(results: Results, arm: str, first: float, second: float) -> Results:
    true = {"gmv_per_user": first, "ctr": second}
    rows = (replace(r, true_lift=true[r.metric]) if r.arm == arm and r.metric in true else r for r in results.rows)
    return replace(results, rows=tuple(rows))


@pytest.mark.parametrize(
    ("first", "second", "best", "share"),
    [
        (0.09, 0.15, 0.45, 0.2),  # halfway between two points
        (0.10, 0.05, 0.50, 0.2),  # the end of the front attains more of the second goal, too
        (-0.10, 0.10, 0.50, -0.2),
        (0.10, 0.31, NAN, NAN),  # beyond the other end
        (0.10, NAN, NAN, NAN),
    ],
)
def test_gap_is_the_share_of_what_is_attainable_at_the_same_second_goal(
    first: float, second: float, best: float, share: float
) -> None:
    gap = gaps(with_truth(full_results(), "fusion", first, second))[0]
    assert (gap.best, gap.share) == pytest.approx((best, share), nan_ok=True)


def test_share_of_the_front_is_on_the_page_and_a_dash_where_there_is_none(
    experiment: Experiment, plain_page: str
) -> None:
    html = page(experiment, with_truth(full_results(), "fusion", 0.09, 0.15), MANIFEST)
    assert '>20 %</td><td class="num">+9.0 %</td><td class="num">+45.0 %</td><td class="num">+15.0 %<' in html
    html = page(experiment, with_truth(full_results(), "fusion", 0.09, 0.31), MANIFEST)
    assert '>\u2013</td><td class="num">+9.0 %</td><td class="num">\u2013</td><td class="num">+31.0 %<' in html
    assert "attainable in truth" not in plain_page


def test_front_far_from_the_arms_gets_a_figure_of_its_own(experiment: Experiment) -> None:
    """Drawn beside a front at +1,000 %, arms that differ by single percents would be one dot."""
    near = replace(full_results(), front=(FrontPoint(0.0, 0.09, 0.08), FrontPoint(1.0, 0.10, 0.06)))
    far = replace(full_results(), front=(FrontPoint(0.0, 9.0, 0.08), FrontPoint(1.0, 10.0, 0.06)))
    assert front_is_near(near)
    assert not front_is_near(far)
    figures = [page(experiment, results, MANIFEST).count('id="afar-') > 0 for results in (near, far)]
    assert figures == [False, True]


def test_designs_stand_beside_the_truth_with_their_bias(full_page: str) -> None:
    row = re.search(r"<td>market</td>.*?</tr>", full_page)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row.group())
    assert cells == ["market", "+11.0 % (+9.0 % to +13.0 %)", "+6.0 % ± 2.0", "+5.0", "2.3"]
    assert 'class="num sure">2.3<' in row.group()


def test_looks_stand_by_day_beside_the_truth_of_that_day(full_page: str) -> None:
    assert re.search(r'<td class="num sure">\+2.0 % ± 1.9 \(\+4.0\)</td>\n<td class="num sure">\+4.0 %', full_page)
    assert "gmv_per_user of esmm: day 2 +2.0 %, interval +0.1 % to +3.9 %, truth +4.0 %; day 4 +4.0 %" in full_page


def test_looks_at_a_stopped_arm_end_with_the_day_of_the_stop(experiment: Experiment) -> None:
    """Afterwards its users are served like the control: a lift of that mixture is nobody's."""
    days = [[row.day for row in looks_at(full_results(), "ctr", arm)] for arm in ("fusion", "esmm")]
    assert days == [[2, 4], [2, 4, 7]]


def test_other_side_shows_a_dash_for_what_is_not_known_and_no_column_for_what_never_is(experiment: Experiment) -> None:
    sides = (Side("production", 0.613, 0.874, NAN), Side("fusion", 0.5, NAN, NAN), Side("esmm", NAN, 0.5, NAN))
    html = page(experiment, replace(full_results(), sides=sides), MANIFEST)
    assert '<td class="num">0.613</td>\n<td class="num">87.4 %</td>' in html
    assert '<td class="num">0.500</td>\n<td class="num">\u2013</td>' in html
    assert "Their satisfaction" not in html
    nowhere = tuple(replace(side, concentration=NAN, active=NAN) for side in sides)
    assert '<h2 id="sides">' not in page(experiment, replace(full_results(), sides=nowhere), MANIFEST)
    assert [dashed(x) for x in (0.5, NAN, INF)] == ["0.50", "\u2013", "\u2013"]


@pytest.mark.parametrize(
    ("unit", "conversion", "said"),
    [
        ("user", "buy", "users who came during the test, and orders that landed in it"),
        ("visit", "buy", "visits during the test, and orders that landed in it"),
        ("market", "answer", "markets that were served during the test, and answer that landed in it"),
        ("switchback", "click", "blocks of market and time during the test, and click that landed in it"),
    ],
)
def test_what_is_counted_has_its_own_name(experiment: Experiment, unit: str, conversion: str, said: str) -> None:
    html = page(experiment, replace(some_results(), unit=unit, conversion=conversion), MANIFEST)
    assert said in html
    assert ("users" in seen(html).replace("same users", "").replace("these users", "")) == (unit == "user")


def test_shares_of_markets_are_not_tested(experiment: Experiment) -> None:
    markets = replace(some_results(), unit="market")
    html = page(experiment, replace(markets, decision=replace(markets.decision, srm_p_value=NAN)), MANIFEST)
    assert "<dd>not tested</dd>" in html
    assert "mismatch" not in html


def test_units_without_a_warm_up_are_unadjusted(experiment: Experiment) -> None:
    whole = some_results()
    visits = replace(whole, unit="visit", estimator="raw", rows=tuple(r for r in whole.rows if r.estimator == "raw"))
    html = page(experiment, visits, MANIFEST)
    assert "unadjusted (visits have no warm-up of their own)" in html
    assert "CUPED" not in html
    assert "The same, " not in html


def test_harm_is_shaded_below_a_margin_for_falls_and_above_one_for_rises() -> None:
    from matplotlib.figure import Figure

    for margin in (-0.01, 0.05):
        results = replace(some_results(), guardrails={"visits_per_user": margin})
        with style():
            axes = Figure().add_axes((0.2, 0.2, 0.7, 0.7))
            forest_panel(axes, results, "visits_per_user", 0.05)
        shade = axes.patches[0].get_extents().transformed(axes.transData.inverted())
        low, high = axes.get_xlim()
        expected = (low, margin) if margin < 0 else (margin, high)
        assert (shade.x0, shade.x1) == pytest.approx(expected)


def with_many_metrics() -> Results:
    """Two goals, a guardrail, a hidden metric, and twelve others."""
    whole = some_results()
    more = [replace(a_row(arm, "ctr"), metric=f"more{n}", role="secondary") for n in range(12) for arm in LIFTS]
    return replace(whole, rows=(*whole.rows, *more, *(replace(row, estimator="raw") for row in more)))


def test_of_many_metrics_those_that_decide_are_drawn_and_all_are_in_the_table(experiment: Experiment) -> None:
    assert forest_metrics(some_results()) == some_results().metrics()
    assert forest_metrics(with_many_metrics()) == list(ROLES)
    html = page(experiment, with_many_metrics(), MANIFEST)
    assert "<b>more3</b>" not in html
    assert '<th scope="row">more3</th>' in html
    assert "The other 12 metrics are in" in html


@pytest.mark.parametrize("results", [some_results(), full_results(), blind_full_results(), full_results((HOSTILE,))])
def test_terminal_says_what_was_found(
    experiment: Experiment, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    show(subject_of(experiment, results), results, [])
    said = capsys.readouterr().out
    assert not re.search(r"\b(nan|inf|None)\b", said)
    assert ("divided by" in said) == ("after a day" in said) == ("other side" in said) == bool(results.looks)
    assert ("Finding: " in said) == bool(results.finding)
    assert said.count("was stopped after day 4") == bool(results.stops)
