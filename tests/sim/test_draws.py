"""Luck: a pure function of its key, uniform, and unrelated from one key to the next."""

from __future__ import annotations

import numpy as np
import pytest

from sim import draws
from tests.asserts import assert_mean, assert_uncorrelated, assert_uniform

N = 100_000
USERS = np.arange(N)


def test_draw_does_not_depend_on_what_is_drawn_beside_it() -> None:
    key = draws.root(1, "click")
    together = draws.fold(key, USERS)
    alone = np.concatenate([draws.fold(key, user) for user in USERS[:50]])
    backwards = draws.fold(key, USERS[::-1])[::-1]
    assert np.array_equal(together[:50], alone)
    assert np.array_equal(together, backwards)


def test_fold_broadcasts_as_if_folded_one_by_one() -> None:
    visit = draws.fold(draws.root(1, "visit"), np.arange(4))
    grid = draws.fold(visit[:, None], np.arange(3))
    assert grid.shape == (4, 3)
    assert grid[2, 1] == draws.fold(visit[2], 1)[0]


def test_draw_is_the_same_in_every_version() -> None:
    """SplitMix64 (Steele, Lea and Flood 2014), recomputed here with Python's own whole numbers."""
    mask = 2**64 - 1
    key = int(draws.root(7, "click"))
    z = (key + 123 * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    assert int(draws.fold(draws.root(7, "click"), 123)[0]) == z


def test_a_large_grid_is_folded_as_its_parts_are() -> None:
    """Large arrays are mixed block by block; no key may depend on where a block ends."""
    visit = draws.fold(draws.root(1, "visit"), np.arange(700))
    whole = draws.fold(visit[:, None], np.arange(101))
    assert whole.size > 2 * draws._BLOCK
    assert whole.size % draws._BLOCK
    assert np.array_equal(whole, np.concatenate([draws.fold(key, np.arange(101))[None] for key in visit]))


def test_fold_does_not_depend_on_how_ids_lie_in_memory() -> None:
    key, ids = draws.root(1, "click"), np.arange(60).reshape(5, 12)
    straight = draws.fold(key, ids)
    assert np.array_equal(draws.fold(key, np.asfortranarray(ids)), straight)
    assert np.array_equal(draws.fold(key, ids[:, ::2]), straight[:, ::2])
    assert np.array_equal(draws.fold(key, ids.astype(np.int32)), straight)


def test_keys_and_ids_are_left_as_they_were() -> None:
    keys, ids = draws.fold(draws.root(1, "click"), np.arange(5)), np.arange(5)
    before = keys.copy()
    draws.fold(keys, ids)
    draws.gumbel(keys)
    assert np.array_equal(keys, before)
    assert np.array_equal(ids, np.arange(5))


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**64 + 5])
def test_every_seed_gives_uniform_draws(seed: int) -> None:
    assert_uniform(draws.uniform(draws.fold(draws.root(seed, "click"), USERS)))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_draws_are_uniform_over_the_last_of_several_ids(depth: int) -> None:
    key = draws.root(1, "click")
    for _ in range(depth - 1):
        key = draws.fold(key, 0)
    assert_uniform(draws.uniform(draws.fold(key, USERS)))


def test_neighbouring_keys_are_unrelated() -> None:
    luck = draws.uniform(draws.fold(draws.root(1, "click"), USERS))
    for lag in (1, 2, 3, 8, 64, 1024):
        assert_uncorrelated(luck[lag:], luck[:-lag])


def test_purposes_are_unrelated() -> None:
    a, b = (draws.uniform(draws.fold(draws.root(1, name), USERS)) for name in ("click", "examine"))
    assert_uncorrelated(a, b)


def test_seeds_are_unrelated() -> None:
    first = draws.uniform(draws.fold(draws.root(0, "click"), USERS))
    for seed in (1, 2, 10):
        assert_uncorrelated(first, draws.uniform(draws.fold(draws.root(seed, "click"), USERS)))


def test_users_are_unrelated() -> None:
    a, b = (draws.fold(draws.fold(draws.root(1, "visit"), user), np.arange(N)) for user in (4, 5))
    assert_uncorrelated(draws.uniform(a), draws.uniform(b))


def test_order_of_ids_matters() -> None:
    key = draws.root(1, "visit")
    a = draws.uniform(draws.fold(draws.fold(key, USERS), 3))
    b = draws.uniform(draws.fold(draws.fold(key, 3), USERS))
    assert_uncorrelated(a, b)


def test_pairs_of_neighbours_fill_the_square() -> None:
    """Chi-square over a 20 x 20 grid of (this draw, the next); 399 degrees of freedom, sd of the statistic 28."""
    luck = draws.uniform(draws.fold(draws.root(3, "click"), USERS))
    cells, *_ = np.histogram2d(luck[0::2], luck[1::2], bins=20, range=((0, 1), (0, 1)))
    expected = cells.sum() / cells.size
    assert abs(((cells - expected) ** 2 / expected).sum() - 399) < 5 * np.sqrt(2 * 399)


def test_no_two_of_a_million_keys_are_equal() -> None:
    keys = draws.fold(draws.fold(draws.root(1, "click"), np.arange(1000))[:, None], np.arange(1000))
    assert len(np.unique(keys)) == keys.size


def test_purpose_codes_differ() -> None:
    names = ("click", "examine", "collect", "cart", "buy", "stay", "pages", "gap")
    assert len({int(draws.purpose(name)) for name in names}) == len(names)


def test_uniform_is_the_upper_52_bits_and_a_half() -> None:
    """As whole numbers, which Python rounds once: (k + 1/2) / 2^52 has 53 bits and is exact."""
    keys = np.concatenate(
        [draws.fold(draws.root(1, "click"), USERS[:1000]), np.array([0, 1, 4095, 4096, 2**63, 2**64 - 1], np.uint64)]
    )
    assert draws.uniform(keys).tolist() == [(2 * (int(key) >> 12) + 1) / 2**53 for key in keys]


def test_uniform_reaches_neither_end() -> None:
    """The docstring promises an open interval: at 1 a Gumbel draw is infinite, at 0 a delay is."""
    ends = draws.uniform(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < ends[0] < 1e-15
    assert 1 - 1e-15 < ends[1] < 1


def test_normal_has_the_moments_of_a_normal() -> None:
    z = draws.normal(draws.fold(draws.root(0, "z"), USERS))
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert_mean(z**power, moment)


def test_gumbel_has_the_moments_of_a_gumbel() -> None:
    g = draws.gumbel(draws.fold(draws.root(0, "g"), USERS)).astype(np.float64)
    assert_mean(g, np.euler_gamma)
    assert_mean((g - np.euler_gamma) ** 2, np.pi**2 / 6)
