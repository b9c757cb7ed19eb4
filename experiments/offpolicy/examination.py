"""How likely each slot is looked at, relative to slot 0, from clicks and from what is known of the ranker.

Three ways. `conditional` needs no model of items at all: given that an item is clicked, it was at slot s with chance
theta_s p_s / sum theta p, p its known chances of slots; what attracts people cancels. `poisson_em` is the two-way
model E[click] = theta_slot x gamma_item (x phi_clicks above): it needs no propensities, and takes for attention what
a ranker knows beyond the item. `click_rates` weighs clicks by inverse propensities: the yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.offpolicy.arrivals import DRAWS, chances_by_slot
from experiments.offpolicy.slates import CLICK, Slates
from sim.records import Floats, Ints

MOST_ABOVE = 2  # clicks above are told apart as none, one, and more
_STEPS, _STILL = 2_000, 1e-7
_LEAST = 1e-4  # of slot 0's attention; a slot without a click would have none at all


@dataclass(frozen=True, slots=True)
class Examination:
    """theta: shape (n_slots,). By slot, relative to slot 0. above: shape (3,). Factor by clicks above: none, one, more.

    `above` is 1 throughout in the position-based model.
    """

    theta: Floats
    above: Floats

    def of_rank(self, slates: Slates) -> Floats:
        """theta by rank, shape (K,)."""
        return self.theta[slates.slot]

    def of_rows(self, slates: Slates) -> Floats:
        """Examination of each impression, given the clicks above it, shape (n,)."""
        return self.theta[slates.slot[slates.rows.rank]] * self.above[np.minimum(slates.clicks_above, MOST_ABOVE)]


POSITION_BASED = np.ones(MOST_ABOVE + 1)


def conditional(slates: Slates, *, seed: int, n_draws: int = DRAWS) -> Examination:
    """theta that maximises prod over clicks of theta_s p_s / sum_j theta_j p_j, by MM (Hunter 2004).

    Raises:
        ValueError: a log without a click.
    """
    clicked = slates.of_rows(CLICK) > 0
    _check_clicks(clicked.sum())
    chances = chances_by_slot(slates, clicked, seed=seed, n_draws=n_draws)
    slot = slates.slot[slates.rows.rank[clicked]]
    return Examination(from_chances(chances, slot), POSITION_BASED)


def from_chances(chances: Floats, slot: Ints) -> Floats:
    """theta of `conditional`, shape (n_slots,). chances: shape (clicks, n_slots), P(item at slot). slot: (clicks,)."""
    n_slots = chances.shape[1]
    clicks = np.bincount(slot, minlength=n_slots) + 0.5  # a slot without a click is not a slot without eyes
    theta = np.ones(n_slots)
    for _ in range(_STEPS):
        pull = (chances / (chances @ theta)[:, None]).sum(axis=0) + 0.5 / theta.mean()
        new = np.maximum(clicks / pull, _LEAST)
        new /= new[0]
        done = np.abs(np.log(new / theta)).max() < _STILL
        theta = new
        if done:
            break
    return theta


def poisson_em(slates: Slates, *, given_clicks_above: bool = False) -> Examination:
    """E[click] = theta_slot x gamma_item (x phi_clicks above): each factor in turn takes what is left to explain.

    given_clicks_above: for readers who go from the top down; theta is then that of a page without a click so far.
    """
    click, slot, item, above = _cells(slates)
    _check_clicks(click.sum())
    gamma = np.ones(int(item.max()) + 1)
    theta, phi = np.ones(slates.n_slots), POSITION_BASED.copy()
    for _ in range(_STEPS):
        gamma = _factor(click, item, theta[slot] * phi[above], gamma)
        new = _factor(click, slot, gamma[item] * phi[above], theta)
        if given_clicks_above:
            phi = _of_clicks_above(click, above, gamma[item] * new[slot])
        new = np.maximum(new / new[0], _LEAST)
        done = np.abs(np.log(new / theta)).max() < _STILL
        theta = new
        if done:
            break
    return Examination(theta, phi)


def given_attraction(slates: Slates, mu: Floats, start: Examination) -> Examination:
    """theta and phi with what attracts people held: the M step of regression EM (Wang et al., WSDM 2018).

    mu: shape (n,). P(click | examined) of each impression, up to a constant.
    """
    click, slot, _, above = _cells(slates)
    theta, phi = start.theta, start.above
    for _ in range(_STEPS):
        new = _factor(click, slot, mu * phi[above], theta)
        new = np.maximum(new / new[0], _LEAST)
        phi = _of_clicks_above(click, above, mu * new[slot])
        done = np.abs(np.log(new / theta)).max() < _STILL
        theta = new
        if done:
            break
    return Examination(theta, phi)


def click_rates(slates: Slates, here: Floats) -> Examination:
    """Clicks by slot weighted by inverse propensities of the rank: the naive curve. here: shape (n,)."""
    slot = slates.slot[slates.rows.rank]
    rate = np.bincount(slot, slates.of_rows(CLICK) / here) / np.bincount(slot, 1 / here)
    return Examination(np.maximum(rate / max(rate[0], _LEAST), _LEAST), POSITION_BASED)


def _cells(slates: Slates) -> tuple[Floats, Ints, Ints, Ints]:
    _, item = np.unique(slates.item[slates.rows.request, slates.rows.candidate], return_inverse=True)
    above = np.minimum(slates.clicks_above, MOST_ABOVE)
    return slates.of_rows(CLICK), slates.slot[slates.rows.rank], item, above


def _of_clicks_above(click: Floats, above: Ints, rest: Floats) -> Floats:
    """phi relative to no click above; what never happened is as what happened last."""
    expected = np.bincount(above, rest, minlength=MOST_ABOVE + 1)
    phi = np.bincount(above, click, minlength=MOST_ABOVE + 1) / np.maximum(expected, 1e-300)
    for level in range(1, len(phi)):
        if expected[level] == 0:
            phi[level] = phi[level - 1]
    return phi / phi[0]


def _factor(click: Floats, level: Ints, rest: Floats, before: Floats) -> Floats:
    """Clicks over expected clicks by level; a level that was never shown keeps its factor."""
    expected = np.bincount(level, rest, minlength=len(before))
    return np.where(
        expected > 0, np.bincount(level, click, minlength=len(before)) / np.maximum(expected, 1e-300), before
    )


def _check_clicks(n: float) -> None:
    if not n:
        raise ValueError("examination: the log must hold clicks, found none; log longer")
