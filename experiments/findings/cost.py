"""What one arm lacks against another, in truth."""

from __future__ import annotations

import math

from experiments.findings.table import Finding
from experiments.findings.words import estimate, percent
from experiments.results import Results


def sentence(finding: Finding, results: Results) -> str:
    """The true difference of two arms on one metric, beside their estimates against control."""
    assert finding.arm is not None
    assert finding.other is not None
    mine, other = results.row(finding.arm, finding.metric), results.row(finding.other, finding.metric)
    nothing = other.true_lift == -1  # the other has none at all, and a ratio to that says nothing
    gap = math.nan if nothing else (1 + mine.true_lift) / (1 + other.true_lift) - 1
    return (
        f"in truth {finding.arm} has {percent(gap)} {finding.metric} against {finding.other}: over {results.control} "
        f"it is {percent(mine.true_lift)} beside {percent(other.true_lift)} (the test: {estimate(mine)} beside "
        f"{estimate(other)})."
    )
