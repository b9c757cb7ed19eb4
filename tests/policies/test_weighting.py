from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from policies import nets
from policies.base import AbstractPolicy
from policies.formula import Formula
from policies.towers import Towers
from policies.training import Training
from policies.weighting import SampleWeight
from sim.records import Ints, Log, Requests
from tests.contracts import assert_same_bits
from tests.logs import FEED, Shop, asking, hand_made, random_feed, with_outcome

SMALL = Training(epochs=1, embedding=2, hidden=2, hidden2=2)


def one_cell(n: int = 4000) -> Log:
    """Clicks, and among them carts and buys, that nothing explains."""
    rng = np.random.default_rng(0)
    click = (rng.random(n) < 0.1).astype(np.int8)
    cart = (click * (rng.random(n) < 0.4)).astype(np.int8)
    buy = (click * (rng.random(n) < 0.3)).astype(np.int8)
    return hand_made(click, cart=cart, buy=buy, item=np.zeros(n, dtype=np.int64))


@pytest.fixture
def best_constant(monkeypatch: pytest.MonkeyPatch) -> Callable[[SampleWeight, Log], tuple[float, Ints]]:
    """The one logit for all rows that minimises the loss `fit` hands to the training loop, and its rows."""

    def find(policy: SampleWeight, log: Log) -> tuple[float, Ints]:
        found: dict[str, Any] = {}
        split = nets.time_split

        def remember(time: Ints, share: float) -> tuple[Ints, Ints]:
            found["learn"], check = split(time, share)
            return found["learn"], check

        def minimise(model: nets.Model, step: Any, n: int, *_: Any) -> nets.Trained:
            net = model.networks[0].double()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.zero_()  # all but the last bias stays 0: every row has the same logit
            bias = net.last[0].bias
            optimiser = torch.optim.LBFGS([bias], lr=1, max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14)

            def closure() -> torch.Tensor:
                optimiser.zero_grad()
                losses, _ = step(np.arange(n))
                value = sum(losses.events.values(), start=losses.penalty)
                value.backward()
                return value

            optimiser.step(closure)
            found["logit"] = bias.item()
            return nets.Trained(Towers((net.float().export(),)), {}, {}, [])

        monkeypatch.setattr(nets, "time_split", remember)
        monkeypatch.setattr(nets, "train", minimise)
        monkeypatch.setattr(nets, "tensors", lambda rows: _double(_tensors(rows)))
        monkeypatch.setattr(nets, "labels", lambda values: torch.from_numpy(np.asarray(values, dtype=np.float64)))
        policy.fit(log)
        return found["logit"], found["learn"]

    return find


_tensors = nets.tensors


def _double(batch: nets.Batch) -> nets.Batch:
    return nets.Batch(
        *(t.double() if t.is_floating_point() else t for t in (getattr(batch, n) for n in batch.__slots__))
    )


@pytest.mark.parametrize("w", [0.5, 1.0, 5.0, 40.0])
def test_learned_odds_are_the_true_odds_times_the_weight(w: float, best_constant: Any) -> None:
    """One cell of rows: the minimiser is p' = w p / (1 - p + w p), so its odds are w p / (1 - p)."""
    log = one_cell()
    logit, learn = best_constant(SampleWeight({"click": w}, SMALL), log)
    p = log["click"][learn].mean()
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(w * p / (1 - p + w * p), rel=1e-6)
    assert np.exp(logit) == pytest.approx(w * p / (1 - p), rel=1e-5)


def test_with_several_behaviours_the_odds_add_up_their_weights(best_constant: Any) -> None:
    """odds = (sum of the weights of positives) / (number of negatives)."""
    log = one_cell()
    policy = SampleWeight({"click": 1, "cart": 3, "buy": 10}, SMALL)
    logit, learn = best_constant(policy, log)
    click, weight = log["click"][learn], policy.row_weights(log)[learn]
    assert np.exp(logit) == pytest.approx(weight[click == 1].sum() / (click == 0).sum(), rel=1e-5)


def test_the_odds_of_the_paper_example_are_as_printed() -> None:
    """Weight 5 at a true rate of .1 gives .35714."""
    w, p = 5, 0.1
    assert w * p / (1 - p + w * p) == pytest.approx(0.35714, abs=5e-6)


def test_the_formula_of_weighted_odds_orders_as_the_probability_itself() -> None:
    formula = Formula("w * ctr / (1 - ctr + w * ctr)", {"w": 5})
    ctr = np.array([[0.02, 0.1, 0.5]])
    np.testing.assert_allclose(formula({"ctr": ctr})[0], [0.1 / 1.08, 0.5 / 1.4, 2.5 / 3])


@pytest.mark.parametrize("w", [0.2, 5.0, 40.0])
def test_a_weight_is_undone_exactly(w: float, fitted: Mapping[str, AbstractPolicy], requests: Requests) -> None:
    """p = p' / (p' + w (1 - p')), from the odds that the tower learned; the score is what it was."""
    policy = SampleWeight({"click": w, "buy": w}, undo=True).restore(fitted["sample_weight"].learned())
    weighted = 1 / (1 + np.exp(-policy.score(requests).astype(np.float64)))
    p = policy.goals(requests)["ctr"]
    np.testing.assert_allclose(p, weighted / (weighted + w * (1 - weighted)), rtol=1e-9)
    np.testing.assert_allclose(w * p / (1 - p + w * p), weighted, rtol=1e-9)
    assert_same_bits(policy.score(requests), fitted["sample_weight"].score(requests))
    assert fitted["sample_weight"].goals(requests) == {}


def test_what_was_learned_with_a_weight_of_five_is_the_weighted_probability_and_undone_the_rate() -> None:
    """Clicks at a rate of .1 that nothing explains: p' = .357 and p = .1 on the mean.

    8000 rows of which 9 in 10 teach: within 5 standard errors of the rate in the log.
    """
    n = 8000
    click = np.random.default_rng(0).random(n) < 0.1
    log = hand_made(click, item=np.arange(n) % 20, user=np.arange(n) // 10 % 40)
    policy = SampleWeight({"click": 5}, Training(batch=128, epochs=30, patience=3), undo=True).fit(log)
    requests = asking(log.users, np.tile(np.arange(20), (40, 1)), log.items)
    rate = log["click"].mean()
    error = np.sqrt(rate * (1 - rate) / (0.9 * len(log)))
    weighted = 1 / (1 + np.exp(-policy.score(requests).astype(np.float64)))
    assert abs(policy.goals(requests)["ctr"].mean() - rate) < 5 * error
    assert abs(weighted.mean() - 5 * rate / (1 + 4 * rate)) < 5 * error * 5 / (1 + 4 * rate) ** 2
    assert abs(weighted.mean() - rate) > 10 * error


def test_undoing_changes_no_fit() -> None:
    assert SampleWeight({"click": 5}, undo=True).fit_spec() == SampleWeight({"click": 5}).fit_spec()
    assert SampleWeight({"click": 5}, undo=True).seed() == SampleWeight({"click": 5}).seed()


def test_a_weight_that_cannot_be_undone_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"undo needs one weight for all actions, .* which is not learned"):
        SampleWeight({"click": 1, "buy": 10}, undo=True)
    with pytest.raises(ValueError, match=r"undo gives back the probability of a click, got weights of buy, cart alone"):
        SampleWeight({"buy": 5, "cart": 5}, undo=True)


def test_a_row_weighs_what_its_strongest_behaviour_weighs() -> None:
    log = hand_made(
        [0, 1, 1, 1, 1, 1],
        collect=np.array([0, 0, 1, 0, 1, 1], dtype=np.int8),
        cart=np.array([0, 0, 0, 1, 1, 1], dtype=np.int8),
        buy=np.array([0, 0, 0, 0, 0, 1], dtype=np.int8),
    )
    weights = SampleWeight({"click": 1, "cart": 3, "collect": 2, "buy": 10}).row_weights(log)
    np.testing.assert_array_equal(weights, [1, 1, 2, 3, 3, 10])


def test_strongest_means_heaviest_whatever_the_order_of_the_keys() -> None:
    log = hand_made([0, 1, 1], buy=np.array([0, 0, 1], dtype=np.int8))
    for weights in ({"click": 4, "buy": 2}, {"buy": 2, "click": 4}):
        np.testing.assert_array_equal(SampleWeight(weights).row_weights(log), [1, 4, 4])


def test_weights_below_one_hold_for_their_rows() -> None:
    log = hand_made([0, 1, 1], buy=np.array([0, 0, 1], dtype=np.int8))
    np.testing.assert_array_equal(SampleWeight({"click": 0.1, "buy": 0.5}).row_weights(log), [1, 0.1, 0.5])


def test_a_behaviour_without_a_weight_does_not_raise_its_row() -> None:
    log = hand_made([0, 1, 1], cart=np.array([0, 0, 1], dtype=np.int8))
    np.testing.assert_array_equal(SampleWeight({"click": 2}).row_weights(log), [1, 2, 2])


def test_weights_of_one_for_every_behaviour_fit_what_clicks_alone_do(
    monkeypatch: pytest.MonkeyPatch, shop: Shop, requests: Requests
) -> None:
    """Bit for bit, given the same seed: nothing but the weights tells the behaviours apart."""
    monkeypatch.setattr(SampleWeight, "seed", lambda self: 7)
    training = Training(epochs=2)
    alone = SampleWeight({"click": 1}, training).fit(shop.log)
    together = SampleWeight({"click": 1, "collect": 1, "cart": 1, "buy": 1}, training).fit(shop.log)
    assert_same_bits(alone.score(requests), together.score(requests))


def test_weights_order_policies_apart_by_their_fit(shop: Shop) -> None:
    one, other = SampleWeight({"click": 1, "buy": 5}), SampleWeight({"buy": 5, "click": 1})
    assert one.seed() == other.seed()
    assert one.seed() != SampleWeight({"click": 1, "buy": 6}).seed()


@pytest.mark.parametrize("weights", [{}, {"a view": 1}, {"click": 1, "stay": 2}, {"buy_time": 1}])
def test_weights_must_name_what_can_be_an_action(weights: Mapping[str, float]) -> None:
    with pytest.raises(ValueError, match=r"weights must name .*action.*got"):
        SampleWeight(weights)


def test_weights_of_other_actions_hold_for_their_rows() -> None:
    log = hand_made([0, 1, 1, 1], after=FEED, like=[0, 0, 1, 1], share=[0, 0, 0, 1])
    policy = SampleWeight({"like": 2, "share": 5})
    np.testing.assert_array_equal(policy.row_weights(log), [1, 1, 2, 5])
    assert policy.outcomes() == {"click", "like", "share"}


def test_an_action_that_the_log_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="the log has no 'shares'; did you mean 'share'"):
        SampleWeight({"click": 1, "shares": 5}).fit(random_feed())


def test_actions_that_hardly_ever_happened_are_refused() -> None:
    log = random_feed()
    with pytest.raises(ValueError, match=r"at least 20 impressions with like or share are needed .* has 0"):
        SampleWeight({"like": 1, "share": 5}).fit(with_outcome(log, like=0 * log["like"], share=0 * log["share"]))


@pytest.mark.parametrize("w", [0, -1, float("nan"), float("inf")])
def test_weights_must_be_positive_and_finite(w: float) -> None:
    with pytest.raises(ValueError, match=r"weights must be .*buy"):
        SampleWeight({"click": 1, "buy": w})
