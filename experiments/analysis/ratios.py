"""Sample-ratio mismatch (Fabijan et al., KDD 2019): over all arms, and within segments and days.

A fault that loses a hundredth of one arm's newcomers may hide in the whole and show among the newcomers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.analysis.verdicts import SRM_ALPHA, sample_ratio_p_value

ALL = "all units"


@dataclass(frozen=True, slots=True)
class RatioCheck:
    """Units per arm against the planned shares.

    where: all units, a level of a segment, or the units that came first on a day. counts: by arm.
    alpha: of this check; the parts share one alpha among them. mismatch: whether p_value is below it.
    """

    where: str
    counts: Mapping[str, int]
    p_value: float
    alpha: float

    @property
    def mismatch(self) -> bool:
        return self.p_value < self.alpha


def ratio_checks(
    whole: Mapping[str, int], parts: Mapping[str, Mapping[str, int]], shares: Mapping[str, float]
) -> tuple[RatioCheck, ...]:
    """All units at .001, and every part at .001 over their number; parts without a unit tell nothing.

    Args:
        parts: by what they are called, counts by arm.
    """
    told = {where: counts for where, counts in parts.items() if sum(counts.values())}
    checks = [RatioCheck(ALL, dict(whole), sample_ratio_p_value(whole, shares), SRM_ALPHA)]
    each = SRM_ALPHA / max(len(told), 1)
    return (*checks, *(RatioCheck(w, dict(c), sample_ratio_p_value(c, shares), each) for w, c in told.items()))


def mismatches(checks: Sequence[RatioCheck]) -> list[RatioCheck]:
    """What does not match, the whole first."""
    return [check for check in checks if check.mismatch]
