"""How several losses become one step, as a spec names it; the steps themselves are in `policies.balancing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Gt
from pydantic import Field

Normalise = Literal["none", "l2", "loss", "loss+"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A weighted sum of the losses, the weights chosen by hand.

    weights: by event, such as click or buy; 1 for those not named.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    weights: Mapping[str, float] = field(default_factory=dict)
    type: Literal["fixed"] = "fixed"

    def __post_init__(self) -> None:
        check_weights(self.weights)


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Weights learned as the noise of each task: sum of exp(-s) loss + s / 2 (Kendall et al., CVPR 2018)."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    type: Literal["uncertainty"] = "uncertainty"


@dataclass(frozen=True, slots=True)
class MGDA:
    """The shared parameters follow the shortest convex combination of the losses' gradients, the heads their own
    loss (Desideri 2012; Sener & Koltun, NeurIPS 2018, algorithm 2).

    It finds a point where no loss can fall without another rising, and has no say in which: by itself it favours
    the loss with the smallest gradient. A loss without any gradient in a batch has no say in that batch.

    normalise: what each gradient is divided by before they are combined: none; l2, its norm; loss, the event's loss
        at the first step in which it had one; or loss+, both.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    type: Literal["mgda"] = "mgda"
    normalise: Normalise = "l2"


@dataclass(frozen=True, slots=True)
class MGDAUB:
    """MGDA on the gradients of the shared representation, one pass through the shared part for all tasks
    (Sener & Koltun, NeurIPS 2018, sec. 3.3, an upper bound). For models in which all heads read one representation.

    normalise: as for mgda.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    type: Literal["mgda_ub"] = "mgda_ub"
    normalise: Normalise = "l2"


@dataclass(frozen=True, slots=True)
class Tchebycheff:
    """Smooth Tchebycheff: smoothing x log of sum of exp(weight (loss - ideal) / smoothing)
    (Lin et al., ICML 2024).

    Nearly the largest weighted loss over its ideal, so that every Pareto point is the best for some weights, where
    the front bends inwards too, whose points no weighted sum finds. A weight here says how much a loss is held down:
    at the best point, all weighted losses over their ideals are about equal.

    weights: by event, such as click or buy; 1 for those not named, 0 leaves one out.
    smoothing: nearer to 0 is nearer to the largest, and jumpier; in the unit of the weighted losses.
    ideal: by event, a loss that cannot be beaten, such as that of a model of this goal alone; 0 for those not named.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    weights: Mapping[str, float] = field(default_factory=dict)
    smoothing: Annotated[float, Gt(0)] = 0.01
    ideal: Mapping[str, float] = field(default_factory=dict)
    type: Literal["tchebycheff"] = "tchebycheff"

    def __post_init__(self) -> None:
        check_weights(self.weights)


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights of losses that are no weights."""
    wrong = {name: w for name, w in weights.items() if not 0 <= w < np.inf}
    if wrong:
        raise ValueError(f"weights must be >= 0, got {wrong}; 0 leaves a loss out")


Balance = Annotated[Fixed | Uncertainty | MGDA | MGDAUB | Tchebycheff, Field(discriminator="type")]
