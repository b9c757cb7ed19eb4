from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.tuning.aim import Aim, Bound, Observed
from experiments.tuning.gains import hypervolume
from experiments.tuning.posterior import Posterior, feasibility, front_chance, posterior, reported
from tests.asserts import assert_proportion

Floats = NDArray[np.float64]
AT_LEAST, AT_MOST = Bound(0, 1, -1.0), Bound(0, -1, 1.0)


def believed(mean: Floats, sd: float | Floats) -> Posterior:
    variance = np.broadcast_to(np.square(sd), mean.shape)
    return Posterior(mean, np.array([np.diag(column) for column in variance.T]))


def test_the_chance_of_one_bound_is_that_of_the_normal() -> None:
    found = believed(np.array([[-1.0], [0.0], [-2.0]]), 1.0)
    assert feasibility(found, [AT_LEAST]) == pytest.approx([0.5, 0.841345, 0.158655], abs=1e-6)


def test_the_chance_of_several_bounds_is_joint() -> None:
    """Two bounds of one metric are of one number, bounds of two metrics are independent; held against draws."""
    mean, sd = np.array([[0.4, 0.1]]), np.array([[0.9, 0.5]])
    bounds = [AT_LEAST, AT_MOST, Bound(1, 1, 0.0)]
    drawn = mean + sd * np.random.default_rng(1).standard_normal((200_000, 2))
    kept = (drawn[:, 0] >= -1) & (drawn[:, 0] <= 1) & (drawn[:, 1] >= 0)
    assert_proportion(kept, feasibility(believed(mean, sd), bounds)[0])


def test_bounds_that_contradict_each_other_are_never_kept() -> None:
    assert feasibility(believed(np.zeros((1, 1)), 1.0), [Bound(0, 1, 1.0), Bound(0, -1, -1.0)]) == pytest.approx([0])


def test_without_uncertainty_a_bound_holds_or_does_not() -> None:
    assert feasibility(believed(np.array([[-1.0], [-1.1]]), 0.0), [AT_LEAST]).tolist() == [1, 0]


def test_without_bounds_everything_is_feasible() -> None:
    assert feasibility(believed(np.zeros((3, 2)), 1.0), []).tolist() == [1, 1, 1]


def test_the_report_is_the_front_of_means_among_the_safe() -> None:
    mean = np.array([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.9, 2.9, 0.0], [9.0, 9.0, -0.9]])
    aim = Aim((0, 1), (0.0, 0.0), (Bound(2, 1, -1.0),))
    assert reported(believed(mean, 0.5), aim).tolist() == [0, 1]
    assert reported(believed(mean, 0.5), aim, confidence=0.5).tolist() == [3]
    assert reported(believed(mean, 9.0), aim).tolist() == []


def test_chances_of_the_front_are_those_of_draws_with_their_covariance() -> None:
    """Of two settings with one goal, the better is on the front: with errors in common, it nearly always is."""
    mean = np.array([[0.0], [0.5]])
    normal = np.random.default_rng(2).standard_normal((1, 2, 4000))
    aim = Aim((0,), (-9.0,))
    apart = front_chance(believed(mean, 1.0), aim, normal)
    together = front_chance(Posterior(mean, np.array([[[1.0, 0.99], [0.99, 1.0]]])), aim, normal)
    assert apart.sum() == pytest.approx(1)
    assert abs(apart[1] - 0.638) < 5 * np.sqrt(0.25 / 4000)  # of N(.5, 2) above 0
    assert together[1] > 0.99


def test_a_setting_that_breaks_its_bound_is_on_no_front() -> None:
    mean = np.array([[1.0, -5.0], [0.0, 5.0]])
    normal = np.random.default_rng(2).standard_normal((2, 2, 50))
    chance = front_chance(believed(mean, 0.1), Aim((0,), (-9.0,), (Bound(1, 1, 0.0),)), normal)
    assert chance.tolist() == [0, 1]


def test_the_raw_front_promises_too_much_and_the_posterior_does_not() -> None:
    """Two smooth goals at 40 settings with errors as large as their spread, 20 times. The raw front claims half as much
    again as it truly reaches (1.7 of 3.7); the posterior errs by a fifth of that, and to the safe side."""
    se, aim, zero = 0.4, Aim((0, 1), (0.0, 0.0)), np.zeros(2)
    raw: list[float] = []
    shrunk: list[float] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = rng.random((40, 2))
        truth = np.stack([points[:, 0] + points[:, 1], 1.5 - points[:, 0] + points[:, 1] ** 2], axis=1)
        seen = Observed(truth + se * rng.standard_normal((40, 2)), np.array([se**2 * np.eye(40)] * 2))
        for found, claims in ((believed(seen.values, 0.0), raw), (posterior(points, seen), shrunk)):
            chosen = reported(found, aim)
            claims.append(hypervolume(found.mean[chosen], zero) - hypervolume(truth[chosen], zero))
    assert np.mean(raw) > 5 * np.std(raw) / np.sqrt(20)
    assert abs(np.mean(shrunk)) < np.mean(raw) / 3


def test_what_is_observed_must_come_with_its_error() -> None:
    with pytest.raises(ValueError, match=r"noise: must have shape \(2, 3, 3\)"):
        Observed(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        Observed(np.full((1, 1), np.nan), np.zeros((1, 1, 1)))
