"""Which slots are looked at: position bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sim.bounds import Share, check
from sim.catalogue import FORBID_EXTRA
from sim.records import Bools, Floats


@dataclass(frozen=True, slots=True)
class PositionBased:
    """Position-based model: click = examined(slot) and attracted(item) (Richardson et al. 2007; Craswell 2008).

    A slot's examination does not depend on the items, so with all probabilities 1 slots are exchangeable.

    examination: probability that each slot of a page is looked at, top first; its length is the page's.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    examination: tuple[Share, ...]
    type: Literal["position_based"] = "position_based"

    def __post_init__(self) -> None:
        check(self)
        if not self.examination:
            raise ValueError("examination must name at least one slot, got none; try [0.68, 0.61, 0.48]")
        outside = [p for p in self.examination if not 0 <= p <= 1]
        if outside:
            raise ValueError(f"examination must be probabilities in [0, 1], got {outside}")

    @property
    def slots(self) -> int:
        return len(self.examination)

    def examination_probability(self) -> Floats:
        """Shape (slots,)."""
        return np.array(self.examination)

    def draw(self, luck: Floats) -> Bools:
        """Which slots are examined, given uniform luck of shape (pages, slots)."""
        return luck < self.examination_probability()

    def click_probability(self, attraction: Floats) -> Floats:
        """P(click) of items shown, given P(click | examined) of shape (pages, slots)."""
        return self.examination_probability() * attraction
