"""Each kind of finding, from results made by hand: the numbers in the sentence are those of the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.analysis.decision import Decision
from experiments.analysis.interference import DesignRow
from experiments.analysis.looks import LookRow
from experiments.findings.table import FINDINGS, Finding, sentence
from experiments.findings.words import percent, says
from experiments.results import Results, Row, TrueRow

NAN = float("nan")


def row(arm: str, metric: str, lift: float, low: float, high: float, true: float) -> Row:
    return Row(
        arm, metric, "goal", "cuped", 1.0, 1 + lift, lift, 0.01, low, high, "fieller 95% per test", 0.5, 0.5, true,
        0.001, 1000,
    )  # fmt: skip


def true_row(arm: str, metric: str, lift: float, eventual: float) -> TrueRow:
    return TrueRow(arm, metric, 1.0, 1 + lift, lift, 0.001, lift, 0.01, eventual)


def results(
    *rows: Row,
    designs: tuple[DesignRow, ...] = (),
    looks: tuple[LookRow, ...] = (),
    truth: tuple[TrueRow, ...] = (),
) -> Results:
    return Results(
        control="today",
        arms=("today", "bold", "shy"),
        goals=("ctr",),
        guardrails={},
        estimator="cuped",
        # The estimator that does not decide must not be the one that speaks.
        rows=(*(replace(r, estimator="raw", lift=9.99, true_lift=9.99) for r in rows), *rows),
        truth=truth,
        decision=Decision("EXTEND", None, "extend", (), 0.5),
        satisfaction_correlation={},
        unit="user",
        meanings={},
        n_users={"today": 1000, "bold": 1000, "shy": 1000},
        conversion="buy",
        conversions={"today": 300, "bold": 300, "shy": 300},
        notes=(),
        warnings=(),
        designs=designs,
        looks=looks,
    )


TRADE = Finding(type="trade", arm="bold", metric="ctr", other="stay")


def traded(won: float, paid: float, low: float, high: float) -> str:
    return sentence(
        TRADE, results(row("bold", "ctr", 0.1, 0.05, 0.15, won), row("bold", "stay", -0.02, low, high, paid))
    )


def test_a_rise_of_what_is_better_when_lower_is_the_price() -> None:
    """More hate is no second gain: it was once read as one, since it was a rise."""
    both = results(row("bold", "ctr", 0.1, 0.05, 0.15, 0.1), row("bold", "stay", 0.3, 0.2, 0.4, 0.25))
    said = sentence(TRADE, replace(both, lower_is_better=("stay",)))
    assert said.endswith("in truth it buys ctr with stay; on stay the test by itself saw a loss.")
    assert "pays nothing on stay" in sentence(TRADE, both)


def test_a_trade_says_both_lifts_estimated_and_true_and_what_the_test_saw() -> None:
    assert traded(0.123, -0.045, -0.03, -0.01) == (
        "bold moves ctr by +10.0 % (+5.0 % to +15.0 %), in truth +12.3 % and stay by -2.0 % (-3.0 % to -1.0 %), "
        "in truth -4.5 %: in truth it buys ctr with stay; on stay the test by itself saw a loss."
    )


@pytest.mark.parametrize(
    ("won", "paid", "low", "high", "verdict", "seen"),
    [
        (0.1, -0.1, -0.2, 0.1, "in truth it buys ctr with stay", "neither gain nor loss"),
        (0.1, 0.1, 0.1, 0.2, "in truth it wins ctr and pays nothing on stay", "a gain"),
        (0.1, 0.0, -0.1, 0.2, "in truth it wins ctr and pays nothing on stay", "neither gain nor loss"),
        (-0.1, 0.1, -0.2, -0.1, "in truth it does not win ctr", "a loss"),
        (0.1, -0.1, NAN, NAN, "in truth it buys ctr with stay", "nothing"),
        (0.1, -0.1, -float("inf"), float("inf"), "in truth it buys ctr with stay", "nothing"),
        (NAN, -0.1, -0.2, 0.1, "it can't be told whether in truth it wins ctr", "neither gain nor loss"),
        (0.1, NAN, -0.2, 0.1, "it can't be told whether in truth it pays on stay", "neither gain nor loss"),
    ],
)
def test_a_trade_is_judged_by_the_truth_and_the_test_by_its_interval(
    won: float, paid: float, low: float, high: float, verdict: str, seen: str
) -> None:
    said = traded(won, paid, low, high)
    assert f": {verdict}; on stay the test by itself saw {seen}." in said
    assert "nan" not in said
    assert "inf" not in said


COST = Finding(type="cost", arm="bold", metric="ctr", other="shy")


def test_a_cost_is_the_true_ratio_of_two_arms() -> None:
    said = sentence(COST, results(row("bold", "ctr", 0.1, 0.05, 0.15, 0.08), row("shy", "ctr", 0.3, 0.2, 0.4, 0.2)))
    assert said == (
        "in truth bold has -10.0 % ctr against shy: over today it is +8.0 % beside +20.0 % (the test: +10.0 % "
        "(+5.0 % to +15.0 %) beside +30.0 % (+20.0 % to +40.0 %))."
    )


@pytest.mark.parametrize(("mine", "other"), [(NAN, 0.2), (0.2, NAN), (0.2, -1.0)])
def test_a_cost_without_a_number_says_so(mine: float, other: float) -> None:
    rows = row("bold", "ctr", NAN, NAN, NAN, mine), row("shy", "ctr", 0.3, 0.2, 0.4, other)
    said = sentence(COST, results(*rows))
    assert said.startswith("in truth bold has (can't tell) ctr against shy")
    assert "nan" not in said


INTERFERENCE = Finding(type="interference", arm="bold", metric="ctr")


def design(unit: str, estimate: float, truth: float, z: float, arm: str = "bold", metric: str = "ctr") -> DesignRow:
    low, high, bias = estimate - 0.02, estimate + 0.02, estimate - truth
    return DesignRow(unit, metric, arm, estimate, 0.01, low, high, truth, 0.01, bias, 0.014, z)


def test_interference_says_every_design_beside_the_truth_and_of_what_one_run_is_sure() -> None:
    designs = (
        design("user", 0.30, 0.05, 17.0),
        design("user", 0.99, 0.99, 0.0, arm="shy"),
        design("user", 0.99, 0.99, 0.0, metric="stay"),
        design("market", 0.04, 0.05, -0.7),
    )
    assert sentence(INTERFERENCE, results(designs=designs)) == (
        "serving everyone by bold changes ctr by +5.0 % (all users on it against all on today): divided by user the "
        "test says +30.0 % (+28.0 % to +32.0 %), off by +25.0 points (sure); divided by market the test says +4.0 % "
        "(+2.0 % to +6.0 %), off by -1.0 points (could be chance)."
    )


@pytest.mark.parametrize(
    ("z", "doubt"), [(1.97, " (sure)"), (-1.97, " (sure)"), (1.95, " (could be chance)"), (NAN, "")]
)
def test_a_bias_is_sure_from_two_standard_errors_on_either_side(z: float, doubt: str) -> None:
    assert sentence(INTERFERENCE, results(designs=(design("user", 0.3, 0.1, z),))).endswith(f"points{doubt}.")


def test_interference_without_numbers_says_so() -> None:
    said = sentence(INTERFERENCE, results(designs=(design("user", NAN, NAN, NAN),)))
    assert said.startswith("serving everyone by bold changes ctr by (can't tell)")
    assert "off by (can't tell)." in said
    assert "nan" not in said


DELAY = Finding(type="delay", arm="bold", metric="ctr")


def look(day: int, lift: float, low: float, high: float, true: float) -> LookRow:
    return LookRow(day, "bold", "ctr", lift, 0.01, low, high, true)


def delayed(*looks: LookRow) -> str:
    others = (LookRow(1, "shy", "ctr", 9, 9, 9, 9, 9), LookRow(1, "bold", "stay", 9, 9, 9, 9, 9))
    truth = (true_row("shy", "ctr", 9, 9), true_row("bold", "ctr", 0.2, 0.25))
    return sentence(DELAY, results(looks=(*others, *looks), truth=truth))


def test_a_delay_sets_the_first_look_beside_the_last_and_beside_what_lands_in_the_end() -> None:
    said = delayed(look(14, 0.2, 0.1, 0.3, 0.22), look(3, 0.05, -0.1, 0.2, 0.11), look(7, 0.1, 0, 0.2, 0.9))
    assert said == (
        "read on day 3, bold by itself shows neither gain nor loss on ctr: +5.0 % (-10.0 % to +20.0 %; true as of then "
        "+11.0 %); on day 14 it shows a gain: +20.0 % (+10.0 % to +30.0 %; true +22.0 %; once everything has landed "
        "+25.0 %). The test changed its mind."
    )


@pytest.mark.parametrize(
    ("low", "high", "mind"),
    [
        (0.1, 0.3, "said the same"),
        (-0.3, -0.1, "changed its mind"),
        (-0.1, 0.1, "changed its mind"),
        (NAN, NAN, "changed"),
    ],
)
def test_a_mind_is_changed_where_first_and_last_say_different_things(low: float, high: float, mind: str) -> None:
    said = delayed(look(3, 0.2, 0.1, 0.3, NAN), look(14, 0.2, low, high, 0.2))
    assert f"The test {mind}" in said
    assert "true as of then (can't tell)" in said
    assert "nan" not in said


def test_every_kind_of_finding_has_a_sentence_here() -> None:
    elsewhere = {"sweep"}  # test_sweeps.py
    assert set(FINDINGS) - elsewhere == {finding.type for finding in (TRADE, COST, INTERFERENCE, DELAY)}


def test_a_number_is_said_with_its_sign_and_nothing_is_said_of_none() -> None:
    assert [percent(v) for v in (0.0123, -0.5, 0.0)] == ["+1.2 %", "-50.0 %", "+0.0 %"]
    assert [percent(v) for v in (NAN, float("inf"))] == ["(can't tell)"] * 2
    assert says(0.0, 0.1) == "neither gain nor loss"
