from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.tuning.gains import front, gains, hypervolume

Floats = NDArray[np.float64]


def by_inclusion_and_exclusion(points: Floats, reference: Floats) -> float:
    """Volume of a union of boxes: of all non-empty subsets, with alternating sign, the volume of the common box."""
    over = np.maximum(points - reference, 0)
    subsets = (list(s) for k in range(len(over)) for s in itertools.combinations(range(len(over)), k + 1))
    return sum((-1) ** (len(subset) + 1) * float(over[subset].min(axis=0).prod()) for subset in subsets)


@pytest.mark.parametrize("n_goals", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_volume_is_that_of_the_union_of_boxes(n_goals: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, reference = rng.normal(size=(9, n_goals)), rng.normal(size=n_goals) - 0.5
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference), abs=1e-12)


@pytest.mark.parametrize("n_goals", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_a_gain_is_the_volume_with_the_candidate_less_that_without(n_goals: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, candidates = rng.normal(size=(8, n_goals)), rng.normal(size=(40, n_goals)) + 0.3
    reference = np.full(n_goals, -0.7)
    without = hypervolume(points, reference)
    expected = [hypervolume(np.vstack([points, candidate]), reference) - without for candidate in candidates]
    np.testing.assert_allclose(gains(candidates, points, reference), expected, atol=1e-12)


@pytest.mark.parametrize("n_goals", [1, 2, 3])
def test_ties_and_copies_count_once(n_goals: int) -> None:
    """Coordinates on a coarse grid: many points share a coordinate, and some are equal."""
    rng = np.random.default_rng(4)
    points = rng.integers(0, 3, (10, n_goals)).astype(float)
    reference = np.full(n_goals, -1.0)
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference))
    assert gains(points, points, reference).tolist() == [0] * 10


@pytest.mark.parametrize("n_goals", [1, 2, 3])
def test_over_an_empty_set_the_gain_is_the_whole_box(n_goals: int) -> None:
    candidates = np.array([np.full(n_goals, 2.0), np.full(n_goals, -1.0)])
    assert gains(candidates, np.empty((0, n_goals)), np.zeros(n_goals)).tolist() == [2.0**n_goals, 0]
    assert hypervolume(np.empty((0, n_goals)), np.zeros(n_goals)) == 0


def test_a_point_on_the_reference_adds_nothing() -> None:
    assert hypervolume(np.array([[0.0, 5.0], [5.0, 0.0]]), np.zeros(2)) == 0


def test_the_front_is_what_no_other_dominates_and_of_equals_the_first() -> None:
    points = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [1.0, 2.0], [3.0, 0.0], [2.9, 0.0]])
    assert front(points).tolist() == [True, True, False, False, True, False]
    assert front(np.empty((0, 2))).tolist() == []
