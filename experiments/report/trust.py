"""Whether a test can be trusted: units per arm against the plan, what it could have seen, and its own A/A replay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.analysis.ratios import ALL, RatioCheck, mismatches
from experiments.results import Results

FEW = 4  # checks that are shown unasked, when nothing is wrong


@dataclass(frozen=True, slots=True)
class PowerRow:
    """One metric. detectable: lift that this test sees in 80 of 100 cases. replay: share of A/A splits that differ.

    NaN where nobody worked it out.
    """

    metric: str
    detectable: float
    replay: float


def shares_tested(results: Results) -> bool:
    """Whether units per arm were held against a plan."""
    return math.isfinite(results.decision.srm_p_value)


def mismatched(results: Results) -> list[RatioCheck]:
    """Parts of the test whose units do not match the plan; the whole has its own alert."""
    return [check for check in mismatches(results.ratios) if check.where != ALL]


def quiet_checks(results: Results) -> tuple[list[RatioCheck], list[RatioCheck]]:
    """Checks to be shown at once, and the rest: of many, only the whole and what does not match."""
    told = [check for check in results.ratios if math.isfinite(check.p_value)]
    if len(told) <= FEW:
        return told, []
    loud = [check for check in told if check.mismatch or check.where == ALL]
    return loud, [check for check in told if check not in loud]


def power_rows(results: Results) -> list[PowerRow]:
    """By metric, in the order of the table; nothing where neither was worked out."""
    known = [m for m in results.metrics() if m in results.detectable or m in results.replay]
    return [PowerRow(m, results.detectable.get(m, math.nan), results.replay.get(m, math.nan)) for m in known]
