from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2, chi2_contingency

from experiments.analysis.quality import rate_mismatch_p_value


def p_value(events: np.ndarray, trials: np.ndarray) -> float:
    arms = "abcdefgh"[: len(trials)]
    return rate_mismatch_p_value(
        dict(zip(arms, events.tolist(), strict=True)), dict(zip(arms, trials.tolist(), strict=True))
    )


def test_many_events_have_the_chi_square_of_scipy() -> None:
    events, trials = np.array([30, 45, 100]), np.array([1000, 1100, 2500])
    expected = chi2_contingency(np.stack([events, trials - events]), correction=False).pvalue
    assert p_value(events, trials) == pytest.approx(expected, rel=1e-12)


def test_few_events_have_the_exact_chance_by_hand() -> None:
    """Both of two events among the 10 of 100 trials that are a's: 10 / 100 x 9 / 99, and the other side."""
    assert p_value(np.array([2, 0]), np.array([10, 90])) == pytest.approx(2 * 10 * 9 / (100 * 99))
    assert p_value(np.array([2, 0, 0]), np.array([10, 40, 50])) == pytest.approx(3 * 2 * 10 * 9 / (100 * 99))


def test_few_that_are_spared_are_as_exact_as_few_that_are_hit() -> None:
    events, trials = np.array([3, 0]), np.array([20, 200])
    assert p_value(trials - events, trials) == pytest.approx(p_value(events, trials))


def test_equal_rates_reject_in_five_percent() -> None:
    rng, n, trials = np.random.default_rng(0), 4000, np.array([3000, 5000, 12_000])
    rejected = sum(p_value(rng.binomial(trials, 0.02), trials) < 0.05 for _ in range(n)) / n
    low, high = binom.ppf([0.0005, 0.9995], n, 0.05) / n
    assert low <= rejected <= high


def test_a_handful_of_events_raises_no_false_alarm_where_chi_square_raises_many() -> None:
    """Five events on average, an arm of 5 %: two of them in it, and chi-square is sure."""
    rng, n, trials = np.random.default_rng(1), 4000, np.array([1000, 19_000])
    ours = naive = 0
    for events in rng.binomial(trials, 5 / 20_000, (n, 2)):
        ours += p_value(events, trials) < 0.001
        expected = trials * events.sum() / trials.sum()
        if events.sum():
            naive += chi2.sf(((events - expected) ** 2 / expected / (1 - events.sum() / trials.sum())).sum(), 1) < 0.001
    assert ours / n <= binom.ppf(0.9995, n, 0.001) / n
    assert naive / n > 0.005


def test_an_arm_that_loses_a_twentieth_of_its_rows_is_found() -> None:
    """A percent goes missing everywhere; of 2,000 orders per arm the last loses 5 % more."""
    rng, trials = np.random.default_rng(2), np.array([2000, 2000, 2000])
    found = [p_value(rng.binomial(trials, [0.01, 0.01, 0.01 + 0.99 * 0.05]), trials) < 0.001 for _ in range(500)]
    assert np.mean(found) > 0.99
    few = np.array([200, 200])
    found = [p_value(rng.binomial(few, [0.0, 0.05]), few) < 0.05 for _ in range(500)]
    assert np.mean(found) > 0.9


def test_never_or_always_is_equal_in_all_arms() -> None:
    trials = np.array([10, 20])
    assert p_value(np.array([0, 0]), trials) == 1
    assert p_value(trials, trials) == 1


def test_without_two_arms_that_were_tried_nothing_is_known() -> None:
    assert np.isnan(p_value(np.array([0, 0]), np.array([0, 0])))
    assert np.isnan(p_value(np.array([3, 0]), np.array([10, 0])))


def test_an_arm_without_trials_is_left_out() -> None:
    events, trials = np.array([300, 400]), np.array([10_000, 10_000])
    assert p_value(np.append(events, 0), np.append(trials, 0)) == p_value(events, trials)


@pytest.mark.parametrize(
    ("events", "said"),
    [({"a": 1}, "name the same arms"), ({"a": 11, "b": 0}, r"arm a: events must be in \[0, trials\], got 11 of 10")],
)
def test_counts_that_do_not_fit_are_refused(events: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rate_mismatch_p_value(events, {"a": 10, "b": 10})
