"""A/A replay: the control's own units, split at random again and again, must differ as rarely as the level says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats

Floats = NDArray[np.float64]
SPLITS = 200  # the share that rejects is then known to 1.5 points
MOST = 10_000  # units of one split; more would make the check dearer than the analysis


def replayed(
    columns: Sequence[str], values: Floats, metrics: Sequence[Metric], *, cuped: bool, alpha: float, seed: int
) -> dict[str, float]:
    """By metric, the share of splits in halves that reject equality; NaN where no split tells anything.

    Args:
        values: shape (n, k), the control's units.
    """
    rng = np.random.default_rng(seed)
    if len(values) > MOST:
        values = values[rng.permutation(len(values))[:MOST]]
    whole = SufficientStats.of(columns, values)
    rejected, told = np.zeros(len(metrics)), np.zeros(len(metrics))
    for _ in range(SPLITS if len(values) >= 4 else 0):
        one = SufficientStats.of(columns, values[rng.random(len(values)) < 0.5])
        halves: Mapping[str, SufficientStats] = {"a": one, "b": whole - one}
        p = np.array([lift.p_value for lift in lifts(joint_estimate(halves, metrics, cuped=cuped), "a", alpha)])
        told += np.isfinite(p)
        rejected += np.nan_to_num(p, nan=1.0) < alpha
    with np.errstate(invalid="ignore"):
        shares = np.where(told > 0, rejected / np.maximum(told, 1), np.nan)
    return {metric.name: float(share) for metric, share in zip(metrics, shares, strict=True)}
