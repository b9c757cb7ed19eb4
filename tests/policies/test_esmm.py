from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from policies.base import AbstractPolicy
from policies.esmm import ESMM, product_loss
from policies.fusion import PowerProduct, prices
from policies.training import Training
from sim.records import Requests
from tests.logs import Shop, asking, hand_made, random_recruiting, with_outcome
from tests.policies.test_fusion import within_requests

LOGITS = [-40.0, -20.0, -7.5, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 7.5, 20.0, 40.0]
PAIRS = [(a, b) for a in LOGITS for b in LOGITS]


def exact(a: float, b: float, label: int) -> tuple[Decimal, Decimal]:
    """Cross-entropy of sigmoid(a) sigmoid(b) and its derivative in a, with 80 digits.

    l(1) = -ln pq, dl/da = -(1 - p); l(0) = -ln(1 - pq), dl/da = pq (1 - p) / (1 - pq). `a`, `b` as float32 has them.
    """
    with localcontext() as context:
        context.prec = 80
        p, q = (1 / (1 + (-Decimal(float(np.float32(x)))).exp()) for x in (a, b))
        if label:
            return -(p * q).ln(), -(1 - p)
        return -(1 - p * q).ln(), p * q * (1 - p) / (1 - p * q)


@pytest.mark.parametrize("label", [0, 1])
def test_product_loss_and_its_gradient_keep_their_digits_at_any_logits(label: int) -> None:
    """float32 against 80 digits at all pairs of logits up to 40: within 1e-6 of the value."""
    a, b = (torch.tensor(side, dtype=torch.float32, requires_grad=True) for side in zip(*PAIRS, strict=True))
    loss = product_loss(a, b, torch.full((len(PAIRS),), float(label)))
    gradient_a, gradient_b = torch.autograd.grad(loss.sum(), (a, b))
    for row, pair in enumerate(PAIRS):
        value, slope = exact(*pair, label)
        _, slope_b = exact(*pair[::-1], label)
        assert loss[row].item() == pytest.approx(float(value), rel=1e-6), pair
        assert gradient_a[row].item() == pytest.approx(float(slope), rel=1e-6), pair
        assert gradient_b[row].item() == pytest.approx(float(slope_b), rel=1e-6), pair


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("extreme", [88.0, 120.0, 1e4])
def test_no_nan_leaks_from_the_branch_that_is_not_taken(extreme: float, label: float) -> None:
    signs = [(extreme * s, extreme * t) for s in (-1, 1) for t in (-1, 1)]
    a, b = (torch.tensor(side, requires_grad=True) for side in zip(*signs, strict=True))
    loss = product_loss(a, b, torch.full((4,), label))
    gradients = torch.autograd.grad(loss.sum(), (a, b))
    assert torch.isfinite(loss).all()
    assert all(torch.isfinite(g).all() for g in gradients)


def test_product_loss_is_symmetric_in_its_logits() -> None:
    a, b = (torch.tensor(side) for side in zip(*PAIRS, strict=True))
    label = torch.zeros(len(PAIRS))
    torch.testing.assert_close(product_loss(a, b, label), product_loss(b, a, label), rtol=0, atol=0)


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
    for name in ("w2", "w3", "b3", "w_user"):
        assert not np.array_equal(getattr(policy.ctr_, name), getattr(policy.cvr_, name))


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
