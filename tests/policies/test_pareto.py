from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.balance import MGDA, Fixed, Tchebycheff
from policies.multitask import SharedBottom
from policies.pareto import dominated, front, hypervolume, simplex
from policies.training import Training
from tests.policies.test_multitask import assert_equal_models, clicked_log

SMALL = Training(epochs=2, patience=2, batch=256, embedding=3, hidden=4, hidden2=3)
EVENTS = ("click", "buy")


@pytest.mark.parametrize("balance", [Fixed(), Tchebycheff(smoothing=0.05)])
def test_a_point_of_a_front_is_the_fit_of_its_spec_alone(balance: Fixed | Tchebycheff) -> None:
    """Whatever else is asked for, and in whatever order; bits repeat."""
    log, policy = clicked_log(1500), SharedBottom(training=SMALL, balance=balance)
    few, more = front(policy, log, simplex(EVENTS, 2)), front(policy, log, simplex(EVENTS, 4)[::-1])
    spec = SharedBottom(training=SMALL, balance=type(balance)({"click": 0.5, "buy": 0.5}))
    alone = (
        spec
        if isinstance(balance, Fixed)
        else SharedBottom.from_spec(
            {
                "training": SMALL_SPEC,
                "balance": {"type": "tchebycheff", "smoothing": 0.05, "weights": {"click": 0.5, "buy": 0.5}},
            }
        )
    ).fit(log)
    for point in (few[1], more[2]):
        assert point.preference == {"click": 0.5, "buy": 0.5}
        assert_equal_models(point.policy, alone)
        assert point.losses == {"click": alone.losses_["ctr"], "buy": alone.losses_["cvr"]}
    assert policy.balance == balance
    table = np.array([list(point.losses.values()) for point in more])
    np.testing.assert_array_equal([point.dominated for point in more], dominated(table))


SMALL_SPEC = {"epochs": 2, "patience": 2, "batch": 256, "embedding": 3, "hidden": 4, "hidden2": 3}


def test_a_balance_without_preferences_has_no_front() -> None:
    with pytest.raises(ValueError, match=r"balance must take weights, got mgda.*try fixed"):
        front(SharedBottom(balance=MGDA()), clicked_log(100), simplex(EVENTS, 2))


def test_no_preferences_make_no_points() -> None:
    assert front(SharedBottom(), clicked_log(100), []) == []


def test_preferences_cover_the_simplex_from_end_to_end() -> None:
    assert simplex(EVENTS, 2) == [{"click": 0, "buy": 1}, {"click": 0.5, "buy": 0.5}, {"click": 1, "buy": 0}]
    three = simplex(("a", "b", "c"), 4)
    assert len(three) == len({tuple(one.values()) for one in three}) == 15
    assert all(sum(one.values()) == 1 for one in three)


def test_a_point_is_dominated_by_one_that_is_nowhere_worse_and_somewhere_better() -> None:
    losses = np.array([[1, 3], [2, 2], [3, 1], [2, 3], [1, 3], [3, 3]])
    np.testing.assert_array_equal(dominated(losses), [False, False, False, True, False, True])


@pytest.mark.parametrize(
    ("losses", "reference", "expected"),
    [
        ([[1, 2]], [3, 3], 2),
        ([[1, 2], [2, 1]], [3, 3], 3),
        ([[1, 2], [2, 1], [2, 2]], [3, 3], 3),
        ([[0, 0, 0]], [2, 3, 4], 24),
        ([[1, 0, 0], [0, 1, 1]], [2, 2, 2], 5),
        ([[4, 0]], [3, 3], 0),
        ([[3, 0]], [3, 3], 0),
        ([[0.25]], [1], 0.75),
    ],
)
def test_hypervolumes_that_can_be_seen(losses: list[list[float]], reference: list[float], expected: float) -> None:
    assert hypervolume(np.array(losses, dtype=float), reference) == pytest.approx(expected)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 4))
def test_a_hypervolume_is_what_inclusion_and_exclusion_give(seed: int, n: int, tasks: int) -> None:
    """Over all subsets of boxes; ties and points beyond the reference included."""
    losses = np.random.default_rng(seed).integers(6, size=(n, tasks)) / 4
    expected = 0.0
    for size in range(1, n + 1):
        for some in itertools.combinations(losses, size):
            expected -= (-1) ** size * np.prod(np.maximum(1 - np.max(some, axis=0), 0))
    assert hypervolume(losses, [1.0] * tasks) == pytest.approx(expected, abs=1e-9)
