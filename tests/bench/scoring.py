"""How fast are candidates scored by a two-tower ESMM, against plain torch modules of the same network?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import numpy as np
import torch

from policies import nets
from policies.esmm import ESMM
from policies.features import Features, Inputs, Rows
from policies.training import Training
from sim.records import Log, Requests
from tests.bench.measure import Figure, paired_rates
from tests.logs import asking, hand_made, table_of_items

ROWS, USERS, ITEMS, REQUESTS, CANDIDATES = 100_000, 10_000, 6_000, 400, 100
TOWERS, CALLS = 2, 5
WIDTHS = {"embedding 16, towers 64-32": (16, 64, 32), "embedding 8, towers 32-16": (8, 32, 16)}
UNIT = "CPU us per candidate and tower"
BAR_US = 0.4  # plain modules took .65 when the bar was set


def figures() -> Iterator[Figure]:
    """Both widths, towers alone and with the features; a shape that production has in the second."""
    torch.set_num_threads(1)
    log = made_log()
    requests = made_requests(log)
    for said, widths in WIDTHS.items():
        policy, network = untrained(log, *widths)
        yield from _at(f"{REQUESTS} requests of {CANDIDATES} candidates, {said}", policy, network, requests)


def _at(call: str, policy: ESMM, network: nets.Model, requests: Requests) -> Iterator[Figure]:
    inputs = policy.features_.inputs(requests)
    theirs = by_modules(network, inputs)
    for head, logits in policy.towers_.logits(inputs).items():
        np.testing.assert_allclose(logits, theirs[head], rtol=1e-5, atol=1e-5)
    us, modules, ratio = _costs(lambda: policy.towers_.logits(inputs), lambda: by_modules(network, inputs))
    yield Figure(f"Towers.logits, {call}", us, UNIT, "plain torch modules, equal to 1e-5", modules, ratio)
    yield Figure(f"Towers.logits, {call}", us, UNIT, "the most allowed", BAR_US, us / BAR_US)
    us, alone, ratio = _costs(lambda: policy.goals(requests), lambda: policy.towers_.logits(inputs))
    yield Figure(f"ESMM.goals, features included, {call}", us, UNIT, "its towers alone", alone, ratio)


def made_log() -> Log:
    rng = np.random.default_rng(0)
    items = table_of_items(ITEMS)
    user, item = np.arange(ROWS) // 10 % USERS, rng.integers(ITEMS, size=ROWS)
    click = rng.random(ROWS) < 0.1
    return hand_made(click, items=items, item=item, buy=(click & (rng.random(ROWS) < 0.3)).astype(np.int8), user=user)


def made_requests(log: Log) -> Requests:
    """Candidates of its own for each request, which is the worst that can be asked."""
    rng = np.random.default_rng(1)
    users = log.users.take(rng.integers(len(log.users), size=REQUESTS))
    return asking(users, rng.integers(ITEMS, size=(REQUESTS, CANDIDATES)), log.items)


def untrained(log: Log, embedding: int, hidden: int, hidden2: int) -> tuple[ESMM, nets.Model]:
    """A policy as `fit` would leave it, with the weights that training begins from."""
    policy = ESMM(training=Training(embedding=embedding, hidden=hidden, hidden2=hidden2))
    features = Features().fit(log)
    rows, heads = features.training_rows(log), policy.chain().heads
    network = nets.build(features.schema(), rows, heads, policy.training, policy.seed()).eval()
    policy.features_, policy.towers_ = features, nets.Towers(tuple(network.export(heads)))
    policy.spread_, policy.notes_ = {}, []
    return policy, network


def by_modules(network: nets.Model, x: Inputs) -> dict[str, np.ndarray]:
    """Every candidate a row through the modules that were trained, by head, each of shape (R, C)."""
    n = x.item.shape[1]
    user, segment, user_dense = (np.repeat(a, n, axis=0) for a in (x.user, x.segment, x.user_dense))
    item, pair = x.item.reshape(-1), x.pair_dense.reshape(-1, x.pair_dense.shape[2])
    item_dense = network.networks[0].schema.item_dense[item]
    rows = Rows(user, item, segment, user_dense, item_dense, pair, np.zeros(len(item), dtype=np.int64))
    with torch.no_grad():
        logits = network(nets.tensors(rows)).logits
    return {head: value.numpy().reshape(x.item.shape) for head, value in logits.items()}


def _costs(work: Callable[[], object], reference: Callable[[], object]) -> tuple[float, float, float]:
    """Both in `UNIT`, turn by turn: medians, and the median of the ratios."""

    def counted(call: Callable[[], object]) -> Callable[[], int]:
        def scored() -> int:
            for _ in range(CALLS):  # one call is too short for the clock
                call()
            return CALLS * REQUESTS * CANDIDATES * TOWERS

        return scored

    pairs = [(1e6 / a, 1e6 / b) for a, b in paired_rates(counted(work), counted(reference))]
    value, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return value, other, statistics.median(a / b for a, b in pairs)
