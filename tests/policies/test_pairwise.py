from __future__ import annotations

import itertools

import numpy as np
import pytest

from policies.levels import levels
from policies.pairwise import BPR
from sim.records import Log
from tests.logs import Shop, hand_made

GAINS = (0.0, 1.0, 3.0, 7.0)


def graded() -> Log:
    """One request with every level, one of skips only, one of clicks only, one of a skip and a buy."""
    level = np.array([0, 1, 2, 3, 0, 0, 1, 1, 0, 3])
    return hand_made(
        level > 0,
        cart=(level == 2).astype(np.int8),
        buy=(level == 3).astype(np.int8),
        request=np.repeat([0, 1, 2, 3], [4, 2, 2, 2]),
    )


def test_the_better_of_a_pair_is_strictly_better_in_the_same_request(shop: Shop) -> None:
    better, worse, _ = BPR().pairs(shop.log)
    level = levels(shop.log)
    assert len(better) > 1000
    assert (level[better] > level[worse]).all()
    np.testing.assert_array_equal(shop.log.request[better], shop.log.request[worse])


def test_every_pair_of_levels_within_a_request_is_drawn_and_no_other() -> None:
    better, worse, _ = BPR(pairs_per_positive=200).pairs(graded())
    drawn = set(zip(better.tolist(), worse.tolist(), strict=True))
    within_first = {(i, j) for i, j in itertools.product(range(4), repeat=2) if i > j}
    assert drawn == within_first | {(9, 8)}


def test_a_pair_weighs_the_difference_of_its_gains() -> None:
    log = graded()
    level = levels(log)
    better, worse, gain = BPR(gains=GAINS, pairs_per_positive=50).pairs(log)
    np.testing.assert_array_equal(gain, np.array(GAINS)[level[better]] - np.array(GAINS)[level[worse]])
    assert (gain > 0).all()


def test_lower_items_are_drawn_evenly_from_the_whole_request() -> None:
    """A buy above nine skips: each skip within 5 standard errors of a tenth of the draws."""
    log = hand_made(np.arange(10) == 0, buy=(np.arange(10) == 0).astype(np.int8))
    draws = 20_000
    _, worse, _ = BPR(pairs_per_positive=draws).pairs(log)
    counts = np.bincount(worse, minlength=10)
    assert counts[0] == 0
    assert (np.abs(counts[1:] - draws / 10) < 5 * np.sqrt(draws * 0.1 * 0.9)).all()


def test_pairs_are_the_same_when_drawn_again_and_others_with_other_gains(shop: Shop) -> None:
    first, again, other = BPR().pairs(shop.log), BPR().pairs(shop.log), BPR(gains=(0, 1, 2, 3)).pairs(shop.log)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(first[0]) != len(other[0]) or (first[1] != other[1]).any()


@pytest.mark.parametrize("gains", [(0, 1, 1, 7), (0, 3, 1, 7), (7, 3, 1, 0), (0, 0, 1, 2), (float("nan"), 1, 3, 7)])
def test_gains_must_rise_with_the_level(gains: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"gains must rise over skip, click, collect or cart, buy"):
        BPR(gains=gains)


def test_gains_must_be_finite() -> None:
    with pytest.raises(ValueError, match="gains"):
        BPR(gains=(0, 1, 3, float("inf")))


def test_requests_in_which_all_were_treated_alike_teach_nothing_and_say_so() -> None:
    with pytest.raises(ValueError, match="treated differently"):
        BPR().pairs(hand_made(np.repeat([0, 1, 0, 1], 10)))


def test_interleaved_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        BPR().pairs(hand_made(np.arange(40) % 2, request=np.arange(40) % 4))
