"""V6, V7, V10: what holds for all arms and metrics at once holds as often as it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import dunnett, norm

from experiments.analysis.contrasts import JointLifts, joint_lifts
from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.simultaneous import critical_value, max_t
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import holm
from tests.validation.measured import Measured, Size, at_most, beside, limits, luck, share
from tests.validation.population import METRICS, Population, population

ALPHA = 0.05
ARMS = "abcdef"
USERS = 2_000  # per arm; 200 of them buyers
RAISED = (0.0, -0.05, 0.0, 0.02, 0.05, 0.10)  # by arm, in V7
DUNNETT = (1.960, 2.212, 2.349, 2.442, 2.511)  # two-sided .05, correlation .5, without end of users (Dunnett 1964)


def drawn(
    arms: Sequence[Population], metrics: Sequence[Metric], rng: np.random.Generator
) -> tuple[list[Lift], JointLifts]:
    """One experiment; the first arm is the control."""
    groups = {name: people.drawn(rng, USERS) for name, people in zip(ARMS, arms, strict=False)}
    estimate = joint_estimate(groups, metrics, cuped=False)
    found = lifts(estimate, ARMS[0], ALPHA)
    return found, joint_lifts(estimate, ARMS[0], found)


def family_wise_error(size: Size) -> list[Measured]:
    """Six identical arms, ten metrics: something among fifty lifts is called sure in five percent of experiments.

    2 000 users per arm. Max-T meets the level; Holm stays below it, since it does not know that arms share their
    control and metrics their users; unadjusted p-values find something in most experiments.
    """
    k = size.of(80, 3_000)
    metrics = list(METRICS.values())
    people, rng = population().needed_by(metrics), np.random.default_rng(luck("V6", size))
    false = np.empty((3, k), dtype=bool)
    critical = np.empty(k)
    for r in range(k):
        found, joint = drawn([people] * len(ARMS), metrics, rng)
        p, together = np.array([lift.p_value for lift in found]), max_t(joint, ALPHA)
        critical[r] = together.critical
        false[:, r] = together.p_adjusted.min() < ALPHA, holm(p.tolist()).min() < ALPHA, p.min() < ALPHA
    by_max_t, by_holm, by_none = false.mean(axis=1)
    bonferroni = float(norm.isf(ALPHA / 2 / (len(METRICS) * (len(ARMS) - 1))))
    note = f"mean critical value {critical.mean():.3f}; Bonferroni's {bonferroni:.3f}"
    return [
        share("V6", "max-T: a false finding", by_max_t, ALPHA, k, note),
        at_most("V6", "Holm: a false finding", by_holm, ALPHA, k),
        limits("V6", "naive, unadjusted: a false finding", by_none, 0.5, 1.0, k, "must fail"),
    ]


def simultaneous_coverage(size: Size) -> list[Measured]:
    """Fifty intervals hold all of their fifty true lifts in 95 % of experiments, where arms do differ.

    As V6, with visits, rates and prices raised by -5, 0, 2, 5 and 10 % in the five challengers.
    """
    k = size.of(80, 3_000)
    metrics = list(METRICS.values())
    arms = [population(raised).needed_by(metrics) for raised in RAISED]
    truth = [arm.truth(m) / arms[0].truth(m) - 1 for arm in arms[1:] for m in metrics]
    rng, covered = np.random.default_rng(luck("V7", size)), np.empty((2, k), dtype=bool)
    for r in range(k):
        found, joint = drawn(arms, metrics, rng)
        for row, level in enumerate((max_t(joint, ALPHA).level, ALPHA)):
            low, high = np.array([lift.interval(level) for lift in found]).T
            covered[row, r] = ((low <= truth) & (truth <= high)).all()
    together, alone = covered.mean(axis=1)
    return [
        share("V7", "simultaneous intervals: all hold", together, 1 - ALPHA, k),
        beside("V7", "naive, intervals of single tests: all hold", alone, k),
    ]


def dunnett_values(_: Size) -> list[Measured]:
    """Critical values and p-values of several arms against one control, beside Dunnett's.

    Critical values against the table and against a one-dimensional integral, adjusted p-values against
    `scipy.stats.dunnett` on data whose arms have equal variances, as Dunnett supposes.
    """
    found = []
    for k, published in enumerate(DUNNETT, start=1):
        ours = critical_value(0.5 * (np.eye(k) + 1), ALPHA)
        what = f"{k} arms: critical value {ours:.4f}, off"
        note = f"published {published:.3f}"
        found.append(limits("V10", f"{what} the table", abs(ours - published), 0.0, 0.01, 0, note))
        exact = _dunnett_integral(k)
        found.append(limits("V10", f"{what} the integral", abs(ours - exact), 0.0, 0.01, 0, f"integral {exact:.4f}"))
    off, note = _p_value_gap()
    return [*found, limits("V10", "p-value of the best of five arms, off SciPy's", off, 0.0, 0.002, 0, note)]


def _dunnett_integral(k: int) -> float:
    """Critical value by integrating over the control's error, given which arms are independent."""

    def holds(critical: float, control: float) -> float:
        inside = norm.cdf(np.sqrt(2) * critical + control) - norm.cdf(control - np.sqrt(2) * critical)
        return float(norm.pdf(control) * inside**k)

    def excess(critical: float) -> float:
        return float(quad(lambda x: holds(critical, x), -9, 9, epsabs=1e-12)[0]) - (1 - ALPHA)

    return float(brentq(excess, 1.5, 4))


def _p_value_gap() -> tuple[float, str]:
    """Between the step-down p-value of the largest of five statistics, where no step was made yet, and SciPy's."""
    rng, n = np.random.default_rng(luck("V10", Size.FULL)), 4_000
    means = 1 + np.array([0.0, 0.01, -0.02, 0.0, 0.055, 0.02])
    samples = rng.normal(size=(len(means), n))
    samples = (samples - samples.mean(axis=1, keepdims=True)) / samples.std(axis=1, ddof=1, keepdims=True)
    values = samples + means[:, None]
    groups = {arm: SufficientStats.of(("x",), row[:, None]) for arm, row in zip(ARMS, values, strict=True)}
    estimate = joint_estimate(groups, [Metric("x", "x")], cuped=False)
    ours = max_t(joint_lifts(estimate, "a", lifts(estimate, "a", ALPHA)), ALPHA).p_adjusted.min()
    theirs = dunnett(*values[1:], control=values[0], rng=np.random.default_rng(0)).pvalue.min()
    return abs(float(ours - theirs)), f"ours {ours:.4f}, SciPy {theirs:.4f}"
