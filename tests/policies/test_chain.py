from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.chain import Chain, Event, Path, chance, complement, of, probability
from policies.esm2 import ESM2
from policies.esmm import ESMM
from policies.multitask import goal_by_goal
from policies.rules import WeightedSum
from policies.training import Training
from tests.logs import hand_made, random_feed, with_outcome


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> list[Path]:
    """The leaves of a random decision tree, every node a head of its own, as the paths to them."""
    numbers = itertools.count()

    def grow(left: int) -> list[Path]:
        if not left or not draw(st.booleans()):
            return [()]
        head = f"h{next(numbers)}"
        return [((head, taken), *rest) for taken in (True, False) for rest in grow(left - 1)]

    head = f"h{next(numbers)}"
    return [((head, taken), *rest) for taken in (True, False) for rest in grow(depth - 1)]


@st.composite
def parted(draw: st.DrawFn) -> tuple[list[Path], list[Path], dict[str, np.ndarray]]:
    """A tree's leaves in two non-empty parts, in any order, and probabilities of its heads."""
    leaves = draw(st.permutations(draw(trees())))
    cut = draw(st.integers(1, len(leaves) - 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return leaves[:cut], leaves[cut:], {head: rng.random(3) for head in sorted(of(tuple(leaves)))}


@settings(deadline=None, derandomize=True)
@given(parted())
def test_a_set_of_paths_and_its_complement_are_certain_together(drawn: Any) -> None:
    some, rest, p = drawn
    total = probability(tuple(some), p) + probability(complement(tuple(some)), p)
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    np.testing.assert_allclose(probability(complement(tuple(some)), p), probability(tuple(rest), p), rtol=1e-10)


@settings(deadline=None, derandomize=True)
@given(parted())
def test_the_probability_of_paths_is_the_share_of_outcomes_in_which_one_is_taken(drawn: Any) -> None:
    """Brute force: over all answers of all heads, weighted by their chances."""
    some, _, p = drawn
    heads = sorted(p)[:10]
    if len(p) > len(heads):
        return
    total = 0.0
    for answers in itertools.product((True, False), repeat=len(heads)):
        said = dict(zip(heads, answers, strict=True))
        chance_of = np.prod([p[head][0] if said[head] else 1 - p[head][0] for head in heads])
        total += chance_of * any(all(said[head] == taken for head, taken in path) for path in some)
    assert probability(tuple(some), p)[0] == pytest.approx(total, rel=1e-10)


@settings(deadline=None, derandomize=True)
@given(parted())
def test_the_complement_of_the_complement_is_as_likely_as_the_paths(drawn: Any) -> None:
    some, _, p = drawn
    again = complement(complement(tuple(some)))
    np.testing.assert_allclose(probability(again, p), probability(tuple(some), p), rtol=1e-10)


def test_esm2_predicts_what_its_equations_say() -> None:
    """pCTR = y1; pCTAVR = y1 y2; pCVR = y2 y3 + (1 - y2) y4; pCTCVR = y1 pCVR."""
    chain, rng = ESM2().chain(), np.random.default_rng(0)
    logits = {head: rng.normal(size=(4, 5)).astype(np.float32) for head in chain.heads}
    y1, y2, y3, y4 = (1 / (1 + np.exp(-logits[h].astype(float))) for h in ("ctr", "act", "after", "otherwise"))
    goals = chain.predicted(logits)
    assert sorted(goals) == ["ctcvr", "ctr", "cvr"]
    np.testing.assert_allclose(goals["ctr"], y1, rtol=1e-6)
    np.testing.assert_allclose(goals["cvr"], y2 * y3 + (1 - y2) * y4, rtol=1e-6)
    np.testing.assert_allclose(goals["ctcvr"], y1 * (y2 * y3 + (1 - y2) * y4), rtol=1e-6)
    np.testing.assert_allclose(probability(chain.events["act"].paths, {"ctr": y1, "act": y2}), y1 * y2, rtol=1e-12)


def test_an_event_of_several_actions_happened_if_any_did() -> None:
    log = hand_made([1, 1, 1, 0], cart=[0, 1, 1, 0], collect=[0, 0, 1, 0])
    np.testing.assert_array_equal(ESM2().chain().events["act"].label(log), [0, 1, 1, 0])
    assert ESM2().outcomes() == {"click", "collect", "cart", "buy"}


def test_a_duration_is_a_label_in_log_seconds_in_the_rows_of_its_space() -> None:
    log = hand_made([1, 0, 1], stay=[2000, 0, 10_000])
    event = goal_by_goal(("ctr", "stay")).events["stay"]
    np.testing.assert_array_equal(event.rows(log), [True, False, True])
    np.testing.assert_allclose(event.label(log)[event.rows(log)], np.log([2, 10]))


def test_predictions_follow_the_names_of_the_heads_and_not_their_order() -> None:
    """Elsewhere the AUCs of two tasks were equal, for one label had been passed twice."""
    logits = {"ctr": np.full((1, 1), -2, np.float32), "cvr": np.full((1, 1), 1, np.float32)}
    for heads in (("ctr", "cvr"), ("cvr", "ctr")):
        found = goal_by_goal(heads).predicted({head: logits[head] for head in heads})
        assert found["ctr"].item() == pytest.approx(1 / (1 + np.exp(2)), rel=1e-6)
        assert found["cvr"].item() == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)
        assert found["ctcvr"] == found["ctr"] * found["cvr"]


def test_every_event_reads_its_own_column_of_the_log() -> None:
    log = hand_made([1, 1, 1, 0], cart=[0, 1, 0, 0], buy=[0, 0, 1, 0])
    for chain in (ESMM().chain(), ESMM(conversion="cart").chain(), goal_by_goal(("cvr", "cart", "ctr"))):
        for name, event in chain.events.items():
            np.testing.assert_array_equal(event.label(log), log[name], err_msg=name)


def test_a_chain_names_its_heads_by_what_stops_them() -> None:
    chain = Chain({"click": Event(("click",), chance("ctr"))}, {"ctr": chance("ctr")}, {"ctr": "click"})
    assert chain.heads == ("ctr",)
    assert chain.outcomes() == {"click"}


def test_an_event_by_any_of_several_actions_may_have_few_of_one() -> None:
    """ESM2 learns whether any of its actions happened, and yet asked for twenty of each."""
    log = random_feed(1000)
    few, none = (np.where(np.cumsum(log["comment"]) <= n, log["comment"], 0) for n in (3, 0))
    policy = ESM2(WeightedSum({"ctcvr": 1}), Training(epochs=1), "long_view", ("like", "comment"))
    policy.fit(with_outcome(log, comment=few))
    with pytest.raises(ValueError, match="at least 20 impressions with like or comment are needed"):
        policy.fit(with_outcome(log, like=none, comment=few))
