"""From a log to a debiased model of clicks: what each method minimises, and the one fit that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from policies import nets
from policies.chain import chance
from policies.examination import CTR, LEAST_SEEN, clickthrough_by_slot, most_likely_examination, relevant_though_skipped
from policies.features import Rows, Schema
from policies.losses import path_loss
from policies.towers import Towers
from policies.training import Training
from sim.records import Bools, Floats, Ints, Log

SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Learned:
    """What a fit leaves. curve: shape (n_slots,), of the epoch that the towers are from. curves: of every epoch."""

    towers: Towers
    curve: Floats
    notes: list[str]
    curves: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What there is to learn from.

    click, slot: shape (n,). learn, check: rows to train on, and rows that say when to stop.
    """

    model: nets.Model
    batch: nets.Batch
    click: Bools
    slot: Ints
    learn: Ints
    check: Ints

    @property
    def n_slots(self) -> int:
        return int(self.slot.max()) + 1

    def naive_curve(self) -> Floats:
        """Click-through by slot of the training rows, held off 0 and 1: where an estimate of attention begins."""
        curve = np.ones(self.n_slots)
        found = clickthrough_by_slot(self.click[self.learn], self.slot[self.learn])
        curve[: len(found)] = found
        return np.clip(curve, 0.01, 0.99)

    def start_at_top(self) -> None:
        """Begin at the click-through of slot 0, which is what a curve relative to it leaves to the tower."""
        top = self.learn[self.slot[self.learn] == 0]
        self.model.start_at_rate(CTR, float(self.click[top].sum()), float(len(top)))

    def relevance(self, rows: Ints) -> Floats:
        """sigmoid of the tower as it is now, shape (len(rows),)."""
        with torch.no_grad():
            parts = [self.model(self.batch[some]).logits[CTR] for some in np.array_split(rows, len(rows) // 65_536 + 1)]
            found: Floats = torch.sigmoid(torch.cat(parts).double()).numpy()
        return found


class Objective(Protocol):
    """What a method minimises, and what it makes of the slots."""

    def loss(self, logit: Tensor, picked: Ints) -> Tensor:
        """Mean over the rows picked, with their logits of shape (len(picked),)."""
        ...

    def check(self, logit: Tensor, picked: Ints) -> Tensor:
        """Mean loss by which the best epoch is chosen."""
        ...

    def epoch_ends(self) -> Floats:
        """The curve of attention as it is now, shape (n_slots,); asked once an epoch, before `check`."""
        ...


def fit_clicks(
    log: Log, rows: Rows, schema: Schema, training: Training, seed: int, aim: Callable[[Lesson], Objective]
) -> Learned:
    """Train a tower on the clicks of a log towards an objective.

    Args:
        rows, schema: of all impressions. aim: makes the objective, which may set where training starts.
    """
    learn, check = nets.time_split(log.time, training.validation_share)
    model = nets.build(schema, rows, (CTR,), replace(training, slot_bias=False), seed)
    lesson = Lesson(model, nets.tensors(rows), log["click"] > 0, rows.slot, learn, check)
    model.start_at_rate(CTR, float(lesson.click[learn].sum()), len(learn))
    objective, curves = aim(lesson), list[Floats]()

    def step(examples: Ints) -> tuple[nets.Losses, nets.Forward]:
        picked = learn[examples]
        forward = model(lesson.batch[picked])
        penalty = nets.decay(forward.vectors, training.embedding_decay)
        return nets.Losses({CTR: objective.loss(forward.logits[CTR], picked)}, penalty), forward

    def validate() -> dict[str, float]:
        curves.append(objective.epoch_ends())
        return {CTR: float(objective.check(model(lesson.batch[check]).logits[CTR], check))}

    trained = nets.train(model, step, len(learn), validate, training, seed)
    kept = trained.best_epoch[CTR]
    return Learned(trained.towers, curves[kept - 1], trained.notes, tuple(curves[:kept]))


class Product:
    """p(click) = p(seen | slot) p(click | seen, x), one cross-entropy of the product; slot 0 is seen for certain."""

    def __init__(self, lesson: Lesson) -> None:
        naive = lesson.naive_curve()
        self.start = nets.labels(np.log(naive) - np.log1p(-naive))
        self.moved = nn.Embedding(lesson.n_slots, 1)
        nn.init.zeros_(self.moved.weight)
        lesson.model.add_module(SEEN, self.moved)  # trained with the tower, and left behind when it is exported
        self.click, self.slot = _labels(lesson.click), torch.from_numpy(lesson.slot)
        lesson.start_at_top()

    def seen(self) -> Tensor:
        """Logits by slot, shape (n_slots,); that of slot 0 is not read."""
        return self.start + nets.SLOTS_LEARN_FASTER * self.moved.weight[:, 0]

    def loss(self, logit: Tensor, picked: Ints) -> Tensor:
        slot, click = self.slot[picked], self.click[picked]
        return product_loss(logit, self.seen()[slot], slot == 0, click).mean()

    check = loss

    def epoch_ends(self) -> Floats:
        curve: Floats = torch.sigmoid(self.seen().detach().double()).numpy()
        curve[0] = 1.0
        return curve


def product_loss(logit: Tensor, seen: Tensor, certain: Tensor, click: Tensor) -> Tensor:
    """Cross-entropy of sigmoid(seen) sigmoid(logit), or of sigmoid(logit) where it is certain to be seen; (n,) each."""
    alone = path_loss(chance(CTR), {CTR: logit}, click)
    return torch.where(certain, alone, path_loss(chance(SEEN, CTR), {SEEN: seen, CTR: logit}, click))


class SoftRelevance:
    """Regression-EM: the tower regresses P(relevant | click, x, slot), redone at the end of every epoch."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson, self.theta = lesson, lesson.naive_curve()
        self.theta[0] = 1.0
        lesson.start_at_top()
        self._everywhere = np.arange(len(lesson.click))
        self._expect(lesson.relevance(self._everywhere))

    def loss(self, logit: Tensor, picked: Ints) -> Tensor:
        return nets.log_loss(logit, self.label[picked])

    def check(self, logit: Tensor, picked: Ints) -> Tensor:
        """Cross-entropy of what is observed, the clicks, under p = theta g."""
        theta = torch.from_numpy(self.theta[self.lesson.slot[picked]])
        return position_based_loss(logit.double(), theta, torch.from_numpy(self.lesson.click[picked])).mean()

    def epoch_ends(self) -> Floats:
        relevance, learn = self.lesson.relevance(self._everywhere), self.lesson.learn
        found = most_likely_examination(self.lesson.click[learn], self.lesson.slot[learn], relevance[learn], self.theta)
        # By its ratio to slot 0: the level of a tower wobbles by some per cent from one epoch to the next.
        self.theta = np.clip(found / found[0], LEAST_SEEN, 1.0)
        self._expect(relevance)
        return self.theta.copy()

    def _expect(self, relevance: Floats) -> None:
        """E step: 1 where clicked, else P(relevant | not clicked)."""
        skipped = relevant_though_skipped(self.theta[self.lesson.slot], relevance)
        self.label = nets.labels(np.where(self.lesson.click, 1.0, skipped))


def position_based_loss(logit: Tensor, theta: Tensor, click: Tensor) -> Tensor:
    """Cross-entropy of theta sigmoid(logit), one value per row; theta may be 1, where 1 - p = sigmoid(-logit)."""
    relevant, irrelevant = logsigmoid(logit), logsigmoid(-logit)
    return -torch.where(click, torch.log(theta) + relevant, torch.logaddexp(irrelevant, torch.log1p(-theta) + relevant))


class Reweighted:
    """Cross-entropy whose label is each click's weight: w c l(1) + (1 - w c) l(0), in expectation that of relevance."""

    def __init__(self, lesson: Lesson, weight: Floats, curve: Floats) -> None:
        target = np.where(lesson.click, weight[lesson.slot], 0.0)
        self.target, self.curve = nets.labels(target), curve
        total = min(float(target[lesson.learn].sum()), len(lesson.learn) - 1.0)  # weights may add up to more than rows
        lesson.model.start_at_rate(CTR, total, len(lesson.learn))

    def loss(self, logit: Tensor, picked: Ints) -> Tensor:
        return nets.log_loss(logit, self.target[picked])

    check = loss

    def epoch_ends(self) -> Floats:
        return self.curve


class AtItsSlot:
    """Plain cross-entropy of clicks where the slot is among the features; its curve is the mean forecast by slot."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson, self.click = lesson, _labels(lesson.click)

    def loss(self, logit: Tensor, picked: Ints) -> Tensor:
        return nets.log_loss(logit, self.click[picked])

    check = loss

    def epoch_ends(self) -> Floats:
        """The same impressions forecast at every slot in turn: what the model holds for the slot's doing."""
        lesson, n_slots = self.lesson, self.lesson.n_slots
        some = lesson.batch[lesson.learn[:: len(lesson.learn) // _FORECASTS + 1]]
        mean = np.zeros(n_slots)
        for slot in range(n_slots):
            pair = some.pair_dense.clone()
            pair[:, -n_slots:] = torch.eye(n_slots)[slot]
            mean[slot] = float(torch.sigmoid(lesson.model(replace(some, pair_dense=pair)).logits[CTR]).mean())
        return mean / mean[0]


_FORECASTS = 4096  # rows, the same for every slot, so that their differences do not depend on which


def _labels(click: Bools) -> Tensor:
    return nets.labels(click.astype(np.float64))
