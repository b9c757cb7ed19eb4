"""The true front: what rankers that know the truth attain on two goals at once."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.plan import front_columns, plan
from experiments.spec import SpecError
from sim.engine import Arm
from sim.oracle import WeighingOracle
from sim.scenario import with_conflict
from sim.world import build
from tests.experiments.finished import Finished, finished, small
from tests.experiments.specs import experiment
from tests.worlds import NO_DYNAMICS, ONE_PAGE, scenario, serve_once

POINTS = 5
GOALS = "{goals: [ctr, gmv_per_user], guardrails: {visits_per_user: -5%}}"
SHOP = "like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}, people: {habit_days: 1}"


def text(metrics: str = GOALS, world: str = "", points: int = POINTS) -> str:
    return small(
        arms="{production: {share: 0.4}, luck: {share: 0.3, policy: random}, popular: {share: 0.3, policy: popular}}",
        world=f"users: 800, markets: 2, dynamics: false{world}",
        scenario=SHOP,
        metrics=metrics,
        more=f"truth: {{users: 0.6, front: {points}, front_users: 0.5}}",
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(text(), tmp_path_factory.mktemp("front") / "run")


def test_there_are_as_many_points_as_asked_for_from_the_second_goal_to_the_first(drawn: Finished) -> None:
    assert [point.weight for point in drawn.results.front] == [0, 0.25, 0.5, 0.75, 1]


def test_each_end_is_best_on_its_own_goal_and_between_them_one_is_given_for_the_other(drawn: Finished) -> None:
    first, second = ([getattr(point, goal) for point in drawn.results.front] for goal in ("first", "second"))
    assert max(first) == first[-1] > first[0]
    assert max(second) == second[0] > second[-1]
    assert first == sorted(first)
    assert second == sorted(second, reverse=True)


def test_no_arm_is_beyond_the_front_on_both_goals(drawn: Finished) -> None:
    rows = {(row.arm, row.metric): row for row in drawn.results.truth}
    points = [(0.0, 0.0, 0.0, 0.0)]  # the control itself
    for arm in ("luck", "popular"):
        ctr, gmv = rows[arm, "ctr"], rows[arm, "gmv_per_user"]
        points.append((ctr.expected_lift, ctr.expected_lift_se, gmv.expected_lift, gmv.expected_lift_se))
    for first, first_se, second, second_se in points:
        for point in drawn.results.front:
            assert not (first - 3 * first_se > point.first and second - 3 * second_se > point.second)
    assert drawn.results.front[2].first > 0 < drawn.results.front[2].second  # the middle beats control on both


@pytest.mark.parametrize(
    ("metrics", "world"),
    [
        ("{goals: [ctr]}", ""),  # one goal
        ("{goals: [ctr, visits_per_user]}", ""),  # visits are no sum over impressions
        ("{goals: [ctr, cvr]}", ""),  # per click: what is weighed changes the denominator
        ("{goals: [orders_per_user, ctcvr]}", ""),  # one numerator
        (GOALS, ", sharing: true"),
    ],
)
def test_goals_that_cannot_be_weighed_exactly_are_refused_a_front(metrics: str, world: str) -> None:
    with pytest.raises(SpecError, match=r"truth\.front: needs"):
        experiment(text(metrics, world))
    unasked = experiment(text(metrics, world, points=0))
    assert front_columns(unasked) is None
    assert not plan(unasked).fronts


def click_loss(conflict: float) -> float:
    """What share of its clicks the ranking that is best for money gives up, against the best ranking for clicks."""
    base = scenario(browse=ONE_PAGE, satisfaction=NO_DYNAMICS, catalogue={"items": 400, "price_log_sd": 0.1})
    world = build(with_conflict(base, conflict), 1, np.arange(1500), 0, 1)
    clicks = []
    for column in ("value_cents", "click"):
        wave = serve_once(world, Arm(column, WeighingOracle(world, {column: 1.0})))
        clicks.append(float(wave.click_probability.sum()))
    return 1 - clicks[0] / clicks[1]


def test_the_front_grows_long_as_clicks_and_money_are_turned_against_each_other() -> None:
    """At 0 the best ranking for money gives up few clicks, at 1 it gives up most of what ranking can win."""
    losses = [click_loss(conflict) for conflict in (0, 0.25, 0.5, 0.75, 1)]
    print("clicks given up by conflict", np.round(losses, 3))
    assert losses == sorted(losses)
    assert losses[0] < 0.1
    assert losses[-1] > 0.3
