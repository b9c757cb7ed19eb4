"""A set of models along the trade-off between goals: one fit for each preference, and what the set covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from policies.balance import Fixed, Tchebycheff
from policies.multigoal import AbstractMultiGoal
from sim.records import Bools, Floats, Log

Preference = Mapping[str, float]  # by event, its weight in the balance of losses


@dataclass(frozen=True, slots=True)
class Point:
    """One model of a front.

    policy: fitted. losses: by event, the validation loss of the head that it stops.
    dominated: another point has no loss above this one's, and one below.
    """

    preference: Preference
    policy: AbstractMultiGoal
    losses: Mapping[str, float]
    dominated: bool


def front(policy: AbstractMultiGoal, log: Log, preferences: Sequence[Preference]) -> list[Point]:
    """Fit a policy once for each preference, in this order.

    The balance of the policy says how preferences act: as the weights of a sum (fixed), or of a smooth maximum
    (tchebycheff), which also finds what lies in a dent of the front. Every fit is that of the spec with these weights,
    alone: it starts from its own seed, and which others are asked for does not change it.

    Examples:
        `front(SharedBottom(), log, simplex(("click", "buy"), 4))` gives five models, from all weight on buys to all
        weight on clicks.

    Raises:
        ValueError: a balance that takes no weights.
    """
    balance = policy.balance
    if not isinstance(balance, Fixed | Tchebycheff):
        raise ValueError(f"balance must take weights, got {balance.type}, which has no say in where it ends; try fixed")
    fits = [_preferring(policy, one).fit(log) for one in preferences]
    losses = [_by_event(fit) for fit in fits]
    table = np.array([list(one.values()) for one in losses])
    worse = dominated(table) if len(table) else ()
    return [Point(*one) for one in zip(preferences, fits, losses, map(bool, worse), strict=True)]


def simplex(events: Sequence[str], steps: int) -> list[Preference]:
    """All preferences whose weights are multiples of 1 / steps and add up to 1."""
    n = len(events)
    bars = combinations(range(steps + n - 1), n - 1)
    counts = [np.diff([-1, *places, steps + n - 1]) - 1 for places in bars]
    return [{event: int(k) / steps for event, k in zip(events, count, strict=True)} for count in counts]


def dominated(losses: Floats) -> Bools:
    """Whether some other row is nowhere higher and somewhere lower; losses: shape (n, T)."""
    higher = np.any(losses[None] > losses[:, None], axis=2)  # [i, j]: j against i
    lower = np.any(losses[None] < losses[:, None], axis=2)
    found: Bools = np.any(~higher & lower, axis=1)
    return found


def hypervolume(losses: Floats, reference: Sequence[float]) -> float:
    """The volume of what is no better than some row and no worse than the reference; larger is the better front.

    Sliced along the last loss: between two neighbouring values of it, the cross-section is the hypervolume, in one
    dimension less, of the rows that have reached the lower of them.

    Args:
        losses: shape (n, T).
        reference: shape (T,). Losses that all points should beat, such as those of a model that knows base rates only.
    """
    corner = np.asarray(reference, dtype=np.float64)
    inside = losses[(losses < corner).all(axis=1)]
    if not len(inside):
        return 0.0
    if losses.shape[1] == 1:
        return float(corner[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    heights = np.diff(np.append(inside[:, -1], corner[-1]))
    slices = (hypervolume(inside[: k + 1, :-1], corner[:-1]) for k in range(len(inside)))  # type: ignore[arg-type]
    return float(sum(height * area for height, area in zip(heights, slices, strict=True)))


def _preferring(policy: AbstractMultiGoal, preference: Preference) -> AbstractMultiGoal:
    spec = policy.spec()
    del spec["type"]
    return policy.from_spec({**spec, "balance": {**spec["balance"], "weights": dict(preference)}})


def _by_event(policy: AbstractMultiGoal) -> dict[str, float]:
    stops = policy.chain().stops
    return {event: policy.losses_[head] for head, event in stops.items()}
