"""The goals together: ellipses, prices and chances, as they are drawn and said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis.exchange import BOUNDED, EXCLUSIVE, UNBOUNDED, ExchangeRate
from experiments.analysis.weightmap import WeightMap
from experiments.report.chances import chances, dominance, price, price_range, prices, winners
from experiments.report.drawing import style
from experiments.report.format import CANT_TELL
from experiments.report.panels import tradeoff_figure, weight_figure
from experiments.report.tradeoff import joint_ellipses, tradeoff
from experiments.report.weightmap import ENDS, weight_panel
from experiments.results import Results
from tests.experiments.report.given import joint_results


def drawn(results: Results, level: float = 0.95) -> Axes:
    with style():
        axes = Figure(figsize=(5, 4)).add_axes((0.15, 0.15, 0.8, 0.8))
        tradeoff(axes, results, level)
    return axes


def test_ellipses_go_through_the_axes_as_they_are_drawn_and_fit_them() -> None:
    """The first goal is upward and the second across: an ellipse that leans left where goals are opposed."""
    results = joint_results(correlation=-0.5)
    axes = drawn(results)
    filled = [patch.get_path().vertices for patch in axes.patches]
    assert len(filled) == 2
    for arm, edge in zip(("fusion", "esmm"), filled, strict=True):
        across, upward = edge.T
        lift = results.row(arm, "ctr").lift, results.row(arm, "gmv_per_user").lift
        assert (across.min() + across.max()) / 2 == pytest.approx(lift[0], abs=1e-4)
        assert (upward.min() + upward.max()) / 2 == pytest.approx(lift[1], abs=1e-4)
        assert np.ptp(across) / 2 == pytest.approx(0.01 * math.sqrt(5.991), rel=1e-3)  # chi-square with 2 df
        assert np.corrcoef(across, upward)[0, 1] == pytest.approx(-0.5, abs=0.02)
        assert axes.get_xlim()[0] < across.min() < across.max() < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < upward.min() < upward.max() < axes.get_ylim()[1]


def test_names_carry_the_probability_of_the_front() -> None:
    results = joint_results()
    assert results.tradeoff is not None
    shares = {"production": 0.0004, "fusion": 0.9991, "esmm": 0.634}
    told = replace(results, tradeoff=replace(results.tradeoff, on_front=shares))
    said = {text.get_text() for text in drawn(told).texts}
    assert said == {"production < 1 %", "fusion > 99 %", "esmm 63 %"}


def test_without_a_joint_estimate_arms_are_crosses() -> None:
    results = replace(joint_results(), joint=None, tradeoff=None)
    assert joint_ellipses(results) == {}
    assert not drawn(results).patches
    assert weight_figure(results) is None
    assert tradeoff_figure(results, 0.95) is not None


def test_a_goal_and_a_guardrail_have_ellipses_too() -> None:
    """One goal is no trade-off of goals, but its cost is known jointly all the same."""
    results = replace(joint_results(), goals=("ctr",), tradeoff=None)
    assert set(joint_ellipses(results)) == {"fusion", "esmm"}


def test_an_arm_that_cannot_be_told_has_no_ellipse() -> None:
    results = joint_results()
    assert results.joint is not None
    lift = results.joint.lift.copy()
    lift[1, 0] = np.nan
    results = replace(results, joint=replace(results.joint, lift=lift))
    assert set(joint_ellipses(results)) == {"fusion"}


def with_weights(best: list[list[float]]) -> Results:
    """Chances at weights 0, .25, .5, .75, 1 of the first goal, for production, fusion and esmm."""
    results = joint_results()
    assert results.tradeoff is not None
    weight = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    with np.errstate(divide="ignore"):
        rate = (1 - weight) / weight
    loss = np.tile([0.03, 0.02, 0.01], (5, 1))
    weights = WeightMap(weight, rate, np.array(best), loss, ())
    return replace(results, tradeoff=replace(results.tradeoff, weights=weights))


SWITCH = [[0.0, 0.1, 0.9], [0.1, 0.2, 0.7], [0.1, 0.3, 0.6], [0.1, 0.6, 0.3], [0.0, 0.9, 0.1]]


def test_winners_are_named_with_the_prices_between_which_they_win() -> None:
    """Rates 3, 1 and 1/3 at the inner weights: fusion wins up to the middle of 1/3 and 1, on the scale of ratios."""
    assert "fusion below 0.58, esmm above 0.58" in winners(with_weights(SWITCH))
    assert "fusion is likeliest to be best at every exchange rate" in winners(with_weights([[0.1, 0.8, 0.1]] * 5))


def test_chances_are_at_even_worth_and_losses_in_points_of_the_first_goal() -> None:
    """At a weight of one half, utility counts half a point of the first goal."""
    found = {chance.arm: chance for chance in chances(with_weights(SWITCH))}
    assert [found[arm].best for arm in ("production", "fusion", "esmm")] == [0.1, 0.3, 0.6]
    assert found["esmm"].loss == pytest.approx(0.02)
    assert found["fusion"].on_front + found["fusion"].dominated == pytest.approx(1)


def test_areas_of_the_map_fill_the_height_at_every_price() -> None:
    results = with_weights(SWITCH)
    with style():
        axes = Figure(figsize=(5, 3)).add_axes((0.1, 0.2, 0.85, 0.75))
        weight_panel(axes, results)
    areas = [patch.get_paths()[0].vertices for patch in axes.collections]
    assert len(areas) == 3
    assert max(area[:, 1].max() for area in areas) == pytest.approx(1)
    assert axes.get_xlim() == pytest.approx(ENDS)
    at_one = [np.ptp(area[np.isclose(area[:, 0], 1), 1]) for area in areas]
    assert at_one == pytest.approx([0.1, 0.3, 0.6])


def test_a_name_stands_within_its_area_or_not_at_all() -> None:
    results = with_weights([[0.04, 0.36, 0.6]] * 5)
    with style():
        axes = Figure(figsize=(5, 3)).add_axes((0.1, 0.2, 0.85, 0.75))
        weight_panel(axes, results)
        names = {text.get_text(): text.get_window_extent() for text in axes.texts}
        frame = axes.get_window_extent()
    assert set(names) == {"fusion", "esmm"}  # production's area is lower than a letter
    low, high = ((names["fusion"].y0 - frame.y0) / frame.height, (names["fusion"].y1 - frame.y0) / frame.height)
    assert 0.04 < low < high < 0.4


@pytest.mark.parametrize(
    ("low", "high", "kind", "said"),
    [
        (-1.234, 0.5, BOUNDED, "-1.23 to +0.50"),
        (-1.0, 12.0, EXCLUSIVE, f"{CANT_TELL} (below -1.00 or above +12)"),
        (-math.inf, 12.0, EXCLUSIVE, CANT_TELL),
        (-math.inf, math.inf, UNBOUNDED, CANT_TELL),
    ],
)
def test_an_exchange_rate_is_an_interval_only_where_the_second_goal_differs(
    low: float, high: float, kind: str, said: str
) -> None:
    assert price_range(ExchangeRate("b", "a", 0.3, low, high, kind, 0.05)) == said


def test_an_exchange_rate_without_a_difference_is_not_told() -> None:
    assert price(ExchangeRate("b", "a", math.nan, -math.inf, math.inf, UNBOUNDED, 0.05)) == CANT_TELL
    assert price(ExchangeRate("b", "a", math.inf, 1.0, 2.0, EXCLUSIVE, 0.05)) == CANT_TELL
    assert price(ExchangeRate("b", "a", -0.456, -1.0, 0.0, BOUNDED, 0.05)) == "-0.46"


def test_exchange_rates_over_the_control_come_apart_from_the_others() -> None:
    against, between = prices(joint_results())
    assert {(rate.arm, rate.other) for rate in against} == {("fusion", "production"), ("esmm", "production")}
    assert {frozenset((rate.arm, rate.other)) for rate in between} == {frozenset(("fusion", "esmm"))}


def test_sure_dominance_is_told_apart_from_near() -> None:
    """fusion is 5.7 standard errors above the control on both goals, and 8.8 above esmm."""
    said = dominance(joint_results())
    assert said.startswith("Surely better on every goal at once: ")
    for pair in ("fusion than esmm", "fusion than production", "production than esmm"):
        assert pair in said
    results = joint_results()
    assert results.tradeoff is not None
    assert dominance(replace(results, tradeoff=replace(results.tradeoff, dominances=()))).startswith("No arm is surely")
    assert dominance(replace(results, tradeoff=None)) == ""
