"""Inverse propensity weighting of clicks by slot (Wang et al., SIGIR 2016; Joachims et al., WSDM 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from policies.base import AbstractPolicy
from policies.debiased import AbstractDebiased
from policies.examination import given, harvested
from policies.features import Features
from policies.regression_em import EM_EPOCHS, EM_PATIENCE, RegressionEM
from policies.training import Training
from sim.records import Floats, Log

if TYPE_CHECKING:
    from policies.debiasing import Learned


@dataclass
class IPW(AbstractDebiased):
    """A click at slot k counts w = 1 / theta_k times, and takes the place of w - 1 skips that nobody saw.

    The loss of a row is w c l(1) + (1 - w c) l(0): with the true theta, and no weight clipped, its expectation is that
    of the relevance itself (Saito et al., WSDM 2020, their unbiased pointwise loss). Weighting clicks alone, as
    pairwise losses do, would learn the odds g / (1 - theta g). ctr is that of slot 0.

    examination: where theta is from: em, a regression_em of the same training but its own epochs; harvest, items that
        the log's own exploration moved between slots, for which what ranked must know no more of users than their
        segment; or a list of numbers, by slot, known up to a constant.
    clip: the largest weight.
    self_normalised: weights are scaled to a mean of 1 over the clicks (Swaminathan and Joachims, 2015), so that the
        size of a step does not depend on theta; ctr is then that of the slot where the average click is.
    """

    name: ClassVar[str] = "ipw"
    learns_besides: ClassVar[bool] = True

    examination: Literal["em", "harvest"] | list[float] = "em"
    clip: Annotated[float, Ge(1)] = 20.0  # above the 1 / .09 of the tenth result in Joachims' eye tracking
    self_normalised: bool = False
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        if not isinstance(self.examination, str) and not (
            self.examination and all(0 < theta < np.inf for theta in self.examination)
        ):
            raise ValueError(
                f"examination must be em, harvest or numbers > 0, one for each slot, got {self.examination}; "
                f"a slot that nobody looks at has no clicks to weigh, try 0.01"
            )

    def needs(self) -> dict[str, AbstractPolicy]:
        return {"examination": self._em()} if self.examination == "em" else {}

    def learn(self, log: Log, features: Features, fitted: Mapping[str, AbstractPolicy]) -> Learned:
        from policies.debiasing import Reweighted, fit_clicks

        theta = self._theta(log, fitted)
        weight = self._weights(theta, log)
        rows, schema = features.training_rows(log), features.schema()
        return fit_clicks(
            log, rows, schema, self.training, self.seed(), lambda lesson: Reweighted(lesson, weight, theta)
        )

    def _theta(self, log: Log, fitted: Mapping[str, AbstractPolicy]) -> Floats:
        """Examination by slot relative to slot 0, shape (n_slots,)."""
        if self.examination == "harvest":
            return harvested(log)
        if self.examination != "em":
            return given(self.examination, int(log.slot.max()) + 1)
        curve = (fitted.get("examination") or self._em().fit(log)).attention()
        assert curve is not None
        return curve

    def _weights(self, theta: Floats, log: Log) -> Floats:
        """Of a click by slot, shape (n_slots,)."""
        weight = np.minimum(1 / theta, self.clip)
        if self.self_normalised:
            weight = weight / weight[log.slot[log["click"] > 0]].mean()
        return weight

    def _em(self) -> RegressionEM:
        return RegressionEM(replace(self.training, epochs=EM_EPOCHS, patience=EM_PATIENCE))
