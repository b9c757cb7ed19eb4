"""Power before the test: what effect a design can see, and how many units it takes to see one.

Effects, margins and standard errors are relative: 0.01 is 1 % of the control's mean. The error is taken as it is
where arm and control are equal; an arm that doubles a metric also widens it. With finite degrees of freedom, the
few clusters of Student's t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from scipy.stats import nct

from experiments.analysis.lifts import welch_dof
from experiments.analysis.simultaneous import critical_value

Floats = NDArray[np.float64]
MANY = 2000  # degrees of freedom from which Student's t is the normal to four digits


def power_of(effect: float, se: float, alpha: float, dof: float = np.inf) -> float:
    """Probability that a two-sided test at level alpha is significant, on whichever side; exact for normal means."""
    shift, critical = abs(effect) / se, -_quantile(alpha / 2, dof)
    return _above(critical, shift, dof) + _above(critical, -shift, dof)


def detectable(se: float, alpha: float, power: float, dof: float = np.inf) -> float:
    """The smallest effect that a two-sided test at level alpha sees with that power; 0 where chance alone does."""
    if power <= alpha:
        return 0.0
    return se * _root(lambda shift: power_of(shift, 1, alpha, dof) - power)


def keeping_power(margin: float, se: float, alpha: float, lift: float = 0.0, dof: float = np.inf) -> float:
    """Probability that a guardrail is shown to be kept: non-inferiority, one-sided at level alpha.

    Args:
        margin: < 0 the largest fall accepted, > 0 the largest rise. lift: the true one.
    """
    room = (lift - margin) if margin < 0 else (margin - lift)
    return _above(-_quantile(alpha, dof), room / se, dof)


def provable(se: float, alpha: float, power: float, dof: float = np.inf) -> float:
    """The narrowest margin, without its sign, that an arm which changes nothing is shown to keep with that power."""
    if power <= alpha:
        return 0.0
    return se * _root(lambda room: keeping_power(-room, 1, alpha, 0.0, dof) - power)


def relative_error(relative_sd: float, arm_units: float, control_units: float) -> float:
    """Standard error of a lift where nothing differs. relative_sd: of one unit, over the mean."""
    return float(relative_sd * np.sqrt(1 / arm_units + 1 / control_units))


def units_needed(
    effect: float,
    relative_sd: float,
    alpha: float,
    power: float,
    *,
    ratio: float = 1.0,
    guardrail: bool = False,
    small_sample: bool = False,
) -> float:
    """Units in the arm, with `ratio` times as many in the control, so that the design sees the effect.

    Args:
        effect: without its sign. guardrail: it is a margin, to be kept by an arm that changes nothing.
        small_sample: units are so few that Student's t is needed; at least two in each.
    """
    smallest = provable if guardrail else detectable

    def short_of(units: float) -> float:
        dof = welch_dof(1 / units, units, 1 / (ratio * units), ratio * units) if small_sample else np.inf
        return smallest(relative_error(relative_sd, units, ratio * units), alpha, power, dof) - effect

    if not small_sample:
        return float((smallest(1.0, alpha, power) * relative_error(relative_sd, 1, ratio) / effect) ** 2)
    least = 2 / min(ratio, 1)
    if short_of(least) <= 0:
        return least
    return least + _root(lambda more: -short_of(least + more))


def power_per_test(power: float, n_guardrails: int) -> float:
    """The power that each test needs so that the whole decision has it: an arm is shipped if one goal is won and every
    guardrail kept, and any of these G + 1 may fail. So each fails with at most (1 - power) / (G + 1) (Schultzberg,
    Ankargren and Franberg 2024): the alpha of guardrails needs no correction, their power does."""
    return 1 - (1 - power) / (n_guardrails + 1)


def bonferroni_level(alpha: float, n_comparisons: int) -> float:
    """The level of each of several tests so that the chance of any false alarm is at most alpha."""
    return alpha / max(n_comparisons, 1)


def family_level(
    alpha: float, arm_units: Floats, control_units: float, correlation: Floats, dof: float = np.inf
) -> float:
    """The level of each of all (arm x metric) tests so that the chance of any false alarm is alpha: by the largest of
    correlated statistics, since arms share a control and metrics share their units.

    Args:
        arm_units: shape (A,). Of the challengers; shares do as well, here and for the control.
        correlation: shape (M, M), of the metrics within an arm.
    """
    n = len(arm_units) * len(correlation)
    share = np.sqrt(arm_units / (arm_units + control_units))  # sd of the control's part in a difference
    of_arms = np.outer(share, share)
    np.fill_diagonal(of_arms, 1.0)
    critical = critical_value(np.kron(of_arms, correlation), alpha, dof)
    return float(np.clip(2 * _below(-critical, dof), bonferroni_level(alpha, n), alpha))


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 at 0 is 0."""
    most = 4.0
    while rising(most) < 0:
        most *= 2
    return float(brentq(rising, 0.0, most, xtol=1e-10))


def _below(x: float, dof: float) -> float:
    return float(ndtr(x) if dof >= MANY else stdtr(dof, x))


def _quantile(p: float, dof: float) -> float:
    return float(ndtri(p) if dof >= MANY else stdtrit(dof, p))


def _above(critical: float, shift: float, dof: float) -> float:
    """Probability that a statistic with mean `shift` (of Student's t: non-centrality) lies above a critical value."""
    return float(ndtr(shift - critical) if dof >= MANY else nct.sf(critical, dof, shift))
