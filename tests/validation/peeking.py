"""V8, V9: whoever looks every day and stops at the first sure look errs no more often than alpha says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.looks import with_repeated
from experiments.analysis.sequential import SPENDING, boundaries, exit_probabilities
from experiments.analysis.stats import SufficientStats
from tests.validation.measured import Measured, Size, beside, limits, luck, share

Floats = NDArray[np.float64]
ALPHA, POWER = 0.05, 0.8
LOOKS = 28  # days
DAILY = 100  # new users per arm and day of the experiments with a heavy tail
NAMES = {"obrien_fleming": "O'Brien-Fleming", "pocock": "Pocock"}
# Two-sided .05, five equal looks, by spending functions (Lan and DeMets 1983), as programs for them print them
# (Reboussin, DeMets, Kim and Lan 2000).
SPENT: Mapping[str, Sequence[float]] = {
    "obrien_fleming": (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    "pocock": (2.4380, 2.4268, 2.4101, 2.3966, 2.3859),
}
# The classical constants for five looks (Jennison and Turnbull 2000, tables 2.1 and 2.3).
CLASSICAL: Mapping[str, tuple[float, float]] = {"Pocock": (2.413, 0.0), "O'Brien-Fleming": (2.040, 0.5)}


def sequential_error(size: Size) -> list[Measured]:
    """28 daily looks at identical arms: stopping at the first sure look errs in five percent of experiments.

    Of normal statistics with looks at equal information, and of 100 lognormal (1.2) users per arm and day through
    the whole analysis, where information is estimated at every look. Naive is to stop at the first p < .05.
    Confidence sequences (AsympCS) are not built, and are not measured.
    """
    return [*_normal(size), *_lognormal(size)]


def _normal(size: Size) -> list[Measured]:
    k = size.of(10_000, 10_000)
    rng, fractions = np.random.default_rng(luck("V8", size)), np.arange(1, LOOKS + 1) / LOOKS
    steps = rng.normal(size=(k, LOOKS))
    walk = steps.cumsum(axis=1) / np.sqrt(LOOKS)
    drift = (norm.isf(ALPHA / 2) + norm.ppf(POWER)) * fractions  # of what one look at the end finds in 80 %
    found = []
    for spending in SPENDING:
        bound = boundaries(fractions, ALPHA, spending)
        crossed = _crossed(walk / np.sqrt(fractions), bound)
        power = _crossed((walk + drift) / np.sqrt(fractions), bound).mean()
        note = f"power {power:.3f} where one look at the end has .8"
        found.append(share("V8", f"normal, {NAMES[spending]}: crossed", crossed.mean(), ALPHA, k, note))
    naive = _crossed(walk / np.sqrt(fractions), np.full(LOOKS, norm.isf(ALPHA / 2)))
    return [*found, limits("V8", "normal, naive daily peeking: crossed", naive.mean(), 0.2, 1.0, k, "must fail")]


def _crossed(z: Floats, bound: Floats) -> NDArray[np.bool_]:
    return np.asarray((np.abs(z) > bound).any(axis=1))


def _lognormal(size: Size) -> list[Measured]:
    k = size.of(150, 10_000)
    rng = np.random.default_rng([luck("V8", size), 1])
    days = list(range(1, LOOKS + 1))
    crossed = {spending: np.empty(k, dtype=bool) for spending in SPENDING}
    naive = np.empty(k, dtype=bool)
    for r in range(k):
        looks = _looks(rng)
        naive[r] = any(lift.p_value < ALPHA for lift in looks)
        for spending, stopped in crossed.items():
            stopped[r] = with_repeated(days, looks, [0.0] * LOOKS, ALPHA, spending)[-1].crossed
    return [
        *(share("V8", f"lognormal, {NAMES[s]}: crossed", crossed[s].mean(), ALPHA, k) for s in SPENDING),
        limits("V8", "lognormal, naive daily peeking: crossed", naive.mean(), 0.2, 1.0, k, "must fail"),
    ]


def _looks(rng: np.random.Generator) -> list[Lift]:
    """The lift as of the end of each day of one experiment with identical arms."""
    values = rng.lognormal(0, 1.2, (2, LOOKS, DAILY))
    n = DAILY * np.arange(1, LOOKS + 1)
    mean = values.sum(axis=2).cumsum(axis=1) / n
    scatter = (values**2).sum(axis=2).cumsum(axis=1) - n * mean**2
    found = []
    for day in range(LOOKS):
        groups = {
            arm: SufficientStats(("x",), int(n[day]), mean[a, [day]], scatter[a, [day], None])
            for a, arm in enumerate("ab")
        }
        found += lifts(joint_estimate(groups, [Metric("x", "x")], cuped=False), "a", ALPHA)
    return found


def published_bounds(_: Size) -> list[Measured]:
    """Boundaries of five equal looks against published tables, and against the normal distribution in five dimensions.

    The classical constants, which no spending function made, must use up alpha by the same integration.
    """
    fractions = np.arange(1, 6) / 5
    found = []
    for spending, table in SPENT.items():
        ours = boundaries(fractions, ALPHA, spending)
        off = float(np.abs(ours - table).max())
        said = " ".join(f"{bound:.4f}" for bound in ours)
        found.append(limits("V9", f"{NAMES[spending]} spending, off the table", off, 0.0, 5e-4, 0, said))
        due = SPENDING[spending](fractions, ALPHA)
        gap = max(abs(_crossed_by(fractions[:k], ours[:k]) - due[k - 1]) for k in range(1, 6))
        found.append(limits("V9", f"{NAMES[spending]} spending, off what SciPy spends", gap, 0.0, 5e-5, 0))
    for name, (constant, power) in CLASSICAL.items():
        spent = exit_probabilities(fractions, constant * fractions**-power).sum()
        found.append(limits("V9", f"{name}'s constant, off alpha", abs(spent - ALPHA), 0.0, 5e-5, 0, f"{constant}"))
    naive = exit_probabilities(fractions, np.full(5, norm.isf(ALPHA / 2))).sum()
    return [*found, beside("V9", "naive, five looks at 1.96: ever crossed", float(naive), 0, "published .142")]


def _crossed_by(fractions: Floats, bound: Floats) -> float:
    """Probability to have crossed, by SciPy's integration of the normal distribution over a box."""
    if len(bound) == 1:
        return float(2 * norm.sf(bound[0]))
    correlation = np.sqrt(np.minimum.outer(fractions, fractions) / np.maximum.outer(fractions, fractions))
    inside = multivariate_normal(cov=correlation, abseps=2e-6, releps=0, maxpts=1_000_000, seed=1)
    return float(1 - inside.cdf(bound, lower_limit=-bound))
