"""Which slots are looked at, and how a look becomes a click: position bias.

Two families. At a *glance* every slot is looked at or not by itself, whatever stands elsewhere
(position-based, trust bias). In *reading* a person goes from the top down and what stands above decides
whether they come this far (cascade, dynamic Bayesian network). Shapes: P pages of S slots; attraction is
P(click | examined, no position bias), satisfaction is P(content with the item | clicked).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from sim.bounds import Count, PositiveShare, Share, check
from sim.catalogue import FORBID_EXTRA
from sim.records import Bools, Floats, Ints, Scores

Chances = Floats | Scores


class AbstractAttention(ABC):
    """An attention model: closed-form probabilities here, draws in the families below."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Slots of a page."""

    @abstractmethod
    def examination_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        """P(examined | the page is reached), shape (P, S); arguments of shape (P, S)."""

    @abstractmethod
    def clicked_if_examined(self, attraction: Chances, slot: Ints) -> Chances:
        """P(click | examined) of items in these slots; shapes broadcast."""

    def click_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        """P(click | the page is reached), shape (P, S)."""
        examined = self.examination_probability(attraction, satisfaction)
        return examined * self.clicked_if_examined(attraction, np.arange(self.slots))

    def onward_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        """P(still reading below the page | the page is reached), shape (P,); further pages are up to patience."""
        return np.ones(len(attraction))


class AbstractGlance(AbstractAttention):
    """Slots are looked at independently of what stands in them and above."""

    examination: tuple[Share, ...]

    @property
    def slots(self) -> int:
        return len(self.examination)

    def examination_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        return np.broadcast_to(np.array(self.examination), attraction.shape)

    def draw(self, luck: Floats) -> Bools:
        """Which slots are examined, given uniform luck of shape (P, S)."""
        return luck < np.array(self.examination)


class AbstractReading(AbstractAttention):
    """From the top down, one slot after the other."""

    @abstractmethod
    def onward(self, satisfaction: Chances) -> tuple[Floats, Floats]:
        """P(next slot is examined | this one was skipped), and given that it was clicked; each of shape (P, S)."""

    def clicked_if_examined(self, attraction: Chances, slot: Ints) -> Chances:
        return attraction

    def examination_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        return self._reached(attraction, satisfaction)[:, :-1]

    def onward_probability(self, attraction: Chances, satisfaction: Chances) -> Floats:
        return self._reached(attraction, satisfaction)[:, -1]

    def draw(
        self, attraction: Chances, satisfaction: Chances, click_luck: Floats, onward_luck: Floats
    ) -> tuple[Bools, Bools, Bools]:
        """What is examined (P, S), what is clicked (P, S), and who reads on below the page (P,)."""
        after_skip, after_click = self.onward(satisfaction)
        examined = np.zeros(attraction.shape, dtype=bool)
        clicked = np.zeros(attraction.shape, dtype=bool)
        reading = np.ones(len(attraction), dtype=bool)
        for slot in range(self.slots):
            examined[:, slot] = reading
            clicked[:, slot] = reading & (click_luck[:, slot] < attraction[:, slot])
            stays = np.where(clicked[:, slot], after_click[:, slot], after_skip[:, slot])
            reading = reading & (onward_luck[:, slot] < stays)
        return examined, clicked, reading

    def _reached(self, attraction: Chances, satisfaction: Chances) -> Floats:
        """P(slot is examined), with one slot more for "below the page"; shape (P, S + 1)."""
        after_skip, after_click = self.onward(satisfaction)
        stays = (1 - attraction) * after_skip + attraction * after_click
        return np.cumprod(np.concatenate([np.ones((len(attraction), 1)), stays], axis=1), axis=1)


@dataclass(frozen=True, slots=True)
class PositionBased(AbstractGlance):
    """Position-based model: click = examined(slot) and attracted(item) (Richardson et al. 2007; Craswell et al. 2008).

    With all probabilities 1 slots are exchangeable.

    examination: probability that each slot of a page is looked at, top first; its length is the page's.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    examination: tuple[Share, ...]
    type: Literal["position_based"] = "position_based"

    def __post_init__(self) -> None:
        check(self)
        _check_curve("examination", self.examination)

    def clicked_if_examined(self, attraction: Chances, slot: Ints) -> Chances:
        return attraction


@dataclass(frozen=True, slots=True)
class TrustBias(AbstractGlance):
    """Trust bias: rank raises the chance of a click on an examined item that does not attract (Agarwal et al.,
    WWW 2019, with their epsilon+ = 1; seen by Joachims et al. 2005).

    P(click | examined, slot k) = attraction + (1 - attraction) * trust_k. With trust 0 it is position-based.

    examination: as in the position-based model.
    trust: by slot, probability that an examined item without attraction is clicked for where it stands.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    examination: tuple[Share, ...]
    trust: tuple[Share, ...]
    type: Literal["trust_bias"] = "trust_bias"

    def __post_init__(self) -> None:
        check(self)
        _check_curve("examination", self.examination)
        _check_curve("trust", self.trust)
        if len(self.trust) != len(self.examination):
            raise ValueError(
                f"trust must name as many slots as examination, got {len(self.trust)} and {len(self.examination)}"
            )

    def clicked_if_examined(self, attraction: Chances, slot: Ints) -> Chances:
        trust = np.array(self.trust)[slot]
        return attraction + (1 - attraction) * trust


@dataclass(frozen=True, slots=True)
class Cascade(AbstractReading):
    """Cascade: from the top down until something ends it; by default the first click (Craswell et al., WSDM 2008).

    With both chances below 1 it is the dependent click model with constants (Guo et al., WSDM 2009), and with
    equal ones a feed that people leave at a fixed rate per item.

    length: slots of a page; a feed that shows one item at a time has 1.
    leave_after_skip, leave_after_click: probability of reading no further.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    length: Count
    leave_after_skip: Share = 0.0
    leave_after_click: Share = 1.0
    type: Literal["cascade"] = "cascade"

    def __post_init__(self) -> None:
        check(self)

    @property
    def slots(self) -> int:
        return self.length

    def onward(self, satisfaction: Chances) -> tuple[Floats, Floats]:
        after_skip = np.full(satisfaction.shape, 1 - self.leave_after_skip)
        return after_skip, np.full(satisfaction.shape, 1 - self.leave_after_click)


@dataclass(frozen=True, slots=True)
class DynamicBayesian(AbstractReading):
    """Dynamic Bayesian network: a click that satisfies ends the search (Chapelle and Zhang, WWW 2009, eq. 1).

    P(on | skipped) = perseverance; P(on | clicked) = perseverance * (1 - satisfaction).

    length: slots of a page.
    perseverance: probability of reading on while not satisfied. Symbol gamma.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    length: Count
    perseverance: PositiveShare = 1.0
    type: Literal["dynamic_bayesian"] = "dynamic_bayesian"

    def __post_init__(self) -> None:
        check(self)

    @property
    def slots(self) -> int:
        return self.length

    def onward(self, satisfaction: Chances) -> tuple[Floats, Floats]:
        after_click = self.perseverance * (1 - np.asarray(satisfaction, dtype=np.float64))
        return np.full(satisfaction.shape, self.perseverance), after_click


class ByType:
    """Lets pydantic choose a class by its `type` key, with errors about that class only; without importing pydantic."""

    def __init__(self, *classes: type) -> None:
        self.classes = classes

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        choices = {c.__dataclass_fields__["type"].default: handler.generate_schema(c) for c in self.classes}  # type: ignore[attr-defined]
        return {"type": "tagged-union", "choices": choices, "discriminator": "type"}


Attention = Annotated[
    PositionBased | TrustBias | Cascade | DynamicBayesian, ByType(PositionBased, TrustBias, Cascade, DynamicBayesian)
]


def _check_curve(name: str, curve: tuple[float, ...]) -> None:
    if not curve:
        raise ValueError(f"{name} must name at least one slot, got none; try [0.68, 0.61, 0.48]")
    outside = [p for p in curve if not 0 <= p <= 1]
    if outside:
        raise ValueError(f"{name} must be probabilities in [0, 1], got {outside}")
