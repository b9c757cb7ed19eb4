from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from experiments.offpolicy.arrivals import chances_by_slot, placement
from experiments.offpolicy.estimators import ESTIMATORS
from experiments.offpolicy.evidence import Evidence
from experiments.offpolicy.slates import Slates
from experiments.offpolicy.targets import ExposureTarget, OrderTarget
from sim.attention import Cascade, PositionBased
from sim.records import Floats
from tests.experiments.offpolicy.made import CURVE, Made, best_first, expected_clicks, made

REWARDS = ("click", "value")
SMALL = PositionBased(CURVE[:2])


@cache
def world(temperature: float = 1.0) -> Made:
    return made(PositionBased(CURVE), 1500, temperature=temperature)


@cache
def evidence() -> Evidence:
    return Evidence(world().slates, REWARDS)


def near(seed: int = 3) -> OrderTarget:
    """A target that agrees with the log here and there."""
    found, rng = world(), np.random.default_rng(seed)
    return OrderTarget(
        found.slates, best_first(found, found.slates.utilities + rng.normal(size=found.attraction.shape))
    )


def total(name: str, of: Evidence, target: OrderTarget | ExposureTarget, clip: float = np.inf) -> Floats:
    """Estimate of the log's total under a target, shape (J,)."""
    how = ESTIMATORS[name]
    return how.totals(of, target, np.minimum(how.weights(of, target).weight, clip)).sum(axis=0)


def without_model(of: Evidence) -> Evidence:
    """Evidence whose outcome model says 0."""
    blind = replace(of)
    blind.__dict__.update(placed=of.placed, examination=of.examination, mu=np.zeros_like(of.mu))
    return blind


@pytest.mark.parametrize("name", ["dr", "reading_dr", "cascade_dr"])
def test_doubly_robust_with_weights_of_0_is_the_direct_method(name: str) -> None:
    np.testing.assert_allclose(total(name, evidence(), near(), clip=0), total("dm", evidence(), near()), rtol=1e-12)


@pytest.mark.parametrize(("robust", "plain"), [("dr", "pbm"), ("reading_dr", "pbm"), ("cascade_dr", "rips")])
def test_doubly_robust_with_a_model_of_0_is_inverse_propensities(robust: str, plain: str) -> None:
    blind = without_model(evidence())
    np.testing.assert_allclose(total(robust, blind, near()), total(plain, blind, near()), rtol=1e-12)


def test_reading_is_position_based_where_clicks_above_do_not_matter() -> None:
    np.testing.assert_allclose(total("reading_dr", evidence(), near()), total("dr", evidence(), near()), rtol=1e-12)


def test_the_logging_policy_as_target_gives_the_mean_of_the_log() -> None:
    """With chances over all slots: each weight is 1, so the estimate is the log itself."""
    of, slates = evidence(), world().slates
    exposures = np.zeros(slates.utilities.shape)
    exposures[slates.rows.request, slates.rows.candidate] = of.placed.exposure
    target = ExposureTarget(slates, exposures)
    np.testing.assert_allclose(ESTIMATORS["pbm"].weights(of, target).weight, 1)
    np.testing.assert_allclose(total("pbm", of, target), of.earned.sum(axis=0))


@pytest.mark.parametrize("name", ["ips", "snips", "rips", "slate_ips"])
def test_a_log_without_chance_is_its_own_answer(name: str) -> None:
    """Where the ranker surely shows what the target shows, all weights are 1."""
    found = made(SMALL, 200)
    order = found.slates.shown
    sure = np.full(found.attraction.shape, -400.0)
    np.put_along_axis(sure, order, np.array([[0.0, -200.0]]), axis=1)
    slates = replace(found.slates, utilities=sure)
    of = Evidence(slates, REWARDS)
    of.__dict__["examination"] = evidence().examination
    np.testing.assert_allclose(total(name, of, OrderTarget(slates, order)), of.earned.sum(axis=0), rtol=1e-6)


def test_weights_of_one_rank_are_those_of_any_road() -> None:
    """A page of one slot: item at rank, prefix, slate and position are one thing."""
    found = made(PositionBased((1.0,)), 500, candidates=4)
    of = Evidence(found.slates, REWARDS)
    target = OrderTarget(found.slates, best_first(found))
    exact = 1 / found.slates.steps * (target.rank == 0)
    for name in ("ips", "rips", "slate_ips", "pbm"):
        tolerance = 1e-5 if name in ("rips", "slate_ips") else 0.6  # of 32 draws; exact on average, below
        weight = ESTIMATORS[name].weights(of, target).weight
        np.testing.assert_allclose(weight, exact, rtol=tolerance)
        assert weight.mean() == pytest.approx(exact.mean(), rel=0.02)


def test_snips_is_the_mean_by_rank_weighted_and_moves_with_the_reward() -> None:
    """Self-normalised estimates are equivariant: r + 1 earns one more per impression."""
    of = evidence()
    more = replace(of)
    more.__dict__.update(placed=of.placed, examination=of.examination, earned=of.earned + 1)
    n = len(of.slates.rows)
    np.testing.assert_allclose(total("snips", more, near()), total("snips", of, near()) + n)
    assert not np.allclose(total("ips", more, near()), total("ips", of, near()) + n)


@pytest.mark.parametrize("name", ["pbm", "ips", "snips", "rips", "slate_ips", "dr"])
def test_every_estimator_is_right_on_average(name: str) -> None:
    """100 logs of 400 requests with two slots; means against the truth within 5 standard errors."""
    gaps = []
    for seed in range(100):
        found = made(SMALL, 400, candidates=4, seed=seed)
        of = Evidence(found.slates, ("click",), n_draws=64)
        of.__dict__["examination"] = replace(evidence().examination, theta=np.array(CURVE[:2]))
        if name == "dr":
            of.__dict__["mu"] = np.full((400, 4, 1), 0.1)  # a bad model, so that the weights have to be right
        order = best_first(found, found.attraction)
        gaps.append(total(name, of, OrderTarget(found.slates, order))[0] / expected_clicks(SMALL, found, order) - 1)
    bias = 0.02  # of 1 / propensity from 64 draws, and of snips
    assert abs(np.mean(gaps)) < 5 * np.std(gaps) / np.sqrt(len(gaps)) + bias


def test_a_reader_is_followed_exactly_by_the_chain_of_clicks() -> None:
    """With the true attraction the direct part of reading_dr is the truth of the cascade."""
    attention = Cascade(4)
    found = made(attention, 1000)
    of = Evidence(found.slates, ("click",), reading=True)
    of.__dict__.update(
        examination=replace(evidence().examination, theta=np.ones(4), above=np.array([1.0, 0, 0])),
        mu=found.attraction[:, :, None],
    )
    order = best_first(found)
    for name in ("reading_dr", "cascade_dr"):
        estimate = total(name, of, OrderTarget(found.slates, order), clip=0)[0]
        assert estimate == pytest.approx(expected_clicks(attention, found, order), rel=1e-9)


def test_exposures_are_refused_by_what_needs_an_order() -> None:
    slates = world().slates
    target = ExposureTarget(slates, np.ones(slates.utilities.shape))
    for name, how in ESTIMATORS.items():
        if how.orders_only:
            with pytest.raises(ValueError, match="needs the order"):
                total(name, evidence(), target)


def test_an_order_and_its_exposures_are_one_target() -> None:
    of, slates, order = evidence(), world().slates, near()
    exposures = np.zeros(slates.utilities.shape)
    np.put_along_axis(exposures, order.order, of.theta[None, :], axis=1)
    for name in ("dr", "dm", "pbm"):
        np.testing.assert_allclose(total(name, of, ExposureTarget(slates, exposures)), total(name, of, order))


def test_mean_weight_is_one_by_construction() -> None:
    of = evidence()
    for name in ("pbm", "ips", "rips"):
        weights = ESTIMATORS[name].weights(of, near())
        by_request = of.slates.rows.summed(weights.counts * weights.weight) * len(of.slates) / weights.total
        assert abs(by_request.mean() - 1) < 5 * by_request.std() / np.sqrt(len(by_request)) + 0.01


def test_chances_of_all_slots_add_up_to_being_shown() -> None:
    slates: Slates = world().slates
    every = np.ones(len(slates.rows), dtype=bool)
    shown = placement(slates, np.ones(4), seed=0).exposure
    np.testing.assert_allclose(chances_by_slot(slates, every, seed=0).sum(axis=1), shown, rtol=1e-3)
