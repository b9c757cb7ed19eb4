from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from experiments.assignment import UNCLAIMED, assign, assign_markets

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


def counted(arm: np.ndarray, n_arms: int) -> list[int]:
    """Markets of each arm, and last those of none."""
    return [int((arm == k).sum()) for k in (*range(n_arms), UNCLAIMED)]


@pytest.mark.parametrize(
    ("n_markets", "shares", "counts"),
    [
        (10, {"a": 0.5, "b": 0.5}, [5, 5, 0]),
        (10, {"a": 0.34, "b": 0.33, "c": 0.33}, [4, 3, 3, 0]),  # 3.4, 3.3, 3.3: the largest remainder is a's
        (8, {"a": 0.25, "b": 0.25}, [2, 2, 4]),
        (7, {"a": 0.2, "b": 0.3}, [1, 2, 4]),  # 1.4, 2.1, 3.5: the largest remainder is of those unclaimed
        (40, dict.fromkeys("abcdefghij", 0.1), [4] * 10 + [0]),
        (2, {"a": 0.4, "b": 0.3, "c": 0.3}, [1, 1, 0, 0]),
        (1, {"a": 0.5, "b": 0.5}, [1, 0, 0]),
    ],
)
def test_markets_are_divided_as_evenly_as_they_can_be(
    n_markets: int, shares: dict[str, float], counts: list[int]
) -> None:
    for salt in ("one", "two", "three"):
        assert counted(assign_markets(n_markets, shares, salt, 3), len(shares)) == counts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=6), st.floats(0.3, 1), st.integers(1, 60))
def test_no_arm_is_a_whole_market_away_from_its_share(weights: list[float], claimed: float, n_markets: int) -> None:
    shares = {f"arm {n}": w / sum(weights) * claimed for n, w in enumerate(weights)}
    found = np.array(counted(assign_markets(n_markets, shares, "s", 1), len(shares)))
    wanted = n_markets * np.array([*shares.values(), 1 - sum(shares.values())])
    assert found.sum() == n_markets
    assert (np.abs(found - wanted) < 1).all()


def test_every_market_is_as_likely_in_every_arm_and_any_two_go_their_own_ways() -> None:
    """Complete randomisation: over salts a market is in each arm by its share, and two markets of an even division
    of ten share an arm in 4 of 9 divisions."""
    divisions = np.array([assign_markets(10, {"a": 0.5, "b": 0.5}, f"salt {n}", 3) for n in range(4000)])
    for market in range(10):
        counts = np.bincount(divisions[:, market], minlength=2)
        assert chi_square_p(counts, np.array([2000, 2000])) > 1e-6
    for other in range(1, 10):
        alike = int((divisions[:, 0] == divisions[:, other]).sum())
        assert chi_square_p(np.array([alike, 4000 - alike]), 4000 * np.array([4 / 9, 5 / 9])) > 1e-6


@pytest.mark.parametrize("other", [("other salt", 3), ("salt", 4)])
def test_another_salt_or_seed_divides_markets_anew_and_the_same_divides_them_alike(other: tuple[str, int]) -> None:
    shares = {"a": 0.5, "b": 0.5}
    one = assign_markets(100, shares, "salt", 3)
    assert (one == assign_markets(100, shares, "salt", 3)).all()
    apart = int((one != assign_markets(100, shares, *other)).sum())
    assert 20 < apart < 80  # 50 expected, 5 either way: six standard errors
