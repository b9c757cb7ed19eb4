from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from experiments.analysis.selection import hybrid_quantiles, selected, winners
from experiments.analysis.truncated import truncated_cdf
from tests.asserts import assert_proportion
from tests.experiments.analysis.given_lifts import given_lifts, shared_control
from tests.validation.tradeoffs import winners_curse

RUNS = 20_000
FIVE = shared_control(5, [[1.0]])


def test_the_winner_is_the_challenger_with_the_highest_lift() -> None:
    found = selected(given_lifts([[0.01], [0.03], [0.02]], shared_control(3, [[1e-4]])), "clicks", 0.05)
    assert found is not None
    assert (found.arm, found.goal, found.n_arms, found.naive) == ("C", "clicks", 3, 0.03)


def test_an_arm_that_loses_may_win_among_challengers() -> None:
    found = selected(given_lifts([[-0.02], [-0.01]], shared_control(2, [[1e-4]])), "clicks", 0.05)
    assert found is not None
    assert (found.arm, found.naive) == ("C", -0.01)


def test_arms_that_cannot_be_told_are_not_among_those_chosen_from() -> None:
    found = selected(given_lifts([[0.01, 0.0], [np.nan, 0.0], [0.02, np.nan]], np.eye(6)), "clicks", 0.05)
    assert found is not None
    assert (found.arm, found.n_arms) == ("D", 2)
    assert selected(given_lifts([[np.nan, 0.0]], np.eye(2)), "clicks", 0.05) is None


def test_the_only_challenger_keeps_its_naive_estimate_and_interval() -> None:
    found = selected(given_lifts([[0.02]], [[1e-4]]), "clicks", 0.05)
    assert found is not None
    assert (found.naive_low, found.naive_high) == pytest.approx((0.02 - 0.0196, 0.02 + 0.0196), abs=1e-6)
    assert (found.shrunk, found.hybrid) == pytest.approx((0.02, 0.02))
    assert (found.low, found.high) == pytest.approx((found.naive_low, found.naive_high), abs=1e-5)


def test_a_winner_that_no_other_can_reach_is_as_good_as_the_only_one() -> None:
    found = winners(np.array([[30.0, 0.0, 0.0, 0.0, 0.0]]), FIVE, 0.05)
    assert found.hybrid == pytest.approx(30, abs=1e-6)
    assert 1.96 < found.high[0] - 30 < norm.isf(0.045 / 0.995 / 2)  # beta is paid for
    assert 1.96 < 30 - found.low[0] < norm.isf(0.045 / 0.995 / 2)


def test_copies_of_the_winner_are_no_rivals() -> None:
    found = winners(np.array([[2.0, 2.0]]), shared_control(2, [[1.0]], share=1.0), 0.05)
    assert found.hybrid == pytest.approx(2, abs=1e-6)
    assert found.low[0] == pytest.approx(0.04, abs=0.01)
    assert found.high[0] == pytest.approx(3.96, abs=0.01)


def test_without_error_every_figure_is_the_lift() -> None:
    found = selected(given_lifts([[0.01], [0.02]], np.zeros((2, 2))), "clicks", 0.05)
    assert found is not None
    figures = (found.naive, found.naive_low, found.naive_high, found.shrunk, found.hybrid, found.low, found.high)
    assert figures == pytest.approx((0.02,) * 7)


def test_few_clusters_have_the_naive_interval_of_student() -> None:
    found = selected(given_lifts([[0.02], [0.0]], shared_control(2, [[1e-4]]), dof=6.0), "clicks", 0.05)
    many = selected(given_lifts([[0.02], [0.0]], shared_control(2, [[1e-4]])), "clicks", 0.05)
    assert found is not None
    assert many is not None
    assert found.naive_high - 0.02 == pytest.approx(0.01 * t.isf(0.025, 6))
    assert found.high - found.low > 1.2 * (many.high - many.low)


def test_with_no_rival_quantiles_are_those_of_the_normal() -> None:
    """Cut off at reach on both sides, and the tails of alpha and beta together are alpha again."""
    alpha, beta = 0.05, 0.005
    tail = (alpha - beta) / (1 - beta) / 2
    inf, zero, one = np.array([np.inf]), np.zeros(1), np.ones(1)
    found = hybrid_quantiles(zero, one, -inf, inf, float(norm.isf(beta / 2)), np.array([1 - tail, 0.5, tail]))
    assert found[:, 0] == pytest.approx([norm.ppf(0.025), 0, norm.isf(0.025)], abs=1e-9)


@pytest.mark.parametrize("rival", [-8.0, 0.0, 1.9, 1.999999])
def test_quantiles_solve_their_own_equation(rival: float) -> None:
    """Also where the winner is ahead by a millionth of a standard error."""
    value, sd, low, high, below = 2.0, 1.3, np.array([rival]), np.array([np.inf]), np.array([0.977, 0.5, 0.023])
    mean = hybrid_quantiles(np.array([value]), np.array([sd]), low, high, 3.2, below)
    cut = (np.maximum(low, mean - 3.2 * sd), np.minimum(high, mean + 3.2 * sd))
    assert truncated_cdf(np.array(value), mean, np.array(sd), *cut)[:, 0] == pytest.approx(below, abs=1e-5)
    assert (np.abs(mean - value) <= 3.2 * sd).all()


def test_one_experiment_says_what_it_says_among_many() -> None:
    lift = np.random.default_rng(8).normal(size=(50, 5)) * 0.01
    many = winners(lift, FIVE * 1e-4, 0.05)
    for run in range(50):
        found = selected(given_lifts(lift[run, :, None], FIVE * 1e-4), "clicks", 0.05)
        assert found is not None
        assert found.arm == "BCDEF"[many.best[run]]
        figures = (found.naive, found.naive_low, found.shrunk, found.hybrid, found.low, found.high)
        expected = (many.naive, many.naive_low, many.shrunk, many.hybrid, many.low, many.high)
        assert figures == pytest.approx([float(figure[run]) for figure in expected], rel=1e-9)


def test_the_best_of_five_equal_arms_is_corrected() -> None:
    """Battery V15. The naive estimate is .82 standard errors too high, and its interval misses one truth in eleven."""
    found = winners_curse(RUNS, seed=5)
    assert found["bias, naive"] > 0.75
    assert abs(found["bias, shrunk"]) < 0.45
    assert found["rmse, shrunk"] < 0.8 * found["rmse, naive"]
    assert found["coverage, hybrid"] >= 0.945
    assert found["coverage, naive"] < 0.92
    assert abs(found["high, hybrid"] - 0.5) < 0.005 + 4 * np.sqrt(0.25 / RUNS)  # beta may shift it by as much


@pytest.mark.parametrize("truth", [(0, 0.5, 1, 1.5, 2), (0, 0, 0, 0, 4), (0, 0), (1, 0, -3)])
def test_whatever_the_truth_the_hybrid_interval_covers_it(truth: tuple[float, ...]) -> None:
    found = winners_curse(RUNS, 6, truth)
    assert found["coverage, hybrid"] >= binom.ppf(0.0005, RUNS, 0.95) / RUNS
    assert found["coverage, hybrid"] <= binom.ppf(0.9995, RUNS, 0.95 / 0.995) / RUNS
    assert abs(found["bias, shrunk"]) < 0.45


def test_arms_of_uneven_size_are_covered_whichever_wins() -> None:
    """A rival whose error is larger and goes with the winner's bounds the winner from above, not from below. Of the
    noisiest arm, which must be lucky to win, the naive estimate is always too high."""
    truth = np.array([0.0, -1.0, 0.0])
    covariance = np.array([[1.0, 1.8, 0.2], [1.8, 4.0, 0.1], [0.2, 0.1, 0.25]])
    found = winners(np.random.default_rng(9).multivariate_normal(truth, covariance, RUNS), covariance, 0.05)
    of_best = truth[found.best]
    for arm in range(3):
        mine = found.best == arm
        covered = (found.low <= of_best) & (of_best <= found.high)
        assert mine.mean() > 0.15
        assert covered[mine].mean() > binom.ppf(0.0005, mine.sum(), 0.95) / mine.sum()
        assert_proportion((found.hybrid > of_best)[mine], 0.5)
    lucky = found.best == 1
    assert (found.naive > of_best)[lucky].mean() > 0.99
    assert ((found.naive_low <= of_best) & (of_best <= found.naive_high))[lucky].mean() < 0.9
