"""The torch side: one network class, and the one training loop that every model goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from policies.features import Rows, Schema
from policies.layout import SEPARATE, Layout
from policies.towers import Level, Network, Towers
from policies.training import Training
from sim.records import Floats, Ints

LEAST_STEPS = 50  # per epoch: with ten, six epochs leave the weights near where they began
SLOTS_LEARN_FASTER = 10.0
LEAST_BATCH = 256  # smaller ones are all overhead


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
        picked = torch.as_tensor(rows)  # once for all columns; index_select takes .14 ms a batch, [] .48
        return Batch(*(getattr(self, name).index_select(0, picked) for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.user)


def tensors(rows: Rows) -> Batch:
    return Batch(*(torch.from_numpy(getattr(rows, name)) for name in Batch.__slots__))


class Embeddings(nn.Module):
    """Vectors of users, segments, items and categories; several towers may share one."""

    def __init__(self, schema: Schema, width: int) -> None:
        super().__init__()
        self.users = nn.Embedding(schema.n_users, width)
        self.segments = nn.Embedding(schema.n_segments, width)
        self.items = nn.Embedding(len(schema.category), width)
        self.categories = nn.Embedding(int(schema.category.max()) + 1, width)
        self.register_buffer("category", torch.tensor(schema.category))  # a copy: the log may be read-only
        for table in (self.users, self.segments, self.items, self.categories):
            nn.init.normal_(table.weight, std=0.05)
        with torch.no_grad():
            self.users.weight[0] = 0  # a stranger is nobody in particular

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        category = self.categories(self.category[batch.item])  # type: ignore[index]
        return self.users(batch.user), self.segments(batch.segment), self.items(batch.item), category


class Linears(nn.ModuleList):
    """A list of linear layers that type checkers know as such."""

    def __getitem__(self, k: int) -> nn.Linear:  # type: ignore[override]
        layer = super().__getitem__(k)
        assert isinstance(layer, nn.Linear)
        return layer

    def __iter__(self) -> Iterator[nn.Linear]:
        return (self[k] for k in range(len(self)))


@dataclass(frozen=True, slots=True)
class Forward:
    """One pass. logits: by head, each of shape (n,). vectors: the embeddings that it touched, each (n, d).
    shared: what lies between the shared parameters and the heads', each (n, ...); Z of MGDA-UB."""

    logits: dict[str, Tensor]
    vectors: tuple[Tensor, ...]
    shared: tuple[Tensor, ...]


class TowerNet(nn.Module):
    """The trainable form of `policies.towers.Network`: embeddings, levels of experts, heads.

    Args:
        placed: heads whose step depends on where an item stood; None for all of them.
    """

    def __init__(
        self,
        schema: Schema,
        heads: Sequence[str],
        training: Training,
        n_slots: int,
        layout: Layout = SEPARATE,
        placed: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.heads, self.layout = schema, tuple(heads), layout
        self.embeddings = Embeddings(schema, training.embedding)
        n, h = len(self.heads), training.hidden
        n_experts, width = layout.experts(n), training.embedding
        d = 4 * width + schema.user_width + schema.item_dense.shape[1] + schema.pair_width
        self.own = nn.Linear(d, n * layout.specific * h) if layout.specific else None
        self.common = nn.Linear(d, layout.shared * h) if layout.shared else None
        mixes = layout.mixes(n, 1)
        gated = any(len(seen) > 1 for seen in mixes)
        self.gates = nn.Linear(d, n * n_experts, bias=False) if gated else None
        # Of the mix that the shared experts above read: a parameter of its own, for it is nobody's in particular.
        self.common_gate = nn.Linear(d, n_experts, bias=False) if gated and len(mixes) > n else None
        self.levels = tuple(ExpertLevel(layout, n, level, h) for level in range(2, layout.levels + 1))
        self._levels = nn.ModuleList(self.levels)
        self.second = Linears([nn.Linear(h, training.hidden2) for _ in self.heads])
        self.last = Linears([nn.Linear(training.hidden2, 1) for _ in self.heads])
        self.affinity = nn.Parameter(torch.ones(n, width))
        # Where an item stood explains part of its clicks; learned here, left out when serving (slot 0).
        self.placed = [placed is None or head in placed for head in self.heads]
        self.slot_bias = nn.Embedding(n_slots, n) if training.slot_bias and any(self.placed) else None
        if self.slot_bias is not None:
            nn.init.zeros_(self.slot_bias.weight)

    def forward(self, batch: Batch) -> Forward:
        vectors = user, segment, item, category = self.embeddings(batch)
        x = torch.cat([user, segment, batch.user_dense, item, category, batch.item_dense, batch.pair_dense], dim=1)
        mixes = self._mixes(x)
        inner = (user + segment) * (item + category)  # (n, d)
        bias = None if self.slot_bias is None else self.slot_bias(batch.slot) - self.slot_bias.weight[0]
        logits = {}
        for k, head in enumerate(self.heads):
            deep = self.last[k](torch.relu(self.second[k](mixes[k])))[:, 0]
            slot = bias[:, k] if bias is not None and self.placed[k] else 0
            logits[head] = deep + (inner * self.affinity[k]).sum(1) + slot
        return Forward(logits, vectors, (mixes[0], inner))

    def _mixes(self, x: Tensor) -> list[Tensor]:
        """What each head reads, (n, h) each."""
        wide = torch.cat([layer(x) for layer in (self.own, self.common) if layer is not None], dim=1)
        experts = list(torch.relu(wide).split(self.second[0].in_features, dim=1))  # type: ignore[no-untyped-call]
        seen_by = self.layout.mixes(len(self.heads), 1)
        gates: list[Tensor | None] = [None] * len(seen_by)
        if layers := [layer for layer in (self.gates, self.common_gate) if layer is not None]:
            logits = torch.cat([layer(x) for layer in layers], dim=1)
            gates = list(logits.split(len(experts), dim=1))  # type: ignore[no-untyped-call]
        mixes = [mixed(seen, experts, gate) for seen, gate in zip(seen_by, gates, strict=True)]
        for level in self.levels:
            mixes = level(mixes)
        return mixes

    def start_at(self, head: str, logit: float) -> None:
        """Begin at the base rate, so that the first epoch is not spent on finding it."""
        with torch.no_grad():
            self.last[self.heads.index(head)].bias.fill_(logit)

    def shared_parameters(self) -> list[nn.Parameter]:
        """What every head has a part in."""
        layers = [layer for layer in (self.common, self.common_gate) if layer is not None]
        layers += [layer for level in self.levels for layer in level.common()]
        return [p for layer in (self.embeddings, *layers) for p in layer.parameters()]

    def export(self) -> Network:
        """The network in NumPy, as it is now."""
        with torch.no_grad():
            e, width, n_user = self.embeddings, self.embeddings.users.weight.shape[1], self.schema.user_width
            parts = (self.own, self.common, self.gates, self.common_gate)
            layers = [layer for layer in parts if layer is not None]
            first = torch.cat([layer.weight for layer in layers]).T  # rows: user, segment, user dense, item, ... pair
            n_gates = sum(len(layer.weight) for layer in layers if layer.bias is None)
            bias = torch.cat([layer.bias for layer in layers if layer.bias is not None] + [torch.zeros(n_gates)])
            ends = np.cumsum([2 * width + n_user, 2 * width + self.schema.item_dense.shape[1]])
            category = e.categories.weight[e.category]  # type: ignore[index]
            item = torch.cat([e.items.weight, category, torch.from_numpy(self.schema.item_dense)], dim=1)
            return Network(
                self.heads,
                self.layout,
                levels=tuple(level.export() for level in self.levels),
                users=_numpy(e.users.weight),
                segments=_numpy(e.segments.weight),
                item_vectors=_numpy(e.items.weight + category),
                item_wide=_numpy(item @ first[ends[0] : ends[1]] + bias),
                w_user=_numpy(first[: ends[0]]),
                w_pair=_numpy(first[ends[1] :]),
                w2=_numpy(torch.stack([layer.weight.T for layer in self.second])),
                b2=_numpy(torch.stack([layer.bias for layer in self.second])),
                w3=_numpy(torch.stack([layer.weight[0] for layer in self.last])),
                b3=_numpy(torch.cat([layer.bias for layer in self.last])),
                affinity=_numpy(self.affinity),
                places=tuple(range(len(self.heads))),
                counted=len(self.heads),
            )


class ExpertLevel(nn.Module):
    """Experts of one layer above the first level, each reading the mix of its head (or of all)."""

    def __init__(self, layout: Layout, n_heads: int, level: int, width: int) -> None:
        super().__init__()
        n_experts, self.seen_by = layout.experts(n_heads), layout.mixes(n_heads, level)
        self.reads, self.n_own, self.n_heads = layout.reads(n_heads), n_heads * layout.specific, n_heads
        self.experts = Linears([nn.Linear(width, width) for _ in range(n_experts)])
        self.gates = Linears([nn.Linear(width, n_experts, bias=False) for _ in self.seen_by])

    def forward(self, mixes: Sequence[Tensor]) -> list[Tensor]:
        experts = [torch.relu(layer(mixes[mix])) for layer, mix in zip(self.experts, self.reads, strict=True)]
        return [
            mixed(seen, experts, gate(mixes[m]))
            for m, (seen, gate) in enumerate(zip(self.seen_by, self.gates, strict=True))
        ]

    def common(self) -> list[nn.Linear]:
        """Shared experts, and the gate of the mix that the shared experts above read."""
        return list(self.experts)[self.n_own :] + list(self.gates)[self.n_heads :]

    def export(self) -> Level:
        return Level(
            _numpy(torch.stack([layer.weight.T for layer in self.experts])),
            _numpy(torch.stack([layer.bias for layer in self.experts])),
            _numpy(torch.stack([gate.weight.T for gate in self.gates])),
        )


def mixed(seen: Sequence[int], experts: Sequence[Tensor], gate: Tensor | None) -> Tensor:
    """Experts weighted by the softmax of their gate logits (MMoE, Ma et al., KDD 2018, eq. 6-8); (n, h)."""
    if gate is None or len(seen) == 1:
        return experts[seen[0]]
    weights = torch.softmax(gate[:, list(seen)], dim=1)
    together = torch.stack([experts[e] for e in seen], dim=1)  # (n, seen, h)
    return (weights[:, None, :] @ together)[:, 0, :]


class Model(nn.Module):
    """Heads by name, over one network or over several that share nothing."""

    def __init__(self, networks: Sequence[TowerNet]) -> None:
        super().__init__()
        self._parts = nn.ModuleList(networks)
        self.networks = tuple(networks)
        self.heads = tuple(head for network in networks for head in network.heads)

    def forward(self, batch: Batch) -> Forward:
        parts: list[Forward] = [network(batch) for network in self.networks]
        logits = {head: value for one in parts for head, value in one.logits.items()}
        return Forward(logits, tuple(v for one in parts for v in one.vectors), parts[0].shared)

    def start_at(self, head: str, logit: float) -> None:
        next(network for network in self.networks if head in network.heads).start_at(head, logit)

    def start_at_rate(self, head: str, happened: float, of: float) -> None:
        """Begin at the log-odds of a rate, held off 0 and 1 by half a success and half a failure."""
        self.start_at(head, math.log((happened + 0.5) / (of - happened + 0.5)))

    def shared_parameters(self) -> list[nn.Parameter]:
        """What all heads have a part in; none for networks side by side."""
        return self.networks[0].shared_parameters() if len(self.networks) == 1 else []

    def export(self, heads: Sequence[str]) -> list[Network]:
        """These heads in NumPy, as they are now; those of one network stay together."""
        wanted = [(network, [h for h in heads if h in network.heads]) for network in self.networks]
        return [network.export().only(own) for network, own in wanted if own]


@dataclass(frozen=True, slots=True)
class Losses:
    """What one batch adds to the objective. events: mean loss of each. penalty: of the weights, beside them."""

    events: Mapping[str, Tensor]
    penalty: Tensor


class Balance(Protocol):
    """How the losses of several events become one step."""

    def parameters(self) -> list[nn.Parameter]:
        """Learned beside the model's own."""
        ...

    def backward(self, losses: Losses, forward: Forward, model: nn.Module) -> None:
        """Leave a gradient on every parameter."""
        ...


class WeightedSum:
    """Sum of w loss; 1 for events without a weight."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = weights

    def parameters(self) -> list[nn.Parameter]:
        return []

    def backward(self, losses: Losses, forward: Forward, model: nn.Module) -> None:
        total = losses.penalty
        for name, loss in losses.events.items():
            total = total + self.weights.get(name, 1.0) * loss
        total.backward()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Trained:
    """Heads, each as it was when its own validation loss was best."""

    towers: Towers
    best_epoch: Mapping[str, int]
    losses: Mapping[str, float]
    notes: list[str]


def train(
    model: Model,
    step: Callable[[Ints], tuple[Losses, Forward]],
    n_examples: int,
    validate: Callable[[], Mapping[str, float]],
    training: Training,
    seed: int,
    balance: Balance | None = None,
) -> Trained:
    """Train until every head has stopped improving on the validation rows.

    A head is kept from its own best epoch: stopping on a sum would stop all of them when the goal with the
    most data starts to overfit.

    Args:
        step: the losses of a batch of examples, given their indices, and the pass that they came from.
        n_examples: how many there are; a permutation of them is an epoch.
        validate: validation loss by head, as the model is now.
        balance: of the losses; without it they are summed.
    """
    order, balance = torch.Generator().manual_seed(seed), balance or WeightedSum({})
    optimiser = torch.optim.Adam(_groups(model, balance, training.learning_rate), fused=True)  # a third of the cost
    best, best_epoch = dict.fromkeys(model.heads, math.inf), dict.fromkeys(model.heads, 0)
    kept: dict[int, list[Network]] = {}
    for epoch in range(1, training.epochs + 1):
        model.train()
        for rows in torch.split(torch.randperm(n_examples, generator=order), batch_size(training, n_examples)):
            optimiser.zero_grad(set_to_none=True)
            losses, forward = step(rows.numpy())
            balance.backward(losses, forward, model)
            optimiser.step()
        model.eval()
        with torch.no_grad():
            now = validate()
        better = [head for head, value in now.items() if value < best[head]]
        for head in better:
            best[head], best_epoch[head] = now[head], epoch
        if better:
            kept[epoch] = model.export(model.heads)
        kept = {then: networks for then, networks in kept.items() if then in best_epoch.values()}
        if all(epoch - best_epoch[head] >= training.patience for head in model.heads):
            break
    if missing := [head for head, epoch in best_epoch.items() if not epoch]:
        raise ValueError(f"{', '.join(missing)}: the validation loss is not a number; lower training.learning_rate")
    late = [
        f"{head} still improving after {training.epochs} epochs; raise training.epochs"
        for head, epoch in best_epoch.items()
        if epoch == training.epochs
    ]
    return Trained(_assembled(kept, best_epoch), best_epoch, best, late)


def _groups(model: Model, balance: Balance, rate: float) -> list[dict[str, object]]:
    """Slot biases learn faster: they are few, every row tells of one, and Adam moves a weight by no more than the rate
    a step, so that at the common rate they stay near 0 and the mean pCTR in the top slot at .65 of the truth (600,000
    rows of the shop; 1.1 like this)."""
    slots = [value for name, value in model.named_parameters() if name.endswith("slot_bias.weight")]
    others = [value for value in model.parameters() if not any(value is slot for slot in slots)]
    groups: list[dict[str, object]] = [{"params": [*others, *balance.parameters()], "lr": rate}]
    return [*groups, {"params": slots, "lr": SLOTS_LEARN_FASTER * rate}] if slots else groups


def _assembled(kept: Mapping[int, list[Network]], best_epoch: Mapping[str, int]) -> Towers:
    """The heads of each epoch that were best then."""
    parts = []
    for epoch, networks in sorted(kept.items()):
        mine = [head for head, then in best_epoch.items() if then == epoch]
        parts += [network.only(mine) for network in networks if set(network.heads) & set(mine)]
    return Towers(tuple(parts))


def build(
    schema: Schema,
    rows: Rows,
    heads: Sequence[str],
    training: Training,
    seed: int,
    layout: Layout = SEPARATE,
    *,
    apart: bool = False,
    placed: Collection[str] | None = None,
) -> Model:
    """One network for all heads, or with `apart` one for each; from a seed, and on one thread, so that bits repeat."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    n_slots = int(rows.slot.max()) + 1
    groups = [[head] for head in heads] if apart else [list(heads)]
    return Model([TowerNet(schema, group, training, n_slots, layout, placed) for group in groups])


def batch_size(training: Training, n_examples: int) -> int:
    """Rows per step: as the training says, but on a small log fewer, so that an epoch is more than a few steps."""
    return min(training.batch, max(LEAST_BATCH, n_examples // LEAST_STEPS))


def decay(vectors: Sequence[Tensor], strength: float) -> Tensor:
    """L2 on the embeddings that a batch touches, so that rare ids are held back as much as frequent ones."""
    total = vectors[0].square().sum()
    for vector in vectors[1:]:
        total = total + vector.square().sum()
    return strength * total / len(vectors[0])


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


def _numpy(value: Tensor) -> np.ndarray:
    return np.array(value.detach().numpy(), order="C")
