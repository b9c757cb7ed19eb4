from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from policies.chain import Event, chance
from policies.esmm import ESMM
from policies.fitting import Observed
from policies.multitask import SharedBottom
from policies.table import policy_class
from policies.training import Training
from tests.logs import hand_made
from tests.policies.test_multitask import clicked_log

SMALL = Training(epochs=1, embedding=2, hidden=3, hidden2=2)


def test_a_post_click_loss_is_the_mean_over_clicked_rows_and_ignores_the_others() -> None:
    """L_k = sum d l / sum d (PLE): what unclicked rows say, however wild, changes neither value nor gradient."""
    log = hand_made([1, 0, 1, 0, 1], buy=[1, 0, 0, 0, 0])
    seen = Observed.of(Event(("buy",), chance("cvr"), "click"), log)
    rows = np.arange(5)
    expected = binary_cross_entropy_with_logits(torch.tensor([0.3, -1.0, 2.0]), torch.tensor([1.0, 0.0, 0.0]))
    for wild in (0.0, 1e4, -1e4):
        logits = torch.tensor([0.3, wild, -1.0, -wild, 2.0], requires_grad=True)
        loss = seen.loss({"cvr": logits}, rows)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        np.testing.assert_array_equal(gradient[[1, 3]], 0)


def test_a_batch_without_a_row_of_a_space_has_no_loss_and_no_gradient_of_it() -> None:
    log = hand_made([1, 0, 0], buy=[1, 0, 0])
    logits = torch.zeros(2, requires_grad=True)
    loss = Observed.of(Event(("buy",), chance("cvr"), "click"), log).loss({"cvr": logits}, np.array([1, 2]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("balance", ["fixed", "mgda", "mgda_ub", "uncertainty", "tchebycheff"])
def test_batches_of_one_row_are_learned_from(balance: str) -> None:
    """Elsewhere a squeeze broke every multi-task model on them; most hold no click at all."""
    training = {"epochs": 1, "batch": 1, "embedding": 2, "hidden": 3, "hidden2": 2}
    fit = (
        policy_class("shared_bottom")
        .from_spec({"training": training, "balance": {"type": balance}})
        .fit(clicked_log(250))
    )
    assert all(np.isfinite(loss) for loss in fit.losses_.values())


@pytest.mark.parametrize("n", [257, 1000])
def test_a_last_batch_of_one_row_is_learned_from(n: int) -> None:
    ESMM(training=Training(epochs=1, batch=int(0.9 * n) - 1, embedding=2, hidden=3, hidden2=2)).fit(clicked_log(n))


def test_a_head_that_no_validation_row_can_judge_is_noted() -> None:
    """All clicks lie before the last tenth of the log."""
    click = (np.arange(1000) % 4 == 0) & (np.arange(1000) < 800)
    log = hand_made(click, buy=(click & (np.arange(1000) % 8 == 0)).astype(np.int8))
    notes = SharedBottom(training=SMALL).fit(log).notes()
    assert "cvr was kept from its first epoch, no validation row has a click to judge it by; take a longer log" in notes
    assert not any(note.startswith("ctr was kept") for note in notes)


def test_stays_that_are_all_in_the_validation_rows_leave_a_finite_model() -> None:
    """A mean of no rows would start the head at no number."""
    click = np.arange(1000) >= 900
    fit = SharedBottom(("ctr", "stay"), SharedBottom().fusion.__class__({"ctr": 1}), SMALL).fit(hand_made(click))
    assert all(np.isfinite(loss) for loss in fit.losses_.values())
