"""Regression-EM: examination and relevance by expectation maximisation (Wang et al., WSDM 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from policies.base import AbstractPolicy
from policies.debiased import AbstractDebiased
from policies.features import Features
from policies.training import Training
from sim.records import Log

if TYPE_CHECKING:
    from policies.debiasing import Learned

# EM is slow: at a slot where theta is .3, a skip moves g by 30 % of what it would at the top.
EM_EPOCHS, EM_PATIENCE = 20, 2
MOVING = 0.02  # of slot 0's attention; less is within what a log of some thousand clicks can tell


@dataclass
class RegressionEM(AbstractDebiased):
    """Click = examined(slot) and relevant(x), P = theta_slot g(x); both learned in turn, g served.

    An epoch of training is the regression of the M step, warm-started, on the soft relevance of the E step (the paper
    draws it as 0 or 1); after it theta is the most likely one given g, and the next E step is taken. The best epoch is
    that of the best likelihood of clicks. Relative to slot 0: theta_0 = 1, no slot is above it, and ctr is g.
    """

    name: ClassVar[str] = "regression_em"

    training: Training = field(default_factory=lambda: Training(epochs=EM_EPOCHS, patience=EM_PATIENCE))

    def learn(self, log: Log, features: Features, fitted: Mapping[str, AbstractPolicy]) -> Learned:
        from policies.debiasing import SoftRelevance, fit_clicks

        rows = features.training_rows(log)
        learned = fit_clicks(log, rows, features.schema(), self.training, self.seed(), SoftRelevance)
        moved = np.abs(np.diff(learned.curves[-2:], axis=0)).max(initial=0)
        if moved <= MOVING:
            return learned
        note = (
            f"attention still moved by {moved:.2f} of slot 0's in the last of {len(learned.curves)} steps; "
            f"raise training.epochs or patience"
        )
        return replace(learned, notes=[*learned.notes, note])
