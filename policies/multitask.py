"""Hard and soft sharing, MMoE and PLE: one head per goal, each learned where its goal can be observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le

from policies.balance import Balance, Fixed
from policies.base import GOALS, check_actions
from policies.chain import Chain, Event, chance
from policies.goal import action_of
from policies.layout import Layout
from policies.multigoal import AbstractMultiGoal, check_model
from policies.rules import Fusion, expected_revenue
from policies.training import Training

if TYPE_CHECKING:
    from torch import Tensor

    from policies.nets import Forward, Model

CLICK_AND_BUY = ("ctr", "cvr")


class AbstractMultiTask(AbstractMultiGoal):
    """One head per goal: ctr over all impressions, all others over the clicked ones."""

    heads: tuple[str, ...]

    def __post_init__(self) -> None:
        check_heads(self.heads)
        check_model(self)

    def chain(self) -> Chain:
        return goal_by_goal(self.heads)


@dataclass
class SharedBottom(AbstractMultiTask):
    """y_k = h_k(f(x)): one hidden layer for all goals, and a head for each (Caruana 1997).

    heads: the goals: ctr, learned on all impressions; cvr, stay or any action of the log after a click, learned on
        the clicked ones.
    fusion: how the goals, ctcvr = ctr x cvr and price become a score.
    balance: of the goals' losses, named by their outcomes: click, buy, stay, cart and so on.
    """

    name: ClassVar[str] = "shared_bottom"

    heads: tuple[str, ...] = CLICK_AND_BUY
    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=Fixed)

    @property
    def layout(self) -> Layout:
        return Layout(specific=0, shared=1)


@dataclass
class SoftSharing(AbstractMultiTask):
    """A network for each goal, held together by strength x sum over pairs of ||W_1 - W_2||^2 (Duong et al., ACL 2015).

    It is "L2-Constrained" in the MMoE paper. Output and slot biases are free.

    heads, fusion, balance: as for shared_bottom.
    strength: of the tie; 0 leaves separate models, a large one makes them equal. Adam divides by the whole gradient,
        so a strength that rules it leaves little to learn from the log; start small.
    """

    name: ClassVar[str] = "soft_sharing"

    heads: tuple[str, ...] = CLICK_AND_BUY
    strength: Annotated[float, Ge(0)] = 1e-5
    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=Fixed)

    @property
    def apart(self) -> bool:
        return True

    def penalty(self, model: Model, forward: Forward) -> Tensor | float:
        return self.strength * distance(model, forward) if self.strength else 0.0


@dataclass
class MMoE(AbstractMultiTask):
    """y_k = h_k(sum_i g_k(x)_i f_i(x)), g_k(x) = softmax(W_k x) (Ma et al., KDD 2018, eq. 6-8).

    heads, fusion, balance: as for shared_bottom.
    experts: how many, shared by all goals; one makes it a shared bottom.
    """

    name: ClassVar[str] = "mmoe"

    heads: tuple[str, ...] = CLICK_AND_BUY
    experts: Annotated[int, Ge(1), Le(64)] = 3
    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=Fixed)

    @property
    def layout(self) -> Layout:
        return Layout(specific=0, shared=self.experts)


@dataclass
class PLE(AbstractMultiTask):
    """Progressive layered extraction: each goal gates its own and the shared experts (Tang et al., RecSys 2020).

    heads, fusion, balance: as for shared_bottom.
    specific, shared: experts of each goal alone, and of all. levels: of experts upon experts; one is CGC.
    """

    name: ClassVar[str] = "ple"

    heads: tuple[str, ...] = CLICK_AND_BUY
    specific: Annotated[int, Ge(0), Le(64)] = 1
    shared: Annotated[int, Ge(1), Le(64)] = 1
    levels: Annotated[int, Ge(1), Le(8)] = 2
    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=Fixed)

    @property
    def layout(self) -> Layout:
        return Layout(self.specific, self.shared, self.levels)


def goal_by_goal(heads: Sequence[str]) -> Chain:
    """A head per goal and an event per head, in the sample space of the goal; ctcvr where ctr and cvr are there."""
    events = {}
    for goal in heads:
        action = action_of(goal)
        space = None if goal == "ctr" else "click"
        events[action] = (
            Event((action,), space=space, seconds=goal) if goal == "stay" else Event((action,), chance(goal), space)
        )
    goals = {goal: chance(goal) for goal in heads if goal != "stay"}
    if set(CLICK_AND_BUY) <= set(heads):
        goals["ctcvr"] = chance(*CLICK_AND_BUY)
    durations = {"stay": "stay"} if "stay" in heads else {}
    return Chain(events, goals, {goal: action_of(goal) for goal in heads}, durations)


def check_heads(heads: Sequence[str]) -> None:
    """Refuse what can be no goal of one head, and a goal named twice."""
    for goal in heads:
        if goal in ("click", "ctcvr"):
            cure = "ctr" if goal == "click" else "ctr and cvr, whose product it is"
            raise ValueError(f"heads must be goals of one step, got {goal!r}; name {cure}")
        if goal not in GOALS:
            check_actions("heads", [goal])
    outcomes = [action_of(goal) for goal in heads]
    if not heads or len(set(outcomes)) < len(outcomes):
        raise ValueError(f"heads must name goals, each once, got {list(heads)}; try [ctr, cvr]")


def distance(model: Model, forward: Forward) -> Tensor:
    """Sum over pairs of networks of the squared differences of their layers, and of the embeddings of a batch, the
    mean over its rows; output and slot biases apart.

    Only embeddings that the batch touches are tied: a row that no loss moves has no gradient but the tie's, however
    weak, and Adam makes full steps of that, which ties rare ids at any strength.
    """
    import torch

    layers = [[value for name, value in net.named_parameters() if _is_tied(name)] for net in model.networks]
    kinds = len(forward.vectors) // len(model.networks)  # users, segments, items, categories, network by network
    touched = [forward.vectors[k * kinds : (k + 1) * kinds] for k in range(len(model.networks))]
    parts = [torch.zeros(())]
    for one, other in combinations(range(len(layers)), 2):
        parts += [(p - q).square().sum() for p, q in zip(layers[one], layers[other], strict=True)]
        parts += [(p - q).square().sum(1).mean() for p, q in zip(touched[one], touched[other], strict=True)]
    return torch.stack(parts).sum()


def _is_tied(name: str) -> bool:
    return not (name.startswith(("slot_bias", "embeddings")) or (name.startswith("last") and name.endswith("bias")))
