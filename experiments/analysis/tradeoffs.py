"""What each arm gains on one goal and pays on another, and how sure that is: all read from the joint lifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.dominance_claims import Dominance, dominance_claims
from experiments.analysis.draws import joint_draws
from experiments.analysis.ellipse import Ellipse, ellipses
from experiments.analysis.exchange import ExchangeRate, exchange_rates
from experiments.analysis.front import dominated, front_shares
from experiments.analysis.hypervolume import Hypervolume, hypervolume
from experiments.analysis.weightmap import WeightMap, weight_map


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """The arms on the declared goals, higher being better. The control is one of them, with lifts of exactly 0.

    goals: two or more; ellipses, weights, exchange rates and hypervolume are of the first two.
    arms: the control first, then the challengers whose goals can all be told.
    ellipses: by challenger.
    on_front: by arm, the probability, over draws with a flat prior, that no other arm dominates it on all goals.
    dominated: by arm, that some other arm does; 1 - on_front. Neither is a test: see dominances.
    plug_in: the arms on the front of the estimates; of equal arms, some are off it nearly always.
    dominances: what can be claimed of all pairs together with a false claim in alpha of experiments, or nearly so.
    """

    goals: tuple[str, ...]
    arms: tuple[str, ...]
    ellipses: Mapping[str, Ellipse]
    on_front: Mapping[str, float]
    dominated: Mapping[str, float]
    plug_in: tuple[str, ...]
    dominances: tuple[Dominance, ...]
    weights: WeightMap
    exchange: tuple[ExchangeRate, ...]
    hypervolume: Hypervolume


def tradeoff(lifts: JointLifts, goals: Sequence[str], *, alpha: float) -> Tradeoff | None:
    """Everything about the goals that one metric alone cannot tell; None where there is nothing to trade.

    Args:
        goals: in order of importance. With fewer than two, or no challenger known on all of them, there is None.
        alpha: of all claims of dominance together, and of every exchange rate and quantile by itself.
    """
    if len(goals) < 2:
        return None
    lifts = lifts.only(metrics=goals)
    if not lifts.known():
        return None
    lifts = lifts.only(arms=lifts.known())
    arms = (lifts.control, *lifts.arms)
    drawn = joint_draws(lifts)
    point = np.vstack([np.zeros(len(goals)), lifts.lift])
    shares = dict(zip(arms, front_shares(drawn).tolist(), strict=True))
    beaten = dominated(point[:, :, None])[:, 0]
    return Tradeoff(
        tuple(goals),
        arms,
        ellipses(lifts),
        shares,
        {arm: 1 - share for arm, share in shares.items()},
        tuple(arm for arm, off in zip(arms, beaten, strict=True) if not off),
        dominance_claims(lifts, alpha),
        weight_map(arms, point[:, :2], drawn[:, :2]),
        exchange_rates(lifts, alpha),
        hypervolume(point[:, :2], drawn[:, :2], alpha),
    )
