from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from policies import nets
from policies.esm2 import ESM2
from policies.esmm import ESMM
from policies.features import Features, Rows
from policies.layout import Layout
from policies.multigoal import AbstractMultiGoal
from policies.multitask import PLE, MMoE, SharedBottom, SoftSharing, distance
from policies.rules import PowerProduct
from policies.table import policy_class
from policies.training import Training
from sim.records import Floats, Log
from tests.logs import asking, hand_made
from tests.policies.test_towers import at_serving, shaken

HEADS = ("ctr", "cvr", "cart")
SMALL = Training(epochs=3, patience=3, batch=256, embedding=4, hidden=6, hidden2=5)


def clicked_log(n: int = 3000, seed: int = 0) -> Log:
    """Four impressions in ten are clicked, three clicks in ten are followed by each of a cart and a buy."""
    rng = np.random.default_rng(seed)
    click = (rng.random(n) < 0.4).astype(np.int8)
    after = {name: (click * (rng.random(n) < 0.3)).astype(np.int8) for name in ("collect", "cart", "buy")}
    stay = (click * np.exp(rng.normal(3, 0.7, size=n)) * 1000).astype(np.int32)
    return hand_made(click, stay=stay, item=rng.integers(20, size=n), **after)


@pytest.fixture(scope="module")
def features_and_rows() -> tuple[Features, Rows]:
    log = clicked_log(300)
    features = Features().fit(log)
    return features, features.training_rows(log)


def built(
    features_and_rows: tuple[Features, Rows], layout: Layout, heads: Sequence[str] = HEADS, **settings: Any
) -> nets.Model:
    features, rows = features_and_rows
    return nets.build(features.schema(), rows, heads, SMALL, 3, layout, **settings)


def naive(network: nets.TowerNet, batch: nets.Batch, specific: int, shared: int, levels: int) -> dict[str, Floats]:
    """The papers' formulas, one row and one expert at a time in float64; no code of ours but the parameters.

    MMoE, eq. 6-8: y_k = h_k(sum_i softmax(W_k x)_i f_i(x)). PLE: the gate of task k chooses among its own experts
    and the shared ones of its level, the gate of the shared part among all; each level reads the mix below it.
    """
    p = {name: value.detach().double().numpy() for name, value in network.named_parameters()}
    category = network.schema.category
    n_tasks, width = len(network.heads), SMALL.hidden
    n_experts = n_tasks * specific + shared

    def softmax(z: Floats) -> Floats:
        e = np.exp(z - z.max())
        return e / e.sum()

    def expert(level: int, e: int, x: Floats) -> Floats:
        if level > 1:
            at = f"_levels.{level - 2}.experts.{e}"
            return np.maximum(p[f"{at}.weight"] @ x + p[f"{at}.bias"], 0)
        name, first = ("own", e) if e < n_tasks * specific else ("common", e - n_tasks * specific)
        rows = slice(first * width, (first + 1) * width)
        return np.maximum(p[f"{name}.weight"][rows] @ x + p[f"{name}.bias"][rows], 0)

    def gate(level: int, task: int, x: Floats) -> Floats:
        """Logits of all experts for a task; of the shared part, for the task after the last."""
        if level > 1:
            return p[f"_levels.{level - 2}.gates.{task}.weight"] @ x
        if task == n_tasks:
            return p["common_gate.weight"] @ x
        return p["gates.weight"][task * n_experts : (task + 1) * n_experts] @ x

    logits = np.zeros((len(batch), n_tasks))
    for row in range(len(batch)):
        user, segment = (
            p["embeddings.users.weight"][batch.user[row]],
            p["embeddings.segments.weight"][batch.segment[row]],
        )
        item = p["embeddings.items.weight"][batch.item[row]]
        kind = p["embeddings.categories.weight"][category[batch.item[row]]]
        dense = [getattr(batch, f"{side}_dense")[row].double().numpy() for side in ("user", "item", "pair")]
        x = np.concatenate([user, segment, dense[0], item, kind, dense[1], dense[2]])
        reads = [x] * (n_tasks + 1)
        for level in range(1, levels + 1):
            out = []
            of_task = [list(range(k * specific, (k + 1) * specific)) for k in range(n_tasks)]
            common = list(range(n_tasks * specific, n_experts))
            values = {e: expert(level, e, reads[k]) for k in range(n_tasks) for e in of_task[k]}
            values |= {e: expert(level, e, reads[n_tasks]) for e in common}
            for task in range(n_tasks + (level < levels and shared > 0)):
                seen = sorted(values) if task == n_tasks else of_task[task] + common
                weights = softmax(gate(level, task, reads[task])[seen]) if len(seen) > 1 else np.ones(1)
                out.append(sum(w * values[e] for w, e in zip(weights, seen, strict=True)))
            reads = out
        for k in range(n_tasks):
            hidden = np.maximum(p[f"second.{k}.weight"] @ reads[k] + p[f"second.{k}.bias"], 0)
            inner = (user + segment) * (item + kind)
            slot = p["slot_bias.weight"][batch.slot[row], k] - p["slot_bias.weight"][0, k]
            logits[row, k] = (
                (p[f"last.{k}.weight"] @ hidden + p[f"last.{k}.bias"]).item() + p["affinity"][k] @ inner + slot
            )
    return dict(zip(network.heads, logits.T, strict=True))


@pytest.mark.parametrize(
    ("specific", "shared", "levels"),
    [(1, 0, 1), (0, 1, 1), (0, 3, 1), (1, 1, 1), (2, 3, 1), (1, 1, 2), (2, 3, 2), (1, 2, 3), (0, 2, 2), (2, 0, 2)],
)
def test_networks_compute_what_the_papers_formulas_say(
    features_and_rows: tuple[Features, Rows], specific: int, shared: int, levels: int
) -> None:
    """Shared-bottom, MMoE and PLE with one level and more, in torch, in NumPy, and of some heads alone."""
    features, rows = features_and_rows
    model = shaken(built(features_and_rows, Layout(specific, shared, levels)), std=0.4)
    network, rows = model.networks[0], rows.take(np.arange(0, 300, 7))
    expected = naive(network, nets.tensors(rows), specific, shared, levels)
    found = model(nets.tensors(rows)).logits
    for head in HEADS:
        np.testing.assert_allclose(found[head].detach().numpy(), expected[head], rtol=1e-5, atol=1e-5)
    served, at_the_top = at_serving(features, rows)
    expected = naive(network, nets.tensors(at_the_top), specific, shared, levels)
    for kept in (HEADS, ("ctr", "cart"), ("cvr",)):
        part = network.export().only(kept)
        assert part.heads == kept
        for head, logits in part.logits(served).items():
            np.testing.assert_allclose(logits[:, 0], expected[head], rtol=1e-5, atol=1e-5)


def with_seed(monkeypatch: pytest.MonkeyPatch, *policies: AbstractMultiGoal, log: Log) -> list[AbstractMultiGoal]:
    """Fits that start from one seed, so that equal models come out with equal bits."""
    monkeypatch.setattr(AbstractMultiGoal, "seed", lambda self: 5)
    return [policy.fit(log) for policy in policies]


def assert_equal_models(one: AbstractMultiGoal, other: AbstractMultiGoal) -> None:
    mine, theirs = one.learned(), other.learned()
    assert sorted(mine) == sorted(theirs)
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("general", "special"),
    [
        (MMoE(HEADS, experts=1, training=SMALL), SharedBottom(HEADS, training=SMALL)),
        (PLE(HEADS, specific=0, shared=3, levels=1, training=SMALL), MMoE(HEADS, experts=3, training=SMALL)),
    ],
    ids=["mmoe of one expert is shared-bottom", "ple without specific experts is mmoe"],
)
def test_a_general_model_is_bit_for_bit_its_special_case(
    general: AbstractMultiGoal, special: AbstractMultiGoal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one seed, through all of training; the naive formulas above hold each side on its own."""
    assert_equal_models(*with_seed(monkeypatch, general, special, log=clicked_log()))


def test_esm2_whose_users_never_act_is_esmm(features_and_rows: tuple[Features, Rows]) -> None:
    """y2 = 0 leaves pCVR = y4: with weights copied head by head, goals agree to 1e-6."""
    esm2, esmm = ESM2(), ESMM()
    chains = [esm2.chain(), esmm.chain()]
    long, short = (shaken(built(features_and_rows, esm2.layout, c.heads), std=0.4).networks[0] for c in chains)
    twins = {"ctr": "ctr", "cvr": "otherwise"}
    with torch.no_grad():
        short.embeddings.load_state_dict(long.embeddings.state_dict())
        for head, twin in twins.items():
            k, source = short.heads.index(head), long.heads.index(twin)
            h = SMALL.hidden
            for name in ("weight", "bias"):
                getattr(short.own, name)[k * h : (k + 1) * h] = getattr(long.own, name)[source * h : (source + 1) * h]
            short.second[k].load_state_dict(long.second[source].state_dict())
            short.last[k].load_state_dict(long.last[source].state_dict())
            short.affinity[k] = long.affinity[source]
        never = long.heads.index("act")
        long.last[never].weight.zero_()
        long.affinity[never] = 0
        long.last[never].bias.fill_(-200)
    served, _ = at_serving(*features_and_rows)
    found, expected = (c.predicted(net.export().logits(served)) for c, net in zip(chains, (long, short), strict=True))
    assert sorted(found) == sorted(expected)
    for goal, value in expected.items():
        np.testing.assert_allclose(found[goal], value, rtol=1e-6)


@pytest.fixture
def starting_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[nets.Model], None]:
    """Lets a fit begin at a given model's weights instead of fresh ones."""

    def start(model: nets.Model) -> None:
        monkeypatch.setattr(nets, "build", lambda *_, **__: model)

    return start


def test_soft_sharing_without_strength_is_two_separate_models(
    starting_from: Callable[[nets.Model], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same weights and in the same order of batches, bit for bit; strength is what changes that."""
    monkeypatch.setattr(AbstractMultiGoal, "seed", lambda self: 5)
    log, heads = clicked_log(), ("ctr", "cvr")
    features = Features().fit(log)
    origin = built((features, features.training_rows(log)), Layout(), heads, apart=True)

    def fitted(names: tuple[str, ...], strength: float = 0) -> AbstractMultiGoal:
        starting_from(nets.Model([copy.deepcopy(net) for net in origin.networks if net.heads[0] in names]))
        fusion = PowerProduct(dict.fromkeys(names, 1))
        return SoftSharing(names, strength, fusion, SMALL).fit(log)

    together, tied = fitted(heads), fitted(heads, 0.1)
    for head in heads:
        alone = fitted((head,)).towers_.networks[0]
        (mine,) = [net for net in together.towers_.networks if net.heads == (head,)]
        (other,) = [net for net in tied.towers_.networks if net.heads == (head,)]
        for name, value in alone.learned().items():
            np.testing.assert_array_equal(value, mine.learned()[name], err_msg=name)
        assert not np.array_equal(alone.w2, other.w2)


def test_a_strong_tie_makes_the_networks_equal() -> None:
    """All but output and slot biases; a hundredth of the distance of free networks is far above Adam's jitter."""
    log = clicked_log()
    many = Training(epochs=30, patience=30, batch=256, embedding=4, hidden=6, hidden2=5, learning_rate=0.01)

    def apart(strength: float) -> float:
        one, other = SoftSharing(strength=strength, training=many).fit(log).towers_.networks
        return float(
            sum(np.square(getattr(one, n) - getattr(other, n)).sum() for n in ("w_user", "w2", "w3", "affinity"))
        )

    assert apart(1000) < apart(0) / 100


def test_the_soft_distance_is_that_of_all_layers_and_of_the_embeddings_of_a_batch(
    features_and_rows: tuple[Features, Rows],
) -> None:
    """Brute force over three networks: all pairs, all layers, and the rows of the embeddings that a batch has."""
    model = shaken(built(features_and_rows, Layout(), apart=True))
    weights = [dict(net.named_parameters()) for net in model.networks]
    tables = {f"embeddings.{name}.weight" for name in ("users", "segments", "items", "categories")}
    free = {"slot_bias.weight", "last.0.bias", *tables}
    features, rows = features_and_rows
    rows = rows.take(np.array([3, 3, 50, 70]))
    ids = {
        "users": rows.user,
        "segments": rows.segment,
        "items": rows.item,
        "categories": features.category_[rows.item],
    }
    expected = sum(
        ((one[name] - other[name]) ** 2).sum().item()
        for one, other in ((weights[0], weights[1]), (weights[0], weights[2]), (weights[1], weights[2]))
        for name in one
        if name not in free
    )
    for one, other in ((weights[0], weights[1]), (weights[0], weights[2]), (weights[1], weights[2])):
        for name, at in ids.items():
            table = f"embeddings.{name}.weight"
            expected += ((one[table][at] - other[table][at]) ** 2).sum().item() / len(rows)
    assert free < set(weights[0])
    batch = nets.tensors(rows)
    assert distance(model, model(batch)).item() == pytest.approx(expected, rel=1e-5)
    alone = built(features_and_rows, Layout(), ("ctr",), apart=True)
    assert float(distance(alone, alone(batch))) == 0


def test_a_tie_leaves_ids_alone_that_a_batch_does_not_hold(features_and_rows: tuple[Features, Rows]) -> None:
    """No loss moves them, and of a gradient that is the tie's alone Adam makes full steps, however weak the tie."""
    model = shaken(built(features_and_rows, Layout(), apart=True))
    rows = features_and_rows[1].take(np.array([3, 50]))
    distance(model, model(nets.tensors(rows))).backward()
    gradient = model.networks[0].embeddings.users.weight.grad
    assert gradient is not None
    moved = np.flatnonzero(np.abs(gradient.numpy()).sum(axis=1))
    np.testing.assert_array_equal(moved, np.unique(rows.user))


BALANCES: Sequence[Mapping[str, Any]] = (
    {"type": "fixed"},
    {"type": "uncertainty"},
    {"type": "tchebycheff"},
    {"type": "mgda", "normalise": "none"},
    {"type": "mgda", "normalise": "loss+"},
    {"type": "mgda_ub"},
)


@pytest.mark.parametrize("balance", BALANCES, ids=lambda balance: "-".join(map(str, balance.values())))
@pytest.mark.parametrize("name", ["shared_bottom", "mmoe", "ple", "esmm", "esm2", "escm2"])
def test_every_model_learns_under_every_balance_that_it_can_have_and_repeats_its_bits(
    name: str, balance: Mapping[str, Any]
) -> None:
    log, training = (
        clicked_log(1500),
        {"epochs": 2, "patience": 2, "embedding": 3, "hidden": 4, "hidden2": 3, "batch": 256},
    )
    spec = {"training": training, "balance": balance}
    if balance["type"] == "mgda_ub" and name != "shared_bottom":
        with pytest.raises(ValueError, match="mgda_ub needs one representation"):
            policy_class(name).from_spec(spec)
        return
    one, other = (policy_class(name).from_spec(spec).fit(log) for _ in range(2))
    assert_equal_models(one, other)
    requests = asking(log.users, np.tile(np.arange(20), (len(log.users), 1)), log.items)
    assert np.isfinite(one.score(requests)).all()
    assert all(((p > 0) & (p < 1)).all() for p in one.goals(requests).values())


def test_mgda_ub_is_for_one_representation_whatever_the_model_is_called() -> None:
    """An MMoE of several experts has one mix per head, and the first head's was once taken for all."""
    ub = {"balance": {"type": "mgda_ub"}}
    MMoE.from_spec({"experts": 1, **ub})
    PLE.from_spec({"specific": 0, "shared": 1, **ub})
    for cls, spec in ((MMoE, {"experts": 2}), (PLE, {"specific": 0, "shared": 2}), (PLE, {})):
        with pytest.raises(ValueError, match=f"{cls.name} has several; try mgda"):
            cls.from_spec({**spec, **ub})


@pytest.mark.parametrize("name", ["soft_sharing", "esmm_ns"])
@pytest.mark.parametrize("balance", ["mgda", "mgda_ub"])
def test_common_descent_is_refused_where_nothing_is_common(name: str, balance: str) -> None:
    with pytest.raises(ValueError, match=f"{balance} needs parameters that heads share, {name} has none"):
        policy_class(name).from_spec({"balance": {"type": balance}})


def test_more_losses_than_can_be_combined_are_refused_when_they_are_written() -> None:
    heads = ["ctr", "cvr", "stay", "cart", "collect", "like"]
    with pytest.raises(ValueError, match=r"mgda combines at most 5 losses, got 6; try fixed"):
        SharedBottom.from_spec({"heads": heads, "balance": {"type": "mgda"}})


@pytest.mark.parametrize("key", ["weights", "ideal"])
def test_weights_of_losses_that_there_are_not_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"balance.{key}: the losses are of click, buy, got cart; drop them"):
        SharedBottom.from_spec({"balance": {"type": "tchebycheff", key: {"cart": 1}}})
    with pytest.raises(ValueError, match=r"balance.weights: the losses are of click, buy, got ctr"):
        ESMM.from_spec({"balance": {"type": "fixed", "weights": {"ctr": 1}}})


@pytest.mark.parametrize("weights", [{"click": 0, "buy": 0}, {"click": -1}])
@pytest.mark.parametrize("kind", ["fixed", "tchebycheff"])
def test_weights_must_be_weights(kind: str, weights: Mapping[str, float]) -> None:
    with pytest.raises(ValueError, match=r"weights must (be >= 0|not be 0 for every loss)"):
        SharedBottom.from_spec({"balance": {"type": kind, "weights": weights}})


@pytest.mark.parametrize(
    ("heads", "cure"),
    [
        (["ctr", "click"], "name ctr"),
        (["ctcvr"], "name ctr and cvr"),
        (["ctr", "ctr"], "each once"),
        (["cvr", "buy"], "each once"),
        ([], "each once"),
        (["two words"], "heads must name actions"),
    ],
)
def test_heads_that_can_be_no_goals_are_refused(heads: list[str], cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        SharedBottom.from_spec({"heads": heads})
