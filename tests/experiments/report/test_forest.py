"""The forest: an interval for each test within one for all tests at once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.drawing import limits, style
from experiments.report.figures import forest_panel
from experiments.report.format import Span, share
from experiments.results import Results
from tests.experiments.report.given import joint_results


def forest(results: Results, metric: str = "ctr") -> Axes:
    with style():
        axes = Figure(figsize=(4, 2)).add_axes((0.2, 0.2, 0.7, 0.7))
        forest_panel(axes, results, metric, 0.05)
    return axes


def bars(axes: Axes, lift: float) -> list[tuple[float, float, float]]:
    """Width, start and end of the lines around a lift, the thinnest first."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]]
    around = [line for line in lines if sum(line.get_xdata()) / 2 == pytest.approx(lift)]
    return sorted((line.get_linewidth(), *line.get_xdata()) for line in around)


def test_a_thin_bar_for_all_tests_reaches_beyond_the_thick_one_of_its_own() -> None:
    thin, thick = bars(forest(joint_results()), 0.057)
    assert thin[0] < thick[0]
    assert thin[1:] == pytest.approx((0.032, 0.082))
    assert thick[1:] == pytest.approx((0.038, 0.076))


def test_without_an_interval_for_all_there_is_one_bar() -> None:
    results = joint_results()
    results = replace(results, rows=tuple(replace(r, sim_low=math.nan, sim_high=math.nan) for r in results.rows))
    assert len(bars(forest(results), 0.057)) == 1


def test_axes_have_room_for_the_thin_bars() -> None:
    low, high = forest(joint_results()).get_xlim()
    assert low < -0.031 - 0.025
    assert high > 0.057 + 0.025
    assert limits([Span(0.0, -0.01, 0.01, math.nan, -0.03, 0.03)], [])[1] > 0.03


def test_a_dot_is_filled_where_the_corrected_p_is_below_alpha() -> None:
    results = joint_results()
    rows = tuple(replace(row, p_adjusted=0.2 if row.arm == "esmm" else 0.01) for row in results.rows)
    dots = [line for line in forest(replace(results, rows=rows)).lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "white" for line in dots] == [False, True]


def test_chances_that_are_not_certain_never_read_so() -> None:
    assert [share(p) for p in (0.0, 0.004, 0.126, 0.9949, 0.9951, 1.0)] == [
        "0 %",
        "< 1 %",
        "13 %",
        "99 %",
        "> 99 %",
        "100 %",
    ]
