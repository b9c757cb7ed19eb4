"""V16: one frame of 200,000 users through seesaw, tea-tasting, SciPy, statsmodels and gbstats: the same numbers.

Where conventions differ, that is said: tea-tasting's relative intervals are of the logarithm of the ratio, ours are
Fieller's; its theta of CUPED is of two arms, ours of all arms at once, which is the same where there are two.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import sample_ratio_p_value
from tests.validation.measured import Measured, Size, beside, limits, luck

Floats = NDArray[np.float64]
USERS = 200_000
COLUMNS = ("value", "click", "seen", "before")
MEAN, RATIO = Metric("value", "value"), Metric("CTR", "click", "seen")
CUPED = Metric("value", "value", None, ("before", None))


@cache
def frame() -> tuple[Floats, NDArray[np.int64]]:
    """Users' columns and arms: a heavy tail, a ratio, and a past that tells something of the value."""
    rng = np.random.default_rng(luck("V16", Size.FULL))
    before = rng.gamma(2, 1, USERS)
    arm = rng.integers(2, size=USERS)
    value = 0.6 * before + rng.lognormal(0, 1.2, USERS) + 0.01 * arm
    seen = 1.0 + rng.poisson(5 * before)
    click = rng.binomial(seen.astype(np.int64), 0.1)
    return np.column_stack([value, click, seen, before]), arm


def agreement(size: Size) -> list[Measured]:
    """Differences, standard errors, p-values of Welch's t, intervals, CUPED and sample ratios are those of other
    libraries, on one frame of 200 000 users.

    Figures are relative differences. Ours have Student's t here, as theirs. Not comparable are relative intervals:
    tea-tasting's is of the logarithm of the ratio, while its p-value is of the difference, so that one may call sure
    what the other does not; ours, Fieller's, says the same as its p-value. Its sample-ratio test corrects for
    continuity unless told otherwise, and gbstats has no digits left beyond p = 1e-16.
    """
    return [*_tea_tasting(), *_scipy(), *_statsmodels(), *_gbstats(), *_contradictions(size.of(400, 5_000))]


@cache
def _ours(metric: Metric, *, cuped: bool = False) -> Lift:
    values, arm = frame()
    groups = {name: SufficientStats.of(COLUMNS, values[arm == a]) for a, name in enumerate("ab")}
    estimate = joint_estimate(groups, [metric], cuped=cuped)
    return lifts(estimate, "a", 0.05, small_sample=not cuped)[0]


def _difference(lift: Lift) -> tuple[float, float]:
    """With its standard error."""
    return lift.arm_value - lift.control_value, float(np.sqrt(lift.arm_variance + lift.control_variance))


def _tea_tasting() -> Iterator[Measured]:
    tt = pytest.importorskip("tea_tasting")
    import pandas as pd

    values, arm = frame()
    table = pd.DataFrame(values, columns=list(COLUMNS)).assign(variant=arm)
    asked = {"mean": tt.Mean("value"), "ratio": tt.RatioOfMeans("click", "seen"), "cuped": tt.Mean("value", "before")}
    theirs = tt.Experiment({**asked, "srm": tt.SampleRatio(method="norm", correction=False)}).analyze(table, control=0)
    for name, metric in (("mean", MEAN), ("ratio", RATIO), ("cuped", CUPED)):
        ours, their = _ours(metric, cuped=name == "cuped"), theirs[name]
        difference, se = _difference(ours)
        if name != "cuped":
            yield _close(f"tea-tasting, {name}: difference", difference, their.effect_size, 1e-10)
        yield _close(f"tea-tasting, {name}: standard error", se, their.effect_size / their.statistic, 1e-10)
        if name != "cuped":  # ours of adjusted means of thousands of users is the normal's, theirs Student's
            yield _close(f"tea-tasting, {name}: p of Welch's t", ours.p_value, their.pvalue, 1e-10)
            half = float(scipy_stats.t.isf(0.025, ours.dof)) * se
            theirs_half = (their.effect_size_ci_upper - their.effect_size_ci_lower) / 2
            yield _close(f"tea-tasting, {name}: half of the interval", half, theirs_half, 1e-10)
        relative = max(abs(ours.low - their.rel_effect_size_ci_lower), abs(ours.high - their.rel_effect_size_ci_upper))
        yield beside("V16", f"tea-tasting, {name}: Fieller less log-ratio interval, largest end", relative, 0)
    yield from _equal_theta(theirs["cuped"].effect_size)
    counts = {"a": int((arm == 0).sum()), "b": int((arm == 1).sum())}
    p = sample_ratio_p_value(counts, {"a": 0.5, "b": 0.5})
    yield _close("tea-tasting, sample ratio without correction: p", p, theirs["srm"].pvalue, 1e-9)


def _equal_theta(theirs: float) -> Iterator[Measured]:
    """CUPED with one theta: theirs regresses over both arms as one sample, ours within arms, so that no effect of the
    arm leaks into it. Each is the plain difference less its own theta times that of the past."""
    values, arm = frame()
    (control_value, _, _, control_before), (value, _, _, before) = (values[arm == a].mean(axis=0) for a in (0, 1))
    groups = {name: SufficientStats.of(COLUMNS, values[arm == a]) for a, name in enumerate("ab")}
    within = float(joint_estimate(groups, [CUPED], cuped=True).theta[0])
    both = np.cov(values[:, 0], values[:, 3])
    for name, theta, found in (
        ("our", within, _difference(_ours(CUPED, cuped=True))[0]),
        ("tea-tasting's", float(both[0, 1] / both[1, 1]), theirs),
    ):
        formula = value - control_value - theta * (before - control_before)
        yield _close(f"CUPED, {name} difference at its theta {theta:.6f}", found, float(formula), 1e-10)


def _contradictions(k: int) -> Iterator[Measured]:
    """How often p-value and interval disagree about 0: two identical arms of 1 000 users, 2 % of whom buy."""
    tt = pytest.importorskip("tea_tasting")
    rng, said = np.random.default_rng(luck("V16", Size.FULL)), {"ours": 0, "theirs": 0}
    metric = tt.Mean("value", use_t=False)
    for _ in range(k):
        buys = rng.binomial(1_000, 0.02, 2)
        values = [np.append(rng.lognormal(0, 1.2, n), np.zeros(1_000 - n)) for n in buys]
        groups = {arm: SufficientStats.of(("value",), y[:, None]) for arm, y in zip("ab", values, strict=True)}
        ours = lifts(joint_estimate(groups, [MEAN], cuped=False), "a", 0.05)[0]
        said["ours"] += ours.bounded and (ours.p_value < 0.05) != (ours.low > 0 or ours.high < 0)
        theirs = metric.analyze_aggregates(*(_aggregates(y) for y in values))
        excluded = theirs.rel_effect_size_ci_lower > 0 or theirs.rel_effect_size_ci_upper < 0
        said["theirs"] += (theirs.pvalue < 0.05) != excluded
    yield limits("V16", "p-value and bounded interval disagree", said["ours"] / k, 0, 0, k)
    yield beside("V16", "naive, tea-tasting's p-value and relative interval disagree", said["theirs"] / k, k)


def _aggregates(values: Floats) -> Any:
    aggr = pytest.importorskip("tea_tasting.aggr")
    return aggr.Aggregates(
        count_=len(values), mean_={"value": values.mean()}, var_={"value": values.var(ddof=1)}, cov_={}
    )


def _scipy() -> Iterator[Measured]:
    values, arm = frame()
    theirs = scipy_stats.ttest_ind(values[arm == 1, 0], values[arm == 0, 0], equal_var=False)
    ours = _ours(MEAN)
    yield _close("SciPy, Welch: statistic", ours.z, float(theirs.statistic), 1e-10)
    yield _close("SciPy, Welch: degrees of freedom", ours.dof, float(theirs.df), 1e-10)
    yield _close("SciPy, Welch: p", ours.p_value, float(theirs.pvalue), 1e-10)
    counts = np.array([(arm == 0).sum(), (arm == 1).sum()])
    chi = scipy_stats.chisquare(counts, USERS * np.array([0.5, 0.5])).pvalue
    p = sample_ratio_p_value({"a": int(counts[0]), "b": int(counts[1])}, {"a": 0.5, "b": 0.5})
    yield _close("SciPy, chi-square of sample ratios: p", p, float(chi), 1e-12)


def _statsmodels() -> Iterator[Measured]:
    sm = pytest.importorskip("statsmodels.api")
    values, arm = frame()
    design = np.column_stack([np.ones(USERS), arm, values[:, 3] - values[:, 3].mean()])
    fitted = sm.OLS(values[:, 0], design).fit(cov_type="HC2")
    difference, se = _difference(_ours(CUPED, cuped=True))
    yield _close("statsmodels, ANCOVA with HC2: standard error", se, float(fitted.bse[1]), 1e-3)
    yield _close("statsmodels, ANCOVA: difference", difference, float(fitted.params[1]), 1e-2)


def _gbstats() -> Iterator[Measured]:
    tests = pytest.importorskip("gbstats.frequentist.tests")
    from gbstats.models.statistics import SampleMeanStatistic

    values, arm = frame()

    def told(a: int) -> Any:
        y = values[arm == a, 0]
        return SampleMeanStatistic(n=len(y), sum=float(y.sum()), sum_squares=float((y * y).sum()))

    config = tests.FrequentistConfig(difference_type="absolute")
    theirs = tests.TwoSidedTTest(told(0), told(1), config).compute_result()
    ours = _ours(MEAN)
    difference, se = _difference(ours)
    yield _close("gbstats, Welch: difference", difference, theirs.expected, 1e-8)
    yield _close("gbstats, Welch: p", ours.p_value, theirs.p_value, 1e-8)
    half = float(scipy_stats.t.isf(0.025, ours.dof)) * se
    yield _close("gbstats, Welch: half of the interval", half, (theirs.ci[1] - theirs.ci[0]) / 2, 1e-8)


def _close(what: str, ours: float, theirs: float, bound: float) -> Measured:
    return limits("V16", f"{what}, relative difference", abs(ours / theirs - 1), 0, bound, 0)
