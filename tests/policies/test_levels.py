from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from policies.levels import LEVELS, levels, request_starts
from tests.logs import Shop, hand_made


@pytest.mark.parametrize(
    ("click", "collect", "cart", "buy", "level"),
    [
        (0, 0, 0, 0, "skip"),
        (1, 0, 0, 0, "click"),
        (1, 1, 0, 0, "cart or collect"),
        (1, 0, 1, 0, "cart or collect"),
        (1, 1, 1, 0, "cart or collect"),
        (1, 0, 0, 1, "buy"),
        (1, 0, 1, 1, "buy"),
        (1, 1, 1, 1, "buy"),
    ],
)
def test_a_level_is_how_far_the_user_went(click: int, collect: int, cart: int, buy: int, level: str) -> None:
    after = {"collect": collect, "cart": cart, "buy": buy}
    log = hand_made([click], **{name: np.array([yes], dtype=np.int8) for name, yes in after.items()})
    assert LEVELS[levels(log)[0]] == level


def test_levels_of_a_simulated_log_count_its_outcomes(shop: Shop) -> None:
    log = shop.log
    bought, carted = log["buy"] > 0, (log["cart"] > 0) | (log["collect"] > 0)
    counts = np.bincount(levels(log), minlength=4)
    assert counts[3] == bought.sum()
    assert counts[2] == (carted & ~bought).sum()
    assert counts[1:].sum() == log["click"].sum()


def test_request_starts_are_the_borders_between_requests_and_the_end() -> None:
    log = hand_made(np.zeros(6), request=np.array([7, 7, 3, 3, 3, 9]))
    np.testing.assert_array_equal(request_starts(log), [0, 2, 5, 6])


def test_one_request_starts_at_the_beginning_and_ends_at_the_end() -> None:
    np.testing.assert_array_equal(request_starts(hand_made(np.zeros(4), request=np.zeros(4, dtype=np.int64))), [0, 4])


def test_interleaved_requests_are_refused_with_the_cure() -> None:
    """LightGBM takes groups by size alone: interleaved rows would be ranked against strangers, silently."""
    with pytest.raises(ValueError, match=r"contiguous in the log; sort it by request"):
        request_starts(hand_made(np.zeros(4), request=np.array([1, 2, 1, 2])))


def test_requests_of_a_simulated_log_are_contiguous(shop: Shop) -> None:
    starts = request_starts(shop.log)
    assert len(starts) - 1 == len(np.unique(shop.log.request))
    assert all(len(set(shop.log.request[a:b])) == 1 for a, b in pairwise(starts))
