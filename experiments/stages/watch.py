"""What a guard sees at night: the totals so far, and whether an arm surely does too much harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats
from experiments.analysis.verdicts import non_inferiority
from experiments.metrics import USERS
from sim.ledger import Totals
from sim.records import Ints
from sim.scenario import Scenario


def harmful(
    markets: Sequence[tuple[Totals, Ints]], names: Sequence[str], control: str, guard: Mapping[str, Any], of: Scenario
) -> dict[int, str]:
    """Arms (by index) whose guarded metric is surely beyond the margin, with what to say of each.

    Args:
        markets: totals and each user's arm, market by market.
        guard: metric, margin and alpha.
    """
    spec = of.metrics[guard["metric"]]
    below = None if spec.denominator == USERS else spec.denominator
    groups = {name: _came(markets, index) for index, name in enumerate(names)}
    estimate = joint_estimate(groups, [Metric(guard["metric"], spec.numerator, below)], cuped=False)
    found = {}
    for lift in lifts(estimate, control, guard["alpha"]):
        verdict, _ = non_inferiority(lift, guard["margin"], guard["alpha"])
        if verdict == "FAIL":
            found[names.index(lift.arm)] = (
                f"{guard['metric']} {100 * lift.lift:+.1f} %, surely beyond the margin of {100 * guard['margin']:+g} %"
            )
    return found


def _came(markets: Sequence[tuple[Totals, Ints]], arm: int) -> SufficientStats:
    """Statistics of an arm's users who have come so far."""
    rows = [totals.totals[(arms == arm) & (totals.totals[:, 0] > 0)] for totals, arms in markets]  # visits come first
    return SufficientStats.of(markets[0][0].columns, np.concatenate(rows).astype(np.float64))
