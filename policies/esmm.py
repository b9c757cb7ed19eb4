"""Entire-space multi-task model: pCTCVR = pCTR * pCVR over all impressions (Ma et al., SIGIR 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from policies.balance import Balance, Fixed
from policies.base import check_actions
from policies.chain import Chain, Event, chance
from policies.multigoal import AbstractMultiGoal, check_model
from policies.rules import Fusion, expected_revenue
from policies.training import Training


class AbstractEntireSpace(AbstractMultiGoal):
    """pCTR and pCTCVR = pCTR * pCVR, both learned over all impressions."""

    conversion: str

    def __post_init__(self) -> None:
        check_conversion(self.conversion)
        check_model(self)

    def chain(self) -> Chain:
        return entire_space(self.conversion)


@dataclass
class ESMM(AbstractEntireSpace):
    """Two towers on shared embeddings; loss (eq. 3) = l(click, pCTR) + l(click and conversion, pCTR * pCVR).

    There is no loss on pCVR itself, and both terms run over all impressions. The log must hold no conversion
    without a click. Each goal is stopped by its own validation loss: ctr by l(click), cvr by l(conversion).

    fusion: how ctr, cvr, ctcvr and price become a score.
    conversion: the action that pCVR is of, P(conversion | click), such as buy, long_view or apply.
    balance: of the losses of click and conversion, by default their sum.
    """

    name: ClassVar[str] = "esmm"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"
    balance: Balance = field(default_factory=Fixed)


@dataclass
class ESMMNS(AbstractEntireSpace):
    """ESMM without the shared embeddings: the same loss over two networks that share nothing (ESMM-NS of the paper).

    fusion, conversion, balance: as for esmm.
    """

    name: ClassVar[str] = "esmm_ns"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"
    balance: Balance = field(default_factory=Fixed)

    @property
    def apart(self) -> bool:
        return True


def entire_space(conversion: str) -> Chain:
    """click = ctr and conversion = ctr x cvr, both over all impressions (eq. 1 and 3)."""
    return Chain(
        events={"click": Event(("click",), chance("ctr")), conversion: Event((conversion,), chance("ctr", "cvr"))},
        goals={"ctr": chance("ctr"), "cvr": chance("cvr"), "ctcvr": chance("ctr", "cvr")},
        stops={"ctr": "click", "cvr": conversion},
    )


def check_conversion(conversion: str) -> None:
    """Refuse what can follow no click."""
    if conversion == "click":
        raise ValueError("conversion must be an action after the click, got 'click'; try 'buy'")
    check_actions("conversion", [conversion])
