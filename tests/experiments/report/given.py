"""Results with a joint estimate, nights, segments and checks of shares, made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.looks import LookRow
from experiments.analysis.ratios import ratio_checks
from experiments.analysis.segments import SegmentRow, segment_tests
from experiments.analysis.selection import selected
from experiments.analysis.tradeoffs import tradeoff
from experiments.results import Results
from tests.experiments.test_report import full_results

SPREAD = 0.0004  # between the first two levels of a segment, as a share of a lift: far too little to be told
WHERE = ("returning: new", "day 1", "day 2", "day 3")


def joint_results(arms: tuple[str, ...] = ("fusion", "esmm"), correlation: float = -0.5) -> Results:
    """Everything that a page can hold. Standard errors of all lifts are 0.01; goals go with each other as said."""
    whole = full_results(arms)
    joint = joint_of(whole, correlation)
    rows = tuple(
        replace(
            row,
            adjusted_by="step-down max-T over 4 lifts" if row.role == "goal" else "Benjamini-Hochberg over 2 lifts",
            sim_low=row.lift - 0.025,
            sim_high=row.lift + 0.025,
            sim_kind="fieller 95% for all 4 at once (max-T)" if row.role == "goal" else "",
        )
        for row in whole.rows
    )
    segments = tuple(
        SegmentRow(
            *("activity", level, arm, goal, 300, 300, 0.02 + at * SPREAD, 0.01, 0.0, 0.04, 0.05, 0.1),
            true_lift=0.02 + at * SPREAD,
            equal_se=0.01,
        )
        for goal in whole.goals
        for at, level in enumerate(("low", "high"))
        for arm in arms
    )
    counts = dict.fromkeys(whole.arms, 900)
    return replace(
        whole,
        rows=rows,
        joint=joint,
        tradeoff=tradeoff(joint, whole.goals, alpha=0.05),
        selected=selected(joint, whole.goals[0], 0.05),
        daily=nights(whole),
        segments=segments,
        segment_tests=segment_tests(segments),
        ratios=ratio_checks(counts, dict.fromkeys(WHERE, counts), dict.fromkeys(whole.arms, 1.0)),
        detectable={"ctr": 0.031},
        replay={"ctr": 0.045},
    )


def joint_of(results: Results, correlation: float) -> JointLifts:
    """All lifts of the deciding estimator; two goals correlate, arms share half of their error."""
    arms, metrics = results.arms[1:], tuple(results.metrics())
    lift = np.array([[results.row(arm, metric).lift for metric in metrics] for arm in arms])
    within = np.eye(len(metrics))
    within[0, 1] = within[1, 0] = correlation
    covariance = np.kron((np.eye(len(arms)) + 1) / 2, within) * 0.01**2
    z = lift / 0.01
    return JointLifts(
        results.control, arms, metrics, lift, covariance, z, covariance / 0.01**2, np.full(lift.shape, np.inf)
    )


def nights(results: Results) -> tuple[LookRow, ...]:
    """Six nights of every goal and arm; the third knows nothing new, and the band excludes zero from the fifth."""
    rows = []
    for arm in results.arms[1:]:
        for goal in results.goals:
            for day in range(1, 7):
                half = np.inf if day == 3 else 0.06 / day + 0.02
                true = 0.04 if day == 6 else np.nan
                row = LookRow(day, arm, goal, 0.035, 0.01, 0.015, 0.055, true, day / 6, 0.035 - half, 0.035 + half)
                rows.append(replace(row, crossed=day >= 5))
    return tuple(rows)
