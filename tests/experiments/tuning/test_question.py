"""Lifts of settings and what users contribute to their errors, beside the paired lift of the truth."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.influences import influenced
from experiments.analysis.paired import paired_lift
from experiments.tuning.question import Measured, QuestionError, measure, question_of
from experiments.tuning.seen import Seen
from tests.experiments.tuning.shop import TUNE, spec


def crowd(seed: int, settings: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators, the control's first; shape (settings + 1, n) each."""
    rng = np.random.default_rng(seed)
    bottom = rng.poisson(5, n) + rng.poisson(1, (settings + 1, n)) + 1.0
    return rng.poisson(0.3 * bottom) * 1.0, bottom


def test_lifts_and_errors_are_those_of_the_paired_lift() -> None:
    top, bottom = crowd(1, 3)
    found = influenced(top[1:], bottom[1:], top[0], bottom[0])
    for k in range(3):
        expected = paired_lift(top[k + 1], bottom[k + 1], top[0], bottom[0])
        assert found.lift[k] == pytest.approx(expected.lift)
        assert np.sqrt((found.of_lift[k] ** 2).sum()) == pytest.approx(expected.se)
        assert found.value[k] == pytest.approx(expected.value)


def test_contributions_of_two_settings_make_the_error_of_their_difference() -> None:
    """Against the spread over 2,000 crowds: settings that live on the same users err together."""
    lifts, errors = [], []
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        habit = rng.gamma(2, 1, 300)
        bottom = np.tile(rng.poisson(4 * habit) + 1.0, (3, 1))
        top = rng.poisson(0.2 * habit * bottom) * np.array([[1.0], [1.1], [1.2]]) + rng.poisson(0.02 * bottom)
        found = influenced(top[1:], bottom[1:], top[0], bottom[0])
        lifts.append(found.lift[1] - found.lift[0])
        errors.append(((found.of_lift[1] - found.of_lift[0]) ** 2).sum())
    assert np.mean(errors) == pytest.approx(np.var(lifts), rel=0.1)  # 2,000 draws know a variance to 3 %


def test_a_control_with_nothing_has_no_lift() -> None:
    zero, one = np.zeros((1, 5)), np.ones((1, 5))
    with pytest.raises(ValueError, match="is 0 under control"):
        influenced(one, one, zero[0], one[0])


def test_quantities_are_goals_first_then_limits_then_guardrails() -> None:
    question = question_of(spec())
    assert [quantity.name for quantity in question.quantities] == [
        "lift(stay_per_user)",
        "lift(ctr)",
        "lift(visits_per_user)",
    ]
    value = question_of(spec(TUNE.replace("ctr >= 0.5 * control", "ctr >= 0.01")))
    assert [quantity.name for quantity in value.quantities][2] == "ctr"


def test_without_goals_and_limits_the_metrics_of_the_test_are_taken() -> None:
    question = question_of(spec(TUNE.replace("  maximise: [stay_per_user, ctr]\n", "").replace("  subject_to", "  #")))
    assert question.goals == ("ctr", "stay_per_user")
    assert [limit.text for limit in question.limits] == ["lift(visits_per_user) >= -5%"]


def test_values_and_bounds_of_a_limit_are_in_one_unit() -> None:
    """stay_per_user is kept in milliseconds and read in seconds."""
    question = question_of(spec(TUNE.replace("ctr >= 0.5 * control", "stay_per_user >= 2")))
    limit = question.limits[0]
    n = len(question.columns)
    totals = np.ones((1, 10, n))
    totals[:, :, question.columns.index("stay_ms")] = 3000 + np.arange(10)
    found = measure(question, totals, totals[0])
    assert question.bound(limit) == pytest.approx(2000)
    assert found.values[0, question.index(limit)] == pytest.approx(3004.5)


def test_errors_of_batches_that_come_in_one_by_one_go_together_as_of_all_at_once() -> None:
    rng = np.random.default_rng(0)
    seen, parts = Seen(), []
    for n in (2, 3, 1):
        parts.append(Measured(rng.random((n, 2)), rng.standard_normal((n, 2, 50)).astype(np.float32)))
        seen.add([{} for _ in range(n)], parts[-1])
    whole = np.concatenate([part.influence for part in parts]).astype(np.float64)
    np.testing.assert_allclose(seen.observed.noise, np.einsum("smn,tmn->mst", whole, whole))
    np.testing.assert_array_equal(seen.of([4, 1]).values, seen.measured.values[[4, 1]])
    assert seen.of([4, 1]).noise[1, 0, 1] == pytest.approx(float(whole[4, 1] @ whole[1, 1]))


def test_a_log_is_not_asked_who_comes_back() -> None:
    log = TUNE.replace("[stay_per_user, ctr]", "[visits_per_user, ctr]") + "  evaluate: log\n"
    with pytest.raises(QuestionError, match="visits follow from what people were shown before"):
        question_of(spec(log))
    question = question_of(spec(TUNE.replace("  subject_to", "  #") + "  evaluate: log\n"))
    assert [limit.of for limit in question.limits] == ["log"]  # the guardrail on visits is left to the test
