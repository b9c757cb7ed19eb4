"""What an arm wins on one metric and pays on another, as the test saw it and in truth."""

from __future__ import annotations

import math

from experiments.findings.table import Finding
from experiments.findings.words import estimate, percent, says
from experiments.results import Results, Row


def sentence(finding: Finding, results: Results) -> str:
    """Two lifts of one arm, estimated and true, and whether the test could see the price."""
    assert finding.arm is not None
    assert finding.other is not None
    won, paid = results.row(finding.arm, finding.metric), results.row(finding.arm, finding.other)
    sign = _sign(paid, results)
    seen = says(*sorted((sign * paid.ci_low, sign * paid.ci_high)))
    verdict = _verdict(won, _sign(won, results) * won.true_lift, paid, sign * paid.true_lift)
    return (
        f"{finding.arm} moves {won.metric} by {_both(won)} and {paid.metric} by {_both(paid)}: "
        f"{verdict}; on {paid.metric} the test by itself saw {seen}."
    )


def _sign(row: Row, results: Results) -> int:
    """-1 for a metric that is better when lower: a rise of it is the price."""
    return -1 if row.metric in results.lower_is_better else 1


def _both(row: Row) -> str:
    return f"{estimate(row)}, in truth {percent(row.true_lift)}"


def _verdict(won: Row, gain: float, paid: Row, change: float) -> str:
    """gain, change: the true lifts, signed so that more is better."""
    if not math.isfinite(gain):
        return f"it can't be told whether in truth it wins {won.metric}"
    if gain > 0 and not math.isfinite(change):
        return f"it can't be told whether in truth it pays on {paid.metric}"
    if gain > 0 > change:
        return f"in truth it buys {won.metric} with {paid.metric}"
    if gain > 0:
        return f"in truth it wins {won.metric} and pays nothing on {paid.metric}"
    return f"in truth it does not win {won.metric}"
