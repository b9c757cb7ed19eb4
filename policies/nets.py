"""The torch side: one network class, and the one training loop that every model goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from policies.features import PAIR_DENSE, USER_DENSE, Features, Rows
from policies.towers import Tower
from policies.training import Training
from sim.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors; shapes as in `Rows`."""

    user: Tensor
    item: Tensor
    segment: Tensor
    user_dense: Tensor
    item_dense: Tensor
    pair_dense: Tensor
    slot: Tensor

    def __getitem__(self, rows: Ints | Tensor) -> Batch:
        return Batch(*(getattr(self, name)[rows] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.user)


def tensors(rows: Rows) -> Batch:
    return Batch(*(torch.from_numpy(getattr(rows, name)) for name in Batch.__slots__))


class Embeddings(nn.Module):
    """Vectors of users, segments, items and categories; several towers may share one."""

    def __init__(self, features: Features, width: int) -> None:
        super().__init__()
        self.users = nn.Embedding(features.n_users, width)
        self.segments = nn.Embedding(features.popularity_.shape[1], width)
        self.items = nn.Embedding(len(features.category_), width)
        self.categories = nn.Embedding(int(features.category_.max()) + 1, width)
        self.register_buffer("category", torch.tensor(features.category_))  # a copy: the log may be read-only
        for table in (self.users, self.segments, self.items, self.categories):
            nn.init.normal_(table.weight, std=0.05)
        with torch.no_grad():
            self.users.weight[0] = 0  # a stranger is nobody in particular

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        category = self.categories(self.category[batch.item])  # type: ignore[index]
        return self.users(batch.user), self.segments(batch.segment), self.items(batch.item), category


class TowerNet(nn.Module):
    """The trainable form of `policies.towers.Tower`; emits one logit per row."""

    def __init__(self, features: Features, embeddings: Embeddings, training: Training, n_slots: int) -> None:
        super().__init__()
        width = training.embedding
        self.features, self.embeddings = features, embeddings
        self.first = nn.Linear(4 * width + len(features.names), training.hidden)
        self.second = nn.Linear(training.hidden, training.hidden2)
        self.last = nn.Linear(training.hidden2, 1)
        # Where an item stood explains part of its clicks; learned here, left out when serving (slot 0).
        self.slot_bias = nn.Embedding(n_slots, 1) if training.slot_bias else None
        if self.slot_bias is not None:
            nn.init.zeros_(self.slot_bias.weight)

    def forward(self, batch: Batch) -> Tensor:
        user, segment, item, category = self.embeddings(batch)
        x = torch.cat([user, segment, batch.user_dense, item, category, batch.item_dense, batch.pair_dense], dim=1)
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        affinity = ((user + segment) * (item + category)).sum(1)
        logits = self.last(hidden)[:, 0] + affinity
        if self.slot_bias is None:
            return logits
        return logits + (self.slot_bias(batch.slot)[:, 0] - self.slot_bias.weight[0, 0])

    def start_at(self, rate: float) -> None:
        """Begin at the base rate, so that the first epoch is not spent on finding it."""
        with torch.no_grad():
            self.last.bias.fill_(math.log(rate / (1 - rate)))

    def export(self) -> Tower:
        """The tower in NumPy, as it is now."""
        with torch.no_grad():
            e, width, n_user = self.embeddings, self.embeddings.users.weight.shape[1], len(USER_DENSE)
            first = self.first.weight.T  # rows: user, segment, user dense, item, category, item dense, pair
            ends = np.cumsum([2 * width + n_user, 2 * width + len(self.features.item_names), len(PAIR_DENSE)])
            category = e.categories.weight[e.category]  # type: ignore[index]
            dense = torch.from_numpy(self.features.item_dense())
            item = torch.cat([e.items.weight, category, dense], dim=1)
            parts = {
                "users": e.users.weight,
                "segments": e.segments.weight,
                "item_vectors": e.items.weight + category,
                "item_hidden": item @ first[ends[0] : ends[1]] + self.first.bias,
                "w_user": first[: ends[0]],
                "w_pair": first[ends[1] : ends[2]],
                "w2": self.second.weight.T,
                "b2": self.second.bias,
                "w3": self.last.weight.T,
                "b3": self.last.bias,
            }
            return Tower(**{name: np.ascontiguousarray(value.numpy()).copy() for name, value in parts.items()})


@dataclass(frozen=True, slots=True)
class Trained:
    """Towers by goal, each as it was when its own validation loss was best."""

    towers: Mapping[str, Tower]
    best_epoch: Mapping[str, int]
    losses: Mapping[str, float]
    notes: list[str]


def train(
    nets: Mapping[str, TowerNet],
    loss: Callable[[Ints], Tensor],
    n_examples: int,
    goal_losses: Callable[[], Mapping[str, float]],
    training: Training,
    seed: int,
) -> Trained:
    """Train until every goal has stopped improving on the validation rows.

    A goal keeps its tower from its own best epoch: stopping on a sum would stop all of them when the
    goal with the most data starts to overfit.

    Args:
        nets: by goal.
        loss: of a batch of examples, given their indices, to be minimised; mean over the batch.
        n_examples: how many there are; a permutation of them is an epoch.
        goal_losses: validation loss by goal, as the nets are now.
    """
    order = torch.Generator().manual_seed(seed)
    modules = nn.ModuleList(list(nets.values()))
    optimiser = torch.optim.Adam(modules.parameters(), lr=training.learning_rate)
    best = dict.fromkeys(nets, math.inf)
    best_epoch = dict.fromkeys(nets, 0)
    towers: dict[str, Tower] = {}
    for epoch in range(1, training.epochs + 1):
        modules.train()
        for rows in torch.split(torch.randperm(n_examples, generator=order), training.batch):
            optimiser.zero_grad(set_to_none=True)
            loss(rows.numpy()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        modules.eval()
        with torch.no_grad():
            now = goal_losses()
        for goal, value in now.items():
            if value < best[goal]:
                best[goal], best_epoch[goal], towers[goal] = value, epoch, nets[goal].export()
        if all(epoch - best_epoch[goal] >= training.patience for goal in nets):
            break
    if missing := [goal for goal in nets if goal not in towers]:
        raise ValueError(f"{', '.join(missing)}: the validation loss is not a number; lower training.learning_rate")
    late = [
        f"{goal} still improving after {training.epochs} epochs; raise training.epochs"
        for goal, epoch in best_epoch.items()
        if epoch == training.epochs
    ]
    return Trained(towers, best_epoch, best, late)


def build_nets(
    features: Features, rows: Rows, goals: tuple[str, ...], training: Training, seed: int
) -> dict[str, TowerNet]:
    """One tower per goal over shared embeddings, from a seed; torch runs on one thread, so bits repeat."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    embeddings = Embeddings(features, training.embedding)
    n_slots = int(rows.slot.max()) + 1
    return {goal: TowerNet(features, embeddings, training, n_slots) for goal in goals}


def decay(embeddings: Embeddings, batch: Batch, strength: float) -> Tensor:
    """L2 on the embeddings that a batch touches, so that rare ids are held back as much as frequent ones."""
    vectors = embeddings(batch)
    total = vectors[0].square().sum()
    for vector in vectors[1:]:
        total = total + vector.square().sum()
    return strength * total / len(batch)


def time_split(time: Ints, share: float) -> tuple[Ints, Ints]:
    """Rows for training and, the last share by time, for validation; neither is empty."""
    if len(time) < 2:
        raise ValueError(f"at least two rows are needed to learn and to validate, got {len(time)}")
    cut = np.quantile(time, 1 - share)
    late = time > cut
    if not late.any() or late.all():
        late = np.arange(len(time)) >= max(1, int(len(time) * (1 - share)))
    return np.flatnonzero(~late), np.flatnonzero(late)


def log_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of 0/1 labels."""
    return nn.functional.binary_cross_entropy_with_logits(logits, label)


def labels(values: Ints | Floats) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
