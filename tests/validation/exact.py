"""V17, V18: sums that add in any order at any offset, and p-values far in the tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from experiments.analysis.lifts import lift
from experiments.analysis.stats import SufficientStats, pooled
from tests.validation.measured import Measured, Size, beside, limits, luck

Floats = NDArray[np.float64]
COLUMNS = ("a", "b", "c")
OFFSET = 1e8


def merging(size: Size) -> list[Measured]:
    """Shards of disjoint users, merged in any order, are the whole: within 1e-12 of two passes in float64 at offset 0,
    and 1e-6 at an offset of 1e8. Beside it, the sum of squares less n times the squared mean, as other tools do it.
    """
    del size  # exact: nothing is drawn more often in the full form
    rng = np.random.default_rng(luck("V17", Size.FULL))
    values = rng.normal(size=(20_000, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    exact = np.cov(values.astype(np.longdouble).T).astype(np.float64)
    found = []
    for offset, bound in ((0.0, 1e-12), (OFFSET, 1e-6)):
        worst = max(_off(values + offset, shards, exact, rng) for shards in (1, 2, 7, 64))
        what = f"1 to 64 shards in any order at offset {offset:g}: relative error"
        found.append(limits("V17", what, worst, 0, bound, 0))
    parts = _shards(values, 3, rng)
    one, other = (parts[0] + parts[1]) + parts[2], parts[0] + (parts[1] + parts[2])
    turned = (parts[1] + parts[0]) + parts[2]
    gap = max(float(np.abs(s.scatter / one.scatter - 1).max()) for s in (other, turned))
    found.append(limits("V17", "associative and commutative: relative difference", gap, 0, 1e-12, 0))
    y = values[:, 0] + OFFSET
    naive = float(((y * y).sum() - len(y) * y.mean() ** 2) / (len(y) - 1))
    lost = beside("V17", f"naive, sum of squares at {OFFSET:g}: variance", naive, 0, f"true {exact[0, 0]:.3f}")
    return [*found, lost]


def _shards(values: Floats, n: int, rng: np.random.Generator) -> list[SufficientStats]:
    owner = rng.integers(n, size=len(values))
    return [SufficientStats.of(COLUMNS, values[owner == shard]) for shard in rng.permutation(n)]


def _off(values: Floats, shards: int, exact: Floats, rng: np.random.Generator) -> float:
    return float(np.abs(pooled(_shards(values, shards, rng)).covariance / exact - 1).max())


def tails(size: Size) -> list[Measured]:
    """P-values at 5 to 37 standard errors beside the logarithm of the normal tail; 1 - cdf is 0 beyond 8.3."""
    del size
    off = []
    for z in np.arange(5.0, 37.5, 0.5):
        found = lift("b", "m", 1 + z * 1e-3, 0.5e-6, 1.0, 0.5e-6, 0.05)
        off.append(abs(np.expm1(np.log(found.p_value) - np.log(2) - norm.logsf(abs(found.z)))))
    lost = 2 * (1 - norm.cdf(9.0))
    return [
        limits("V18", "p-values at z = 5 to 37: relative error", float(max(off)), 0, 1e-10, 0),
        beside("V18", "naive, 2 (1 - cdf) at z = 9", float(lost), 0, f"true {2 * norm.sf(9.0):.2g}"),
    ]
