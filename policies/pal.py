"""Position-bias aware learning: p(click | x, slot) = p(seen | slot) p(click | x, seen) (Guo et al., RecSys 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from policies.base import AbstractPolicy
from policies.debiased import AbstractDebiased
from policies.features import Features
from policies.training import Training
from sim.records import Log

if TYPE_CHECKING:
    from policies.debiasing import Learned


@dataclass
class PAL(AbstractDebiased):
    """Two nets, their product learned from clicks as one; only p(click | x, seen) is served.

    The product is known up to a constant, so slot 0 counts as seen and ctr is that of slot 0. No slot can then be
    looked at more than slot 0. With one slot it is the plain model of clicks.
    """

    name: ClassVar[str] = "pal"

    training: Training = field(default_factory=Training)

    def learn(self, log: Log, features: Features, fitted: Mapping[str, AbstractPolicy]) -> Learned:
        from policies.debiasing import Product, fit_clicks

        return fit_clicks(log, features.training_rows(log), features.schema(), self.training, self.seed(), Product)
