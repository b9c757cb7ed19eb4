"""Metrics whose heavy tail is cut at a quantile over the units of all arms together (winsorised), beside the uncut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.analysis.joint import Metric
from experiments.tables.units import Floats, Units


@dataclass(frozen=True, slots=True)
class Cap:
    """A metric cut: its numerator, in the test and before it, at the same quantile of each.

    metric: over the columns, which are new. cap: of the numerator; infinite where nobody is cut. cut: units.
    """

    metric: Metric
    columns: dict[str, Floats]
    cap: float
    cut: int


def capped(units: Units, metric: Metric, quantile: float) -> Cap:
    """One cap for all arms: under the same rule, arms that are alike stay alike."""
    called = f"{metric.name}: {metric.numerator} capped"
    cap = _cap(units, metric.numerator, quantile)
    columns = {called: np.minimum(units.columns[metric.numerator], cap)}
    cut = int((units.columns[metric.numerator][units.used] > cap).sum())
    pre = metric.pre
    if pre is not None:
        before = f"{metric.name}: {pre[0]} before, capped"
        columns[before] = np.minimum(units.columns[pre[0]], _cap(units, pre[0], quantile))
        pre = (before, pre[1])
    return Cap(replace(metric, numerator=called, pre=pre), columns, cap, cut)


def _cap(units: Units, column: str, quantile: float) -> float:
    """The quantile over the units that are used; infinite where it is 0 or less, and would cut nearly everybody."""
    values = units.columns[column][units.used]
    cap = float(np.quantile(values, quantile)) if len(values) else 0.0
    return cap if cap > 0 else np.inf
