from __future__ import annotations

import numpy as np

from experiments.analysis.joint import Metric
from experiments.analysis.replay import SPLITS, replayed
from tests.asserts import assert_within

COLUMNS = ("x", "n", "pre")


def units(n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.gamma(2, 1, n)
    return np.column_stack([rng.poisson(base), 4 + rng.poisson(base), base]).astype(float)


def test_halves_of_one_arm_differ_as_rarely_as_the_level_says() -> None:
    """The 99.9 % band of 200 splits."""
    metrics = [Metric("rate", "x", "n"), Metric("mean", "x", None, ("pre", None))]
    for share in replayed(COLUMNS, units(3000), metrics, cuped=True, alpha=0.05, seed=1).values():
        assert_within(share, 0.01, 0.11, f"rejected of {SPLITS} splits")


def test_the_same_seed_gives_the_same_shares() -> None:
    one, two = (replayed(COLUMNS, units(500), [Metric("m", "x")], cuped=False, alpha=0.05, seed=3) for _ in range(2))
    assert one == two


def test_a_constant_metric_and_a_handful_of_units_tell_nothing() -> None:
    constant = units(100)
    constant[:, 0] = 0
    assert np.isnan(replayed(COLUMNS, constant, [Metric("m", "x")], cuped=False, alpha=0.05, seed=1)["m"])
    assert np.isnan(replayed(COLUMNS, units(3), [Metric("m", "x")], cuped=False, alpha=0.05, seed=1)["m"])
