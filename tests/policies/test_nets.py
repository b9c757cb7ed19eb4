from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from policies import nets
from policies.features import Features, Rows
from policies.goal import GoalModel
from policies.towers import Network
from policies.training import Training
from sim.records import Ints
from tests.logs import asking, hand_made


@pytest.fixture(scope="module")
def features_and_rows() -> tuple[Features, Rows]:
    log = hand_made(np.random.default_rng(0).random(100) < 0.3)
    features = Features().fit(log)
    return features, features.training_rows(log)


NOTHING = nets.Forward({}, (), ())


@pytest.fixture
def two_heads(features_and_rows: tuple[Features, Rows]) -> nets.Model:
    return built(*features_and_rows, ("ctr", "cvr"))


def built(features: Features, rows: Rows, heads: Sequence[str], training: Training | None = None, seed: int = 1):
    return nets.build(features.schema(), rows, heads, training or Training(), seed)


def drifting(model: nets.Model) -> Callable[[Ints], tuple[nets.Losses, nets.Forward]]:
    """A loss that never rests: every step moves the last bias of every head."""
    biases = [layer.bias for network in model.networks for layer in network.last]
    return lambda examples: (nets.Losses({"drift": torch.cat(biases).sum()}, torch.zeros(())), NOTHING)


def scripted(script: Mapping[str, list[float]], seen: list[Network], model: nets.Model):
    """Validation losses read from a script; remembers the network as it was at each epoch."""
    epochs: Iterator[int] = iter(range(10**6))

    def losses() -> dict[str, float]:
        epoch = next(epochs)
        seen.append(model.networks[0].export())
        return {goal: values[epoch] for goal, values in script.items()}

    return losses


def train(model: nets.Model, script: Mapping[str, list[float]], **settings: float):
    seen: list[Network] = []
    training = Training(**{"epochs": 6, "patience": 2, **settings})
    trained = nets.train(model, drifting(model), 10, scripted(script, seen, model), training, seed=1)
    return trained, seen


def test_each_head_is_kept_from_its_own_best_epoch(two_heads: nets.Model) -> None:
    """ctr is best in epoch 1, cvr in epoch 4; stopping on the sum would have kept one epoch for both."""
    trained, seen = train(two_heads, {"ctr": [1, 2, 3, 4, 5, 6], "cvr": [9, 8, 7, 3, 5, 6]})
    assert trained.best_epoch == {"ctr": 1, "cvr": 4}
    assert trained.losses == {"ctr": 1, "cvr": 3}
    kept = {network.heads: network for network in trained.towers.networks}
    for goal, epoch in trained.best_epoch.items():
        then, last = seen[epoch - 1].only([goal]), seen[-1].only([goal])
        assert kept[goal,].b3.tobytes() == then.b3.tobytes() != last.b3.tobytes()


def test_training_ends_when_every_goal_has_waited_for_its_patience(two_heads: nets.Model) -> None:
    """The last improvement is in epoch 2; with a patience of 2, epoch 4 is the last."""
    _, seen = train(two_heads, {"ctr": [3, 2, 9, 9, 9, 9], "cvr": [1, 9, 9, 9, 9, 9]})
    assert len(seen) == 4


def test_a_goal_that_recovers_while_another_improves_is_kept(two_heads: nets.Model) -> None:
    trained, _ = train(two_heads, {"ctr": [5, 9, 9, 9, 1, 9], "cvr": [9, 8, 7, 6, 5, 4]})
    assert trained.best_epoch["ctr"] == 5


def test_equal_losses_keep_the_earlier_epoch(two_heads: nets.Model) -> None:
    trained, _ = train(two_heads, {"ctr": [2, 2, 2, 2, 2, 2], "cvr": [1, 1, 1, 1, 1, 1]})
    assert trained.best_epoch == {"ctr": 1, "cvr": 1}


def test_a_goal_still_improving_at_the_last_epoch_is_noted(two_heads: nets.Model) -> None:
    trained, _ = train(two_heads, {"ctr": [1, 2, 3, 4, 5, 6], "cvr": [9, 8, 7, 6, 5, 4]})
    assert trained.notes == ["cvr still improving after 6 epochs; raise training.epochs"]


def test_a_fit_that_converged_has_no_notes(two_heads: nets.Model) -> None:
    trained, _ = train(two_heads, {"ctr": [1, 2, 3, 4, 5, 6], "cvr": [2, 1, 3, 4, 5, 6]})
    assert trained.notes == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_the_goal_and_the_cure(two_heads: nets.Model, value: float) -> None:
    with pytest.raises(ValueError, match=r"cvr: .*not a number.*learning_rate"):
        train(two_heads, {"ctr": [1] * 6, "cvr": [value] * 6})


def test_a_loss_that_breaks_later_keeps_the_best_of_before(two_heads: nets.Model) -> None:
    trained, _ = train(two_heads, {"ctr": [3, 2, *[math.nan] * 4], "cvr": [3, 2, *[math.nan] * 4]})
    assert trained.best_epoch == {"ctr": 2, "cvr": 2}


def batches_of(model: nets.Model, training: Training, seed: int, n: int = 25) -> list[Ints]:
    batches: list[Ints] = []

    def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
        batches.append(examples)
        return drifting(model)(examples)

    nets.train(model, step, n, lambda: {"ctr": 1.0, "cvr": 1.0}, training, seed)
    return batches


def test_an_epoch_passes_every_example_once_in_batches(two_heads: nets.Model) -> None:
    batches = batches_of(two_heads, Training(epochs=1, batch=10), seed=1)
    assert [len(batch) for batch in batches] == [10, 10, 5]
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(25))


def test_the_order_of_examples_comes_from_the_seed(two_heads: nets.Model) -> None:
    def order(seed: int) -> list[int]:
        return np.concatenate(batches_of(two_heads, Training(epochs=2), seed)).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1)[:25] != order(1)[25:]  # the second epoch has an order of its own


def test_equal_seeds_build_equal_nets_and_others_do_not(features_and_rows: tuple[Features, Rows]) -> None:
    def bits(seed: int) -> bytes:
        network = built(*features_and_rows, ("ctr",), seed=seed).networks[0].export()
        return b"".join(value.tobytes() for value in network.learned().values())

    assert bits(1) == bits(1)
    assert bits(1) != bits(2)


def reached(model: nets.Model, head: str, batch: nets.Batch) -> dict[str, Tensor]:
    """By name, the gradients of a head's logits where they have any."""
    model.zero_grad()
    model(batch).logits[head].square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_heads_share_embeddings_and_nothing_else(features_and_rows: tuple[Features, Rows]) -> None:
    """ESMM shares the embedding dictionary; everything above it is separate, also within one matrix."""
    model = built(*features_and_rows, ("ctr", "cvr"))
    batch = nets.tensors(features_and_rows[1])
    ctr, cvr = (reached(model, head, batch) for head in model.heads)
    both = {name for name in set(ctr) & set(cvr) if ((ctr[name] != 0) & (cvr[name] != 0)).any()}
    assert both == {f"_parts.0.embeddings.{table}.weight" for table in ("users", "segments", "items", "categories")}


def test_networks_apart_share_nothing(features_and_rows: tuple[Features, Rows]) -> None:
    features, rows = features_and_rows
    model = nets.build(features.schema(), rows, ("ctr", "cvr"), Training(), 1, apart=True)
    ctr, cvr = (reached(model, head, nets.tensors(rows)) for head in model.heads)
    assert ctr
    assert not set(ctr) & set(cvr)
    assert model.shared_parameters() == []


def test_the_stranger_starts_as_nobody_in_particular(two_heads: nets.Model) -> None:
    assert (two_heads.networks[0].export().users[0] == 0).all()


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5, 0.97])
def test_a_head_starts_at_the_base_rate(two_heads: nets.Model, rate: float) -> None:
    """Held off 0 and 1 by half a success and half a failure, which a million rows do not notice."""
    with torch.no_grad():
        for parameter in two_heads.parameters():
            parameter.zero_()
        two_heads.start_at_rate("cvr", rate * 1e6, 1e6)
    row = torch.zeros(1, dtype=torch.int64)
    batch = nets.Batch(row, row, row, torch.zeros(1, 4), torch.zeros(1, 4), torch.zeros(1, 3), row)
    logits = two_heads(batch).logits
    assert torch.sigmoid(logits["cvr"]).item() == pytest.approx(rate, rel=1e-3)
    assert logits["ctr"].item() == 0


@pytest.mark.parametrize("happened", [0, 10])
def test_a_rate_of_nothing_or_all_starts_at_a_finite_logit(two_heads: nets.Model, happened: int) -> None:
    two_heads.start_at_rate("ctr", happened, 10)
    bias = two_heads.networks[0].last[0].bias.item()
    assert bias == pytest.approx(math.log(0.5 / 10.5) * (1 if happened == 0 else -1), rel=1e-6)


def test_a_slot_explains_clicks_in_training_and_slot_0_explains_none(
    features_and_rows: tuple[Features, Rows],
) -> None:
    """Each head has slot biases of its own."""
    features, rows = features_and_rows
    model = built(features, rows, ("ctr", "cvr"))
    batch = nets.tensors(rows)
    with torch.no_grad():
        before = model(batch).logits
        model.networks[0].slot_bias.weight[:, 0] = torch.arange(10) + 7.0
        after = model(batch).logits
    np.testing.assert_allclose((after["ctr"] - before["ctr"]).numpy(), rows.slot, atol=1e-5)
    assert torch.equal(after["cvr"], before["cvr"])


def test_without_a_slot_bias_a_net_has_no_parameter_of_slots_and_does_not_look_at_them(
    features_and_rows: tuple[Features, Rows],
) -> None:
    features, rows = features_and_rows
    with_bias, naive = (built(features, rows, ("ctr",), Training(slot_bias=choice)) for choice in (True, False))
    names = {name for name, _ in naive.named_parameters()}
    assert names == {name for name, _ in with_bias.named_parameters()} - {"_parts.0.slot_bias.weight"}
    elsewhere = replace(rows, slot=rows.slot[::-1].copy())
    with torch.no_grad():
        with_bias.networks[0].slot_bias.weight[:, 0] = torch.arange(10.0)
        for model, alike in ((naive, True), (with_bias, False)):
            here, there = (model(nets.tensors(one)).logits["ctr"] for one in (rows, elsewhere))
            assert torch.equal(here, there) == alike


def test_a_net_without_a_slot_bias_takes_the_top_for_what_is_liked() -> None:
    """Clicks depend on the slot alone (1/2 on top, 1/10 below) and item 0 stands on top in 7 of 10 requests.

    Of its showings, 0.7 + 0.3 / 20 in 0.7 + 0.3 / 20 + 9 / 20 are on top, so a naive model gives it a click rate of
    .35 and the others at most .115: a lead of 1.4 in log-odds, where there is none.
    """
    rng = np.random.default_rng(0)
    n, slot = 20_000, np.tile(np.arange(10), 2_000)
    item = np.where((slot == 0) & (rng.random(n) < 0.7), 0, rng.integers(20, size=n))
    click = rng.random(n) < np.where(slot == 0, 0.5, 0.1)
    log = hand_made(click, item=item, user=np.arange(n) // 10 % 20)
    requests = asking(log.users, np.tile(np.arange(20), (20, 1)), log.items)

    def lead(slot_bias: bool) -> float:
        training = Training(8, 8, batch=200, learning_rate=0.01, embedding_decay=0.001, slot_bias=slot_bias)
        scores = GoalModel("ctr", training).fit(log).score(requests)
        return float((scores[:, 0] - scores[:, 1:].mean(axis=1)).mean())

    assert lead(False) > 0.8
    assert abs(lead(True)) < 0.4


def test_decay_is_the_mean_square_of_the_embeddings_that_a_batch_touches(
    features_and_rows: tuple[Features, Rows],
) -> None:
    features, rows = features_and_rows
    embeddings = nets.Embeddings(features.schema(), 4)
    vectors = {name: table.weight.detach().numpy() for name, table in embeddings.named_children()}
    batch = nets.tensors(rows.take(np.array([3, 3, 50])))
    expected = 0.0
    for row in (3, 3, 50):
        item = rows.item[row]
        for name, index in (("users", rows.user[row]), ("segments", rows.segment[row]), ("items", item)):
            expected += float((vectors[name][index].astype(float) ** 2).sum())
        expected += float((vectors["categories"][features.category_[item]].astype(float) ** 2).sum())
    assert nets.decay(embeddings(batch), 0.5).item() == pytest.approx(0.5 * expected / 3, rel=1e-5)


def test_log_loss_is_the_mean_cross_entropy() -> None:
    logits, label = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.0])
    p = 1 / (1 + np.exp(-logits))
    expected = -np.mean(label * np.log(p) + (1 - label) * np.log(1 - p))
    assert float(nets.log_loss(nets.labels(logits), nets.labels(label))) == pytest.approx(expected, rel=1e-6)


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=50),
    st.floats(0.001, 0.999),
)
def test_a_split_by_time_leaves_neither_side_empty(times: list[int], share: float) -> None:
    """Every row is on one side; whatever the ties, both sides hold rows."""
    learn, check = nets.time_split(np.array(times), share)
    assert len(learn)
    assert len(check)
    np.testing.assert_array_equal(np.sort(np.concatenate([learn, check])), np.arange(len(times)))


def test_validation_rows_are_the_latest() -> None:
    time = np.random.default_rng(0).permutation(1000)
    learn, check = nets.time_split(time, 0.1)
    assert len(check) == 100
    assert time[learn].max() < time[check].min()


def test_rows_of_one_time_stay_on_one_side() -> None:
    time = np.repeat(np.arange(7), 10)
    learn, check = nets.time_split(time, 0.2)
    assert not set(time[learn]) & set(time[check])


def test_one_row_cannot_be_split_and_is_refused() -> None:
    with pytest.raises(ValueError, match=r"(?i)two|2"):
        nets.time_split(np.array([5]), 0.1)


def test_a_head_that_is_not_placed_does_not_look_at_slots(features_and_rows: tuple[Features, Rows]) -> None:
    """What follows a click does not depend on where the item stood: a slot's effect on clicks once seeped into pCVR,
    which was then read off at the top slot, 1.4 times too high."""
    features, rows = features_and_rows
    net = nets.TowerNet(features.schema(), ("ctr", "cvr"), Training(), 10, placed=("ctr",))
    with torch.no_grad():
        assert net.slot_bias is not None
        before = net(nets.tensors(rows)).logits
        net.slot_bias.weight[:] = torch.arange(10.0)[:, None]
        after = net(nets.tensors(rows)).logits
    np.testing.assert_allclose((after["ctr"] - before["ctr"]).numpy(), rows.slot, atol=1e-5)
    assert torch.equal(after["cvr"], before["cvr"])
    assert nets.TowerNet(features.schema(), ("cvr",), Training(), 10, placed=()).slot_bias is None
