from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from policies import balance as spec
from policies import nets
from policies.balancing import CommonDescent, balancer
from policies.layout import Layout
from policies.minnorm import min_norm
from policies.multitask import SharedBottom
from policies.training import Training
from sim.records import Floats
from tests.policies.test_multitask import BALANCES, SMALL, built, clicked_log, features_and_rows  # noqa: F401

A, B, START = (0.0, 0.0), (1.0, 0.0), (0.3, 2.0)


class Plane(nn.Module):
    """Two shared parameters, which are the representation themselves, and a parameter of each task alone."""

    def __init__(self, start: tuple[float, float] = START) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        self.own = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.x]


Objectives = Callable[[Tensor, Tensor], dict[str, Tensor]]


def quadratics(z: Tensor, own: Tensor) -> dict[str, Tensor]:
    """f1 = |x - a|^2, f2 = 9 |x - b|^2, and a term of each task's own parameter."""
    f1 = (z - torch.tensor(A)).square().sum() + (own[0] - 1).square()
    f2 = 9 * (z - torch.tensor(B)).square().sum() + (own[1] + 2).square()
    return {"click": f1, "buy": f2}


def stepped(balance: spec.Balance, plane: Plane, objectives: Objectives = quadratics) -> nets.Balance:
    """One backward pass, which leaves gradients on the plane."""
    one = CommonDescent(balance.normalise, plane.shared_parameters()) if isinstance(balance, spec.MGDA) else None
    chosen = one or balancer(balance, ("click", "buy"), plane)  # type: ignore[arg-type]
    backward(chosen, plane, objectives)
    return chosen


def backward(balance: nets.Balance, plane: Plane, objectives: Objectives = quadratics) -> None:
    plane.zero_grad()
    z = plane.x * 1.0  # a representation, one step above its parameters
    losses = nets.Losses(objectives(z, plane.own), torch.zeros((), dtype=torch.float64, requires_grad=True))
    balance.backward(losses, nets.Forward({}, (), (z,)), plane)


def descended(
    balance: spec.Balance, objectives: Objectives = quadratics, start: tuple[float, float] = START, steps: int = 400
) -> Plane:
    """Plain gradient descent with a step of .03, at which 9 |x - b|^2 still converges."""
    plane = Plane(start)
    chosen = balancer(balance, ("click", "buy"), plane)  # type: ignore[arg-type]
    for _ in range(steps):
        backward(chosen, plane, objectives)
        with torch.no_grad():
            for parameter in plane.parameters():
                if parameter.grad is not None:
                    parameter -= 0.03 * parameter.grad
    return plane


def gradients(x: Tensor) -> tuple[Floats, Floats]:
    at = x.detach().numpy()
    return 2 * (at - A), 18 * (at - B)


def test_the_sum_of_two_quadratics_ends_where_their_weights_say() -> None:
    """x = (1 a + 9 b) / 10; with weights w1, w2 it is 9 w2 / (w1 + 9 w2)."""
    np.testing.assert_allclose(descended(spec.Fixed()).x.detach(), [0.9, 0], atol=1e-9)
    weighted = descended(spec.Fixed({"click": 3.0, "buy": 0.5}))
    np.testing.assert_allclose(weighted.x.detach(), [4.5 / 7.5, 0], atol=1e-9)


@pytest.mark.parametrize("kind", [spec.MGDA, spec.MGDAUB])
@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_common_descent_ends_on_the_pareto_segment(kind: type[spec.MGDA], normalise: spec.Normalise) -> None:
    """Between a and b, where the gradients are opposed; heads reach the least of their own loss."""
    plane = descended(kind(normalise=normalise))
    x = plane.x.detach().numpy()
    assert abs(x[1]) < 1e-2
    assert -1e-2 <= x[0] <= 1 + 1e-2
    np.testing.assert_allclose(plane.own.detach(), [1, -2], atol=1e-6)


def test_unnormalised_common_descent_favours_the_smaller_gradient() -> None:
    """From (.3, 2) it ends at x = .012, next to the optimum of the shallow loss; the sum would end at .9."""
    assert descended(spec.MGDA(normalise="none")).x[0].item() == pytest.approx(0.0121, abs=0.01)


@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_a_step_goes_along_the_shortest_combination_of_the_scaled_gradients(normalise: spec.Normalise) -> None:
    """Recomputed: gradients over their scales, the min-norm weights of these, and a sum of weights of 1."""
    plane = Plane()
    stepped(spec.MGDA(normalise=normalise), plane)
    g = np.stack(gradients(plane.x))
    norm, loss = np.linalg.norm(g, axis=1), np.array([x.item() for x in quadratics(plane.x, plane.own).values()])
    scale = {"none": np.ones(2), "l2": norm, "loss": loss, "loss+": loss * norm}[normalise]
    alpha = min_norm((g / scale[:, None]) @ (g / scale[:, None]).T) / scale
    np.testing.assert_allclose(plane.x.grad, alpha / alpha.sum() @ g, rtol=1e-9)
    descent = -(g @ plane.x.grad.numpy())
    assert (descent < 0).all()  # both losses fall


@pytest.mark.parametrize(("normalise", "expected"), [("none", (100 / 101, 1 / 101)), ("l2", (10 / 11, 1 / 11))])
def test_orthogonal_gradients_of_norm_1_and_10_weigh_as_known(
    normalise: spec.Normalise, expected: tuple[float, float]
) -> None:
    """.990 and .010 without normalising; l2 gives both unit gradients half, .909 and .091 of the raw ones."""
    plane = Plane()
    stepped(spec.MGDA(normalise=normalise), plane, lambda z, own: {"click": z[0] + own[0], "buy": 10 * z[1] + own[1]})
    np.testing.assert_allclose(plane.x.grad, [expected[0], 10 * expected[1]], rtol=1e-12)


@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_the_upper_bound_is_exact_where_the_representation_is_the_parameters(normalise: spec.Normalise) -> None:
    one, other = descended(spec.MGDA(normalise=normalise)), descended(spec.MGDAUB(normalise=normalise))
    np.testing.assert_array_equal(one.x.detach(), other.x.detach())


class Bottom(nn.Module):
    """A linear shared part."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -1.0]], dtype=torch.float64))

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.weight]


def test_the_upper_bound_is_exact_for_a_linear_bottom_and_one_row() -> None:
    """dL/dW = dL/dz x': both Gram matrices agree up to |x|^2, so the weights and the step do."""
    steps = []
    for shared in (True, False):
        bottom = Bottom()
        z = bottom.weight @ torch.tensor([0.2, 1.5, -0.7], dtype=torch.float64)
        losses = nets.Losses(
            {"click": (z - 1).square().sum(), "buy": 5 * (z * torch.tensor([1.0, -2.0])).exp().sum()},
            torch.zeros((), dtype=torch.float64, requires_grad=True),
        )
        balance = CommonDescent("none", bottom.shared_parameters() if shared else None)
        balance.backward(losses, nets.Forward({}, (), (z,)), bottom)
        steps.append(bottom.weight.grad)
    torch.testing.assert_close(*steps, rtol=1e-12, atol=0)


def test_head_parameters_follow_their_own_loss_whatever_the_weights() -> None:
    for balance in (spec.MGDA(normalise="none"), spec.MGDAUB(normalise="l2")):
        plane = Plane()
        stepped(balance, plane)
        np.testing.assert_allclose(plane.own.grad, [-2, 4], rtol=1e-12)


def test_a_task_that_a_batch_says_nothing_of_has_no_weight_in_it() -> None:
    """A batch without a clicked row has no gradient of what follows a click; once, that stopped all that is shared."""
    for normalise in ("none", "l2", "loss", "loss+"):
        plane = Plane()
        stepped(
            spec.MGDA(normalise=normalise),
            plane,
            lambda z, own: {"click": quadratics(z, own)["click"], "buy": 0 * z.sum()},
        )
        np.testing.assert_allclose(plane.x.grad, gradients(plane.x)[0], rtol=1e-12)


def test_the_loss_that_normalises_is_the_first_that_a_task_had() -> None:
    plane, balance = Plane(), CommonDescent("loss", None)

    def empty(z: Tensor, own: Tensor) -> dict[str, Tensor]:
        return {"click": quadratics(z, own)["click"], "buy": 0 * z.sum()}

    for objectives in (empty, quadratics, lambda z, own: {k: 7 * v for k, v in quadratics(z, own).items()}):
        backward(balance, plane, objectives)
    np.testing.assert_allclose(balance.first, [x.item() for x in quadratics(plane.x, plane.own).values()])


def test_uncertainty_follows_its_formula() -> None:
    """Sum of exp(-s) L + s / 2: dL/ds = 1/2 - exp(-s) L, and each loss's gradient is weighted by exp(-s)."""
    plane = Plane()
    balance = balancer(spec.Uncertainty(), ("click", "buy"), plane)  # type: ignore[arg-type]
    s = balance.parameters()
    with torch.no_grad():
        s[0].fill_(0.7)
        s[1].fill_(-1.1)
    backward(balance, plane)
    losses = [x.item() for x in quadratics(plane.x, plane.own).values()]
    weights = np.exp([-0.7, 1.1])
    np.testing.assert_allclose(plane.x.grad, weights @ np.stack(gradients(plane.x)), rtol=1e-6)
    np.testing.assert_allclose([p.grad for p in s], 0.5 - weights * losses, rtol=1e-6)


def test_uncertainty_has_a_parameter_for_each_event_and_leaves_other_losses_alone() -> None:
    balance = balancer(spec.Uncertainty(), ("click",), Plane())  # type: ignore[arg-type]
    (s,) = balance.parameters()
    plane = Plane()
    with torch.no_grad():
        s.fill_(3.0)
    backward(balance, plane)
    own = 18 * (plane.x.detach() - torch.tensor(B))
    np.testing.assert_allclose(plane.x.grad - own, np.exp(-3) * gradients(plane.x)[0], rtol=1e-6)


@pytest.mark.parametrize("kind", [spec.Fixed, spec.Tchebycheff])
def test_all_weight_on_one_loss_trains_it_as_if_alone(kind: type[spec.Fixed]) -> None:
    """Weights (1, 0): the shared parameters end at a, and the other head never moves."""
    plane = descended(kind(weights={"click": 1.0, "buy": 0.0}))
    np.testing.assert_allclose(plane.x.detach(), A, atol=1e-9)
    assert plane.own[1].item() == 0


@pytest.mark.parametrize(("heads", "events"), [(("ctr", "cvr"), ("click", "buy")), (("cvr", "cart"), ("buy", "cart"))])
def test_a_model_with_all_weight_on_its_first_goal_learns_it_as_if_alone(
    heads: tuple[str, str], events: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first head of weights (1, 0) has the losses of a model that has no other head, from the same weights."""
    from policies.rules import PowerProduct

    log, fusion = clicked_log(), PowerProduct({heads[0]: 1})
    monkeypatch.setattr(SharedBottom, "seed", lambda self: 5)
    both = SharedBottom(heads, fusion, SMALL, spec.Fixed(dict(zip(events, (1, 0), strict=True))))
    origin: list[nets.Model] = []
    build = nets.build

    def first(*args: object, **kwargs: object) -> nets.Model:
        origin.append(build(*args, **kwargs))  # type: ignore[arg-type]
        return origin[-1]

    monkeypatch.setattr(nets, "build", first)
    together = both.fit(log)
    again = build_of(both, log)

    def narrowed(
        schema: object, rows: object, names: object, training: Training, *_: object, **__: object
    ) -> nets.Model:
        placed = both.chain().placed
        one = nets.Model([nets.TowerNet(schema, [heads[0]], training, 10, Layout(0, 1), placed)])  # type: ignore[arg-type]
        state = again.networks[0].state_dict()
        cut = {k: v[:, :1] if k == "slot_bias.weight" else v[:1] if k == "affinity" else v for k, v in state.items()}
        one.networks[0].load_state_dict({k: cut[k] for k in one.networks[0].state_dict()})
        return one

    monkeypatch.setattr(nets, "build", narrowed)
    alone = SharedBottom((heads[0],), fusion, SMALL).fit(log)
    assert together.losses_[heads[0]] == pytest.approx(alone.losses_[heads[0]], rel=1e-6)
    (mine,) = [net for net in together.towers_.networks if heads[0] in net.heads]
    np.testing.assert_allclose(mine.only([heads[0]]).w2, alone.towers_.networks[0].w2, rtol=1e-4, atol=1e-6)


def build_of(policy: SharedBottom, log: object) -> nets.Model:
    """The weights that a fit of this policy starts from."""
    from policies.features import Features

    features = Features().fit(log)  # type: ignore[arg-type]
    rows = features.training_rows(log)  # type: ignore[arg-type]
    torch.manual_seed(policy.seed())
    n_slots = int(rows.slot.max()) + 1
    return nets.Model([nets.TowerNet(features.schema(), policy.heads, policy.training, n_slots, policy.layout)])


def fonseca(z: Tensor, own: Tensor) -> dict[str, Tensor]:
    """1 - exp(-|x -+ 1/sqrt(2)|^2): the front bends inwards (Fonseca & Fleming 1995)."""
    c = 2**-0.5
    return {"click": 1 - torch.exp(-(z - c).square().sum()), "buy": 1 - torch.exp(-(z + c).square().sum())}


SHARES = (0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9)


def ends_of(balance: Callable[[dict[str, float]], spec.Balance]) -> Floats:
    """Losses where descent ends, by share of the first goal; the start is off the middle."""
    found = []
    for share in SHARES:
        plane = descended(balance({"click": share, "buy": 1 - share}), fonseca, (0.1, -0.05), steps=1200)
        found.append([loss.item() for loss in fonseca(plane.x, plane.own).values()])
    return np.array(found)


def test_weighted_sums_find_only_the_ends_of_a_front_that_bends_inwards() -> None:
    losses = ends_of(lambda w: spec.Fixed(w))
    assert (losses.min(axis=1) < 0.1).all()
    assert (losses.max(axis=1) > 0.9).all()


def test_tchebycheff_finds_the_middle_of_a_front_that_bends_inwards() -> None:
    """At the middle both losses are 1 - 1/e; elsewhere the weighted losses are about equal, all on the front.

    On the front x1 = x2 = t in [-1/sqrt 2, 1/sqrt 2]: the roots of -ln(1 - f) add up to sqrt(2) times sqrt(2) = 2.
    """
    losses = ends_of(lambda w: spec.Tchebycheff(w, smoothing=0.03))
    np.testing.assert_allclose(np.sqrt(-np.log(1 - losses)).sum(axis=1), 2, rtol=2e-3)
    np.testing.assert_allclose(losses[SHARES.index(0.5)], 1 - np.exp(-1), rtol=1e-3)
    weighted = losses * np.stack([SHARES, 1 - np.array(SHARES)], axis=1)
    middle = slice(1, -1)
    np.testing.assert_allclose(weighted[middle, 0], weighted[middle, 1], atol=0.06)
    assert (np.diff(losses[:, 0]) < 0).all()


def test_tchebycheff_follows_its_formula() -> None:
    """d/dx of smoothing log sum exp(w (f - ideal) / smoothing) = sum of softmax x w x gradient."""
    plane = Plane()
    balance = spec.Tchebycheff({"click": 2.0, "buy": 0.3}, smoothing=3.0, ideal={"click": 0.5, "buy": 1.0})
    stepped(balance, plane)
    losses = np.array([x.item() for x in quadratics(plane.x, plane.own).values()])
    w = np.array([2.0, 0.3])
    pull = np.exp(w * (losses - [0.5, 1.0]) / 3)
    np.testing.assert_allclose(plane.x.grad, (pull / pull.sum() * w) @ np.stack(gradients(plane.x)), rtol=1e-6)


def test_shared_parameters_of_ple_are_all_that_several_heads_reach(features_and_rows) -> None:  # noqa: F811
    """Embeddings, shared experts of every level and the gate of all; the rest has gradients of one head alone."""
    model = built(features_and_rows, Layout(1, 2, 3))
    batch = nets.tensors(features_and_rows[1])
    shared = {id(p) for p in model.shared_parameters()}
    names = {name for name, p in model.named_parameters() if id(p) in shared}
    assert {name.removeprefix("_parts.0.").split(".")[0] for name in names} == {
        "embeddings",
        "common",
        "common_gate",
        "_levels",
    }
    logits = model(batch).logits
    own = [p for p in model.parameters() if id(p) not in shared]
    reached = [
        torch.autograd.grad(logits[head].square().sum(), own, retain_graph=True, allow_unused=True)
        for head in model.heads
    ]
    everything = [
        torch.autograd.grad(
            logits[head].square().sum(), model.shared_parameters(), retain_graph=True, allow_unused=True
        )
        for head in model.heads
    ]
    # Experts of one head feed the mix of all below the top level: there, others reach them too, through what is shared.
    assert all(g is not None for by_head in everything for g in by_head)
    tops = [k for k, p in enumerate(own) if any(p is q for q in top_of(model))]
    for k in tops:
        assert sum(g[k] is not None and bool(g[k].abs().sum() > 0) for g in reached) == 1


def top_of(model: nets.Model) -> list[nn.Parameter]:
    """What lies above the last mix of all: specific experts and gates of the last level, and the heads."""
    network = model.networks[0]
    last = network.levels[-1]
    layers = [*list(last.experts)[: last.n_own], *list(last.gates)[: last.n_heads], *network.second, *network.last]
    return [p for layer in layers for p in layer.parameters()]
