"""Serving: a total order, Plackett-Luce exploration, and the propensities that belong to it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sim import draws, ranking
from sim.ranking import explored, propensities, ranked, utilities
from tests.asserts import assert_distinct_in_rows, assert_proportion

FOUR = np.array([[0.3, -1.2, 0.9, 0.0]])


def keys(n: int, candidates: int, seed: int = 0) -> draws.Keys:
    return draws.fold(draws.fold(draws.root(seed, "test"), np.arange(n))[:, None], np.arange(candidates))


def chance_of(order: tuple[int, ...], utility: np.ndarray) -> float:
    """Plackett 1975: the best of those that remain, again and again."""
    weight = np.exp(utility)
    return float(np.prod([weight[i] / weight[list(order[n:])].sum() for n, i in enumerate(order)]))


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(
            st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 1.0, -1.0])
        ),
    )
)
def test_ranked_is_a_stable_sort_from_best_to_worst(scores: np.ndarray) -> None:
    assert np.array_equal(ranked(scores), np.argsort(-scores, axis=1, kind="stable"))


def test_ties_go_to_the_earlier_candidate() -> None:
    assert ranked(np.array([[1, 2, 1, 2, 1]], dtype=np.float32)).tolist() == [[1, 3, 0, 2, 4]]


def test_minus_zero_ties_with_zero() -> None:
    scores = np.array([[-0.0, 0.0, -0.0], [0.0, -0.0, 1e-45]], dtype=np.float32)
    assert ranked(scores).tolist() == [[0, 1, 2], [2, 0, 1]]


def test_negative_scores_are_ordered_by_value_not_by_size() -> None:
    assert ranked(np.array([[-3, -1, 2, -2]], dtype=np.float32)).tolist() == [[2, 1, 3, 0]]


def test_scores_are_left_as_they_were() -> None:
    scores = np.array([[-0.0, 2.0]], dtype=np.float32)
    ranked(scores)
    assert np.signbit(scores[0, 0])


def test_ranking_of_a_row_does_not_depend_on_the_other_rows() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32)
    assert np.array_equal(ranked(scores), np.concatenate([ranked(scores[[row]]) for row in range(50)]))


@pytest.mark.parametrize("depth", [1, 7, 39, 40, 50])
def test_ranking_to_a_depth_is_the_top_of_the_whole(depth: int) -> None:
    scores = np.random.default_rng(4).integers(0, 9, size=(60, 40)).astype(np.float32)  # many ties
    assert np.array_equal(ranked(scores, depth), ranked(scores)[:, :depth])


def nearly_equal(rows: int, candidates: int) -> np.ndarray:
    """Scores that differ in their last bits only, some of them not at all, of both signs."""
    luck = np.random.default_rng(candidates)
    bits = luck.choice(np.array([0x3F800000, -0x40800000], dtype=np.int32), (rows, candidates))
    return (bits + luck.integers(0, candidates, (rows, candidates), dtype=np.int32)).view(np.float32)


SCORES = {
    "normal": lambda rows, candidates: np.random.default_rng(5).normal(size=(rows, candidates)).astype(np.float32),
    "nearly equal": nearly_equal,
    "all equal": lambda rows, candidates: np.full((rows, candidates), -2.5, dtype=np.float32),
    "of few values": lambda rows, candidates: (
        np.random.default_rng(6).integers(-2, 3, (rows, candidates)).astype(np.float32)
    ),
    "first distinct, then equal": lambda rows, candidates: np.where(
        np.arange(rows)[:, None] < rows // 2, np.arange(candidates, dtype=np.float32), np.float32(1)
    ),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("candidates", [1, 2, 100, 128, 256, 257])
@pytest.mark.parametrize("depth", [1, 10, None])
def test_narrow_and_wide_numbers_give_the_same_order(kind: str, candidates: int, depth: int | None) -> None:
    """Few candidates are ranked by the upper bits of their scores, and by all bits where those leave it open."""
    scores = SCORES[kind](1500, candidates)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    assert np.array_equal(ranked(scores, depth), expected)


def test_scores_of_many_blocks_are_ranked_as_one() -> None:
    rows = 2 * (ranking._BLOCK // 100) + 7
    scores = np.random.default_rng(7).normal(size=(rows, 100)).astype(np.float32)
    assert np.array_equal(ranked(scores, 10), np.argsort(-scores, axis=1, kind="stable")[:, :10])


def test_no_request_is_ranked_as_nothing() -> None:
    assert ranked(np.zeros((0, 100), dtype=np.float32), 10).shape == (0, 10)


def test_memory_order_of_scores_does_not_matter() -> None:
    scores = np.random.default_rng(8).normal(size=(30, 20)).astype(np.float32)
    assert np.array_equal(ranked(np.asfortranarray(scores), 5), ranked(scores, 5))


def test_one_candidate_is_ranked_first() -> None:
    assert ranked(np.zeros((2, 1), dtype=np.float32)).tolist() == [[0], [0]]


def test_explored_orders_come_at_plackett_luce_probabilities() -> None:
    n = 60_000
    orders = explored(np.repeat(FOUR, n, axis=0), keys(n, 4))
    chances = {order: chance_of(order, FOUR[0]) for order in permutations(range(4))}
    assert sum(chances.values()) == pytest.approx(1)
    for order, chance in chances.items():
        assert_proportion((orders == order).all(axis=1), chance)


def test_explored_is_an_order_of_all_candidates() -> None:
    orders = explored(np.random.default_rng(1).normal(size=(300, 40)), keys(300, 40))
    assert_distinct_in_rows(orders)
    assert (np.sort(orders, axis=1) == np.arange(40)).all()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_propensities_are_the_plackett_luce_steps(order: tuple[int, ...]) -> None:
    found = propensities(FOUR, np.array([order]))
    weight = np.exp(FOUR[0])
    steps = [weight[i] / weight[list(order[n:])].sum() for n, i in enumerate(order)]
    np.testing.assert_allclose(found[0], steps, rtol=1e-6)


def test_propensities_are_those_of_one_request_after_the_other() -> None:
    """Summed rank by rank over all requests, for speed; each must have the bits of its own running sum."""
    utility = utilities(np.random.default_rng(9).normal(size=(40, 100)).astype(np.float32), np.full(40, 0.3))
    order = explored(utility, keys(40, 100))
    for row in range(40):
        mine = utility[row, order[row]]
        remaining = np.logaddexp.accumulate(mine[::-1])[::-1]
        assert np.array_equal(propensities(utility, order)[row], np.exp(mine - remaining).astype(np.float32))


def test_propensities_of_all_orders_sum_to_one() -> None:
    orders = np.array(list(permutations(range(4))))
    whole = propensities(np.repeat(FOUR, len(orders), axis=0), orders).astype(np.float64).prod(axis=1)
    assert whole.sum() == pytest.approx(1, abs=1e-6)


def test_propensity_of_the_last_candidate_is_one() -> None:
    """It is the only one left, however unlikely it was to be higher up."""
    utility = np.linspace(0, -3, 100)[None, :] / 0.5
    assert propensities(utility, ranked(utility.astype(np.float32)))[0, -1] == 1


@pytest.mark.parametrize("temperature", [0.01, 0.001])
def test_propensities_in_order_tend_to_one_as_exploration_ends(temperature: float) -> None:
    """The limit is the ranking itself, at every depth; a propensity of 0 for what was shown would be a lie."""
    scores = np.linspace(2, -2, 100, dtype=np.float32)[None, :]
    utility = utilities(scores, np.array([temperature]))
    order = ranked(utility.astype(np.float32))
    assert (propensities(utility, order) > 0.95).all()


def test_temperature_is_in_sd_of_the_requests_own_scores() -> None:
    scores = np.random.default_rng(2).normal(size=(20, 100)).astype(np.float32)
    found = utilities(scores, np.full(20, 0.25))
    np.testing.assert_allclose(found.std(axis=1), 4, rtol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(100.0, 0.0), (1.0, 50.0), (0.01, -3.0)])
def test_unit_of_scores_does_not_matter(scale: float, shift: float) -> None:
    scores = np.random.default_rng(3).normal(size=(200, 30)).astype(np.float32)
    temperature = np.full(200, 0.5)
    plain, other = (
        utilities(scores, temperature),
        utilities(scores * np.float32(scale) + np.float32(shift), temperature),
    )
    order = explored(plain, keys(200, 30))
    # Shifting by 50 costs float32 scores about 4e-6 of their sd of 1.
    np.testing.assert_allclose(propensities(plain, order), propensities(other, order), rtol=2e-4)
    assert (explored(other, keys(200, 30)) == order).mean() > 0.999


def test_equal_scores_leave_every_candidate_equally_likely() -> None:
    n = 20_000
    utility = utilities(np.full((n, 5), 0.1, dtype=np.float32), np.full(n, 0.5))
    orders = explored(utility, keys(n, 5))
    for candidate in range(5):
        assert_proportion(orders[:, 0] == candidate, 0.2)
    np.testing.assert_allclose(propensities(utility, orders)[0], [1 / 5, 1 / 4, 1 / 3, 1 / 2, 1], rtol=1e-6)


def test_colder_is_closer_to_the_ranking() -> None:
    n = 2000
    scores = np.repeat(FOUR.astype(np.float32), n, axis=0)

    def share_on_top(temperature: float) -> float:
        return float((explored(utilities(scores, np.full(n, temperature)), keys(n, 4))[:, 0] == 2).mean())

    assert share_on_top(0.05) > share_on_top(0.5) > share_on_top(5.0)
    assert share_on_top(0.05) == 1
