"""Balances of several losses: sums, learned uncertainties, and common descent (see `policies.balance`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from policies import balance as spec
from policies.minnorm import min_norm
from policies.nets import Balance, Forward, Losses, Model, WeightedSum
from sim.records import Floats


def balancer(balance: spec.Balance, events: Sequence[str], model: Model) -> Balance:
    """The balance that a spec names, for a model and the events that it learns from."""
    match balance:
        case spec.Fixed(weights):
            return WeightedSum(weights)
        case spec.Uncertainty():
            return LearnedUncertainty(events)
        case spec.Tchebycheff(weights, smoothing, ideal):
            return SmoothTchebycheff(dict.fromkeys(events, 1.0) | dict(weights), smoothing, ideal)
        case spec.MGDA(normalise=normalise):
            return CommonDescent(normalise, model.shared_parameters())
        case spec.MGDAUB(normalise=normalise):
            return CommonDescent(normalise, None)


class LearnedUncertainty:
    """Sum of exp(-s) loss + s / 2, one s per event; losses beside those count as they are."""

    def __init__(self, events: Sequence[str]) -> None:
        self.log_variance = {name: nn.Parameter(torch.zeros(())) for name in events}

    def parameters(self) -> list[nn.Parameter]:
        return list(self.log_variance.values())

    def backward(self, losses: Losses, forward: Forward, model: nn.Module) -> None:
        total = losses.penalty
        for name, loss in losses.events.items():
            s = self.log_variance.get(name)
            total = total + (loss if s is None else torch.exp(-s) * loss + s / 2)
        total.backward()  # type: ignore[no-untyped-call]


class SmoothTchebycheff:
    """smoothing x log of sum of exp(w (loss - ideal) / smoothing); losses without a weight count as they are."""

    def __init__(self, weights: Mapping[str, float], smoothing: float, ideal: Mapping[str, float]) -> None:
        self.weights, self.smoothing, self.ideal = weights, smoothing, ideal

    def parameters(self) -> list[nn.Parameter]:
        return []

    def backward(self, losses: Losses, forward: Forward, model: nn.Module) -> None:
        beside = [loss for name, loss in losses.events.items() if name not in self.weights]
        above = [
            self.weights[name] * (loss - self.ideal.get(name, 0.0)) / self.smoothing
            for name, loss in losses.events.items()
            if self.weights.get(name)  # a weight of 0 would still soften the maximum
        ]
        total = sum(beside, start=losses.penalty) + self.smoothing * torch.logsumexp(torch.stack(above), dim=0)
        total.backward()  # type: ignore[no-untyped-call]


class CommonDescent:
    """The shared parameters follow the min-norm combination of gradients, every head its own loss.

    shared: parameters that all losses reach; None to combine at the representation that they all read (MGDA-UB).
    """

    def __init__(self, normalise: spec.Normalise, shared: Sequence[nn.Parameter] | None) -> None:
        self.normalise, self.shared = normalise, shared
        self.first: Floats | None = None

    def parameters(self) -> list[nn.Parameter]:
        return []

    def backward(self, losses: Losses, forward: Forward, model: nn.Module) -> None:
        common = list(forward.shared) if self.shared is None else list(self.shared)
        below = {id(p) for p in model.shared_parameters()}  # type: ignore[operator]
        own = [p for p in model.parameters() if id(p) not in below]
        losses.penalty.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        values = list(losses.events.values())
        grads: list[list[Tensor]] = []
        for loss in values:
            found = torch.autograd.grad(loss, [*common, *own], retain_graph=True, allow_unused=True)
            for parameter, grad in zip(own, found[len(common) :], strict=True):
                _add(parameter, grad)
            grads.append([_or_zero(g, c) for g, c in zip(found, common, strict=False)])
        alpha = self._weights(grads, np.array([float(loss.detach()) for loss in values]))
        combined = [
            sum((a * g[i] for a, g in zip(alpha, grads, strict=True)), start=0 * grads[0][i])
            for i in range(len(common))
        ]
        if self.shared is None:
            torch.autograd.backward(common, combined, inputs=model.shared_parameters())  # type: ignore[operator]
            return
        for parameter, grad in zip(self.shared, combined, strict=True):
            _add(parameter, grad)

    def _weights(self, grads: Sequence[Sequence[Tensor]], losses: Floats) -> list[float]:
        flat = torch.stack([torch.cat([g.reshape(-1) for g in task]) for task in grads])
        gram = (flat @ flat.T).double().numpy()
        norm = np.sqrt(np.diag(gram))
        self.first = losses if self.first is None else np.where(self.first > 0, self.first, losses)
        scale = {"none": np.ones(len(norm)), "l2": norm, "loss": self.first, "loss+": self.first * norm}[self.normalise]
        # A batch without a row of a task's space has no gradient of it: no news, not a reason to stand still.
        told = np.flatnonzero((norm > 0) & (scale > 0))
        alpha = np.zeros(len(norm))
        if len(told):
            alpha[told] = min_norm(gram[np.ix_(told, told)] / np.outer(scale[told], scale[told])) / scale[told]
            alpha /= alpha.sum()  # only the direction is chosen: Adam makes the length of a step anyway
        return list(alpha)


def _add(parameter: nn.Parameter, grad: Tensor | None) -> None:
    if grad is not None:
        parameter.grad = grad.clone() if parameter.grad is None else parameter.grad + grad


def _or_zero(grad: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if grad is None else grad
