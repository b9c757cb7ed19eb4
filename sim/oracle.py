"""The ranker that knows the truth: the best that any policy could do on one goal."""

from __future__ import annotations

import numpy as np

from sim.funnel import Encounter, encounter
from sim.records import Floats, Requests, Scores
from sim.world import World

ORACLE_GOALS = ("ctr", "ctcvr", "gmv", "stay", "enjoyment")


class Oracle:
    """Ranks by the true expected value of one goal per examined impression, unseen intent apart.

    Args:
        world: the market that is served.
        goal: ctr (clicks), ctcvr (buys), gmv (cents), stay (seconds) or enjoyment.
    """

    def __init__(self, world: World, goal: str) -> None:
        if goal not in ORACLE_GOALS:
            raise ValueError(f"goal must be one of {', '.join(ORACLE_GOALS)}, got {goal!r}")
        self.world = world
        self.goal = goal

    def score(self, requests: Requests) -> Scores:
        row = np.searchsorted(self.world.people.user, requests.users.user)
        intent = np.zeros((1, 1), dtype=np.float32)
        met = encounter(self.world.people, self.world.catalogue, row[:, None], requests.candidates, intent)
        return (self.world.funnel.attraction(met) * self._after_click(met)).astype(np.float32)

    def _after_click(self, met: Encounter) -> Floats:
        funnel = self.world.funnel
        match self.goal:
            case "ctcvr":
                return funnel.probability_after_click("buy", met)
            case "gmv":
                return funnel.probability_after_click("buy", met) * self.world.catalogue.price[met.item]
            case "stay":
                return funnel.mean_stay(met)
            case "enjoyment":
                return 1 / (1 + np.exp(-funnel.enjoyment(met).astype(np.float64)))
        return np.ones(met.match.shape)
