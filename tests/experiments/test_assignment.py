from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from experiments.assignment import UNCLAIMED, assign

USERS = np.arange(60_000)
SHARES = {"a": 0.2, "b": 0.3, "c": 0.1, "d": 0.4}


def chi_square_p(observed: np.ndarray, expected: np.ndarray) -> float:
    return float(chi2.sf(((observed - expected) ** 2 / expected).sum(), observed.size - 1))


def test_arms_win_in_proportion_to_their_shares() -> None:
    arm = assign(USERS, SHARES, "salt", 3)
    counts = np.bincount(arm, minlength=4)
    assert chi_square_p(counts, len(USERS) * np.array(list(SHARES.values()))) > 1e-6


def test_traffic_that_no_arm_claims_is_unclaimed() -> None:
    arm = assign(USERS, {"a": 0.25, "b": 0.25}, "salt", 3)
    counts = np.array([(arm == k).sum() for k in (0, 1, UNCLAIMED)])
    assert chi_square_p(counts, len(USERS) * np.array([0.25, 0.25, 0.5])) > 1e-6


def test_shares_that_sum_to_one_up_to_rounding_leave_nobody_unclaimed() -> None:
    assert (assign(USERS, dict.fromkeys("abcdefghij", 0.1), "salt", 3) != UNCLAIMED).all()


def test_the_order_of_arms_does_not_matter() -> None:
    names = list(SHARES)
    forward = np.array(names)[assign(USERS, SHARES, "salt", 3)]
    backward = np.array(names[::-1])[assign(USERS, dict(reversed(SHARES.items())), "salt", 3)]
    assert (forward == backward).all()


def test_a_user_keeps_the_arm_whoever_else_is_assigned() -> None:
    some = USERS[::7]
    assert (assign(some, SHARES, "salt", 3) == assign(USERS, SHARES, "salt", 3)[::7]).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=6), st.floats(0.05, 0.5), st.integers(0, 2**40))
def test_an_added_arm_moves_only_the_users_it_takes(weights: list[float], added: float, seed: int) -> None:
    """With the others in unchanged proportion, the division is full before and after."""
    users = np.arange(3000)
    names = [f"arm {n}" for n in range(len(weights))]
    total = sum(weights)
    before = assign(users, dict(zip(names, [w / total for w in weights], strict=True)), "s", seed)
    shares = {**{n: w / total * (1 - added) for n, w in zip(names, weights, strict=True)}, "new": added}
    after = assign(users, shares, "s", seed)
    moved = before != after
    assert (after[moved] == len(names)).all()


def test_an_arm_taken_from_unclaimed_traffic_moves_nobody_between_arms() -> None:
    before = assign(USERS, {"a": 0.2, "b": 0.3}, "salt", 3)
    after = assign(USERS, {"a": 0.2, "b": 0.3, "new": 0.2}, "salt", 3)
    was_in_an_arm = before != UNCLAIMED
    kept_or_taken = (after == before) | (after == 2)
    assert kept_or_taken[was_in_an_arm].all()


@pytest.mark.parametrize("other", [("other salt", 3), ("salt", 4)])
def test_another_salt_or_seed_is_an_independent_division(other: tuple[str, int]) -> None:
    one, two = assign(USERS, SHARES, "salt", 3), assign(USERS, SHARES, *other)
    table = np.histogram2d(one, two, bins=(4, 4))[0]
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    assert chi2.sf(((table - expected) ** 2 / expected).sum(), 9) > 1e-6


def test_assignment_does_not_follow_the_user_id() -> None:
    """Market is the id modulo the number of markets: an arm must not prefer a market."""
    arm = assign(USERS, SHARES, "salt", 3)
    for modulus in (2, 3, 5):
        table = np.histogram2d(arm, USERS % modulus, bins=(4, modulus))[0]
        expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
        assert chi2.sf(((table - expected) ** 2 / expected).sum(), 3 * (modulus - 1)) > 1e-6


@pytest.mark.parametrize("shares", [{"a": 0.7, "b": 0.7}, {"a": 0.0, "b": 0.5}, {"a": -0.1, "b": 0.5}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must be > 0 and sum to at most 1"):
        assign(USERS[:10], shares, "salt", 3)
