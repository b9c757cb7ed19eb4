from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from experiments.analysis.operating import (
    Replications,
    clustered_rate,
    family,
    operating,
    rate,
    truth_weight,
)

Z = float(norm.isf(0.025))
Floats = np.ndarray


def replications(estimate: Floats, truth: Floats, se: float = 1.0, truth_se: float = 0.0) -> Replications:
    """Normal intervals and p-values of their own tests, uncorrected."""
    shape, p = estimate.shape, 2 * norm.sf(np.abs(estimate) / se)
    low, high = estimate - Z * se, estimate + Z * se
    return Replications(estimate, np.full(shape, se), low, high, p, p, truth, np.full(shape, truth_se))


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 17), (190, 200)])
def test_a_rate_has_its_exact_interval(k: int, n: int) -> None:
    found, exact = rate(k, n), binomtest(k, n).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_of_no_runs_nothing_is_known() -> None:
    assert np.isnan([rate(0, 0).share, rate(0, 0).low, rate(0, 0).high]).all()


def test_trials_that_hang_together_are_not_counted_as_independent_ones() -> None:
    """Runs of 10 intervals of which all or none hold: each run is worth one interval. Counting 10 of each, as if they
    were independent, an interval of 95 % holds in not much more than half of 400 repetitions."""
    rng = np.random.default_rng(1)
    held, naive = 0, 0
    for _ in range(400):
        happened, n = 10 * (rng.random(40) < 0.9), np.full(40, 10)
        found, plain = clustered_rate(happened, n), rate(int(happened.sum()), 400)
        held += found.low <= 0.9 <= found.high
        naive += plain.low <= 0.9 <= plain.high
    assert held / 400 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)  # the exact interval is wide rather than narrow
    assert naive / 400 < 0.7


def test_runs_without_any_difference_between_them_count_once_each() -> None:
    found, runs = clustered_rate(np.full(12, 30), np.full(12, 30)), rate(12, 12)
    assert (found.happened, found.n, found.low) == (360, 360, runs.low)


def test_what_holds_by_construction_is_found() -> None:
    """10,000 runs of a true effect of 2 standard errors: coverage, power and exaggeration are the normal's."""
    estimate = np.random.default_rng(1).normal(2, 1, 10_000)
    found = operating(replications(estimate, np.full(10_000, 2.0)), null=False, alpha=0.05)
    assert found.coverage.low < 0.95 < found.coverage.high
    assert found.power.share == pytest.approx(norm.sf(Z - 2), abs=0.02)
    above = Z - 2
    conditional = 2 + norm.pdf(above) / norm.sf(above)  # mean of a normal above Z; below -Z there is next to nothing
    assert found.exaggeration == pytest.approx(conditional / 2, abs=0.02)
    assert abs(found.bias) < 4 * found.bias_se
    assert found.false_positive.n == found.false_alarm.n == 0


def test_a_weak_test_is_wrong_about_the_sign_as_often_as_theory_says() -> None:
    """At a true effect of a fifth of the standard error: Gelman and Carlin's type S error."""
    estimate = np.random.default_rng(2).normal(0.2, 1, 200_000)
    found = operating(replications(estimate, np.full(200_000, 0.2)), null=False, alpha=0.05)
    right, wrong = norm.sf(Z - 0.2), norm.cdf(-Z - 0.2)
    assert found.wrong_sign.share == pytest.approx(wrong / (right + wrong), abs=0.02)
    assert found.wrong_sign.n == pytest.approx(200_000 * (right + wrong), rel=0.05)


def test_an_arm_that_is_the_control_has_false_alarms_and_no_power() -> None:
    estimate = np.random.default_rng(3).normal(0, 1, 10_000)
    found = operating(replications(estimate, np.zeros(10_000)), null=True, alpha=0.05)
    assert found.false_positive.low < 0.05 < found.false_positive.high
    assert found.power.n == found.wrong_sign.n == 0
    assert np.isnan(found.exaggeration)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_error_that_truth_and_estimate_share_is_allowed_for(share: float) -> None:
    """People differ in what an arm does to them; a share of those who are in the test tells the truth. Only with
    1 - 2 share of the truth's variance do intervals hold it as often as they say. Taking the truth as it stands holds
    too rarely where few people tell it, and too often where everybody does; adding all of its variance always holds
    too often."""
    rng, n, n_runs = np.random.default_rng(4), 400, 4000
    effect, luck = rng.normal(0, 2, (n_runs, n)), rng.normal(0, 1, (n_runs, n))
    told, half = round(share * n), n // 2
    estimate = (luck + effect)[:, :half].mean(axis=1) - luck[:, half:].mean(axis=1)
    # Those who tell the truth are divided between the arms as everybody is.
    asked = np.concatenate([effect[:, : told // 2], effect[:, half : half + told // 2]], axis=1)
    truth, truth_se = asked.mean(axis=1), 2 / np.sqrt(told)
    runs = replications(estimate, truth, se=np.sqrt(5 / half + 1 / half), truth_se=truth_se)
    found = {k: operating(runs, null=False, alpha=0.05, weight=k) for k in (truth_weight(share), 1.0)}
    allowing = found[truth_weight(share)].coverage_allowing
    assert abs(allowing.share - 0.95) < 4 * np.sqrt(0.95 * 0.05 / n_runs)
    assert found[1.0].coverage_allowing.low > 0.95
    plain = found[1.0].coverage
    if share == 0.5:
        assert plain.happened == allowing.happened
    else:
        assert plain.high < 0.95 if share < 0.5 else plain.low > 0.95


def test_a_skewed_interval_is_stretched_on_both_sides_alike() -> None:
    one = replications(np.array([1.0]), np.array([4.0]))
    skewed = Replications(
        one.estimate, one.se, np.array([0.0]), np.array([3.0]), *(one.p_value,) * 2, one.truth, one.se
    )
    assert not skewed.covered()[0]
    assert skewed.covered(1.3)[0]  # 1 + 2 sqrt(2.3) = 4.03
    assert not skewed.covered(1.2)[0]


def test_runs_that_cannot_be_told_are_left_out_and_endless_intervals_cover() -> None:
    one = replications(np.array([np.nan, 1.0, 1.0]), np.array([1.0, 1.0, 90.0]))
    low, high = one.low.copy(), one.high.copy()
    low[2], high[2] = -np.inf, np.inf
    p = np.array([0.0, 0.0, 0.0])
    found = operating(Replications(one.estimate, one.se, low, high, p, p, one.truth, one.se), null=False, alpha=0.05)
    assert found.runs == 2
    assert found.unbounded == 1
    assert found.coverage.happened == 2
    assert found.power.happened == 1  # of an endless interval nothing is sure


def test_a_family_holds_where_all_of_it_does_and_its_alarms_are_of_those_that_do_not_differ() -> None:
    estimate = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    found = family(replications(estimate, np.zeros((3, 2))), null=np.array([True, False]), alpha=0.05)
    assert (found.coverage.happened, found.coverage.n) == (1, 3)
    assert (found.false_alarm.happened, found.false_alarm.n) == (1, 3)


def test_uncorrected_families_hold_less_often_than_their_intervals() -> None:
    """20 independent lifts: all 95 % intervals hold at once in .95 ** 20 of runs, not in 95 %."""
    estimate = np.random.default_rng(5).normal(0, 1, (4000, 20))
    found = family(replications(estimate, np.zeros((4000, 20))), null=np.ones(20, dtype=bool), alpha=0.05)
    error = np.sqrt(0.95**20 * (1 - 0.95**20) / 4000)
    assert abs(found.coverage.share - 0.95**20) < 4 * error
    assert abs(found.false_alarm.share - (1 - 0.95**20)) < 4 * error
    nobody = family(replications(estimate, np.zeros((4000, 20))), null=np.zeros(20, dtype=bool), alpha=0.05)
    assert nobody.false_alarm.n == 0
