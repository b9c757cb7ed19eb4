from __future__ import annotations

import numpy as np

from experiments.analysis.ratios import ALL, mismatches, ratio_checks
from tests.asserts import assert_within

SHARES = {"a": 0.5, "b": 0.5}


def test_a_fault_among_newcomers_shows_in_their_segment_and_not_in_the_whole() -> None:
    whole = {"a": 50_000, "b": 49_700}
    checks = ratio_checks(whole, {"new": {"a": 2_000, "b": 1_700}, "old": {"a": 48_000, "b": 48_000}}, SHARES)
    assert [check.where for check in mismatches(checks)] == ["new"]
    assert not checks[0].mismatch


def test_parts_share_one_alpha_among_them() -> None:
    checks = ratio_checks(
        {"a": 10, "b": 10}, {str(n): {"a": 1, "b": 1} for n in range(4)} | {"empty": {"a": 0, "b": 0}}, SHARES
    )
    assert checks[0].where == ALL
    assert checks[0].alpha == 0.001
    assert [check.alpha for check in checks[1:]] == [0.00025] * 4


def test_no_part_of_a_fair_test_is_mistaken_in_more_than_one_of_a_thousand_tests() -> None:
    """20,000 fair tests of ten days; counts of 400 are coarse, so up to twice the level is allowed."""
    rng, n = np.random.default_rng(1), 20_000
    counts = rng.binomial(400, 0.5, (n, 10))
    p_of = {k: ratio_checks({"a": k, "b": 400 - k}, {}, SHARES)[0].p_value for k in range(401)}
    worst = np.array([min(p_of[k] for k in row) for row in counts.tolist()])
    assert_within(float((worst < 0.0001).mean()), 0.0001, 0.0025, "some day does not match")
