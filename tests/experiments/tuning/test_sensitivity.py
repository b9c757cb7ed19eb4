"""How flat an optimum is, on functions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.tuning.box import Box, Choice, Numeric
from experiments.tuning.picks import Belief, picks_of
from experiments.tuning.posterior import Posterior
from experiments.tuning.question import question_of
from experiments.tuning.sensitivity import sensitivity
from experiments.tuning.thompson import Observed
from tests.experiments.tuning.shop import TUNE, spec

BOX = Box({"x": Numeric(0.0, 1.0), "y": Numeric(0.0, 1.0), "z": Numeric(0.0, 1.0)})
QUESTION = question_of(spec())


def observed(values: np.ndarray, se: float) -> Observed:
    return Observed(values, np.array([se**2 * np.eye(len(values))] * values.shape[1]))


def around(function: object, se: float = 0.001, n: int = 80) -> tuple[np.ndarray, Observed]:
    """Settings all over the box and what a function of (x, y, z) gives, two metrics of it."""
    rng = np.random.default_rng(3)
    points = rng.random((n, 3))
    assert callable(function)
    values = np.stack([function(*points.T), 0.5 * function(*points.T)], axis=1)
    return points, observed(values + se * rng.standard_normal(values.shape), se)


def test_the_cost_of_a_tenth_of_a_range_is_that_of_the_function() -> None:
    points, seen = around(lambda x, y, z: -((x - 0.5) ** 2) - 0.2 * y)
    found = sensitivity(BOX, points, seen, {"x": 0.5, "y": 0.5, "z": 0.5}, QUESTION)
    x, y, z = found.profiles
    assert x.cost[0] == pytest.approx(-0.01, abs=0.004)
    assert y.cost[0] == pytest.approx(-0.02, abs=0.004)
    assert y.cost[1] == pytest.approx(-0.01, abs=0.002)
    assert z.cost[0] == pytest.approx(0, abs=0.004)


def test_a_parameter_that_moves_nothing_is_not_identified() -> None:
    points, seen = around(lambda x, y, z: x + y**2)
    found = sensitivity(BOX, points, seen, {"x": 0.5, "y": 0.5, "z": 0.5}, QUESTION)
    assert [profile.identified for profile in found.profiles] == [True, True, False]


def test_a_ridge_of_two_parameters_is_found_and_none_where_there_is_none() -> None:
    """As of a free exponent on every goal of a product of powers: only their ratio counts."""
    points, seen = around(lambda x, y, z: np.sin(3 * (x - y)) + z)
    found = sensitivity(BOX, points, seen, {"x": 0.5, "y": 0.5, "z": 0.5}, QUESTION)
    assert found.ridge is not None
    assert abs(found.ridge.direction["x"] - found.ridge.direction["y"]) < 0.15
    assert abs(found.ridge.direction["z"]) < 0.15
    points, seen = around(lambda x, y, z: x + y**2 + z)
    bowl = around(lambda x, y, z: -((x - 0.5) ** 2) - (y - 0.5) ** 2 - (z - 0.5) ** 2)
    assert sensitivity(BOX, *bowl, {"x": 0.5, "y": 0.5, "z": 0.5}, QUESTION).ridge is None


def test_of_a_choice_the_worst_other_is_told() -> None:
    box = Box({"kind": Choice(("a", "b", "c"))})
    kinds = [("a", "b", "c")[k % 3] for k in range(30)]
    points = np.array([box.encode({"kind": kind}) for kind in kinds])
    values = np.array([[{"a": 0.0, "b": -0.3, "c": -0.1}[kind]] * 2 for kind in kinds])
    found = sensitivity(box, points, observed(values, 0.01), {"kind": "a"}, QUESTION)
    assert found.profiles[0].values == ("a", "b", "c")
    assert found.profiles[0].cost[0] == pytest.approx(-0.3, abs=0.02)


def test_a_pick_is_best_for_its_taste_among_what_holds_all_limits() -> None:
    question = question_of(spec(TUNE.replace("exchange_rates: [2]", "exchange_rates: [0.1, 5]")))
    mean = np.array([[0.30, 0.00, 0.0], [0.20, 0.05, 0.0], [0.50, 0.10, 0.0], [0.10, 0.06, 0.0]])
    belief = Belief(Posterior(mean, np.zeros((3, 4, 4))), np.array([0.95, 0.92, 0.2, 1.0]), np.array([0, 1, 3]))
    assert [(pick.taste, pick.trial) for pick in picks_of(belief, question)] == [
        ("most stay_per_user", 0),
        ("0.1 stay_per_user for 1 ctr", 0),
        ("5 stay_per_user for 1 ctr", 1),
    ]
    nothing = Belief(belief.found, np.full(4, 0.5), np.zeros(0, dtype=np.intp))
    assert picks_of(nothing, question) == []
