"""Stacking: what impressions turned out to be worth, regressed on what goal models predict of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import numpy as np

from policies.base import AbstractPolicy, check_actions, check_enough, check_has, check_log
from policies.features import Features, Inputs
from policies.goal import LEAST_POSITIVES
from policies.regression import Line, least_squares, logistic
from policies.rules import as_scores, prices
from policies.together import GoalModels, models_of, outcomes_of_models
from policies.training import Training
from sim.records import Bools, Column, Floats, Ints, Log, Requests, Scores, is_action

HEAVIEST = 100.0  # one click stands for at most so many impressions
_UNITS: Mapping[str, float] = {"value": 100, "refund": 100, "stay": 1000}  # cents and milliseconds of a log


@dataclass
class Stacking(AbstractPolicy):
    """Goal models, and a regression of what an impression was worth on what they predict of it.

    The regression learns from the last part of the log, by time, that the goal models kept for validation
    (`training.validation_share`) and so did not train on. What the user and the pair did before a row comes from
    the other half of the log; what the goal models know of an item is the whole log's, as when they serve. Where
    outcomes come late, such as orders, that part of the log has fewer of them than it will have.

    What follows a click is not known of an impression without one. `missing` says what is done about that, and
    so what is learned.

    target: worth by outcome: of an action, each time it happened; of value and refund, each currency unit; of
        stay, each second. {click: 0.1, buy: 5}, or {value: 1, refund: -1}.
    inputs: goals (ctr, cvr, ctcvr, stay, any other action of the log as P(action | click)), price, and products
        of these such as ctcvr*price.
    link: linear regresses the worth. logistic regresses the log-odds that any action of the target happened;
        their worths must then be 1.
    missing: what is done about impressions without a click. impressions: the worth of every impression, 0 where
        nothing happened, so that nothing is missing. inverse_ctr: the worth of a click, on clicked impressions that
        weigh 1 / predicted ctr (at most 100) and so stand for all, each as far as its slot is looked at; what it
        ranks by is worth once clicked.
        two_part: the worth of a click, on clicked impressions as they are, times the predicted ctr.
    """

    name: ClassVar[str] = "stacking"
    learns_besides: ClassVar[bool] = True

    target: Mapping[str, float]
    inputs: tuple[str, ...] = ("ctr", "cvr", "ctcvr", "price")
    link: Literal["linear", "logistic"] = "linear"
    missing: Literal["impressions", "inverse_ctr", "two_part"] = "impressions"
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        _check_target(self.target, self.link)
        if self.link == "logistic" and self.missing != "impressions" and "click" in self.target:
            raise ValueError(
                f"target must not hold click where clicked impressions alone are learned from ({self.missing}): each "
                f"has one, got {dict(self.target)}; drop it, or missing: impressions"
            )
        self._factors = [tuple(name.strip() for name in text.split("*")) for text in self.inputs]
        if not self._factors or not all(name.isidentifier() for names in self._factors for name in names):
            raise ValueError(f"inputs must be goals or products such as ctr*cvr, got {list(self.inputs)}")
        if len(set(self._factors)) < len(self._factors):
            raise ValueError(f"inputs must differ, got {list(self.inputs)}; name each once")
        self.needs()  # refuses goals that no log can have

    def needs(self) -> dict[str, AbstractPolicy]:
        asked = {name for names in self._factors for name in names}
        return models_of(asked if self.missing == "impressions" else asked | {"ctr"}, self.training)

    def outcomes(self) -> frozenset[str]:
        return outcomes_of_models(self.needs()) | {"click", *self.target}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        check_log(log, {"click": LEAST_POSITIVES})
        check_has(log, sorted(self.target))
        self.models_ = GoalModels.fit(self.needs(), log, fitted)
        unseen = self._unseen(log)
        rows = np.flatnonzero(unseen if self.missing == "impressions" else unseen & (log["click"] > 0))
        happened = np.any([log[name][rows] > 0 for name in self.target], axis=0)
        self._check_enough(happened)
        values = self._values(log, rows)
        weight = 1 / np.maximum(values["ctr"], 1 / HEAVIEST) if self.missing == "inverse_ctr" else np.ones(len(rows))
        x = self._columns(values)
        if self.link == "logistic":
            self.line_ = logistic(x, happened.astype(np.float64), weight)
        else:
            self.line_ = least_squares(x, self.worth(log)[rows], weight)
        self.notes_ = [self._told(len(rows), float((weight >= HEAVIEST).mean()))]
        return self

    def worth(self, log: Log) -> Floats:
        """What every impression turned out to be worth, 0 where nothing happened; shape (n,)."""
        return np.sum([w * log[name] / _UNITS.get(name, 1) for name, w in sorted(self.target.items())], axis=0)

    def goals(self, requests: Requests) -> dict[str, Floats]:
        features = self.models_.features
        return self.models_.predict(features.inputs(requests)) if features else {}

    def score(self, requests: Requests) -> Scores:
        values = self.goals(requests) | {"price": prices(requests)}
        line = self.line_(self._columns(values))
        if self.missing != "two_part":
            return as_scores(line, requests)
        given_click = 1 / (1 + np.exp(-np.clip(line, -80, 80))) if self.link == "logistic" else line
        return as_scores(values["ctr"] * given_click, requests)

    def notes(self) -> list[str]:
        return [*self.models_.notes(), *self.notes_]

    def learned(self) -> dict[str, Column]:
        return self.models_.learned() | {
            "stack_intercept": np.array(self.line_.intercept),
            "stack_coefficients": self.line_.coefficients,
            "stack_errors": self.line_.errors,
            "stack_notes": np.array(self.notes_, dtype=np.str_),
        }

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.models_ = GoalModels.restore(self.needs(), learned)
        of_line = [learned[f"stack_{name}"].astype(np.float64) for name in ("intercept", "coefficients", "errors")]
        self.line_ = Line(float(of_line[0]), *of_line[1:])
        self.notes_ = learned["stack_notes"].tolist()
        return self

    def _unseen(self, log: Log) -> Bools:
        """Rows later than any that a goal model trained on; shape (n,).

        Each model splits the rows it learns from, all or the clicked ones, at its own quantile of time.
        """
        share = 1 - self.training.validation_share
        clicked = log.time[log["click"] > 0]
        return log.time > max(np.quantile(log.time, share), np.quantile(clicked, share))

    def _check_enough(self, happened: Bools) -> None:
        among = "among those that no goal model trained on"
        check_enough(f"{' or '.join(self.target)} {among}", happened, LEAST_POSITIVES)
        if self.link == "logistic":
            given = "" if self.missing == "impressions" else "a click but "
            check_enough(f"{given}no {' or '.join(self.target)} {among}", ~happened, LEAST_POSITIVES)

    def _values(self, log: Log, rows: Ints) -> dict[str, Floats]:
        """Goals by name as predicted of these rows, and the price; each of shape (len(rows),)."""
        features = self.models_.features
        predicted = self.models_.predict(_one_candidate_each(features, log, rows)) if features else {}
        return {goal: value[:, 0] for goal, value in predicted.items()} | {"price": log.price[rows] / 100}

    def _columns(self, values: Mapping[str, Floats]) -> Floats:
        """The regression's inputs side by side, shape (..., K)."""
        return np.stack([np.prod([values[name] for name in names], axis=0) for names in self._factors], axis=-1)

    def _told(self, n: int, heaviest: float) -> str:
        """The regression in words."""
        what = " + ".join(f"{w:g} {name}" for name, w in self.target.items()).replace("+ -", "- ")
        what = f"log-odds of {' or '.join(self.target)}" if self.link == "logistic" else what
        rows = {
            "impressions": f"{n} impressions, 0 where nothing happened",
            "inverse_ctr": f"{n} clicked impressions that weigh 1/ctr, {heaviest:.0%} of them held at {HEAVIEST:g}",
            "two_part": f"{n} clicked impressions; the score is ctr times it",
        }[self.missing]
        fitted = zip(self.line_.coefficients, self.line_.errors, self.inputs, strict=True)
        terms = "".join(f" {b:+.3g} (se {error:.2g}) {text}" for b, error, text in fitted)
        return f"regression ({self.missing}): {what} = {self.line_.intercept:.3g}{terms}, on {rows}"


def _check_target(target: Mapping[str, float], link: str) -> None:
    if not target:
        raise ValueError("target must name at least one outcome, got none; try {click: 0.1, buy: 5}")
    check_actions("target", [name for name in target if name not in _UNITS])
    wrong = {name: w for name, w in target.items() if not np.isfinite(w) or w == 0}
    if wrong:
        raise ValueError(f"target must give finite worths other than 0, got {wrong}; drop what is worth nothing")
    if link == "logistic" and (set(target.values()) != {1} or not all(is_action(name) for name in target)):
        raise ValueError(
            f"target must be actions with a worth of 1 for a logistic link, which learns whether any of them happened, "
            f"got {dict(target)}; try {{buy: 1}}, or link: linear"
        )


def _one_candidate_each(features: Features, log: Log, rows: Ints) -> Inputs:
    """What goal models see of rows of the log they learned from: requests of one candidate."""
    seen = features.training_rows(log).take(rows)
    return Inputs(seen.user, seen.segment, seen.user_dense, seen.item[:, None], seen.pair_dense[:, None, :])
