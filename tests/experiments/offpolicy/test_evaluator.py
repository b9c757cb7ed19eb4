from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from experiments.offpolicy.estimable import estimable
from experiments.offpolicy.estimators import Weights
from experiments.offpolicy.evaluator import Evaluator
from experiments.offpolicy.overlap import Overlap, overlap
from sim.attention import Cascade, PositionBased
from sim.scenario import MetricSpec
from tests.experiments.offpolicy.made import CURVE, Made, best_first, expected_clicks, made
from tests.worlds import ecommerce

METRICS = {"ctr": ("click", "impressions"), "gmv": ("value", "users"), "price": ("value", "click")}
ATTENTION = PositionBased(CURVE)


@cache
def world(per_user: int = 3) -> Made:
    return made(ATTENTION, 6000, per_user=per_user)


@cache
def evaluator(estimator: str = "dr") -> Evaluator:
    return Evaluator(world().slates, METRICS, estimator)


def targets() -> tuple[np.ndarray, np.ndarray]:
    found = world()
    own, pair = found.slates.features[:, :, 0], found.slates.features[:, :, 1]
    return best_first(found, own + pair), best_first(found, own)


def test_a_target_has_no_lift_over_itself() -> None:
    order, _ = targets()
    found = evaluator().lifts(order, order.copy())
    np.testing.assert_array_equal(found.lifts, 0)
    np.testing.assert_array_equal(found.influence, 0)
    assert found.refused is None


def test_influence_sums_to_nothing_and_gives_the_standard_error() -> None:
    found = evaluator().lifts(*targets())
    assert found.influence.shape == (2000, 3)
    np.testing.assert_allclose(found.influence.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.se**2, (found.influence**2).sum(axis=0))


def test_standard_error_is_that_of_a_bootstrap_over_users() -> None:
    found = evaluator().lifts(*targets())
    rng, n = np.random.default_rng(0), 2000
    lifts = []
    for _ in range(400):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        clicks = [times @ valued.columns["click"] for valued in (found.target, found.base)]
        lifts.append(clicks[0] / clicks[1] - 1)
    assert np.std(lifts) == pytest.approx(found.se[0], rel=5 / np.sqrt(2 * 400))


def test_the_lift_is_within_its_interval_of_the_truth() -> None:
    """Over 20 logs: 19 are expected inside, fewer than 15 would be 4 standard errors off."""
    inside = 0
    for seed in range(20):
        found = made(ATTENTION, 2000, seed=seed)
        own, pair = found.slates.features[:, :, 0], found.slates.features[:, :, 1]
        orders = [best_first(found, score) for score in (own + pair, own)]
        true = expected_clicks(ATTENTION, found, orders[0]) / expected_clicks(ATTENTION, found, orders[1]) - 1
        low, high = Evaluator(found.slates, {"ctr": METRICS["ctr"]}).lifts(*orders).interval()
        inside += bool(low[0] <= true <= high[0])
    assert inside >= 15


def test_ratios_of_what_both_depend_on_the_target() -> None:
    found = evaluator().lifts(*targets())
    target = found.target
    assert target.metrics.value[2] == pytest.approx(target.columns["value"].sum() / target.columns["click"].sum())
    assert target.metrics.value[0] == pytest.approx(target.columns["click"].sum() / world().slates.depth.sum())


def test_equal_questions_have_equal_answers() -> None:
    again = Evaluator(world().slates, METRICS, "dr").lifts(*targets())
    np.testing.assert_array_equal(again.lifts, evaluator().lifts(*targets()).lifts)


def test_slate_ips_is_refused_where_hardly_a_slate_is_shared() -> None:
    found = evaluator("slate_ips").lifts(*targets())
    assert found.refused is not None
    assert "effective sample size must be at least 200" in found.refused


def test_thin_exploration_says_that_it_cannot_tell() -> None:
    thin = made(ATTENTION, 6000, temperature=0.05)
    other = best_first(thin, thin.slates.features[:, :, 1])
    found = Evaluator(thin.slates, METRICS).lifts(other, best_first(thin))
    assert found.base.refused is None  # what the log shows anyhow, it knows
    assert found.refused is not None
    assert found.refused.startswith("target: cannot tell: the log must speak of at least 80%")


def test_wrong_propensities_show_in_the_mean_weight() -> None:
    """A log said to be twice as hot as it was."""
    found = world()
    slates = replace(found.slates, utilities=found.slates.utilities / 2)
    refused = Evaluator(slates, METRICS).lifts(best_first(found), best_first(found)).refused
    assert refused is not None
    assert "mean weight must be 1" in refused


def test_readers_are_warned_of_and_taken_care_of() -> None:
    cascade = made(Cascade(4), 6000)
    order = best_first(cascade)
    plain = Evaluator(cascade.slates, METRICS).lifts(order, order)
    assert any("top down" in warning for warning in plain.warnings)
    auto = Evaluator(cascade.slates, METRICS, "auto")
    assert auto.chosen == "reading_dr"
    assert auto.lifts(order, order).warnings == ()
    assert Evaluator(world().slates, METRICS, "auto").chosen == "dr"


def test_in_a_cascade_the_reader_is_nearer_the_truth_than_any_position_based_form() -> None:
    gaps = {name: list[float]() for name in ("dr", "pbm", "reading_dr")}
    for seed in range(4):
        found = made(Cascade(4), 4000, seed=seed, spread=1.2)
        orders = [best_first(found, found.attraction), best_first(found, -found.attraction)]
        true = expected_clicks(Cascade(4), found, orders[0]) / expected_clicks(Cascade(4), found, orders[1]) - 1
        for name, gap in gaps.items():
            gap.append(Evaluator(found.slates, {"ctr": METRICS["ctr"]}, name).lifts(*orders).lifts[0] - true)
    error = {name: np.sqrt(np.mean(np.square(gap))) for name, gap in gaps.items()}
    assert 2 * error["reading_dr"] < min(error["dr"], error["pbm"])


def test_unknown_names_are_refused_with_the_cure() -> None:
    slates = world().slates
    with pytest.raises(ValueError, match=r"estimator: did you mean 'snips'\?"):
        Evaluator(slates, METRICS, "snip")
    with pytest.raises(ValueError, match=r"metrics.visits: .* got 'visits'"):
        Evaluator(slates, {"visits": ("visits", "users")})
    with pytest.raises(ValueError, match="order must have shape"):
        evaluator().value(np.zeros((3, 4), dtype=np.int64))


def test_effective_sample_size_of_equal_weights_is_their_number() -> None:
    slates = world().slates
    n = len(slates.rows)
    same = overlap(slates, Weights(np.ones(n), np.ones(n), float(n)), 10.0)
    assert same == Overlap(pytest.approx(n), n, 1.0, 1.0, 0.0, 0.0, pytest.approx(1.0))  # type: ignore[arg-type]
    one = np.zeros(n)
    one[0] = n
    cut = overlap(slates, Weights(one, np.ones(n), float(n)), 10.0)
    assert (cut.ess, cut.largest, cut.mean, cut.covered) == (1.0, n, 1.0, 10 / n)


def test_what_a_log_can_answer_of_the_shops_metrics() -> None:
    """Visits follow from the past that people had, satisfaction from what nobody logs."""
    rewards = ("click", "collect", "cart", "buy", "return_goods", "stay_ms", "value_cents", "refund_cents")
    found, refused = estimable(ecommerce().metrics, rewards)
    assert set(refused) == {"visits_per_user", "satisfaction"}
    assert "run a test" in refused["visits_per_user"]
    assert found["net_gmv_per_user"].numerator == {"value_cents": 0.01, "refund_cents": -0.01}
    assert found["cvr"].denominator == {"click": 1.0}
    _, without = estimable({"likes": MetricSpec("like", "impressions", "likes")}, rewards)
    assert without["likes"].startswith("likes: the log must hold like")
