from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.levels import Levels, levels, request_starts
from policies.listwise import LambdaMART
from policies.pairwise import BPR
from tests.logs import Shop, hand_made, random_feed, with_outcome

FEED_LEVELS: Levels = (("long_view",), ("like", "comment"), ("follow",))


@pytest.mark.parametrize(
    ("click", "collect", "cart", "buy", "level"),
    [
        (0, 0, 0, 0, 0),
        (1, 0, 0, 0, 1),
        (1, 1, 0, 0, 2),
        (1, 0, 1, 0, 2),
        (1, 1, 1, 0, 2),
        (1, 0, 0, 1, 3),
        (1, 0, 1, 1, 3),
        (1, 1, 1, 1, 3),
    ],
)
def test_a_level_is_how_far_the_user_went(click: int, collect: int, cart: int, buy: int, level: int) -> None:
    after = {"collect": collect, "cart": cart, "buy": buy}
    log = hand_made([click], **{name: np.array([yes], dtype=np.int8) for name, yes in after.items()})
    assert levels(log)[0] == level


def test_levels_of_other_actions_are_the_highest_of_which_any_happened() -> None:
    """Recomputed row by row; a click without any of the actions is level 0 here, as a skip is."""
    log = random_feed(500)
    found = levels(log, FEED_LEVELS)
    for row in range(500):
        reached = [n for n, actions in enumerate(FEED_LEVELS, 1) if any(log[action][row] for action in actions)]
        assert found[row] == max(reached, default=0)
    assert set(found) == {0, 1, 2, 3}
    assert (found[log["click"] == 1] == 0).any()


GRADED: tuple[tuple[type[BPR] | type[LambdaMART], str], ...] = ((BPR, "gains"), (LambdaMART, "label_gain"))


def made(kind: type[AbstractPolicy], **fields: object) -> AbstractPolicy:
    return kind(**fields)


@pytest.mark.parametrize(("kind", "gains"), GRADED)
def test_there_must_be_one_gain_for_each_level_and_one_for_none(kind: type[AbstractPolicy], gains: str) -> None:
    said = f"{gains} must hold 3 numbers, one for each of skip, like or share, follow, got [0, 1, 3, 7]; try [0, 1, 3]"
    with pytest.raises(ValueError, match=re.escape(said)):
        made(kind, levels=(("like", "share"), ("follow",)))
    with pytest.raises(ValueError, match=f"{gains} must hold 4 numbers"):
        made(kind, **{gains: (0, 1)})
    made(kind, levels=(("like", "share"), ("follow",)), **{gains: (0, 1, 2)})


@pytest.mark.parametrize("rising", [(), ((),), (("click",), ()), (("click",), ("buy", "click")), (("buy", "buy"),)])
@pytest.mark.parametrize(("kind", "gains"), GRADED)
def test_levels_must_hold_actions_each_once(kind: type[AbstractPolicy], gains: str, rising: Levels) -> None:
    with pytest.raises(ValueError, match=r"levels must be lists of actions, each action once, got .*; try"):
        made(kind, levels=rising, **{gains: tuple(range(len(rising) + 1))})


@pytest.mark.parametrize("kind", [BPR, LambdaMART])
def test_levels_must_name_what_can_be_an_action(kind: type[AbstractPolicy]) -> None:
    with pytest.raises(ValueError, match="levels must name actions such as click or buy, got 'stay'"):
        made(kind, levels=(("click",), ("stay",), ("buy",)))


@pytest.mark.parametrize("kind", [BPR, LambdaMART])
def test_a_log_without_one_of_the_levels_actions_is_refused_by_its_name(kind: type[AbstractPolicy]) -> None:
    with pytest.raises(ValueError, match="the log has no 'buy'; name one of its outcomes: click, stay, long_view"):
        made(kind).fit(random_feed())
    with pytest.raises(ValueError, match="the log has no 'likes'; did you mean 'like'"):
        made(kind, levels=(("click",), ("likes",), ("follow",))).fit(random_feed())


@pytest.mark.parametrize("kind", [BPR, LambdaMART])
def test_levels_that_hardly_ever_happened_are_refused(kind: type[AbstractPolicy]) -> None:
    log = random_feed(300)
    log = with_outcome(log, follow=np.cumsum(log["follow"]) * log["follow"] == 1)
    with pytest.raises(ValueError, match="at least 20 impressions with follow are needed to learn from, the log has 1"):
        made(kind, levels=(("follow",),), **{dict(GRADED)[kind]: (0, 1)}).fit(log)


@pytest.mark.parametrize("kind", [BPR, LambdaMART])
def test_levels_tell_the_outcomes_they_need_and_the_click_that_history_needs(kind: type[AbstractPolicy]) -> None:
    assert made(kind).outcomes() == {"click", "collect", "cart", "buy"}
    assert made(kind, levels=FEED_LEVELS).outcomes() == {"click", "long_view", "like", "comment", "follow"}


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
