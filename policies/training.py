"""Settings of a fit, importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, slots=True)
class Training:
    """How a torch model is trained.

    epochs: at most so many passes. patience: epochs without a better validation loss before a goal stops.
    batch: rows per step; fewer on a small log, so that an epoch has about fifty. learning_rate: of Adam.
    embedding_decay: L2 on the embeddings in a batch.
    embedding, hidden, hidden2: widths.
    validation_share: the last part of the log, by time, that decides when to stop.
    slot_bias: learn beside the rest how much the slot adds to the log-odds of a click, and leave it out when serving;
        false takes what was shown on top for what is liked, as a naive model does. What follows a click has none.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    epochs: Annotated[int, Ge(1)] = 12
    # One leaves more to the luck of an epoch: over three seeds an ESMM's clicks then vary by 6 %, with two by 1 %.
    patience: Annotated[int, Ge(1)] = 2
    batch: Annotated[int, Ge(1)] = 4096
    learning_rate: Annotated[float, Gt(0), Le(10)] = 0.003
    embedding_decay: Annotated[float, Ge(0)] = 0.01
    embedding: Annotated[int, Ge(1)] = 8
    hidden: Annotated[int, Ge(1)] = 32
    hidden2: Annotated[int, Ge(1)] = 16
    validation_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    slot_bias: bool = True
