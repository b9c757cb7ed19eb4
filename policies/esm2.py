"""ESM2: a buy comes by two paths after the click (Wen et al., SIGIR 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from policies.balance import Balance, Fixed
from policies.base import check_actions
from policies.chain import Chain, Event, Paths, chance
from policies.esmm import check_conversion
from policies.multigoal import AbstractMultiGoal, check_model
from policies.rules import Fusion, expected_revenue
from policies.training import Training


@dataclass
class ESM2(AbstractMultiGoal):
    """Four towers on shared embeddings over impression -> click -> {act, do not act} -> conversion.

    y1 = p(click), y2 = p(act | click), y3 = p(conversion | act), y4 = p(conversion | click, no act), where to act is
    to do any of `actions`, such as to collect or to cart. pCTAVR = y1 y2, pCVR = y2 y3 + (1 - y2) y4,
    pCTCVR = y1 pCVR; the loss is the cross-entropy of click, pCTAVR and pCTCVR over all impressions.

    fusion: how ctr, cvr, ctcvr and price become a score.
    conversion: the action at the end. actions: those between click and conversion.
    balance: of the losses of click, act and the conversion.
    """

    name: ClassVar[str] = "esm2"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"
    actions: tuple[str, ...] = ("collect", "cart")
    balance: Balance = field(default_factory=Fixed)

    def __post_init__(self) -> None:
        check_conversion(self.conversion)
        check_actions("actions", self.actions)
        wrong = sorted({"click", self.conversion} & set(self.actions))
        if wrong or not self.actions or len(set(self.actions)) < len(self.actions):
            raise ValueError(
                f"actions must lie between click and {self.conversion}, each once, got {list(self.actions)}; try [cart]"
            )
        check_model(self)

    def chain(self) -> Chain:
        by_either: Paths = ((("act", True), ("after", True)), (("act", False), ("otherwise", True)))
        bought: Paths = tuple((("ctr", True), *path) for path in by_either)
        return Chain(
            events={
                "click": Event(("click",), chance("ctr")),
                "act": Event(self.actions, chance("ctr", "act")),
                self.conversion: Event((self.conversion,), bought),
            },
            goals={"ctr": chance("ctr"), "cvr": by_either, "ctcvr": bought},
            stops={"ctr": "click", "act": "act", "after": self.conversion, "otherwise": self.conversion},
        )
