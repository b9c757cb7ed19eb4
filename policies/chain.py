"""A declared probability chain: what a model's heads mean, what is observed of them, and what is learned where.

Every multi-goal model of this package is such a declaration. Each head is the probability of one step given that
the steps before it were taken; an event that the log shows has a probability that is a sum, over disjoint paths,
of products of heads or their complements. ESMM is click = ctr and buy = ctr x cvr, both over all impressions
(Ma et al., SIGIR 2018); ESM2 has a buy that comes by two paths (Wen et al., SIGIR 2020); a shared-bottom has one
head per event, each learned where its event can happen at all (Tang et al., RecSys 2020, on sample spaces).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from policies.towers import sigmoid
from sim.records import Bools, Floats, Log, Scores

Path = tuple[tuple[str, bool], ...]  # steps in order: (head, whether it was taken)
Paths = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a log shows of every row of a space.

    actions: it happened if any of these did, all of them after what `paths` ask for.
    paths: its probability; empty only for a duration.
    space: the action within whose rows it is learned; None for all impressions.
    seconds: the head whose value is a log of seconds rather than log-odds; then `paths` is empty.
    """

    actions: tuple[str, ...]
    paths: Paths = ()
    space: str | None = None
    seconds: str | None = None

    def rows(self, log: Log) -> Bools:
        """The sample space, shape (n,)."""
        return np.ones(len(log), dtype=np.bool_) if self.space is None else log[self.space] > 0

    def label(self, log: Log) -> Floats:
        """0/1, or log seconds; shape (n,)."""
        if self.seconds:
            return np.log(np.maximum(log[self.actions[0]], 1) / 1000)
        return np.any([log[action] > 0 for action in self.actions], axis=0).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Chain:
    """A model's declaration.

    events: by name; their losses are added. goals: what the model predicts, by name, as paths over heads.
    stops: by head, the event whose validation loss decides when the head is at its best.
    """

    events: Mapping[str, Event]
    goals: Mapping[str, Paths]
    stops: Mapping[str, str]
    durations: Mapping[str, str] = field(default_factory=dict)  # goal in seconds -> its head

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(self.stops)

    @property
    def placed(self) -> frozenset[str]:
        """The heads of an impression's first step, which alone depends on where the item stood: nobody who has
        clicked an item cares for its slot."""
        return frozenset(path[0][0] for event in self.events.values() if not event.space for path in event.paths)

    def outcomes(self) -> frozenset[str]:
        """What a log must have."""
        spaces = {event.space for event in self.events.values() if event.space}
        return frozenset({"click"}.union(spaces, *(event.actions for event in self.events.values())))

    def predicted(self, logits: Mapping[str, Scores]) -> dict[str, Floats]:
        """Goals on their own scale, from logits by head of one shape; durations are medians."""
        p = {head: sigmoid(logits[head]).astype(np.float64) for head in {h for g in self.goals.values() for h in of(g)}}
        found = {goal: probability(paths, p) for goal, paths in self.goals.items()}
        return found | {
            goal: np.exp(np.clip(logits[head], -20, 20)).astype(np.float64) for goal, head in self.durations.items()
        }


def chance(*heads: str) -> Paths:
    """One path on which all of these steps are taken."""
    return (tuple((head, True) for head in heads),)


def of(paths: Paths) -> frozenset[str]:
    """The heads on any of the paths."""
    return frozenset(head for path in paths for head, _ in path)


def complement(paths: Paths) -> Paths:
    """The disjoint paths on which none of these is taken to its end.

    Paths must be those of a decision tree: where two part, it is at one head.
    """
    if () in paths:
        return ()
    if not paths:
        return ((),)
    head = paths[0][0][0]
    branches = []
    for taken in (False, True):
        below = tuple(path[1:] for path in paths if path[0] == (head, taken))
        branches += [((head, taken), *rest) for rest in complement(below)]
    return tuple(branches)


def probability(paths: Paths, p: Mapping[str, Floats]) -> Floats:
    """Sum over paths of products of heads, or of one less the head for steps not taken."""
    each: list[Floats] = [reduce(np.multiply, (p[h] if taken else 1 - p[h] for h, taken in path)) for path in paths]
    return reduce(np.add, each)
