"""The test by night and by segment, and whether it can be trusted, as drawn and said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis.ratios import RatioCheck
from experiments.analysis.segments import SegmentTest
from experiments.report import segments
from experiments.report.drawing import style
from experiments.report.looks import look_panel, night_panel
from experiments.report.segments import segment_panel
from experiments.report.trust import mismatched, power_rows, quiet_checks
from experiments.report.unfolding import night_rows
from experiments.results import Results
from tests.experiments.report.given import WHERE, joint_results


def panel() -> Axes:
    return Figure(figsize=(3, 2)).add_axes((0.2, 0.2, 0.75, 0.75))


def nights(results: Results) -> Axes:
    with style():
        axes = panel()
        night_panel(axes, results, "ctr", "esmm")
    return axes


def test_a_night_that_knows_nothing_new_has_no_band() -> None:
    """The third of six: the band is in two pieces, around nights 1 and 2 and nights 4 to 6."""
    pieces = nights(joint_results()).collections[0].get_paths()
    assert [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in pieces] == [(1, 2), (4, 6)]


def test_a_night_alone_between_such_nights_still_shows_its_interval() -> None:
    results = joint_results()
    endless = {"repeated_low": -math.inf, "repeated_high": math.inf}
    results = replace(results, daily=tuple(replace(r, **endless) if r.day in (3, 5) else r for r in results.daily))
    bars = [line for line in nights(results).lines if list(line.get_xdata()) == [4, 4]]
    assert len(bars) == 1
    low, high = bars[0].get_ydata()
    assert (low, high) == pytest.approx((0.0, 0.07))


def test_the_first_night_that_excludes_zero_is_ringed_and_named() -> None:
    axes = nights(joint_results())
    assert [text.get_text() for text in axes.texts] == ["day 5"]
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "white" and list(line.get_xdata()) == [5]]
    assert len(rings) == 1
    calm = joint_results()
    calm = replace(calm, daily=tuple(replace(row, crossed=False) for row in calm.daily))
    assert not nights(calm).texts


def test_the_truth_is_drawn_where_it_is_known() -> None:
    results = joint_results()
    assert [line.get_ydata()[0] for line in nights(results).lines if line.get_linestyle() == "--"] == [0.04]
    blind = replace(results, daily=tuple(replace(row, true_lift=math.nan) for row in results.daily))
    assert not [line for line in nights(blind).lines if line.get_linestyle() == "--"]


def test_the_table_of_nights_tells_the_last_and_the_first_that_excluded_zero() -> None:
    results = joint_results()
    rows = night_rows(results)
    assert [(row.arm, row.last.day) for row in rows["ctr"]] == [("fusion", 4), ("esmm", 6)]  # fusion was stopped
    assert [row.first and row.first.day for row in rows["ctr"]] == [None, 5]


def test_looks_show_what_holds_at_all_of_them_beside_what_holds_alone() -> None:
    results = joint_results()
    looks = tuple(replace(row, repeated_low=row.low - 0.01, repeated_high=row.high + 0.01) for row in results.looks)
    with style():
        axes = panel()
        look_panel(axes, replace(results, looks=looks), "ctr", "esmm")
    at_two = sorted(
        (line.get_linewidth(), tuple(line.get_ydata())) for line in axes.lines if list(line.get_xdata()) == [2, 2]
    )
    (thin, joint), (thick, alone) = at_two
    assert thin < thick
    assert joint == pytest.approx((-0.009, 0.049))
    assert alone == pytest.approx((0.001, 0.039))


def test_segments_say_that_nothing_differs_or_what_does() -> None:
    results = joint_results()
    assert segments.said(results, 0.05).startswith(
        "No lift surely differs between levels: after correction for 4 tests"
    )
    sure = SegmentTest("activity", "esmm", "ctr", 0.001, 0.004)
    said = segments.said(replace(results, segment_tests=(sure, *results.segment_tests[1:])), 0.05)
    assert "lifts differ: ctr of esmm by activity (p 0.004): low +2.0 %, high +2.0 %" in said
    blank = replace(results, segment_tests=(replace(sure, p_value=math.nan, p_adjusted=math.nan),))
    assert segments.said(blank, 0.05).startswith("Can't tell")


def test_levels_are_blocks_with_the_arms_in_their_order() -> None:
    results = joint_results()
    with style():
        axes = panel()
        segment_panel(axes, results, "activity", "ctr")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata()[0] for line in dots] == sorted(line.get_ydata()[0] for line in dots)
    assert [line.get_color() for line in dots[:2]] == [line.get_color() for line in dots[2:]]


def test_of_many_checks_of_shares_the_whole_and_what_is_wrong_are_shown_first() -> None:
    results = joint_results()
    shown, rest = quiet_checks(results)
    assert [check.where for check in shown] == ["all units"]
    assert [check.where for check in rest] == list(WHERE)
    wrong = RatioCheck("day 9", {"production": 900, "fusion": 100, "esmm": 900}, 1e-9, 0.0002)
    results = replace(results, ratios=(*results.ratios, wrong))
    assert [check.where for check in quiet_checks(results)[0]] == ["all units", "day 9"]
    assert mismatched(results) == [wrong]


def test_what_could_be_seen_is_told_of_the_metrics_it_is_known_of() -> None:
    rows = power_rows(joint_results())
    assert [(row.metric, row.detectable, row.replay) for row in rows] == [("ctr", 0.031, 0.045)]
    assert power_rows(replace(joint_results(), detectable={}, replay={})) == []
