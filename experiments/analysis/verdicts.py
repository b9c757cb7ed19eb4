"""From estimates to statements: multiplicity, sample ratios, non-inferiority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, false_discovery_control

from experiments.analysis.lifts import Lift

SRM_ALPHA = 0.001  # the level at which platforms stop trusting a test (Fabijan et al., KDD 2019)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Step-down adjusted p-values (Holm 1979); NaN stays NaN and counts for nothing."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values that keep the share of false discoveries below a level (Benjamini and Hochberg 1995); NaN
    stays NaN and counts for nothing."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted, known = np.full(len(p), np.nan), np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known], method="bh")
    return adjusted


def sample_ratio_p_value(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """P-value of the users per arm against their planned shares, over all arms at once (chi-square)."""
    observed = np.array([counts[arm] for arm in shares], dtype=np.float64)
    planned = np.array(list(shares.values()))
    expected = observed.sum() * planned / planned.sum()
    if not observed.sum():
        return float("nan")
    return float(chi2.sf(((observed - expected) ** 2 / expected).sum(), len(observed) - 1))


def non_inferiority(lift: Lift, margin: float, alpha: float) -> tuple[str, float]:
    """PASS if the change is surely within the margin, FAIL if surely beyond, else UNCLEAR; and the bound.

    One-sided at level alpha, as is usual for guardrails. A margin below 0 is the largest fall accepted, of a
    metric where higher is better, and the bound is the lower one; a margin above 0 the largest rise, where
    lower is better, and the bound is the upper one. A margin of 0 accepts no fall.
    """
    if not lift.known:
        return "UNCLEAR", float("nan")
    lower, upper = lift.interval(2 * alpha)
    if margin > 0:
        kept, broken, bound = upper < margin, lower > margin, upper
    else:
        kept, broken, bound = lower > margin, upper < margin, lower
    return ("PASS" if kept else "FAIL" if broken else "UNCLEAR"), bound
