"""Position debiasing where the answer is known exactly: likelihoods, EM's steps, limits, refusals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
import torch

from policies import debiasing
from policies.base import AbstractPolicy
from policies.examination import (
    bradley_terry,
    clickthrough_by_slot,
    given,
    harvested,
    most_likely_examination,
    relevant_though_skipped,
    seen_though_skipped,
)
from policies.goal import GoalModel
from policies.ipw import IPW
from policies.pal import PAL
from policies.position_feature import PositionFeature
from policies.regression_em import RegressionEM
from policies.training import Training
from sim.records import Log, Requests
from tests.logs import asking, hand_made

SMALL = Training(epochs=2, batch=256, embedding=4, hidden=8, hidden2=4, slot_bias=False)
LOGITS = (-40.0, -7.0, 0.0, 3.0, 40.0)


def random_log(n: int = 3000, slots: int = 5, seed: int = 0) -> Log:
    """Clicks fall with the slot, items have nothing to do with it."""
    rng = np.random.default_rng(seed)
    slot = np.arange(n) % slots
    click = rng.random(n) < 0.5 / (1 + slot)
    return hand_made(
        click, slot=slot, request=np.arange(n) // slots, user=np.arange(n) % 30, item=rng.integers(20, size=n)
    )


def all_pairs(log: Log) -> Requests:
    return asking(log.users, np.tile(np.arange(len(log.items)), (len(log.users), 1)), log.items)


def product(seen: float, ctr: float, click: int) -> float:
    """-log p or -log(1 - p) of p = sigmoid(seen) sigmoid(ctr), with sixty digits."""
    with localcontext() as context:
        context.prec = 60
        one = Decimal(1)
        p = one / ((one + (-Decimal(seen)).exp()) * (one + (-Decimal(ctr)).exp()))
        return float(-(p if click else one - p).ln())


@pytest.mark.parametrize("click", [0, 1])
@pytest.mark.parametrize("ctr", LOGITS)
@pytest.mark.parametrize("seen", LOGITS)
def test_the_product_loss_has_the_digits_of_sixty_at_extreme_logits(seen: float, ctr: float, click: int) -> None:
    x = torch.tensor([ctr], dtype=torch.float64, requires_grad=True)
    s = torch.tensor([seen], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([float(click)], dtype=torch.float64)
    loss = debiasing.product_loss(x, s, torch.tensor([False]), label)
    loss.sum().backward()
    np.testing.assert_allclose(loss.detach().numpy(), product(seen, ctr, click), rtol=1e-12)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(s.grad).all()


@pytest.mark.parametrize("click", [0, 1])
@pytest.mark.parametrize("ctr", LOGITS)
def test_a_certain_slot_asks_nothing_of_the_seen_logit(ctr: float, click: int) -> None:
    """Slot 0: the loss is that of the click alone, and no gradient reaches what is not read, in float32 as well."""
    x = torch.tensor([ctr], requires_grad=True)
    s = torch.tensor([-40.0], requires_grad=True)
    loss = debiasing.product_loss(x, s, torch.tensor([True]), torch.tensor([float(click)]))
    loss.sum().backward()
    np.testing.assert_allclose(loss.detach().numpy(), product(1e6, ctr, click), atol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), 1 / (1 + np.exp(-ctr)) - click, atol=1e-6)
    assert s.grad.item() == 0


@pytest.mark.parametrize("click", [False, True])
@pytest.mark.parametrize("ctr", LOGITS)
@pytest.mark.parametrize("theta", [1e-4, 0.3, 1.0])
def test_the_position_based_loss_has_the_digits_of_sixty(theta: float, ctr: float, click: bool) -> None:
    found = debiasing.position_based_loss(
        torch.tensor([ctr], dtype=torch.float64), torch.tensor([theta], dtype=torch.float64), torch.tensor([click])
    )
    with localcontext() as context:
        context.prec = 60
        p = Decimal(theta) / (1 + (-Decimal(ctr)).exp())
        expected = float(-(p if click else 1 - p).ln())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_the_posteriors_of_a_skip_are_those_of_the_joint_table() -> None:
    """Over examined and relevant, independent, without the cell of a click."""
    theta, g = np.array([0.2, 0.7, 1.0]), np.array([0.9, 0.1, 0.3])
    seen_only, relevant_only, neither = theta * (1 - g), (1 - theta) * g, (1 - theta) * (1 - g)
    skipped = seen_only + relevant_only + neither
    np.testing.assert_allclose(seen_though_skipped(theta, g), seen_only / skipped, rtol=1e-12)
    np.testing.assert_allclose(relevant_though_skipped(theta, g), relevant_only / skipped, rtol=1e-12)


def test_newton_ends_where_the_closed_form_steps_of_the_paper_end() -> None:
    """theta_k <- mean over rows at k of c + (1 - c) P(examined | skip), five thousand times."""
    rng = np.random.default_rng(0)
    slot, g = rng.integers(4, size=4000), rng.uniform(0.05, 0.6, size=4000)
    click = rng.random(4000) < np.array([0.9, 0.6, 0.3, 0.05])[slot] * g
    theta = np.full(4, 0.5)
    for _ in range(5000):
        seen = np.where(click, 1.0, seen_though_skipped(theta[slot], g))
        theta = np.bincount(slot, seen) / np.bincount(slot)
    found = most_likely_examination(click, slot, g, np.full(4, 0.5))
    np.testing.assert_allclose(found, theta, rtol=1e-6)


def test_an_em_step_never_lowers_the_likelihood_of_the_clicks() -> None:
    """One item per row of a table: both steps in closed form, from a bad start."""
    rng = np.random.default_rng(1)
    slot, item = rng.integers(3, size=3000), rng.integers(6, size=3000)
    click = rng.random(3000) < np.array([1, 0.5, 0.2])[slot] * np.linspace(0.05, 0.8, 6)[item]
    theta, g = np.ones(3), np.full(6, 0.5)
    likelihoods = []
    for _ in range(30):
        theta = np.minimum(most_likely_examination(click, slot, g[item], theta), 1)
        relevant = np.where(click, 1.0, relevant_though_skipped(theta[slot], g[item]))
        g = np.bincount(item, relevant) / np.bincount(item)
        p = theta[slot] * g[item]
        likelihoods.append(np.log(np.where(click, p, 1 - p)).sum())
    assert (np.diff(likelihoods) > -1e-9).all()


def test_pairs_that_agree_with_a_curve_give_it_back() -> None:
    """w_kl = n_kl theta_k with n symmetric: any pairs, even neighbours only."""
    theta, n = np.array([1.0, 0.5, 0.7, 0.1]), np.array([[0, 3, 0, 0], [3, 0, 8, 0], [0, 8, 0, 5], [0, 0, 5, 0]])
    np.testing.assert_allclose(bradley_terry(n * theta[:, None]), theta, rtol=1e-5)


def test_harvest_compares_an_item_with_itself_only() -> None:
    """Item 0 is clicked always and item 1 one time in four wherever they stand; item 0 stands on top nine times in ten.

    Click-through falls by 60 % from slot 0 to slot 1, attention not at all.
    """
    top, often, seldom = np.zeros(9, int), [1] * 9, [1, 0, 0, 0]
    item = np.concatenate([top, [1] * 4, [0] * 3, [1] * 36])
    slot = np.concatenate([np.zeros(13, int), np.ones(39, int)])
    click = np.concatenate([often, seldom, [1] * 3, seldom * 9])
    log = hand_made(np.tile(click, 8), item=np.tile(item, 8), slot=np.tile(slot, 8), user=np.zeros(52 * 8, dtype=int))
    np.testing.assert_allclose(harvested(log), [1, 1], rtol=1e-9)
    assert clickthrough_by_slot(log["click"] > 0, log.slot)[1] < 0.5


def test_harvest_refuses_a_log_whose_items_never_move() -> None:
    n = 2000
    stuck = hand_made(np.arange(n) % 3 == 0, item=np.arange(n) % 10, slot=np.arange(n) % 10)
    with pytest.raises(ValueError, match=r"harvest needs at least 20 clicks at every slot .*slot 0 has 0; explore"):
        harvested(stuck)


def test_harvest_refuses_slots_that_no_item_links() -> None:
    """Items 0 to 9 move between slots 0 and 1, items 10 to 19 between slots 2 and 3."""
    item = np.arange(4000) % 20
    slot = np.random.default_rng(0).integers(2, size=4000) + 2 * (item >= 10)
    with pytest.raises(ValueError, match=r"none links slots 0 and 2"):
        harvested(hand_made(np.ones(4000), item=item, slot=slot, user=np.zeros(4000, dtype=int)))


def same_seed(policy: type[AbstractPolicy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "seed", lambda self: 7)


def test_pal_with_one_slot_is_the_plain_model_of_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the order of float32 sums: one takes the mean of the losses, the other the loss of the mean."""
    log = random_log(slots=1)
    same_seed(PAL, monkeypatch), same_seed(GoalModel, monkeypatch)
    pal, plain = PAL(SMALL).fit(log), GoalModel("ctr", SMALL).fit(log)
    np.testing.assert_allclose(pal.score(all_pairs(log)), plain.score(all_pairs(log)), atol=1e-3)
    np.testing.assert_array_equal(pal.attention(), [1])


@pytest.mark.parametrize("self_normalised", [False, True])
def test_weights_of_one_leave_the_plain_model_to_the_bit(
    self_normalised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = random_log()
    same_seed(IPW, monkeypatch), same_seed(GoalModel, monkeypatch)
    weighted = IPW([0.4] * 5, self_normalised=self_normalised, training=SMALL).fit(log)
    assert weighted.score(all_pairs(log)).tobytes() == GoalModel("ctr", SMALL).fit(log).score(all_pairs(log)).tobytes()


def test_weights_are_clipped_and_scaled_to_the_clicks() -> None:
    log = random_log()
    theta = given([2, 1, 0.5, 0.2, 0.01], 5)
    np.testing.assert_allclose(IPW("harvest", clip=8)._weights(theta, log), [1, 2, 4, 8, 8])
    scaled = IPW("harvest", clip=8, self_normalised=True)._weights(theta, log)
    assert scaled[log.slot[log["click"] > 0]].mean() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(scaled / scaled[0], [1, 2, 4, 8, 8])


def test_the_weighted_loss_has_the_gradient_of_relevance_on_average() -> None:
    """Over c ~ theta g: E of d/dx [w c l(1) + (1 - w c) l(0)] = sigmoid(x) - g, for any theta."""
    g, x = 0.3, torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    for theta in (1.0, 0.4, 0.05):
        chances = ((theta * g, 1 / theta), (1 - theta * g, 0.0))
        loss = sum(p * debiasing.nets.log_loss(x, torch.tensor(w, dtype=torch.float64)) for p, w in chances)
        (slope,) = torch.autograd.grad(loss, x)
        assert float(slope) == pytest.approx(1 / (1 + np.exp(-0.8)) - g, abs=1e-12)


@pytest.mark.parametrize("curve", [[], [1, 0], [1, -0.5]])
def test_examination_that_no_slot_can_have_is_refused_when_it_is_written(curve: list[float]) -> None:
    with pytest.raises(ValueError, match="examination must be em, harvest or numbers > 0"):
        IPW.from_spec({"examination": curve})


def test_examination_of_another_page_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one number for each slot .* 5 of them, got 2"):
        IPW([1, 0.5], training=SMALL).fit(random_log())


def test_weights_from_em_take_the_curve_of_the_model_they_are_handed() -> None:
    """`needs` names a regression_em, so that an arm of that policy and this one share a fit."""
    log, policy = random_log(), IPW(training=SMALL)
    em = policy.needs()["examination"].fit(log)
    assert isinstance(em, RegressionEM)
    assert em.training.batch == SMALL.batch
    np.testing.assert_array_equal(policy.fit(log, {"examination": em}).attention(), em.attention())
    assert IPW().needs()["examination"].spec() == RegressionEM(Training(epochs=20, patience=2)).spec()


@pytest.mark.parametrize("position", [5, 99])
def test_a_serving_position_that_the_log_does_not_have_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match=f"serve_position must be a slot .* 0 to 4, got {position}; try 0"):
        PositionFeature(position, SMALL).fit(random_log())


def test_a_negative_serving_position_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="serve_position"):
        PositionFeature.from_spec({"serve_position": -1})


def test_serving_positions_share_a_fit_and_forecast_as_it_does_there() -> None:
    """Clicks fall with the slot, so they do in what is served; a restored policy serves its own position."""
    log = random_log(n=6000)
    top = PositionFeature(0, Training(epochs=4, batch=256, slot_bias=False)).fit(log)
    last = PositionFeature(4, top.training).restore(top.learned())
    assert last.fit_spec() == top.fit_spec()
    asked = all_pairs(log)
    np.testing.assert_array_equal(last.score(asked), top.predict_at(asked, 4).astype(np.float32))
    assert last.goals(asked)["ctr"].mean() < 0.5 * top.goals(asked)["ctr"].mean()


def test_the_slot_enters_the_network_beside_the_rest() -> None:
    """What the slot takes off differs between items: with a bias per slot it would be one number."""
    log = random_log(n=6000)
    policy = PositionFeature(0, Training(epochs=4, batch=256, slot_bias=False)).fit(log)
    drop = policy.predict_at(all_pairs(log), 0) - policy.predict_at(all_pairs(log), 4)
    assert drop.std() > 0.01


def test_sensitivity_counts_pairs_firsts_and_rankings_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests of three: the first flips one pair of three, and its first item; the second nothing."""
    policy = PositionFeature()
    policy.curve_ = np.ones(2)
    scores = {0: np.array([[3.0, 2, 1], [3, 2, 1]]), 1: np.array([[2.0, 3, 1], [9, 8, 7]])}
    monkeypatch.setattr(PositionFeature, "predict_at", lambda self, requests, slot: scores[slot])
    found = policy.sensitivity(all_pairs(random_log()))
    assert (found.pairs, found.firsts, found.rankings) == (pytest.approx(1 / 6), 0.5, 0.5)


MAKERS: list[Callable[[], Any]] = [
    lambda: PAL(SMALL),
    lambda: PositionFeature(0, SMALL),
    lambda: RegressionEM(SMALL),
    lambda: IPW("harvest", training=SMALL),
]


@pytest.mark.parametrize("make", MAKERS)
def test_attention_is_relative_to_slot_0_and_survives_saving(make: Callable[[], Any], tmp_path: Any) -> None:
    policy = make().fit(random_log())
    policy.save(tmp_path)
    curve = type(policy).load(tmp_path).attention()
    assert curve.shape == (5,)
    assert curve[0] == 1
    np.testing.assert_array_equal(curve, policy.attention())


@pytest.mark.parametrize("make", MAKERS)
def test_a_slot_bias_beside_its_own_way_with_slots_is_not_learned(make: Callable[[], Any]) -> None:
    """With the same seed, training.slot_bias makes no difference."""
    log, policy, other = random_log(), make(), make()
    other.training = Training(epochs=2, batch=256, embedding=4, hidden=8, hidden2=4, slot_bias=True)
    policy.seed = other.seed = lambda: 3
    assert policy.fit(log).score(all_pairs(log)).tobytes() == other.fit(log).score(all_pairs(log)).tobytes()
