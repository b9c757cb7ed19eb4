"""The scorecard of a run: how good each policy's predictions are, on the log and beside the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.plain import nulled


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One policy's predictions of one goal, on one set of impressions. NaN where a number has no meaning.

    policy: the arms that it serves. goal: what is predicted: ctr, cvr, ctcvr, stay, an action, or `score`, the order
        itself. outcome: the action or amount that it is of.
    against: log, what happened in the end on impressions that no policy learned from; or truth, the probabilities of
        the same impressions. ctr is predicted of an item in the top slot, and so is the truth that it is held against;
        the log holds it against clicks wherever the item stood, so its log loss and ratio there carry the slots.
    impressions: all, clicked, or requests (whole ones, each with all its candidates).
    auc: of `score`, the mean within requests; against the truth, expected over what could have happened.
    auc_best: the same of whoever knows the truth, the hidden intent included: the most that there is.
    ratio: mean prediction over mean truth. ece: expected calibration error, of 10 bins.
    above_one: share of predictions above 1. ndcg: at 10, gain = the true value of the candidate.
    """

    policy: str
    goal: str
    outcome: str
    against: str
    impressions: str
    n: int
    auc: float
    auc_best: float
    log_loss: float
    spearman: float
    mean_prediction: float
    mean_truth: float
    ratio: float
    above_one: float
    ece: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One bin of a reliability curve: mean prediction and mean truth of n impressions."""

    policy: str
    goal: str
    outcome: str
    impressions: str
    bin: int
    n: int
    mean_prediction: float
    mean_truth: float


@dataclass(frozen=True, slots=True)
class AttentionPoint:
    """How much likelier a slot is to be looked at than the top one, as a policy inferred it and in truth."""

    policy: str
    slot: int
    inferred: float
    true: float


@dataclass(frozen=True, slots=True)
class Scorecard:
    """All policies judged on the same impressions.

    value: what NDCG weighs, a column of the ledger. hidden_intent: sd of the mood that drives click and what follows,
    and that no log tells. shared: whether users of the run share something, which the judged impressions do not.
    """

    rows: tuple[ScoreRow, ...]
    reliability: tuple[CurvePoint, ...]
    attention: tuple[AttentionPoint, ...]
    value: str
    hidden_intent: float
    shared: bool

    @property
    def policies(self) -> list[str]:
        """In the order of the arms."""
        return list(dict.fromkeys(row.policy for row in self.rows))

    def find(self, policy: str, goal: str, against: str = "truth", impressions: str = "all") -> ScoreRow | None:
        """The row of a policy's goal on one set of impressions; None if it has none."""
        wanted = (policy, goal, against, impressions)
        return next((r for r in self.rows if (r.policy, r.goal, r.against, r.impressions) == wanted), None)

    def attention_error(self, policy: str) -> float:
        """Mean absolute error of the inferred curve below the top slot, where both are 1 by definition."""
        points = [point for point in self.attention if point.policy == policy and point.slot > 0]
        return float(np.mean([abs(p.inferred - p.true) for p in points])) if points else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that is not there is null."""
        return {
            "value": self.value,
            "rows": [nulled(asdict(row)) for row in self.rows],
            "reliability": [nulled(asdict(point)) for point in self.reliability],
            "attention": [nulled(asdict(point)) for point in self.attention],
            "attention_error": nulled({policy: self.attention_error(policy) for policy in self.policies}),
        }
