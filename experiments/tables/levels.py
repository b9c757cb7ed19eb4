"""What a table's segments and days say: lifts by level, and whether arms got their shares of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.analysis.joint import Metric
from experiments.analysis.lifts import Lift
from experiments.analysis.ratios import RatioCheck, ratio_checks
from experiments.analysis.segments import SegmentRow, segment_rows
from experiments.readout import Inquiry, estimated
from experiments.tables.units import Units


def lifts_by_level(units: Units, metrics: Sequence[Metric], inquiry: Inquiry) -> tuple[SegmentRow, ...]:
    """Lifts of the goals among the units on each level of each segment."""
    goals = [metric for metric in metrics if metric.name in inquiry.goals]
    columns = {column: units.columns[column] for metric in goals for column in metric.columns}
    found, counts = dict[tuple[str, str], Sequence[Lift]](), dict[tuple[str, str], Mapping[str, int]]()
    for segment, levels in units.segments.items():
        for name, there in levels.masks().items():
            if not (there & units.used).any():
                continue
            here = estimated(units.groups(columns, there), goals, inquiry, cuped=inquiry.decider == "cuped")
            found[segment, name], counts[segment, name] = here.lifts, here.estimate.n
    return segment_rows(found, counts, inquiry.control, {})


def checks_of(units: Units, planned: Mapping[str, float]) -> tuple[RatioCheck, ...]:
    """All assigned units against the planned shares, those with unknown values too; by level and by first day.
    Without a plan there is nothing to check."""
    if not planned:
        return ()
    parts = {
        f"{segment}: {name}": units.counts(there)
        for segment, levels in units.segments.items()
        for name, there in levels.masks().items()
    }
    if units.day is not None:
        parts |= {f"day {name}": units.counts(there) for name, there in units.day.masks().items()}
    return ratio_checks(units.counts(), parts, {arm: planned[arm] for arm in units.arms})
