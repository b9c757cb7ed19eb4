"""ESCM2: entire-space CVR with inverse propensities or doubly robust (Wang et al., SIGIR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from policies.balance import Balance, Fixed
from policies.chain import Chain
from policies.esmm import AbstractEntireSpace
from policies.rules import Fusion, expected_revenue
from policies.training import Training

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class ESCM2(AbstractEntireSpace):
    """L = L_ctr + L_ctcvr + lambda_c L_cvr, where L_cvr estimates the loss of pCVR over all impressions.

    With z the click, y the conversion, e the cross-entropy of pCVR and p the pCTR, detached and held above `clip`:
    ips, L_cvr = mean of z e / p; dr, L_cvr = mean of e_hat + z (e - e_hat) / p, with an imputation head that learns
    by the mean of z (e - e_hat)^2 / p. In the paper that head predicts e itself, and then pCVR's own gradient is
    that of ips; here it predicts the label q, with e_hat the cross-entropy of pCVR against q. Unbiased only where
    nothing unseen drives click and conversion together.

    fusion, conversion: as for esmm. estimator: ips or dr.
    lambda_c: weight of L_cvr; the paper takes 0.1 to 1. clip: least propensity.
    balance: of the losses of click and conversion, beside L_cvr; lambda_g of the paper is the conversion's weight.
    """

    name: ClassVar[str] = "escm2"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"
    estimator: Literal["ips", "dr"] = "ips"
    lambda_c: Annotated[float, Ge(0)] = 0.1
    clip: Annotated[float, Gt(0), Lt(1)] = 0.01
    balance: Balance = field(default_factory=Fixed)

    def chain(self) -> Chain:
        base = super().chain()
        if self.estimator == "ips":
            return base
        return Chain(base.events, base.goals, {**base.stops, "imputed": self.conversion})

    def more_losses(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        clicked, bought, cvr = labels["click"], labels[self.conversion], logits["cvr"]
        weight = clicked / torch.sigmoid(logits["ctr"].detach()).clamp(min=self.clip)
        error = cross_entropy(cvr, bought, reduction="none")
        if self.estimator == "ips":
            return {"cvr": self.lambda_c * (weight * error).mean()}
        guess = cross_entropy(cvr, torch.sigmoid(logits["imputed"].detach()), reduction="none")
        robust = (guess + weight * (error - guess)).mean()
        fixed = cvr.detach()
        imputed = cross_entropy(fixed, torch.sigmoid(logits["imputed"]), reduction="none")
        imputation = (weight * (error.detach() - imputed).square()).mean()
        return {"cvr": self.lambda_c * robust, "imputation": self.lambda_c * imputation}
