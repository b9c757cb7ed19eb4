"""What is learned from a log once, and serves every target and estimator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.offpolicy.arrivals import DRAWS, Placement, placement
from experiments.offpolicy.examination import MOST_ABOVE, Examination, conditional, given_attraction, poisson_em
from experiments.offpolicy.outcomes import expected_of_shown, expected_rewards
from experiments.offpolicy.slates import CLICK, Slates
from sim.records import Floats

_ROUNDS = 3  # of attraction and examination in turn; of a cascade, the third moved theta by .002, a fourth by .0005


@dataclass(frozen=True)
class Evidence:
    """Examination, propensities and outcome models of a log, each made when first asked for.

    rewards: names of J rewards. reading: whether examination depends on the clicks above.
    n_draws: Monte-Carlo draws of propensities. n_folds: of the outcome model. seed: of both.
    """

    slates: Slates
    rewards: tuple[str, ...]
    reading: bool = False
    n_draws: int = DRAWS
    n_folds: int = 2
    seed: int = 0

    @cached_property
    def examination(self) -> Examination:
        if self.reading:
            return self._of_readers()
        return conditional(self.slates, seed=self.seed, n_draws=self.n_draws)

    def _of_readers(self) -> Examination:
        found = poisson_em(self.slates, given_clicks_above=True)
        for _ in range(_ROUNDS):
            examined = found.of_rows(self.slates)
            mu = expected_of_shown(self.slates, CLICK, examined, n_folds=self.n_folds, seed=self.seed)
            found = given_attraction(self.slates, mu, found)
        return found

    @cached_property
    def theta(self) -> Floats:
        """Examination by rank relative to the top, shape (K,)."""
        return self.examination.of_rank(self.slates)

    @cached_property
    def examined(self) -> Floats:
        """Examination of each impression given what is known of it, shape (n,)."""
        return self.examination.of_rows(self.slates)

    @cached_property
    def placed(self) -> Placement:
        rank = self.slates.rows.rank
        phi = np.bincount(rank, self.examination.above[np.minimum(self.slates.clicks_above, MOST_ABOVE)])
        mean_phi = phi / np.bincount(rank)  # under logging; 1 in the position-based model
        return placement(self.slates, self.theta * mean_phi, seed=self.seed, n_draws=self.n_draws)

    @cached_property
    def earned(self) -> Floats:
        """Rewards by impression, shape (n, J)."""
        return np.stack([self.slates.of_rows(name) for name in self.rewards], axis=1)

    @cached_property
    def mu(self) -> Floats:
        """Expected rewards of examined candidates, shape (R, C, J)."""
        return expected_rewards(self.slates, self.rewards, self.examined, n_folds=self.n_folds, seed=self.seed)

    @cached_property
    def mu_shown(self) -> Floats:
        """mu of each impression, shape (n, J)."""
        return self.mu[self.slates.rows.request, self.slates.rows.candidate]

    @cached_property
    def mu_click(self) -> Floats:
        """P(click | examined) of all candidates, at most 1 over the largest examination; shape (R, C)."""
        if CLICK in self.rewards:
            return np.minimum(self.mu[:, :, self.rewards.index(CLICK)], 1.0)
        mu = expected_rewards(self.slates, (CLICK,), self.examined, n_folds=self.n_folds, seed=self.seed)
        return np.minimum(mu[:, :, 0], 1.0)
