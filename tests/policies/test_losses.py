from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch

from policies.chain import Event, Paths, chance, of
from policies.esm2 import ESM2
from policies.losses import event_loss, path_loss

LOGITS = (-40.0, -20.0, -7.5, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 7.5, 20.0, 40.0)
FEW = (-40.0, -3.0, -0.3, 0.7, 7.5, 40.0)
PATHS: dict[str, tuple[Paths, tuple[float, ...]]] = {
    "esmm": (chance("ctr", "cvr"), LOGITS),
    "three steps": (chance("ctr", "act", "after"), FEW),
    "esm2": (ESM2().chain().events["buy"].paths, FEW),
    "a step not taken": (((("ctr", True), ("act", False)),), LOGITS),
}


def exact(paths: Paths, logits: Mapping[str, float], label: int) -> tuple[Decimal, dict[str, Decimal]]:
    """-ln p or -ln(1 - p) of p = sum of products, and its derivatives, with 100 digits.

    p is linear in each head's sigma, so dp/dlogit = (p at sigma = 1 less p at sigma = 0) sigma (1 - sigma).
    Logits are taken as float32 has them.
    """
    with localcontext() as context:
        context.prec = 100
        sigma = {head: 1 / (1 + (-Decimal(float(np.float32(x)))).exp()) for head, x in logits.items()}

        def total(at: Mapping[str, Decimal]) -> Decimal:
            parts = []
            for path in paths:
                product = Decimal(1)
                for head, taken in path:
                    product *= at[head] if taken else 1 - at[head]
                parts.append(product)
            return sum(parts, start=Decimal(0))

        p = total(sigma)
        slopes = {}
        for head, s in sigma.items():
            dp = (total({**sigma, head: Decimal(1)}) - total({**sigma, head: Decimal(0)})) * s * (1 - s)
            slopes[head] = -dp / p if label else dp / (1 - p)
        return -(p if label else 1 - p).ln(), slopes


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", PATHS)
def test_path_loss_and_its_gradients_keep_their_digits_at_any_logits(name: str, label: int) -> None:
    """float32 against 100 digits at all combinations of logits up to 40.

    An exponent near 40 is rounded to 2e-6 of the power, so values and gradients are held to 6e-6 of themselves. Where
    two ways to an event are about as likely, a gradient is a small difference of larger parts; it is held to as much of
    the largest gradient of its row. What float32 cannot hold at all, below 1e-38, is 0.
    """
    paths, at = PATHS[name]
    heads = sorted(of(paths))
    grid = np.array(list(itertools.product(at, repeat=len(heads))))
    logits = {h: torch.tensor(grid[:, k], dtype=torch.float32, requires_grad=True) for k, h in enumerate(heads)}
    loss = path_loss(paths, logits, torch.full((len(grid),), float(label)))
    gradients = torch.autograd.grad(loss.sum(), list(logits.values()))
    for row, values in enumerate(grid):
        value, slopes = exact(paths, dict(zip(heads, values, strict=True)), label)
        assert loss[row].item() == pytest.approx(float(value), rel=2e-6), values
        cancelled = 6e-6 * max(abs(float(slope)) for slope in slopes.values()) if len(paths) > 1 else 0
        for head, gradient in zip(heads, gradients, strict=True):
            expected = pytest.approx(float(slopes[head]), rel=6e-6, abs=max(cancelled, 1e-38))
            assert gradient[row].item() == expected, (values, head)


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("extreme", [88.0, 120.0, 1e4])
@pytest.mark.parametrize("name", PATHS)
def test_no_nan_leaks_from_the_branch_that_is_not_taken(name: str, extreme: float, label: float) -> None:
    paths, _ = PATHS[name]
    heads = sorted(of(paths))
    signs = list(itertools.product((-extreme, 0.0, extreme), repeat=len(heads)))
    logits = {h: torch.tensor([row[k] for row in signs], requires_grad=True) for k, h in enumerate(heads)}
    loss = path_loss(paths, logits, torch.full((len(signs),), label))
    gradients = torch.autograd.grad(loss.sum(), list(logits.values()))
    assert torch.isfinite(loss).all()
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("taken", [True, False])
def test_one_step_has_the_plain_cross_entropy(taken: bool) -> None:
    """Torch's own loses digits of values near 0, by 5e-7 at most; gradients keep them."""
    logit, label = torch.linspace(-40, 40, 41), (torch.arange(41) % 2).float()
    logit.requires_grad_()
    p = 1 / (1 + np.exp(-logit.detach().double().numpy() * (1 if taken else -1)))
    loss = path_loss(((("ctr", taken),),), {"ctr": logit}, label)
    (slope,) = torch.autograd.grad(loss.sum(), logit)
    happened = label.numpy() > 0
    rest = 1 / (1 + np.exp(logit.detach().double().numpy() * (1 if taken else -1)))
    np.testing.assert_allclose(loss.detach(), -np.log(np.where(happened, p, rest)), rtol=1e-6, atol=5e-7)
    np.testing.assert_allclose(slope, np.where(happened, -rest, p) * (1 if taken else -1), rtol=1e-5, atol=1e-7)


def test_the_loss_of_seconds_is_half_the_squared_error_of_their_logs() -> None:
    event = Event(("stay",), space="click", seconds="stay")
    found = event_loss(event, {"stay": torch.tensor([1.0, 2.0])}, torch.tensor([3.0, 2.5]))
    np.testing.assert_allclose(found.numpy(), [2.0, 0.125])
