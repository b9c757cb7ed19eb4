from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import norm

from experiments.analysis.draws import joint_draws
from experiments.analysis.weightmap import WeightMap, weight_map
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control


def mapped(lift: ArrayLike, covariance: ArrayLike) -> WeightMap:
    given = given_lifts(lift, covariance)
    point = np.vstack([np.zeros(2), given.lift])
    return weight_map((given.control, *given.arms), point, joint_draws(given))


def test_weights_run_from_the_second_goal_alone_to_the_first_alone() -> None:
    found = mapped([[0.01, 0.02]], correlated(0.5))
    assert (found.weight[0], found.weight[-1]) == (0, 1)
    assert (found.rate[0], found.rate[-1]) == (np.inf, 0)
    assert found.rate[found.weight == 0.5] == pytest.approx(1)


def test_one_challenger_is_best_with_the_probability_that_its_utility_is_positive() -> None:
    lift, covariance = np.array([0.02, -0.01]), correlated(0.5, (0.02, 0.01))
    found = mapped(lift[None], covariance)
    for k, w in enumerate(found.weight):
        gain, sd = np.array([w, 1 - w]) @ lift, np.sqrt(np.array([w, 1 - w]) @ covariance @ [w, 1 - w])
        assert found.best[k, 1] == pytest.approx(norm.cdf(gain / sd), abs=0.01)
        missed = gain * norm.cdf(gain / sd) + sd * norm.pdf(gain / sd)  # E max(0, utility)
        assert found.loss[k, 0] == pytest.approx(missed, abs=0.01 * sd)
        assert found.loss[k, 1] == pytest.approx(missed - gain, abs=0.01 * sd)


def test_some_arm_is_best_and_no_loss_is_negative() -> None:
    found = mapped([[0.01, 0.02], [0.03, -0.01]], shared_control(2, correlated(0.5, (0.02, 0.02))))
    assert found.best.sum(axis=1) == pytest.approx(np.ones(len(found.weight)))
    assert (found.loss >= 0).all()


def test_copies_of_an_arm_share_the_probability_and_have_one_loss() -> None:
    found = mapped([[0.01, 0.02], [0.01, 0.02]], shared_control(2, correlated(0.5, (0.02, 0.02)), share=1.0))
    assert found.best[:, 1] == pytest.approx(found.best[:, 2])
    assert found.loss[:, 1] == pytest.approx(found.loss[:, 2])


def test_without_error_the_best_arm_is_certain_on_each_side_of_a_switch() -> None:
    found = mapped([[0.04, -0.01], [0.02, 0.01], [0.01, 0.01], [-0.02, 0.02]], np.zeros((8, 8)))
    assert [(a, b) for _, a, b in found.switches] == [("B", "C"), ("C", "E")]
    assert [rate for rate, _, _ in found.switches] == pytest.approx([1, 4])
    for rate, best in zip(found.rate, found.best, strict=True):
        expected = "B" if rate < 1 else "C" if rate < 4 else "E"
        if min(abs(rate - 1), abs(rate - 4)) > 1e-9:
            assert best["ABCDE".index(expected)] == 1


def test_switches_are_where_the_best_of_a_fine_grid_changes() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        lift = rng.normal(size=(6, 2))
        found = mapped(lift, np.zeros((12, 12)))
        values = np.vstack([np.zeros(2), lift])
        rates = np.geomspace(1e-4, 1e4, 20_001)
        best = (values[:, [0]] + rates * values[:, [1]]).argmax(axis=0)
        at = np.flatnonzero(np.diff(best))
        assert [(a, b) for _, a, b in found.switches] == [("ABCDEFG"[best[i]], "ABCDEFG"[best[i + 1]]) for i in at]
        assert [rate for rate, _, _ in found.switches] == pytest.approx(rates[at].tolist(), rel=1e-3)


def test_an_arm_that_is_best_on_both_goals_never_gives_way() -> None:
    assert mapped([[0.02, 0.03], [0.02, 0.01]], np.zeros((4, 4))).switches == ()


def test_lines_that_cross_at_one_rate_switch_once_to_the_steepest() -> None:
    found = mapped([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]], np.zeros((6, 6)))
    assert found.switches == ((1.0, "B", "D"),)
