"""Two models that no experiment needs, each a known one with a single thing changed, to see what that thing does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from policies.balance import Balance, Fixed
from policies.chain import Chain, Event, chance
from policies.esmm import entire_space
from policies.fusion import PowerProduct
from policies.multigoal import AbstractMultiGoal
from policies.multitask import CLICK_AND_BUY, AbstractMultiTask, expected_revenue
from policies.training import Training


@dataclass
class SharedEmbeddings(AbstractMultiTask):
    """Two towers on shared embeddings, pCVR learned on clicks: ESMM's network with the loss of `cvr_on_clicks`."""

    name: ClassVar[str] = "shared_embeddings"

    heads: tuple[str, ...] = CLICK_AND_BUY
    fusion: PowerProduct = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=Fixed)


@dataclass
class StoppedOnClicks(AbstractMultiGoal):
    """ESMM, its loss unchanged, with pCVR kept from the epoch that was best on the clicks of the validation rows.

    As it is, ESMM stops pCVR by the loss of pCTR x pCVR over all rows, which turns when pCTR begins to overfit.
    """

    name: ClassVar[str] = "esmm_stopped_on_clicks"

    fusion: PowerProduct = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    balance: Balance = field(default_factory=lambda: Fixed({"click": 1, "buy": 1, "bought if clicked": 0}))

    def chain(self) -> Chain:
        base = entire_space("buy")
        watched = {"bought if clicked": Event(("buy",), chance("cvr"), space="click")}
        return Chain({**base.events, **watched}, base.goals, {"ctr": "click", "cvr": "bought if clicked"})
