from __future__ import annotations

import numpy as np
import pytest

from tests.studies.measures import Paired, expected_auc, judged, soft_log_loss


def pairs(score: np.ndarray, truth: np.ndarray) -> float:
    """The definition: over all ordered pairs, p_i (1 - p_j) where i is ahead, half where they tie."""
    ahead = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    weight = truth[:, None] * (1 - truth)
    return float((weight * ahead).sum() / weight.sum())


@pytest.mark.parametrize("levels", [2, 7, 1_000_000])
def test_expected_auc_is_its_definition_with_ties_and_without(levels: int) -> None:
    rng = np.random.default_rng(3)
    score, truth = rng.integers(levels, size=300) / levels, rng.random(300)
    assert expected_auc(score.reshape(30, 10), truth.reshape(30, 10)) == pytest.approx(pairs(score, truth), rel=1e-12)


def test_expected_auc_of_certain_labels_is_the_usual_one() -> None:
    """Two positives above all negatives, one below one of two: 5 of 6 pairs."""
    assert expected_auc(np.array([5.0, 4.0, 2.0, 3.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0])) == pytest.approx(
        5 / 6
    )


def test_expected_auc_is_what_drawn_labels_give_on_average() -> None:
    """100 draws of 500 labels; within 5 standard errors."""
    rng = np.random.default_rng(4)
    truth = rng.random(500) ** 2
    score = truth + rng.normal(scale=0.3, size=500)
    drawn = [pairs(score, (rng.random(500) < truth).astype(float)) for _ in range(100)]
    assert abs(np.mean(drawn) - expected_auc(score, truth)) < 5 * np.std(drawn) / 10


def test_no_prediction_has_a_lower_soft_log_loss_than_the_truth() -> None:
    truth = np.random.default_rng(5).random(1000)
    best = soft_log_loss(truth, truth)
    assert best == pytest.approx(-(truth * np.log(truth) + (1 - truth) * np.log(1 - truth)).mean())
    assert all(soft_log_loss(np.clip(truth + off, 0, 1), truth) > best for off in (-0.1, -0.01, 0.01, 0.1))


def test_what_exceeds_one_is_counted_and_has_a_finite_loss() -> None:
    found = judged(np.array([0.5, 1.5, 2.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.5]))
    assert found["above_one"] == 0.5
    assert found["ratio"] == 2.5
    assert np.isfinite(found["log_loss"])


def test_paired_differences_have_the_standard_error_of_their_mean() -> None:
    found = Paired.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3
    assert found.error == pytest.approx(np.sqrt(2.5 / 5))
    assert found.z == pytest.approx(3 / np.sqrt(0.5))
