"""Networks in NumPy, in every layout: what torch computes, and the same bits in any company."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies import nets
from policies.features import Features, Inputs, Rows
from policies.layout import Layout
from policies.towers import REQUESTS_PER_BLOCK, Network
from policies.training import Training
from tests.logs import hand_made

LAYOUTS = [Layout(1, 0), Layout(0, 1), Layout(0, 3), Layout(2, 1), Layout(1, 2, levels=2)]


def random_network(layout: Layout, seed: int = 3) -> tuple[nets.TowerNet, Network, Inputs]:
    """With weights large enough that biases and gates of every layer matter; 1 candidate for each of 400 requests."""
    features = Features().fit(log := hand_made(np.random.default_rng(0).random(400) < 0.3))
    rows = features.training_rows(log)
    model = nets.build(features.schema(), rows, ("ctr", "cvr"), Training(embedding=5, hidden=7, hidden2=3), 1, layout)
    luck = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5, generator=luck)
    inputs = Inputs(rows.user, rows.segment, rows.user_dense, rows.item[:, None], rows.pair_dense[:, None, :])
    (net,) = model.networks
    return net, net.export(), inputs


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_numpy_computes_what_torch_does(layout: Layout) -> None:
    net, network, x = random_network(layout)
    item = x.item[:, 0]
    served = net.schema.item_dense[item]  # towers serve the history of the whole log
    rows = Rows(x.user, item, x.segment, x.user_dense, served, x.pair_dense[:, 0], np.zeros_like(item))
    with torch.no_grad():
        expected = net(nets.tensors(rows)).logits
    for head, logits in network.logits(x).items():
        np.testing.assert_allclose(logits[:, 0], expected[head].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("n_requests", [1, REQUESTS_PER_BLOCK, REQUESTS_PER_BLOCK + 1])
def test_a_requests_logits_have_the_same_bits_alone_and_in_company(layout: Layout, n_requests: int) -> None:
    _, network, x = random_network(layout)
    luck = np.random.default_rng(1)
    picked = luck.integers(400, size=(n_requests, 37))
    wide = Inputs(
        x.user[:n_requests],
        x.segment[:n_requests],
        x.user_dense[:n_requests],
        x.item[picked, 0],
        x.pair_dense[picked, 0],
    )
    together = network.logits(wide)
    for row in range(n_requests):
        for head, logits in network.logits(wide.take(slice(row, row + 1))).items():
            assert logits.tobytes() == together[head][row : row + 1].tobytes()
