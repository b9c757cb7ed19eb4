"""V3: what heavy tails of order values do to intervals, and where the warning of few buyers must begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.quality import SPARSE
from experiments.analysis.stats import SufficientStats
from tests.validation.measured import Measured, Size, beside, limits, luck, share

Floats = NDArray[np.float64]
ALPHA = 0.05
BUYERS = 0.02  # of users
GATED = "lognormal 1.2"
USERS = (1_000, 10_000, 100_000)  # in the smaller arm
SPLITS = {"50/50": 1, "90/10": 9}
AT_ONCE = 4_000_000  # orders held in memory

TAILS: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    GATED: lambda rng, n: rng.lognormal(0, 1.2, n),
    "lognormal 2.0": lambda rng, n: rng.lognormal(0, 2.0, n),
    "Pareto 2.2": lambda rng, n: rng.pareto(2.2, n) + 1,
}


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one arm in K experiments, each of shape (K,); what users without an order add is 0."""

    n: int
    mean: Floats
    scatter: Floats

    @property
    def variance(self) -> Floats:
        """Of the mean."""
        return self.scatter / (self.n - 1) / self.n

    def stats(self, k: int) -> SufficientStats:
        return SufficientStats(("value",), self.n, self.mean[[k]], self.scatter[[k], None])


def heavy_tails(size: Size) -> list[Measured]:
    """Intervals of money per user where 2 % of users buy and a few of them spend most.

    Fieller's interval, which is ours, beside the two usual ones: of the log ratio and of the ratio itself. No effect.
    Users are of the smaller arm; the control is as large (50/50) or nine times as large (90/10). The band is asked of
    lognormal 1.2 with 200 buyers or more and equal arms; the rest shows why equal arms are better, and why below
    200 buyers there must be a warning.
    """
    k = size.of(500, 10_000)
    found = [limits("V3", "buyers per arm below which a warning is given", SPARSE, 200, np.inf, 0)]
    for tail, draw in TAILS.items():
        for users in USERS:
            for split, times in SPLITS.items():
                rng = np.random.default_rng([luck("V3", size), list(TAILS).index(tail), users, times])
                treated, control = _arm(rng, draw, users, k), _arm(rng, draw, users * times, k)
                gated = tail == GATED and users >= 10_000 and times == 1
                found += _cell(f"{tail}, {users:,} users, {split}", treated, control, gated)
    return found


def _arm(rng: np.random.Generator, draw: Callable[[np.random.Generator, int], Floats], n: int, k: int) -> Moments:
    buyers = rng.binomial(n, BUYERS, k)
    parts = np.array_split(buyers, max(1, int(buyers.sum()) // AT_ONCE))
    total, squares = (np.concatenate(x) for x in zip(*(_sums(rng, draw, part) for part in parts), strict=True))
    mean = total / n
    return Moments(n, mean, squares - n * mean**2)  # values begin near 0: no digit is lost here


def _sums(
    rng: np.random.Generator, draw: Callable[[np.random.Generator, int], Floats], buyers: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of the values and their squares, by experiment."""
    values, first = draw(rng, int(buyers.sum())), np.concatenate([[0], buyers.cumsum()[:-1]])
    return np.add.reduceat(values, first), np.add.reduceat(values**2, first)


def _cell(what: str, treated: Moments, control: Moments, gated: bool) -> list[Measured]:
    k = len(treated.mean)
    covered, unbounded = np.empty(k, dtype=bool), np.empty(k, dtype=bool)
    for r in range(k):
        groups = {"control": control.stats(r), "treated": treated.stats(r)}
        (ours,) = lifts(joint_estimate(groups, [Metric("GMV", "value")], cuped=False), "control", ALPHA)
        covered[r], unbounded[r] = ours.low <= 0 <= ours.high, not ours.bounded
    note = f"unbounded {unbounded.mean():.4f}"
    ours_share = covered.mean()
    first = share if gated else lambda check, what, value, _, k, note: beside(check, what, value, k, note)
    return [
        first("V3", f"{what}: Fieller", ours_share, 1 - ALPHA, k, note),
        beside("V3", f"{what}: naive, log ratio", _log_delta(treated, control).mean(), k),
        beside("V3", f"{what}: naive, ratio", _linear_delta(treated, control).mean(), k),
    ]


def _log_delta(treated: Moments, control: Moments) -> NDArray[np.bool_]:
    """Whether no effect lies in the interval of the log ratio."""
    se = np.sqrt(treated.variance / treated.mean**2 + control.variance / control.mean**2)
    return np.abs(np.log(treated.mean / control.mean)) <= norm.isf(ALPHA / 2) * se


def _linear_delta(treated: Moments, control: Moments) -> NDArray[np.bool_]:
    """Whether no effect lies in the interval of the ratio."""
    ratio = treated.mean / control.mean
    se = np.sqrt(treated.variance + ratio**2 * control.variance) / control.mean
    return np.abs(ratio - 1) <= norm.isf(ALPHA / 2) * se
