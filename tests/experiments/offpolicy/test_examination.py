from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.offpolicy.arrivals import placement
from experiments.offpolicy.examination import click_rates, conditional, poisson_em
from sim.attention import Cascade, PositionBased
from sim.records import Floats
from tests.experiments.offpolicy.made import CURVE, Made, made

TRUE = np.array(CURVE) / CURVE[0]


def gap(theta: Floats) -> float:
    """Root-mean-square error in logs."""
    return float(np.sqrt(np.mean(np.log(theta / TRUE)[1:] ** 2)))


def seen(seed: int) -> Made:
    return made(PositionBased(CURVE), 6000, temperature=0.4, seed=seed)


def test_conditional_examination_is_that_of_the_world() -> None:
    """About 3,300 clicks, 500 at the last slot: 5 standard errors are some 30 %."""
    theta = conditional(seen(1).slates, seed=1).theta
    assert np.abs(np.log(theta / TRUE)).max() < 0.3


def test_conditional_beats_item_by_position_and_inverse_propensities() -> None:
    """Scores know more of the pair than the item says, which the two-way model takes for attention."""
    errors = []
    for seed in range(5):
        slates = seen(seed).slates
        here = placement(slates, np.ones(4), seed=1).here
        three = conditional(slates, seed=1), poisson_em(slates), click_rates(slates, here)
        errors.append([gap(found.theta) for found in three])
    conditionals, two_way, naive = np.mean(errors, axis=0)
    assert conditionals < two_way
    assert conditionals < naive


def test_item_by_position_finds_the_curve_where_scores_know_the_item_alone() -> None:
    world = seen(2).slates
    own = replace(world, features=world.features[:, :, :1])
    rng = np.random.default_rng(0)  # the same model with a ranker that draws at random: nothing to be mistaken about
    order = np.argsort(rng.random(own.utilities.shape), axis=1)[:, :4]
    attraction = np.take_along_axis(seen(2).attraction, order, axis=1)
    click = (rng.random(order.shape) < np.array(CURVE)) & (rng.random(order.shape) < attraction)
    slates = replace(own, shown=order, rewards={"click": click.astype(float)})
    assert np.abs(np.log(poisson_em(slates).theta / TRUE)).max() < 0.3


def test_nothing_is_seen_below_the_click_that_ends_a_cascade() -> None:
    found = poisson_em(made(Cascade(4), 4000, temperature=3.0).slates, given_clicks_above=True)
    np.testing.assert_array_equal(found.above, [1, 0, 0])
    assert np.abs(np.log(found.theta)).max() < 0.35  # whoever has not clicked goes on


def test_a_log_without_clicks_is_refused() -> None:
    slates = seen(0).slates
    nothing = replace(slates, rewards={"click": np.zeros(slates.shown.shape)})
    for way in (lambda s: conditional(s, seed=0), poisson_em):
        with pytest.raises(ValueError, match="must hold clicks"):
            way(nothing)
