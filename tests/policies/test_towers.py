from __future__ import annotations

import numpy as np
import pytest
import torch

from policies import nets
from policies.features import ITEM_DENSE, PAIR_DENSE, USER_DENSE, Features, Inputs, Rows
from policies.towers import Tower, sigmoid
from policies.training import Training
from tests.logs import hand_made

N_USERS, N_SEGMENTS, N_ITEMS = 40, 3, 50


def random_tower(seed: int, embedding: int = 8, hidden: int = 32, hidden2: int = 16) -> Tower:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Tower(
        users=draw(N_USERS, embedding),
        segments=draw(N_SEGMENTS, embedding),
        item_vectors=draw(N_ITEMS, embedding),
        item_hidden=draw(N_ITEMS, hidden),
        w_user=draw(2 * embedding + len(USER_DENSE), hidden),
        w_pair=draw(len(PAIR_DENSE), hidden),
        w2=draw(hidden, hidden2),
        b2=draw(hidden2),
        w3=draw(hidden2, 1),
        b3=draw(1),
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


@pytest.mark.parametrize("n_candidates", [1, 37, 100])
@pytest.mark.parametrize("n_requests", [1, 31, 32, 33, 100])
def test_a_requests_logits_have_the_same_bits_alone_and_in_company(n_requests: int, n_candidates: int) -> None:
    tower, inputs = random_tower(1), random_inputs(n_requests, n_candidates)
    together = tower.logits(inputs)
    alone = np.concatenate([tower.logits(inputs.take(slice(row, row + 1))) for row in range(n_requests)])
    assert together.shape == (n_requests, n_candidates)
    assert together.tobytes() == alone.tobytes()


def test_logits_follow_the_formula_of_two_layers_and_an_inner_product() -> None:
    """Recomputed in float64, one candidate at a time."""
    t, x = random_tower(2), random_inputs(3, 4)
    logits = t.logits(x)
    for r, c in np.ndindex(3, 4):
        user, segment, item = (
            a.astype(np.float64) for a in (t.users[x.user[r]], t.segments[x.segment[r]], t.item_vectors[x.item[r, c]])
        )
        who = np.concatenate([user, segment, x.user_dense[r]]) @ t.w_user
        first = np.maximum(0, who + t.item_hidden[x.item[r, c]] + x.pair_dense[r, c] @ t.w_pair)
        second = np.maximum(0, first @ t.w2 + t.b2)
        expected = second @ t.w3[:, 0] + item @ (user + segment) + t.b3[0]
        assert logits[r, c] == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("widths", [(8, 32, 16), (1, 1, 1), (5, 7, 3)])
def test_the_numpy_tower_computes_what_the_torch_net_does_at_slot_0(widths: tuple[int, int, int]) -> None:
    log = hand_made(np.random.default_rng(0).random(400) < 0.3)
    features = Features().fit(log)
    rows = features.training_rows(log)
    embedding, hidden, hidden2 = widths
    training = Training(embedding=embedding, hidden=hidden, hidden2=hidden2)
    net = nets.build_nets(features, rows, ("ctr",), training, seed=3)["ctr"]
    with torch.no_grad():
        for parameter in net.parameters():  # the slot biases too: slot 0 is the reference whatever its weight
            parameter.normal_(std=0.5, generator=torch.Generator().manual_seed(len(parameter)))
    served = Inputs(rows.user, rows.segment, rows.user_dense, rows.item[:, None], rows.pair_dense[:, None, :])
    at_the_top = Rows(
        rows.user,
        rows.item,
        rows.segment,
        rows.user_dense,
        features.item_dense()[rows.item],  # a tower serves the history of the whole log
        rows.pair_dense,
        np.zeros_like(rows.slot),
    )
    with torch.no_grad():
        expected = net(nets.tensors(at_the_top)).numpy()
    np.testing.assert_allclose(net.export().logits(served)[:, 0], expected, rtol=1e-5, atol=1e-5)
    assert rows.item_dense.shape[1] == len(ITEM_DENSE)


def test_an_exported_tower_does_not_move_with_further_training() -> None:
    log = hand_made(np.random.default_rng(0).random(100) < 0.3)
    features = Features().fit(log)
    net = nets.build_nets(features, features.training_rows(log), ("ctr",), Training(), seed=3)["ctr"]
    tower = net.export()
    before = {name: value.copy() for name, value in tower.learned().items()}
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    for name, value in tower.learned().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_restored_tower_gives_the_same_bits() -> None:
    tower, inputs = random_tower(4), random_inputs(5, 6)
    assert Tower.restore(tower.learned()).logits(inputs).tobytes() == tower.logits(inputs).tobytes()


def test_scoring_does_not_write_into_the_tower() -> None:
    tower, inputs = random_tower(5), random_inputs(5, 6)
    assert tower.logits(inputs).tobytes() == tower.logits(inputs).tobytes()


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
