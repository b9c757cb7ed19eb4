"""From a declared chain and a log to trained towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from torch import Tensor

from policies import nets
from policies.balance import Balance
from policies.balancing import balancer
from policies.chain import Chain, Event
from policies.features import Features
from policies.layout import Layout
from policies.losses import event_loss
from policies.training import Training
from sim.records import Ints, Log


class Declared(Protocol):
    """What a policy must say of itself to be fitted; see `policies.multigoal`."""

    training: Training
    balance: Balance

    @property
    def layout(self) -> Layout: ...

    @property
    def apart(self) -> bool: ...

    def chain(self) -> Chain: ...

    def seed(self) -> int: ...

    def penalty(self, model: nets.Model, forward: nets.Forward) -> Tensor | float: ...

    def more_losses(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


def fit_chain(policy: Declared, log: Log, features: Features) -> nets.Trained:
    """Train a policy's heads on a log: one visible objective for every model that declares a chain."""
    chain, training = policy.chain(), policy.training
    rows = features.training_rows(log)
    learn, check = nets.time_split(log.time, training.validation_share)
    schema, seed, layout = features.schema(), policy.seed(), policy.layout
    model = nets.build(schema, rows, chain.heads, training, seed, layout, apart=policy.apart, placed=chain.placed)
    _start(model, chain, log, learn)
    batch, observed = nets.tensors(rows), {name: Observed.of(event, log) for name, event in chain.events.items()}

    def event_losses(logits: Mapping[str, Tensor], picked: Ints) -> dict[str, Tensor]:
        return {name: seen.loss(logits, picked) for name, seen in observed.items()}

    def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
        picked = learn[examples]
        forward = model(batch[picked])
        labels = {name: seen.label[picked] for name, seen in observed.items()}
        losses = event_losses(forward.logits, picked) | policy.more_losses(forward.logits, labels)
        penalty = nets.decay(forward.vectors, training.embedding_decay) + policy.penalty(model, forward)
        return nets.Losses(losses, penalty), forward

    def validate() -> dict[str, float]:
        logits = model(batch[check]).logits
        labels = {name: seen.label[check] for name, seen in observed.items()}
        losses = event_losses(logits, check) | policy.more_losses(logits, labels)
        return {head: float(losses[event]) for head, event in chain.stops.items()}

    balance = balancer(policy.balance, tuple(chain.events), model)
    trained = nets.train(model, step, len(learn), validate, training, seed, balance)
    return replace(trained, notes=trained.notes + _unchecked(chain, log, check))


@dataclass(frozen=True, slots=True)
class Observed:
    """An event as a log shows it. label: shape (n,). space: 1 in the rows where it is learned; None for all."""

    event: Event
    label: Tensor
    space: Tensor | None

    @classmethod
    def of(cls, event: Event, log: Log) -> Observed:
        space = nets.labels(event.rows(log).astype(np.float64)) if event.space else None
        return cls(event, nets.labels(event.label(log)), space)

    def loss(self, logits: Mapping[str, Tensor], picked: Ints) -> Tensor:
        """Mean over the rows of the sample space: sum of d l / sum of d (Tang et al., RecSys 2020, sec. 4.3)."""
        each = event_loss(self.event, logits, self.label[picked])
        if self.space is None:
            return each.mean()
        inside = self.space[picked]
        return (each * inside).sum() / inside.sum().clamp(min=1)


def _start(model: nets.Model, chain: Chain, log: Log, learn: Ints) -> None:
    """Every head at its rate: the rows of the event that stops it in which it happened, of those where it could.

    A head that stops on a product starts at the event's rate among the rows of the steps before it.
    """
    early = log.take(learn)
    for head, name in chain.stops.items():
        event = chain.events[name]
        label, inside = event.label(early), event.rows(early)
        if event.seconds:
            model.start_at(head, float(label[inside].mean()) if inside.any() else 0.0)
            continue
        possible = float(inside.sum()) if _alone(event) else float((early["click"] > 0).sum())
        model.start_at_rate(head, float(label[event.rows(early)].sum()), possible)


def _unchecked(chain: Chain, log: Log, check: Ints) -> list[str]:
    """Heads that no validation row could judge, and that were therefore kept from the first epoch."""
    late = log.take(check)
    judges = {head: chain.events[name] for head, name in chain.stops.items()}
    return [
        f"{head} was kept from its first epoch, no validation row has a {event.space} to judge it by; take a longer log"
        for head, event in judges.items()
        if not event.rows(late).any()
    ]


def _alone(event: Event) -> bool:
    """Whether an event is one head's."""
    return len(event.paths) == len(event.paths[0]) == 1
