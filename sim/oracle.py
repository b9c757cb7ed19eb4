"""Rankers that know the truth: the best that any policy could do on one goal, and on two at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.funnel import Encounter, encounter
from sim.records import Floats, Requests, Scores
from sim.world import World

ORACLE_GOALS: Mapping[str, str] = {
    "ctr": "click",
    "ctcvr": "buy",
    "gmv": "value_cents",
    "stay": "stay_ms",
    "enjoyment": "enjoyment",
}


class Oracle:
    """Ranks by the true expected value of one goal per examined impression, unseen intent apart.

    Args:
        world: the market that is served.
        goal: ctr (clicks), ctcvr (buys), gmv (cents), stay (time) or enjoyment.
    """

    def __init__(self, world: World, goal: str) -> None:
        if goal not in ORACLE_GOALS:
            raise ValueError(f"goal must be one of {', '.join(ORACLE_GOALS)}, got {goal!r}")
        self.world, self.column = world, ORACLE_GOALS[goal]

    def score(self, requests: Requests) -> Scores:
        return expected_value(self.world, self.column, _meet(self.world, requests)).astype(np.float32)


class WeighingOracle:
    """Ranks by a weighted sum of true expected totals per examined impression; sweeping the weights draws the front.

    What adds up over impressions is ranked best by its sum, so under position-based attention and patience that
    does not depend on the items no ranker of the same candidates is better on the weighted goals within a visit;
    under the other models of attention it is close to that.

    Args:
        weights: by column of the ledger; see `additive`.
    """

    def __init__(self, world: World, weights: Mapping[str, float]) -> None:
        self.world, self.weights = world, weights

    def score(self, requests: Requests) -> Scores:
        met = _meet(self.world, requests)
        parts = [weight * expected_value(self.world, column, met) for column, weight in self.weights.items()]
        return np.sum(parts, axis=0).astype(np.float32)


def additive(column: str) -> bool:
    """Whether a column of the ledger is a sum over impressions, which `expected_value` knows."""
    return column not in _NOT_PER_IMPRESSION


_NOT_PER_IMPRESSION = ("visits", "impressions", "active_days", "returned_1", "returned_7", "users", "satisfaction")


def expected_value(world: World, column: str, met: Encounter) -> Floats:
    """What an examined impression adds to a column of the ledger in the end, in expectation; shape of `met`."""
    funnel, actions = world.funnel, world.scenario.funnel.actions
    click = funnel.attraction(met).astype(np.float64)
    match column:
        case "click":
            return click
        case "stay_ms":
            return 1000 * click * funnel.mean_stay(met)
        case "watched_milli":
            return 1e6 * click * funnel.mean_stay(met) / world.catalogue.length[met.item]
        case "enjoyment":
            return click * funnel.satisfaction(met)
        case "fit_milli":
            decided = next(action for action in actions.values() if action.decided_by)
            fit = 1 / (1 + np.exp(-funnel.fit(met).astype(np.float64)))
            return 1000 * click * funnel.probability_after_click(decided.parent, met) * fit
        case "value_cents" | "net_cents":
            return _money(world, column, click, met)
    return click * funnel.probability_after_click(column, met)


def _money(world: World, column: str, click: Floats, met: Encounter) -> Floats:
    actions = world.scenario.funnel.actions
    total = np.zeros(click.shape)
    for name, action in actions.items():
        earner = actions[action.parent] if action.refunds else action
        if earner.units and (column == "net_cents" or not action.refunds):
            chance = click * world.funnel.probability_after_click(name, met)
            worth = world.catalogue.price[met.item] * earner.mean_units() * world.people.units[met.user]
            total = total + (-1 if action.refunds else 1) * chance * worth
    return total


def _meet(world: World, requests: Requests) -> Encounter:
    row = np.searchsorted(world.people.user, requests.users.user)
    intent = np.zeros((1, 1), dtype=np.float32)
    return encounter(world.people, world.catalogue, row[:, None], requests.candidates, intent)
