"""Entire-space multi-task model: pCTCVR = pCTR * pCVR over all impressions (Ma et al., SIGIR 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from policies.base import AbstractPolicy, check_actions, check_log, part, prefixed
from policies.features import Features
from policies.fusion import PowerProduct, as_scores, prices
from policies.goal import LEAST_POSITIVES
from policies.towers import Tower, sigmoid
from policies.training import Training
from sim.records import Column, Floats, Ints, Log, Requests, Scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class ESMM(AbstractPolicy):
    """Two towers on shared embeddings; loss (eq. 3) = l(click, pCTR) + l(click and conversion, pCTR * pCVR).

    There is no loss on pCVR itself, and both terms run over all impressions. The log must hold no conversion
    without a click. Each goal is stopped by its own validation loss: ctr by l(click), cvr by l(conversion).

    fusion: how ctr, cvr, ctcvr and price become a score.
    conversion: the action that pCVR is of, P(conversion | click), such as buy, long_view or apply.
    """

    name: ClassVar[str] = "esmm"

    fusion: PowerProduct = field(default_factory=lambda: PowerProduct({"ctr": 1, "cvr": 1, "price": 1}))
    training: Training = field(default_factory=Training)
    conversion: str = "buy"

    def __post_init__(self) -> None:
        beyond = sorted(set(self.fusion.exponents) - {"ctr", "cvr", "ctcvr", "price"})
        if beyond:
            raise ValueError(f"fusion.exponents: esmm predicts ctr, cvr and ctcvr, not {', '.join(beyond)}; drop them")
        if self.conversion == "click":
            raise ValueError("conversion must be an action after the click, got 'click'; try 'buy'")
        check_actions("conversion", [self.conversion])

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click", self.conversion})

    def fit_spec(self) -> dict[str, Any]:
        return {key: value for key, value in self.spec().items() if key != "fusion"}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        from policies import nets

        check_log(log, {"click": LEAST_POSITIVES, self.conversion: LEAST_POSITIVES})
        self.features_ = Features().fit(log)
        rows = self.features_.training_rows(log)
        learn, check = nets.time_split(log.time, self.training.validation_share)
        towers = nets.build_nets(self.features_, rows, ("ctr", "cvr"), self.training, self.seed())
        clicks, conversions = float(log["click"].sum()), float(log[self.conversion].sum())
        towers["ctr"].start_at((clicks + 0.5) / (len(log) + 1))
        towers["cvr"].start_at((conversions + 0.5) / (clicks + 1))
        batch, click, converted = nets.tensors(rows), nets.labels(log["click"]), nets.labels(log[self.conversion])

        def losses(picked: Ints) -> tuple[Tensor, Tensor]:
            here = batch[picked]
            ctr, cvr = towers["ctr"](here), towers["cvr"](here)
            return nets.log_loss(ctr, click[picked]), product_loss(ctr, cvr, converted[picked]).mean()

        def loss(examples: Ints) -> Tensor:
            picked = learn[examples]
            on_click, on_both = losses(picked)
            here = batch[picked]
            return on_click + on_both + nets.decay(towers["ctr"].embeddings, here, self.training.embedding_decay)

        def validate() -> dict[str, float]:
            on_click, on_both = losses(check)
            return {"ctr": float(on_click), "cvr": float(on_both)}

        trained = nets.train(towers, loss, len(learn), validate, self.training, self.seed())
        self.ctr_, self.cvr_, self.notes_ = trained.towers["ctr"], trained.towers["cvr"], trained.notes
        return self

    def goals(self, requests: Requests) -> dict[str, Floats]:
        inputs = self.features_.inputs(requests)
        ctr = sigmoid(self.ctr_.logits(inputs)).astype(np.float64)
        cvr = sigmoid(self.cvr_.logits(inputs)).astype(np.float64)
        return {"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr}

    def score(self, requests: Requests) -> Scores:
        return as_scores(self.fusion(self.goals(requests) | {"price": prices(requests)}), requests)

    def notes(self) -> list[str]:
        return self.notes_

    def learned(self) -> dict[str, Column]:
        return (
            prefixed("features", self.features_.learned())
            | prefixed("ctr", self.ctr_.learned())
            | prefixed("cvr", self.cvr_.learned())
            | {"notes": np.array(self.notes_, dtype=np.str_)}
        )

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.features_ = Features().restore(part("features", learned))
        self.ctr_, self.cvr_ = Tower.restore(part("ctr", learned)), Tower.restore(part("cvr", learned))
        self.notes_ = learned["notes"].tolist()
        return self


def product_loss(a: Tensor, b: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of p = sigmoid(a) * sigmoid(b), stable at any logits; one value per row.

    log(1 - p) is taken as log1p(-exp(log p)) or log(-expm1(log p)), whichever keeps its digits (Maechler
    2012, log1mexp). Both branches see a safe argument, so that no NaN gradient leaks through `where`.
    """
    import torch

    log_p = torch.nn.functional.logsigmoid(a) + torch.nn.functional.logsigmoid(b)
    small = log_p < -0.6931472
    far = torch.log1p(-torch.exp(torch.where(small, log_p, torch.full_like(log_p, -1.0))))
    near_p = torch.where(small, torch.full_like(log_p, -0.1), log_p).clamp(max=-1e-37)
    near = torch.log(-torch.expm1(near_p))
    return -(label * log_p + (1 - label) * torch.where(small, far, near))
