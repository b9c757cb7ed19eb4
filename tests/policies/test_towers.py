from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from policies import nets
from policies.features import ITEM_DENSE, PAIR_DENSE, USER_DENSE, Features, Inputs, Rows
from policies.layout import SEPARATE, Layout
from policies.towers import Level, Network, Towers, sigmoid
from policies.training import Training
from tests.logs import hand_made

N_USERS, N_SEGMENTS, N_ITEMS = 40, 3, 50


LAYOUTS = {
    "separate": Layout(),
    "shared bottom": Layout(0, 1),
    "mmoe": Layout(0, 3),
    "cgc": Layout(2, 1),
    "ple": Layout(1, 2, levels=3),
    "stacked": Layout(0, 2, levels=2),
    "towers of layers": Layout(1, 0, levels=2),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def random_network(
    seed: int,
    layout: Layout = SEPARATE,
    heads: tuple[str, ...] = ("ctr", "cvr"),
    widths: tuple[int, int, int] = (8, 32, 16),
) -> Network:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    (embedding, hidden, hidden2), n = widths, len(heads)
    n_experts = layout.experts(n)
    gated = any(len(seen) > 1 for seen in layout.mixes(n, 1))
    wide = n_experts * hidden + gated * len(layout.mixes(n, 1)) * n_experts
    return Network(
        heads,
        layout,
        users=draw(N_USERS, embedding),
        segments=draw(N_SEGMENTS, embedding),
        item_vectors=draw(N_ITEMS, embedding),
        item_wide=draw(N_ITEMS, wide),
        w_user=draw(2 * embedding + len(USER_DENSE), wide),
        w_pair=draw(len(PAIR_DENSE), wide),
        levels=tuple(
            Level(
                draw(n_experts, hidden, hidden) / 6,
                draw(n_experts, hidden),
                draw(len(layout.mixes(n, level)), hidden, n_experts) / 6,
            )
            for level in range(2, layout.levels + 1)
        ),
        w2=draw(n, hidden, hidden2),
        b2=draw(n, hidden2),
        w3=draw(n, hidden2),
        b3=draw(n),
        affinity=draw(n, embedding),
        places=tuple(range(n)),
        counted=n,
    )


def random_inputs(n_requests: int, n_candidates: int, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    return Inputs(
        user=rng.integers(N_USERS, size=n_requests),
        segment=rng.integers(N_SEGMENTS, size=n_requests),
        user_dense=rng.normal(size=(n_requests, len(USER_DENSE))).astype(np.float32),
        item=rng.integers(N_ITEMS, size=(n_requests, n_candidates)),
        pair_dense=rng.normal(size=(n_requests, n_candidates, len(PAIR_DENSE))).astype(np.float32),
    )


@layouts
@pytest.mark.parametrize("n_candidates", [1, 37, 100])
@pytest.mark.parametrize("n_requests", [1, 31, 33, 50])
def test_a_requests_logits_have_the_same_bits_alone_and_in_company(
    n_requests: int, n_candidates: int, layout: Layout
) -> None:
    network, inputs = random_network(1, layout, widths=(8, 16, 8)), random_inputs(n_requests, n_candidates)
    together = network.logits(inputs)
    alone = [network.logits(inputs.take(slice(row, row + 1))) for row in range(n_requests)]
    for head in network.heads:
        assert together[head].shape == (n_requests, n_candidates)
        assert together[head].tobytes() == np.concatenate([one[head] for one in alone]).tobytes()


def test_logits_follow_the_formula_of_two_layers_and_a_weighted_inner_product() -> None:
    """Recomputed in float64, one candidate at a time; the experts of the two heads lie side by side."""
    t, x = random_network(2), random_inputs(3, 4)
    logits = t.logits(x)
    for (r, c), (k, head) in itertools.product(np.ndindex(3, 4), enumerate(t.heads)):
        own = slice(32 * k, 32 * (k + 1))
        user, segment, item = (
            a.astype(np.float64) for a in (t.users[x.user[r]], t.segments[x.segment[r]], t.item_vectors[x.item[r, c]])
        )
        who = np.concatenate([user, segment, x.user_dense[r]]) @ t.w_user[:, own]
        first = np.maximum(0, who + t.item_wide[x.item[r, c], own] + x.pair_dense[r, c] @ t.w_pair[:, own])
        second = np.maximum(0, first @ t.w2[k] + t.b2[k])
        expected = second @ t.w3[k] + (t.affinity[k] * item) @ (user + segment) + t.b3[k]
        assert logits[head][r, c] == pytest.approx(expected, rel=1e-4, abs=1e-3)


def trained_on() -> tuple[Features, Rows]:
    log = hand_made(np.random.default_rng(0).random(400) < 0.3)
    features = Features().fit(log)
    return features, features.training_rows(log)


def shaken(model: nets.Model, std: float = 0.5) -> nets.Model:
    """All parameters drawn afresh, the slot biases too: slot 0 is the reference whatever its weight."""
    luck = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=std, generator=luck)
    return model


def at_serving(features: Features, rows: Rows) -> tuple[Inputs, Rows]:
    """The same rows as requests of one candidate, and as training rows at the top with the log's whole history."""
    served = Inputs(rows.user, rows.segment, rows.user_dense, rows.item[:, None], rows.pair_dense[:, None, :])
    history = features.item_dense()[rows.item]
    return served, replace(rows, item_dense=history, slot=np.zeros_like(rows.slot))


@layouts
@pytest.mark.parametrize("widths", [(8, 32, 16), (1, 1, 1), (5, 7, 3)])
def test_the_numpy_network_computes_what_the_torch_net_does_at_slot_0(
    widths: tuple[int, int, int], layout: Layout
) -> None:
    features, rows = trained_on()
    training = Training(embedding=widths[0], hidden=widths[1], hidden2=widths[2])
    model = shaken(nets.build(features.schema(), rows, ("ctr", "cvr", "cart"), training, 3, layout))
    served, at_the_top = at_serving(features, rows)
    with torch.no_grad():
        expected = model(nets.tensors(at_the_top)).logits
    found = model.networks[0].export().logits(served)
    assert rows.item_dense.shape[1] == len(ITEM_DENSE)
    for head in model.heads:
        np.testing.assert_allclose(found[head][:, 0], expected[head].numpy(), rtol=1e-5, atol=2e-5)


@layouts
def test_a_part_of_the_heads_computes_what_the_whole_does(layout: Layout) -> None:
    """Whatever heads are kept, in steps too; experts upon experts stay, as all of them may reach a head."""
    whole, inputs = random_network(6, layout, ("a", "b", "c", "d")), random_inputs(5, 6)
    expected = whole.logits(inputs)
    for kept in (["a"], ["d", "b"], ["b", "c", "d"], ["a", "b", "c", "d"]):
        part = whole.only(kept)
        assert part.heads == tuple(sorted(kept))
        found = Network.restore(part.learned()).logits(inputs)
        for head in kept:
            np.testing.assert_allclose(found[head], expected[head], rtol=1e-5, atol=1e-4)
    last = whole.only(["b", "c", "d"]).only(["c"])
    assert last.heads == ("c",)
    np.testing.assert_allclose(last.logits(inputs)["c"], expected["c"], rtol=1e-5, atol=1e-4)


@layouts
def test_heads_of_different_networks_serve_side_by_side_each_from_its_own(layout: Layout) -> None:
    """A part of a network with experts upon experts once answered for all its heads and hid the others' epochs."""
    early, late, inputs = random_network(7, layout), random_network(8, layout), random_inputs(5, 6)
    for towers in (
        Towers((early.only(["ctr"]), late.only(["cvr"]))),
        Towers((late.only(["cvr"]), early.only(["ctr"]))),
    ):
        found = Towers.restore(towers.learned()).logits(inputs)
        assert sorted(found) == ["ctr", "cvr"]
        np.testing.assert_allclose(found["ctr"], early.logits(inputs)["ctr"], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(found["cvr"], late.logits(inputs)["cvr"], rtol=1e-5, atol=1e-4)


@layouts
def test_an_exported_network_does_not_move_with_further_training(layout: Layout) -> None:
    features, rows = trained_on()
    model = nets.build(features.schema(), rows, ("ctr", "cvr"), Training(), 3, layout)
    network = model.networks[0].export()
    before = {name: value.copy() for name, value in network.learned().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    for name, value in network.learned().items():
        np.testing.assert_array_equal(value, before[name])


@layouts
def test_a_restored_network_gives_the_same_bits(layout: Layout) -> None:
    network, inputs = random_network(4, layout), random_inputs(5, 6)
    restored = Network.restore(network.learned())
    assert restored.heads == network.heads
    assert restored.layout == layout
    for head, logits in restored.logits(inputs).items():
        assert logits.tobytes() == network.logits(inputs)[head].tobytes()


@layouts
def test_scoring_does_not_write_into_the_network(layout: Layout) -> None:
    network, inputs = random_network(5, layout), random_inputs(5, 6)
    first, second = network.logits(inputs), network.logits(inputs)
    assert all(first[head].tobytes() == second[head].tobytes() for head in network.heads)


def test_no_requests_have_no_logits() -> None:
    inputs = random_inputs(3, 4).take(slice(0, 0))
    assert {head: value.shape for head, value in random_network(5).logits(inputs).items()} == {
        "ctr": (0, 4),
        "cvr": (0, 4),
    }


def test_sigmoid_is_exact_at_its_limits_and_warns_of_nothing() -> None:
    """RuntimeWarnings are errors here: exp of a large float32 must not overflow."""
    x = np.array([-200, -90, -40, 0, 40, 90, 200], dtype=np.float32)
    p = sigmoid(x)
    assert p.dtype == np.float32
    assert p[3] == 0.5
    assert (p[4:] == 1).all()
    assert ((p[:3] >= 0) & (p[:3] < 1e-17)).all()


def test_sigmoid_agrees_with_float64_to_the_last_digits() -> None:
    x = np.linspace(-30, 30, 601, dtype=np.float32)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x.astype(np.float64))), rtol=5e-7)
