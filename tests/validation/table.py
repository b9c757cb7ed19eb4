"""The checks of the battery, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.validation import agreement, exact, families, goals, peeking, powers, rates, rule, sample_ratios, tails
from tests.validation.measured import Measured, Size

Check = Callable[[Size], list[Measured]]
CHECKS: Mapping[str, Check] = {
    "V1": rates.identical,
    "V2": rates.coverage,
    "V3": tails.heavy_tails,
    "V4": rates.clustered,
    "V5": powers.power_and_cuped,
    "V6": families.family_wise_error,
    "V7": families.simultaneous_coverage,
    "V8": peeking.sequential_error,
    "V9": peeking.published_bounds,
    "V10": families.dunnett_values,
    "V11": sample_ratios.sample_ratio_mismatch,
    "V12": rule.decision_rule,
    "V13": goals.dominance,
    "V14": goals.exchange,
    "V15": goals.best_of_five,
    "V16": agreement.agreement,
    "V17": exact.merging,
    "V18": exact.tails,
}
