"""Lifts of targets over a base, from one log by one estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from experiments.metrics import nearest
from experiments.offpolicy.arrivals import DRAWS
from experiments.offpolicy.clickmodel import ClickModelTest, click_model_test
from experiments.offpolicy.estimators import CLIP, ESTIMATORS, Estimator
from experiments.offpolicy.evidence import Evidence
from experiments.offpolicy.overlap import LEAST_COVERED, LEAST_ESS, Overlap, overlap
from experiments.offpolicy.ratios import Estimates, Ratio, Sum, estimates, interval, lifts, ratio
from experiments.offpolicy.slates import Slates
from experiments.offpolicy.targets import target_of
from sim.records import Floats, Ints

COUNTED = ("impressions", "requests", "users")  # do not depend on the target: the same requests, read as far
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Valued:
    """One target. columns: totals by user under it, by name, shape (n_users,). metrics: ratios of their sums."""

    columns: Mapping[str, Floats]
    metrics: Estimates
    overlap: Overlap
    refused: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Lifts of a target over a base, as fractions: 0.02 is +2 %.

    names: of M metrics. lifts: shape (M,). influence: shape (n_users, M); the covariance of lifts, of two targets
        too, is the product of their influences summed over users.
    target, base: what either earns by itself. refused: why the lifts should not be used, or None.
    """

    names: tuple[str, ...]
    lifts: Floats
    influence: Floats
    target: Valued
    base: Valued
    refused: str | None
    warnings: tuple[str, ...] = ()

    @property
    def se(self) -> Floats:
        """Standard errors of the lifts, clustered by user, shape (M,)."""
        return np.sqrt((self.influence**2).sum(axis=0))

    def interval(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Delta-method intervals, each of shape (M,)."""
        return interval(Estimates(self.lifts, self.influence), alpha)

    @property
    def diagnostics(self) -> Mapping[str, Overlap]:
        return {"target": self.target.overlap, "base": self.base.overlap}


@dataclass(frozen=True)
class Evaluator:
    """Evaluates targets on one log; examination, propensities and outcome models are made once.

    A target that was fitted on the same rows is flattered: it shows what happened to be clicked, and the log agrees.
    Fit on some users and evaluate on others (`slates_of(..., without=...)`); an order by clicks over expected clicks of
    4,000 items, fitted on the log that judged it, was given a lift of CTR of +11 % where the truth was -10 %.

    Args:
        metrics: by name, (numerator, denominator): rewards of the slates, or impressions, requests, users.
        estimator: by name out of `ESTIMATORS`; `auto` takes dr, and reading_dr where the log says that people read
            from the top down.
        clip: weights of doubly robust estimators are cut there.
        least_ess, least_covered: below them a target is refused.
    """

    slates: Slates
    metrics: Mapping[str, tuple[str | Sum, str | Sum] | Ratio]
    estimator: str = "dr"
    clip: float = CLIP
    n_draws: int = DRAWS
    n_folds: int = 2
    seed: int = 0
    least_ess: float = LEAST_ESS
    least_covered: float = LEAST_COVERED

    def __post_init__(self) -> None:
        if self.estimator not in (*ESTIMATORS, AUTO):
            raise ValueError(
                f"estimator: {nearest(self.estimator, ESTIMATORS)}must be one of {', '.join(ESTIMATORS)} or {AUTO}, "
                f"got {self.estimator!r}"
            )
        known = (*self.slates.rewards, *COUNTED)
        for name, r in self.ratios.items():
            for column in r.columns:
                if column not in known:
                    raise ValueError(
                        f"metrics.{name}: must be made of what the log holds ({', '.join(known)}), got {column!r}; "
                        f"leave the metric out"
                    )

    @cached_property
    def ratios(self) -> dict[str, Ratio]:
        return {name: r if isinstance(r, Ratio) else ratio(*r) for name, r in self.metrics.items()}

    @cached_property
    def rewards(self) -> tuple[str, ...]:
        """Rewards that the metrics are made of."""
        used = [column for r in self.ratios.values() for column in r.columns]
        return tuple(dict.fromkeys(column for column in used if column not in COUNTED))

    @cached_property
    def glances(self) -> Evidence:
        """What the log says if slots are looked at in glances."""
        return Evidence(self.slates, self.rewards, False, self.n_draws, self.n_folds, self.seed)

    @cached_property
    def click_model(self) -> ClickModelTest:
        """Whether clicks above matter."""
        return click_model_test(self.glances)

    @cached_property
    def chosen(self) -> str:
        """Name of the estimator in use."""
        if self.estimator != AUTO:
            return self.estimator
        return "reading_dr" if self.click_model.fires else "dr"

    @cached_property
    def readings(self) -> Evidence:
        """What the log says if pages are read from the top down."""
        return Evidence(self.slates, self.rewards, True, self.n_draws, self.n_folds, self.seed)

    @property
    def evidence(self) -> Evidence:
        return self.readings if self._how.reads else self.glances

    def by(self, estimator: str) -> Evaluator:
        """The same by another estimator, which shares what was learned from the log."""
        other = replace(self, estimator=estimator)
        other.__dict__.update(glances=self.glances, readings=self.readings, click_model=self.click_model)
        return other

    @property
    def _how(self) -> Estimator:
        return ESTIMATORS[self.chosen]

    def value(self, target: Ints | Floats) -> Valued:
        """What a target earns: an order (R, K) of whole numbers, or exposures (R, C)."""
        clip = self.clip if self._how.clips else np.inf
        it = target_of(self.slates, target)
        weights = self._how.weights(self.evidence, it)
        totals = self._how.totals(self.evidence, it, np.minimum(weights.weight, clip))
        columns = self._counted | {
            name: np.bincount(self.slates.users[1], totals[:, j]).astype(np.float64)
            for j, name in enumerate(self.rewards)
        }
        seen = overlap(self.slates, weights, clip)
        return Valued(columns, estimates(self.ratios, columns), seen, seen.doubt(self.least_ess, self.least_covered))

    def lifts(self, target: Ints | Floats, base: Ints | Floats) -> Found:
        """Lifts of one target over another, both by the same estimator."""
        return self.compare(self.value(target), self.value(base))

    def compare(self, target: Valued, base: Valued) -> Found:
        """The same of what `value` returned, so that a base is valued once."""
        found = lifts(target.metrics, base.metrics)
        doubts = {"target": target.refused, "base": base.refused}
        refused = next((f"{which}: {why}" for which, why in doubts.items() if why), None)
        if refused is None and not np.isfinite(found.value).all():
            worst = [name for name, lift in zip(self.ratios, found.value, strict=True) if not np.isfinite(lift)]
            refused = (
                f"cannot tell: the base must earn something to be lifted, its {worst[0]} is estimated at 0 or less"
            )
        return Found(
            tuple(self.ratios), found.value, found.influence, target, base, refused, self._warned(target, base)
        )

    def _warned(self, target: Valued, base: Valued) -> tuple[str, ...]:
        each = {"target": target.overlap.warning, "base": base.overlap.warning}
        return (*self.warnings, *(f"{which}: {line}" for which, line in each.items() if line))

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know whatever the target."""
        if not self._how.reads and self.click_model.fires:
            return (self.click_model.sentence,)
        return ()

    @cached_property
    def _counted(self) -> dict[str, Floats]:
        of_request = self.slates.users[1]
        n = len(self.slates.users[0])
        requests = np.bincount(of_request).astype(np.float64)
        return {
            "impressions": np.bincount(of_request, self.slates.depth).astype(np.float64),
            "requests": requests,
            "users": np.ones(n),
        }
