from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from policies.base import AbstractPolicy
from policies.chain import chance
from policies.esmm import ESMM
from policies.losses import path_loss
from policies.rules import PowerProduct, prices
from policies.training import Training
from sim.records import Requests
from tests.logs import Shop, asking, hand_made, random_recruiting, with_outcome
from tests.policies.test_fusion import within_requests

PRODUCT = chance("ctr", "cvr")


def product_loss(a: Tensor, b: Tensor, label: Tensor) -> Tensor:
    """What ESMM adds for the conversion."""
    return path_loss(ESMM().chain().events["buy"].paths, {"ctr": a, "cvr": b}, label)


def test_its_two_losses_are_of_click_and_of_the_product_both_over_all_impressions() -> None:
    """Eq. 3: there is no loss on pCVR itself. The closed forms of these losses are held in test_losses."""
    events = ESMM().chain().events
    assert {name: (event.actions, event.paths) for name, event in events.items()} == {
        "click": (("click",), chance("ctr")),
        "buy": (("buy",), PRODUCT),
    }
    log = hand_made([1, 0, 1], buy=[1, 0, 0])
    assert all(event.rows(log).all() for event in events.values())


def test_product_loss_is_symmetric_in_its_logits() -> None:
    a, b = (side.reshape(-1) for side in torch.meshgrid(*[torch.linspace(-40, 40, 41)] * 2, indexing="ij"))
    for label in (torch.zeros_like(a), torch.ones_like(a)):
        torch.testing.assert_close(product_loss(a, b, label), product_loss(b, a, label), rtol=2e-6, atol=0)


def test_a_certain_conversion_leaves_the_plain_cross_entropy() -> None:
    """q = 1: the product is p."""
    a = torch.linspace(-10, 10, 41)
    for label in (0.0, 1.0):
        target = torch.full_like(a, label)
        plain = binary_cross_entropy_with_logits(a, target, reduction="none")
        torch.testing.assert_close(product_loss(a, torch.full_like(a, 200.0), target), plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("a", "b"), [(-3.0, -2.0), (0.0, 0.0), (1.0, 2.0), (2.0, -1.0), (5.0, 5.0)])
def test_a_click_without_a_buy_pulls_the_ctr_logit_by_the_known_gradient(a: float, b: float) -> None:
    """For click 1, buy 0: d(l_ctr + l_ctcvr)/da = -(1 - p)(1 - 2pq)/(1 - pq); its sign flips at pq = 1/2."""
    logit = torch.tensor([a], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([b], dtype=torch.float64)
    loss = binary_cross_entropy_with_logits(logit, torch.ones(1, dtype=torch.float64))
    loss = loss + product_loss(logit, other, torch.zeros(1, dtype=torch.float64)).sum()
    loss.backward()
    p, q = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
    expected = -(1 - p) * (1 - 2 * p * q) / (1 - p * q)
    assert logit.grad.item() == pytest.approx(expected, rel=1e-9)
    assert (logit.grad.item() > 0) == (p * q > 0.5)


def test_its_goals_multiply_and_none_exceeds_one(fitted: Mapping[str, AbstractPolicy], requests: Requests) -> None:
    """pCVR comes by name and without a division, which could exceed 1."""
    goals = fitted["esmm"].goals(requests)
    assert sorted(goals) == ["ctcvr", "ctr", "cvr"]
    np.testing.assert_array_equal(goals["ctcvr"], goals["ctr"] * goals["cvr"])
    assert max(value.max() for value in goals.values()) <= 1


def test_its_two_towers_do_not_share_what_lies_above_the_embeddings(fitted: Mapping[str, AbstractPolicy]) -> None:
    """Elsewhere one output bias served both logits, and pCVR came out near pCTR."""
    policy = fitted["esmm"]
    assert isinstance(policy, ESMM)
    part = {head: net.only([head]) for net in policy.towers_.networks for head in net.heads}
    for name in ("w2", "b2", "w3", "b3", "w_user", "affinity"):
        one, other = (getattr(part[head], name) for head in ("ctr", "cvr"))
        assert one.shape == other.shape
        assert not np.array_equal(one, other)


def test_its_score_is_the_fusion_of_its_goals(fitted: Mapping[str, AbstractPolicy], requests: Requests) -> None:
    goals = fitted["esmm"].goals(requests)
    expected = np.log(goals["ctr"] * goals["cvr"] * prices(requests))
    np.testing.assert_allclose(fitted["esmm"].score(requests), within_requests(expected), atol=1e-4)


def test_its_mean_ctcvr_is_of_the_order_of_the_rate_in_the_log(
    fitted: Mapping[str, AbstractPolicy], shop: Shop, requests: Requests
) -> None:
    """A model that multiplied logits, or trained pCVR on unclicked rows as negatives, is off by a factor of 20."""
    rate = shop.log["buy"].sum() / shop.log["click"].sum()
    assert 0.25 < fitted["esmm"].goals(requests)["cvr"].mean() / rate < 4


def test_fusions_share_one_fit_and_trainings_do_not() -> None:
    revenue, clicks = ESMM(), ESMM(PowerProduct({"ctr": 1}))
    assert revenue.fit_spec() == clicks.fit_spec()
    assert revenue.seed() == clicks.seed()
    assert revenue.spec() != clicks.spec()
    assert ESMM(training=Training(epochs=3)).fit_spec() != revenue.fit_spec()
    assert ESMM(training=Training(epochs=3)).seed() != revenue.seed()


def test_what_one_fusion_learned_serves_another(fitted: Mapping[str, AbstractPolicy], requests: Requests) -> None:
    by_price = ESMM(PowerProduct({"price": 1})).restore(fitted["esmm"].learned())
    np.testing.assert_allclose(by_price.score(requests), within_requests(np.log(prices(requests))), atol=1e-6)


@pytest.mark.parametrize("goal", ["cart", "stay", "collect"])
def test_a_goal_it_does_not_predict_is_refused_when_it_is_written(goal: str) -> None:
    with pytest.raises(ValueError, match=f"esmm predicts ctr, cvr and ctcvr, not {goal}"):
        ESMM(PowerProduct({"ctr": 1, goal: 1}))


def test_a_buy_without_a_click_is_refused() -> None:
    """Where task 2 is not conditional on task 1, ESMM is the wrong model."""
    click = np.tile([1, 0], 200)
    with pytest.raises(ValueError, match="buy must not happen without a click"):
        ESMM().fit(hand_made(click, buy=(1 - click).astype(np.int8)))


@pytest.mark.parametrize("conversion", ["click", "stay", "two words"])
def test_a_conversion_must_be_an_action_after_the_click(conversion: str) -> None:
    with pytest.raises(ValueError, match=f"conversion must .*, got '{conversion}'"):
        ESMM(conversion=conversion)


def test_a_log_without_the_conversion_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="the log has no 'buy'; name one of its outcomes: click, stay, apply"):
        ESMM().fit(random_recruiting())
    with pytest.raises(ValueError, match="the log has no 'aply'; did you mean 'apply'"):
        ESMM(conversion="aply").fit(random_recruiting())


def test_its_cvr_is_of_the_conversion_it_is_given() -> None:
    """Applications follow three clicks in ten and interviews one in thirty; the same clicks, another cvr.

    Over about 700 clicks, the rates have standard errors of .017 and .007; within 5.
    """
    log = random_recruiting()
    log = with_outcome(log, interview=log["interview"] * (np.random.default_rng(1).random(len(log)) < 1 / 9))
    requests = asking(log.users, np.tile(np.arange(30), (len(log.users), 1)), log.items)
    for conversion in ("apply", "interview"):
        policy = ESMM(conversion=conversion).fit(log)
        clicks, p = log["click"].sum(), log[conversion].sum() / log["click"].sum()
        found = policy.goals(requests)
        assert sorted(found) == ["ctcvr", "ctr", "cvr"]
        assert abs(found["cvr"].mean() - p) < 5 * np.sqrt(p * (1 - p) / clicks)
        assert policy.outcomes() == {"click", conversion}


def test_a_log_in_which_every_click_was_bought_is_learned() -> None:
    click = (np.arange(400) % 4 == 0).astype(np.int8)
    ESMM(training=Training(epochs=1)).fit(hand_made(click, buy=click))


def test_a_log_in_which_everything_was_clicked_is_learned() -> None:
    buy = (np.arange(400) % 4 == 0).astype(np.int8)
    ESMM(training=Training(epochs=1)).fit(hand_made(np.ones(400), buy=buy))
