"""CVR models that show the problem: clicks only, all missing as negative, and division."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from policies.base import AbstractPolicy
from policies.esmm import check_conversion
from policies.goal import GoalModel
from policies.rules import Fusion, as_scores, check_fusion, expected_revenue, prices
from policies.together import GoalModels
from policies.training import Training
from sim.records import Column, Floats, Log, Requests, Scores


class AbstractCvr(AbstractPolicy):
    """Two goal models, one of clicks and one of the conversion, and what is taken for pCVR."""

    over: ClassVar[Literal["click", "impression"]]
    fusion: Fusion
    training: Training
    conversion: str

    def __post_init__(self) -> None:
        check_conversion(self.conversion)
        check_fusion(self.fusion, self.name, ("ctr", "cvr", "ctcvr"))

    @abstractmethod
    def derived(self, ctr: Floats, learned: Floats) -> tuple[Floats, Floats]:
        """pCVR and pCTCVR from pCTR and what the conversion's model predicts, all of shape (R, C)."""

    def needs(self) -> dict[str, AbstractPolicy]:
        goal = "cvr" if self.conversion == "buy" else self.conversion
        return {"ctr": GoalModel("ctr", self.training), "conversion": GoalModel(goal, self.training, self.over)}

    def outcomes(self) -> frozenset[str]:
        return frozenset({"click", self.conversion})

    def fit_spec(self) -> dict[str, Any]:
        return {"type": self.name, "models": {name: model.fit_spec() for name, model in self.needs().items()}}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        self.models_ = GoalModels.fit(self.needs(), log, fitted)
        return self

    def assemble(self, fitted: Mapping[str, AbstractPolicy]) -> Self:
        self.models_ = GoalModels.of(fitted)
        return self

    def goals(self, requests: Requests) -> dict[str, Floats]:
        features = self.models_.features
        assert features is not None  # there are always two models
        predicted = self.models_.predict(features.inputs(requests))
        cvr, ctcvr = self.derived(predicted["ctr"], predicted["conversion"])
        return {"ctr": predicted["ctr"], "cvr": cvr, "ctcvr": ctcvr}

    def predictions(self, requests: Requests) -> dict[str, Floats]:
        return self.goals(requests)

    def fused(self, predictions: Mapping[str, Floats], requests: Requests) -> Scores:
        return as_scores(self.fusion({**predictions, "price": prices(requests)}), requests)

    def score(self, requests: Requests) -> Scores:
        return self.fused(self.predictions(requests), requests)

    def notes(self) -> list[str]:
        return self.models_.notes()

    def learned(self) -> dict[str, Column]:
        return self.models_.learned()

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.models_ = GoalModels.restore(self.needs(), learned)
        return self


@dataclass
class CvrOnClicks(AbstractCvr):
    """pCVR from clicked impressions alone, served on all: sample-selection bias (BASE of the ESMM paper).

    fusion: how ctr, cvr, ctcvr and price become a score.
    conversion: the action that pCVR is of, P(conversion | click).
    """

    name: ClassVar[str] = "cvr_on_clicks"
    over: ClassVar[Literal["click", "impression"]] = "click"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"

    def derived(self, ctr: Floats, learned: Floats) -> tuple[Floats, Floats]:
        return learned, ctr * learned


@dataclass
class AllMissingAsNegative(AbstractCvr):
    """pCVR from all impressions with the unclicked as negatives (AMAN of the ESMM paper): far too low.

    What it learns is P(click and conversion | shown); it is served as pCVR all the same.

    fusion, conversion: as for cvr_on_clicks.
    """

    name: ClassVar[str] = "aman"
    over: ClassVar[Literal["click", "impression"]] = "impression"

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"

    def derived(self, ctr: Floats, learned: Floats) -> tuple[Floats, Floats]:
        return learned, ctr * learned


@dataclass
class Division(AbstractCvr):
    """pCVR = pCTCVR / pCTR from two models that were trained apart (eq. 2 of the ESMM paper): may exceed 1.

    fusion, conversion: as for cvr_on_clicks.
    """

    name: ClassVar[str] = "division"
    over: ClassVar[Literal["click", "impression"]] = "impression"
    proper: ClassVar[bool] = False

    fusion: Fusion = field(default_factory=expected_revenue)
    training: Training = field(default_factory=Training)
    conversion: str = "buy"

    def derived(self, ctr: Floats, learned: Floats) -> tuple[Floats, Floats]:
        return learned / ctr, learned
