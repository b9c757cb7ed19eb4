"""The arithmetic of the scorecard, against sums written out and limits that are known."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.scoring import (
    expected_auc,
    grouped_auc,
    log_loss,
    ndcg,
    rank_correlation,
    ratio,
    reliability,
)
from tests.asserts import assert_mean


def pairs_by_hand(score: np.ndarray, p: np.ndarray) -> float:
    won = pairs = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                weight = p[i] * (1 - p[j])
                pairs += weight
                won += weight * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    return won / pairs


@pytest.mark.parametrize("seed", range(4))
def test_expected_auc_is_the_sum_over_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, p = rng.integers(0, 6, size=40).astype(float), rng.random(40)
    assert expected_auc(score, p) == pytest.approx(pairs_by_hand(score, p), rel=1e-12)


def test_expected_auc_of_labels_is_the_usual_one() -> None:
    """Two positives of 0.4 and 0.8 among negatives of 0.1, 0.4 and 0.5: (1.5 + 3) of 6 pairs."""
    score, label = np.array([0.1, 0.4, 0.4, 0.5, 0.8]), np.array([0, 0, 1, 0, 1])
    assert expected_auc(score, label) == pytest.approx(4.5 / 6)


def test_expected_auc_is_what_drawn_labels_give_on_average() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(300) ** 3
    score = p + 0.2 * rng.normal(size=300)
    drawn = np.array([expected_auc(score, rng.random(300) < p) for _ in range(400)])
    assert_mean(drawn, expected_auc(score, p))


def test_luck_is_worth_a_half_and_turning_round_is_the_complement() -> None:
    rng = np.random.default_rng(2)
    p, score = rng.random(20_000), rng.random(20_000)
    assert expected_auc(np.zeros(50), p[:50]) == pytest.approx(0.5)
    assert expected_auc(-score, p) == pytest.approx(1 - expected_auc(score, p))
    assert abs(expected_auc(score, p) - 0.5) < 5 / np.sqrt(12 * 5000)  # of 10,000 positives and negatives: an upper SE


def test_there_is_no_auc_without_pairs() -> None:
    assert np.isnan(expected_auc(np.array([1.0, 2.0]), np.array([0.0, 0.0])))
    assert np.isnan(expected_auc(np.zeros(0), np.zeros(0)))
    assert np.isnan(expected_auc(np.ones(1), np.ones(1) / 2))


def test_log_loss_by_hand() -> None:
    assert log_loss(np.array([0.5, 0.9]), np.array([1, 0])) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)
    assert np.isfinite(log_loss(np.array([0.0, 1.7]), np.array([1, 0])))


def test_reliability_holds_every_impression_in_bins_of_equal_size() -> None:
    rng = np.random.default_rng(3)
    predicted, true = rng.random(1000), rng.random(1000)
    bins = reliability(predicted, true)
    assert bins.n.tolist() == [100] * 10
    order = np.argsort(predicted)
    assert bins.predicted == pytest.approx(predicted[order].reshape(10, 100).mean(axis=1))
    assert bins.true == pytest.approx(true[order].reshape(10, 100).mean(axis=1))
    by_hand = np.abs((predicted - true)[order].reshape(10, 100).mean(axis=1)).mean()
    assert bins.error == pytest.approx(by_hand)


def test_equal_predictions_share_a_bin() -> None:
    """Else the bins of a constant would differ by the order of rows, and look miscalibrated."""
    bins = reliability(np.full(100, 0.2), np.arange(100) / 500)
    assert bins.n.tolist() == [100]
    assert bins.error == pytest.approx(0.2 - 0.099)
    mixed = reliability(np.array([0.1] * 70 + [0.3, 0.4, 0.5] * 10), np.zeros(100))
    assert mixed.n.sum() == 100
    assert mixed.predicted[0] == pytest.approx(0.1)


def test_calibration_of_the_truth_itself_is_perfect() -> None:
    p = np.random.default_rng(4).random(500)
    assert reliability(p, p).error == 0
    assert ratio(p, p) == 1
    assert ratio(2 * p, p) == pytest.approx(2)
    assert np.isnan(ratio(p, 0 * p))


def test_rank_correlation_is_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 9, 200).astype(float), rng.random(200)
    assert rank_correlation(a, b) == pytest.approx(float(spearmanr(a, b).statistic))
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert np.isnan(rank_correlation(a, np.ones(200)))


def ndcg_by_hand(score: np.ndarray, gain: np.ndarray, depth: int) -> float:
    def dcg(order: list[int]) -> float:
        return sum(float(gain[item]) / np.log2(rank + 2) for rank, item in enumerate(order[:depth]))

    served = sorted(range(len(gain)), key=lambda item: (-score[item], item))
    return dcg(served) / dcg(sorted(range(len(gain)), key=lambda item: -gain[item]))


def test_ndcg_is_the_sum_written_out() -> None:
    rng = np.random.default_rng(6)
    score, gain = rng.integers(0, 5, (8, 25)).astype(float), rng.random((8, 25)) ** 4
    expected = np.mean([ndcg_by_hand(s, g, 10) for s, g in zip(score, gain, strict=True)])
    assert ndcg(score, gain) == pytest.approx(expected)
    assert ndcg(gain, gain) == pytest.approx(1)
    assert ndcg(score[:, :4], gain[:, :4]) == pytest.approx(
        np.mean([ndcg_by_hand(s, g, 10) for s, g in zip(score[:, :4], gain[:, :4], strict=True)])
    )


def test_requests_without_any_gain_say_nothing_of_an_order() -> None:
    score, gain = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    assert ndcg(score, gain) == 1
    assert np.isnan(ndcg(score[:1], gain[:1]))


def test_scores_of_two_requests_need_no_common_scale() -> None:
    rng = np.random.default_rng(7)
    score, p = rng.random((5, 30)), rng.random((5, 30))
    moved = 100 * np.arange(5)[:, None] + score * np.array([1, 5, 0.1, 3, 7])[:, None]
    assert grouped_auc(moved, p) == pytest.approx(grouped_auc(score, p))
    assert grouped_auc(score, p) == pytest.approx(np.mean([expected_auc(s, q) for s, q in zip(score, p, strict=True)]))
