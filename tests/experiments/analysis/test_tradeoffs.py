from __future__ import annotations

import time

import numpy as np
import pytest

from experiments.analysis.tradeoffs import tradeoff
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control

GOALS = ("clicks", "orders")


def test_one_goal_is_nothing_to_trade() -> None:
    given = given_lifts([[0.01, 0.02]], np.eye(2))
    assert tradeoff(given, ["clicks"], alpha=0.05) is None
    assert tradeoff(given, [], alpha=0.05) is None


def test_arms_with_a_goal_that_cannot_be_told_are_left_out() -> None:
    given = given_lifts([[0.01, np.nan], [0.01, 0.02]], np.eye(4) * 1e-4)
    found = tradeoff(given, GOALS, alpha=0.05)
    assert found is not None
    assert found.arms == ("A", "C")
    assert list(found.ellipses) == ["C"]
    assert list(found.on_front) == list(found.dominated) == ["A", "C"]
    assert found.weights.best.shape == (51, 2)


def test_without_any_arm_that_can_be_told_there_is_none() -> None:
    assert tradeoff(given_lifts([[0.01, np.nan]], np.eye(2)), GOALS, alpha=0.05) is None


def test_metrics_that_are_not_goals_change_nothing() -> None:
    within = np.diag([1.0, 4.0, 1.0]) * 1e-4
    given = given_lifts([[0.01, 0.02, np.nan], [0.03, -0.01, 0.5]], shared_control(2, within))
    whole, part = tradeoff(given, GOALS, alpha=0.05), tradeoff(given.only(metrics=GOALS), GOALS, alpha=0.05)
    assert whole is not None
    assert part is not None
    assert whole.on_front == part.on_front
    assert whole.exchange == part.exchange


def test_ellipses_and_rates_keep_the_order_of_the_goals() -> None:
    given = given_lifts([[0.01, 0.02]], correlated(0.3, (0.001, 0.002)))
    forth, back = (tradeoff(given, goals, alpha=0.05) for goals in (GOALS, GOALS[::-1]))
    assert forth is not None
    assert back is not None
    assert forth.ellipses["B"].center == (0.01, 0.02)
    assert back.ellipses["B"].center == (0.02, 0.01)
    assert (forth.exchange[0].rate, back.exchange[0].rate) == pytest.approx((0.5, 2))


def test_without_error_the_front_is_that_of_the_estimates() -> None:
    given = given_lifts([[0.03, -0.01], [0.02, 0.01], [0.01, 0.01], [-0.01, -0.01]], np.zeros((8, 8)))
    found = tradeoff(given, GOALS, alpha=0.05)
    assert found is not None
    assert found.plug_in == ("B", "C")
    assert found.on_front == {"A": 0, "B": 1, "C": 1, "D": 0, "E": 0}
    assert found.dominated == {"A": 1, "B": 0, "C": 0, "D": 1, "E": 1}


def test_as_the_error_vanishes_shares_come_to_the_front_of_the_estimates() -> None:
    lift = [[0.03, -0.01], [0.02, 0.01], [0.01, 0.005], [-0.01, -0.01]]
    found = tradeoff(given_lifts(lift, shared_control(4, correlated(0.3)) * 1e-8), GOALS, alpha=0.05)
    assert found is not None
    assert [arm for arm in found.arms if found.on_front[arm] > 0.999] == list(found.plug_in)
    assert all(share > 0.999 or share < 0.001 for share in found.on_front.values())


def test_copies_of_an_arm_have_the_same_share_and_do_not_push_each_other_off() -> None:
    within = correlated(0.3, (0.01, 0.01))
    one = tradeoff(given_lifts([[0.03, 0.01]], within), GOALS, alpha=0.05)
    two = tradeoff(given_lifts([[0.03, 0.01]] * 2, shared_control(2, within, share=1.0)), GOALS, alpha=0.05)
    assert one is not None
    assert two is not None
    assert two.on_front["B"] == two.on_front["C"] == pytest.approx(one.on_front["B"], abs=0.01)
    assert two.plug_in == ("B", "C")


def test_with_goals_in_step_an_arm_is_on_the_front_where_it_is_best_at_any_weight() -> None:
    lift = [[0.01, 0.02], [0.02, 0.04], [0.0, 0.0]]
    given = given_lifts(lift, shared_control(3, correlated(1.0, (0.01, 0.02))))
    found = tradeoff(given, GOALS, alpha=0.05)
    assert found is not None
    for best in found.weights.best:
        assert best == pytest.approx([found.on_front[arm] for arm in found.arms], abs=1e-12)


def test_equal_arms_share_everything_evenly() -> None:
    found = tradeoff(given_lifts(np.zeros((3, 2)), shared_control(3, correlated(0.0))), GOALS, alpha=0.05)
    assert found is not None
    assert list(found.on_front.values()) == pytest.approx([found.on_front["A"]] * 4, abs=0.015)
    assert found.weights.best == pytest.approx(np.full((51, 4), 0.25), abs=0.015)
    assert found.dominances == ()


def test_three_goals_leave_more_arms_on_the_front_than_two() -> None:
    given = given_lifts(np.zeros((3, 3)), shared_control(3, np.eye(3)))
    two, three = (tradeoff(given, goals, alpha=0.05) for goals in (GOALS, (*GOALS, "visits")))
    assert two is not None
    assert three is not None
    assert all(three.on_front[arm] > two.on_front[arm] + 0.05 for arm in two.arms)


def test_six_arms_and_three_goals_cost_less_than_a_draw_by_draw_loop() -> None:
    """About 30 ms; a Python loop over the draws that finds the front alone takes seconds."""
    rng = np.random.default_rng(7)
    given = given_lifts(rng.normal(0, 0.01, (5, 3)), shared_control(5, np.eye(3) * 1e-4))
    goals = (*GOALS, "visits")
    tradeoff(given, goals, alpha=0.05)
    ours, loop = [], []
    values = rng.normal(size=(8192, 6, 3)).tolist()
    for _ in range(3):
        start = time.process_time()
        tradeoff(given, goals, alpha=0.05)
        middle = time.process_time()
        for arms in values[:512]:
            [any(all(x >= y for x, y in zip(other, mine, strict=True)) for other in arms) for mine in arms]
        loop.append(16 * (time.process_time() - middle))
        ours.append(middle - start)
    assert np.median(ours) < np.median(loop)
