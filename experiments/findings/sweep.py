"""What the values of a sweep win on one metric and pay on another, in truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.analysis.swept import SweepPoint
from experiments.findings.table import Finding
from experiments.findings.words import percent
from experiments.results import Results


def sentence(finding: Finding, results: Results) -> str:
    """Both metrics from the first point to the last, whether one buys the other, and which points are no use."""
    assert finding.other is not None
    points = [point for point in results.sweeps if point.sweep == finding.sweep]
    first, last = points[0], points[-1]
    moved = [_moved(metric, first, last) for metric in (finding.metric, finding.other)]
    won, paid = (_change(metric, first, last, results) for metric in (finding.metric, finding.other))
    return (
        f"in truth, {_varied(points)} moves {moved[0]} and {moved[1]}, over {results.control}: "
        f"{_verdict(finding.metric, won, finding.other, paid)}{_best(finding, points, results)}; {_spared(points)}."
    )


def _varied(points: Sequence[SweepPoint]) -> str:
    first, last = points[0], points[-1]
    keys = list(dict.fromkeys(key for point in points for key in point.changes))
    if len(keys) > 1:
        return f"going from {first.label} to {last.label} in {first.sweep}"
    values = [point.changes[keys[0]] for point in points]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return f"{'raising' if numbers else 'changing'} {keys[0]} from {first.label} to {last.label}"


def _moved(metric: str, first: SweepPoint, last: SweepPoint) -> str:
    return f"{metric} from {percent(first.lift[metric])} to {percent(last.lift[metric])}"


def _change(metric: str, first: SweepPoint, last: SweepPoint, results: Results) -> float:
    """From the first point to the last, signed so that more is better."""
    sign = -1 if metric in results.lower_is_better else 1
    return sign * (last.lift[metric] - first.lift[metric])


def _verdict(metric: str, won: float, other: str, paid: float) -> str:
    if not (math.isfinite(won) and math.isfinite(paid)):
        return "it can't be told whether one is bought with the other"
    if won > 0 > paid:
        return f"it buys {metric} with {other}"
    if won < 0 < paid:
        return f"it buys {other} with {metric}"
    if won == 0 == paid:
        return "it changes neither"
    return "it wins both" if min(won, paid) >= 0 else "it loses both"


def _best(finding: Finding, points: Sequence[SweepPoint], results: Results) -> str:
    """Where the metric is best, if that is at neither end."""
    sign = -1 if finding.metric in results.lower_is_better else 1
    known = [point for point in points if math.isfinite(point.lift[finding.metric])]
    best = max(known, key=lambda point: sign * point.lift[finding.metric], default=points[0])
    if best in (points[0], points[-1]):
        return ""
    assert finding.other is not None
    at = f"{percent(best.lift[finding.metric])}, {finding.other} {percent(best.lift[finding.other])}"
    return f"; {finding.metric} is best at {best.label} ({at})"


def _spared(points: Sequence[SweepPoint]) -> str:
    """Points that nobody who knew the truth would choose."""
    dominated = [point.label for point in points if point.dominated_by]
    if not dominated:
        return "no point of it is dominated on the goals"
    if len(dominated) == len(points):
        return "every point of it is dominated on the goals"
    return f"{len(dominated)} of its {len(points)} points are dominated on the goals ({'; '.join(dominated)})"
