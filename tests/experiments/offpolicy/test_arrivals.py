from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from experiments.offpolicy.arrivals import chances_by_slot, counted_exposure, placement
from experiments.offpolicy.slates import Slates
from sim.attention import PositionBased
from sim.records import Floats
from tests.experiments.offpolicy.made import CURVE, made

THETA = np.array(CURVE[:3])


def small(n: int = 40, temperature: float = 1.0) -> Slates:
    return made(PositionBased(CURVE[:3]), n, candidates=5, temperature=temperature).slates


def enumerated(slates: Slates) -> Floats:
    """P(item at rank) of every candidate by going through all orders, shape (R, C, K)."""
    n, c = slates.utilities.shape
    chance = np.zeros((n, c, slates.shown.shape[1]))
    w = np.exp(slates.utilities)
    for order in permutations(range(c)):
        p = np.ones(n)
        for place, item in enumerate(order):
            p = p * w[:, item] / w[:, order[place:]].sum(axis=1)  # what is left, summed: differences would cancel
        for rank in range(chance.shape[2]):
            chance[:, order[rank], rank] += p
    return np.minimum(chance, 1.0)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_exposure_and_rank_chances_are_those_of_enumeration(temperature: float) -> None:
    slates = small(temperature=temperature)
    exact = enumerated(slates)
    placed = placement(slates, THETA, seed=1, n_draws=4000)
    rows = slates.rows
    exposure = (exact @ THETA)[rows.request, rows.candidate]
    # The closed form has at most the variance of a draw that is counted, p (1 - p) of a number within [0, 1].
    tolerance = 5 * np.sqrt(exposure * (1 - np.minimum(exposure, 0.99)) / 4000) + 1e-5
    assert (np.abs(placed.exposure - exposure) < tolerance).all()
    here = exact[rows.request, rows.candidate, rows.rank]
    assert (np.abs(placed.here - here) < 5 * np.sqrt(here * (1 - here) / 4000) + 1e-5).all()


def test_chances_by_slot_are_those_of_enumeration() -> None:
    slates = small()
    rows = slates.rows
    some = np.arange(len(rows)) % 3 == 0
    exact = enumerated(slates)[rows.request, rows.candidate][some]
    found = chances_by_slot(slates, some, seed=1, n_draws=4000)
    assert found.shape == exact.shape
    assert (np.abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / 4000) + 1e-5).all()


def test_the_closed_form_is_several_times_as_sharp_as_counting() -> None:
    slates = small(400)
    exact = (enumerated(slates) @ THETA)[slates.rows.request, slates.rows.candidate]
    closed = placement(slates, THETA, seed=1, n_draws=32).exposure
    counted = counted_exposure(slates, THETA, seed=1, n_draws=32)
    assert ((closed - exact) ** 2).mean() < 0.5 * ((counted - exact) ** 2).mean()


def test_counting_is_floored_where_the_closed_form_needs_no_floor() -> None:
    slates = small(400, temperature=0.05)
    counted = counted_exposure(slates, THETA, seed=1, n_draws=8)
    assert counted.min() == pytest.approx(THETA[0] / 16)
    assert placement(slates, THETA, seed=1, n_draws=8).exposure.min() > 0


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01, 0.001])
def test_mean_weight_of_the_greedy_order_is_one_however_cold(temperature: float) -> None:
    """Rates of a cold ranker span more than float32 holds: cut off at exp(-80), its weights averaged 1.19."""
    slates = small(2000, temperature=temperature)
    greedy = np.argsort(-slates.utilities, axis=1)[:, :3]
    rank = np.full(slates.utilities.shape, -1)
    np.put_along_axis(rank, greedy, np.arange(3)[None, :], axis=1)
    here = rank[slates.rows.request, slates.rows.candidate]
    weight = np.where(here >= 0, THETA[here], 0) / placement(slates, THETA, seed=1).exposure
    by_request = slates.rows.summed(weight * THETA[slates.rows.rank]) / THETA.sum()
    assert abs(by_request.mean() - 1) < 5 * by_request.std() / np.sqrt(len(slates)) + 0.003  # 1/e of 32 draws


def test_luck_belongs_to_the_request() -> None:
    slates = small(60)
    some = np.arange(10, 40)
    whole, part = (placement(s, THETA, seed=3).exposure for s in (slates, slates.take(some)))
    np.testing.assert_array_equal(part, whole[np.isin(slates.rows.request, some)])


def test_everything_shown_leaves_no_doubt_of_being_shown() -> None:
    slates = made(PositionBased((1.0,) * 4), 50, candidates=4).slates
    placed = placement(slates, np.ones(4), seed=1)
    np.testing.assert_allclose(placed.exposure, 1, rtol=1e-5)


def test_steps_multiply_to_the_chance_of_the_slate() -> None:
    slates = small()
    w = np.exp(slates.utilities)
    chance, left = np.ones(len(slates)), w.sum(axis=1)
    for rank in range(3):
        here = np.take_along_axis(w, slates.shown[:, [rank]], axis=1)[:, 0]
        chance, left = chance * here / left, left - here
    np.testing.assert_allclose(slates.rows.summed(np.log(slates.steps)), np.log(chance), rtol=1e-4)


def test_gaps_and_strange_candidates_are_refused() -> None:
    slates = small(5)
    gap = slates.shown.copy()
    gap[0] = [1, -1, 2]
    for shown, told in ((gap, "gap"), (slates.shown + 5, "candidates 0 to 4")):
        with pytest.raises(ValueError, match=told):
            replace(slates, shown=shown)
