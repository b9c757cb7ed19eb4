"""What people do with an item they look at: the funnel's probabilities, and its draws.

Every reaction (an action's log-odds, the log of a stay, the logit of enjoyment) is linear in the same
drivers, so one `Response` serves them all. Probabilities are functions apart from the draws.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from sim import draws
from sim.actions import Drivers, FunnelSpec
from sim.catalogue import Catalogue
from sim.people import People, match
from sim.records import Bools, Floats, Ints

F32 = NDArray[np.float32]
LONGEST = np.log(1e9)  # log seconds of a stay, some 30 years: beyond 2**63 milliseconds it would wrap around
CERTAIN = 40.0  # log-odds whose probability is 1 in float32, and whose complement no 52-bit luck can reach


@dataclass(frozen=True, slots=True)
class Encounter:
    """People facing items, with the drivers that belong to the pair; all shapes broadcast together.

    match: how well the item suits the person at first sight. after: how well it suits them once they know it;
        the same array unless the goals of the world are in conflict.
    novelty: log-odds added to a click because the ranking is new to the person; None for nothing.
    """

    user: Ints
    item: Ints
    match: F32
    after: F32
    price: F32
    intent: F32
    novelty: F32 | None = None

    def at(self, where: Bools | Ints) -> Encounter:
        """Encounters picked from a flat struct; novelty is left behind with the clicks that it moved."""
        match = self.match[where]
        after = match if self.after is self.match else self.after[where]
        return Encounter(self.user[where], self.item[where], match, after, self.price[where], self.intent[where])

    def picked(self, where: tuple[Ints, ...]) -> Encounter:
        """Encounters picked by index from a struct whose shapes broadcast, as a flat one."""
        shape = self.match.shape
        flat = [np.broadcast_to(getattr(self, f.name), shape)[where] for f in fields(self)[:6]]
        after = flat[2] if self.after is self.match else flat[3]
        return Encounter(flat[0], flat[1], flat[2], after, flat[4], flat[5])


def encounter(people: People, catalogue: Catalogue, user: Ints, item: Ints, intent: F32) -> Encounter:
    """Let users (rows of people) meet items; shapes broadcast, such as (pages, 1) and (pages, slots)."""
    # take, not [...]: of rows of 8 it costs 3 ns each instead of 30.
    taste = people.taste.take(user, axis=0)
    suits = match(taste, catalogue.topic.take(item, axis=0))
    aligned = catalogue.inner_topic is catalogue.topic
    after = suits if aligned else match(taste, catalogue.inner_topic.take(item, axis=0))
    return Encounter(user, item, suits, after, people.price_sensitivity[user] * catalogue.price_z[item], intent)


@dataclass(frozen=True, slots=True)
class Response:
    """A linear predictor, split so that what belongs to one side is computed once per world.

    at_first_sight: whether it is driven by `match`, as clicks are, or by `after`, as all that follows.
    """

    by_user: F32
    by_item: F32
    match: np.float32
    price: np.float32
    intent: np.float32
    at_first_sight: bool = False

    def __call__(self, met: Encounter) -> F32:
        suits = met.match if self.at_first_sight else met.after
        value = self.by_user.take(met.user) + self.by_item.take(met.item) + self.match * suits + self.price * met.price
        return value + self.intent * met.intent if self.intent else value

    def shifted(self, intercept: float) -> Response:
        by_item = self.by_item + np.float32(intercept)
        return Response(self.by_user, by_item, self.match, self.price, self.intent, self.at_first_sight)


def response(
    drivers: Drivers, people: People, catalogue: Catalogue, shift: F32 | None = None, *, at_first_sight: bool = False
) -> Response:
    """Build a predictor from driver weights; `shift` (n_users,) adds a personal term."""
    w = {name: np.float32(drivers.get(name, 0.0)) for name in ("match", "price", "intent", "appeal", "quality")}
    by_user = np.float32(drivers.get("spender", 0.0)) * people.spender
    if "skill" in drivers:
        by_user = by_user + np.float32(drivers["skill"]) * people.skill
    by_item = w["appeal"] * catalogue.appeal + w["quality"] * catalogue.quality
    by_user = by_user if shift is None else by_user + shift
    return Response(by_user, by_item, w["match"], w["price"], w["intent"], at_first_sight)


def logistic(x: F32) -> F32:
    """1 / (1 + exp(-x)); log-odds below -80 count as -80, where float32 would overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(np.minimum(-x, np.float32(80))))


@dataclass(frozen=True, slots=True)
class Funnel:
    """The funnel of a world with its intercepts solved.

    log_odds: by action. stay: log of the median seconds of a stay. enjoyment: logit of the satisfaction of
    one click. fit: logit of how well the person behind an application suits the item's owner.
    """

    spec: FunnelSpec
    log_odds: Mapping[str, Response]
    stay: Response
    enjoyment: Response
    fit: Response

    def attraction(self, met: Encounter) -> F32:
        """P(click | examined), position bias apart."""
        log_odds = self.log_odds["click"](met)
        return logistic(log_odds if met.novelty is None else log_odds + met.novelty)

    def satisfaction(self, met: Encounter) -> F32:
        """P(content with the item | clicked): expected enjoyment of one click."""
        return logistic(self.enjoyment(met))

    def probability(self, action: str, met: Encounter) -> Floats:
        """P(action | its parent happened), over the actions that may lift it."""
        base = self.log_odds[action](met)
        lifted_by = self.spec.actions[action].lifted_by
        chances = {other: logistic(self.log_odds[other](met)).astype(np.float64) for other in lifted_by}
        total = np.zeros(base.shape)
        for happened in product((False, True), repeat=len(lifted_by)):
            weight = np.ones(base.shape)
            lift = np.float32(0)
            for yes, (other, gain) in zip(happened, lifted_by.items(), strict=True):
                weight = weight * (chances[other] if yes else 1 - chances[other])
                lift = lift + np.float32(gain if yes else 0)
            total += weight * logistic(base + lift)
        return total

    def probability_after_click(self, action: str, met: Encounter) -> Floats:
        """P(action | click): the chain of parents multiplied up to the click."""
        chance = np.ones(met.match.shape)
        for step in self.spec.chain(action)[1:]:
            chance = chance * self.probability(step, met)
        return chance

    def mean_stay(self, met: Encounter) -> Floats:
        """Expected seconds on the item given a click."""
        median = np.exp(self.stay(met).astype(np.float64))
        shape = self.spec.stay.weibull_shape
        if shape is None:
            assert self.spec.stay.log_sd is not None
            return median * np.exp(0.5 * self.spec.stay.log_sd**2)
        return median * float(gamma(1 + 1 / shape)) / np.log(2) ** (1 / shape)

    def draw_stay(self, met: Encounter, keys: draws.Keys) -> Ints:
        """Milliseconds, shape of the clicks."""
        shape, key = self.spec.stay.weibull_shape, draws.fold(keys, STAY)
        if shape is None:
            assert self.spec.stay.log_sd is not None
            logs = self.stay(met) + self.spec.stay.log_sd * draws.normal(key)
        else:  # quantile u of a Weibull: median * (-log(1 - u) / log 2) ^ (1 / shape)
            logs = self.stay(met) + np.log(-np.log1p(-draws.uniform(key)) / np.log(2)) / shape
        return np.rint(1000 * np.exp(np.minimum(logs, LONGEST))).astype(np.int64)

    def draw_actions(self, met: Encounter, keys: draws.Keys, but: Collection[str] = ()) -> dict[str, Bools]:
        """What follows the clicks in `met` (n,), one key each; luck differs by action, not by what went before.

        but: actions left out because others decide them later.
        """
        names = [name for name in self.spec.actions if name != "click" and name not in but]
        return self.draw_after({"click": np.ones(len(met.item), dtype=bool)}, names, met, keys)

    def draw_after(
        self, happened: dict[str, Bools], names: Collection[str], met: Encounter, keys: draws.Keys
    ) -> dict[str, Bools]:
        """`happened` (each of shape (n,)) and the actions `names` that follow from it, parents first."""
        for name in names:
            action = self.spec.actions[name]
            log_odds: F32 = self.log_odds[name](met)
            for other, gain in action.lifted_by.items():
                log_odds = (log_odds + np.float32(gain) * happened[other]).astype(np.float32, copy=False)
            luck = draws.uniform(draws.fold(keys, STAY if action.with_stay else draws.purpose(name)))
            # The luck of a stay is high for long ones.
            happens = luck > 1 - logistic(log_odds) if action.with_stay else luck < logistic(log_odds)
            happened[name] = happened[action.parent] & happens
        return happened


STAY = draws.purpose("stay")
