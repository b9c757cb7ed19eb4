"""Statistics from a table of counts, means and variances by arm, as a warehouse makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from experiments.analysis.joint import Metric
from experiments.analysis.stats import SufficientStats
from experiments.tables.asking import Asked
from experiments.tables.assigning import compared_arms
from experiments.tables.estimands import estimands
from experiments.tables.moments import Moments, joined_blocks, renamed
from experiments.tables.reading import Table, TableError
from experiments.tables.sheets import is_long, moments_by_arm, told


@dataclass(frozen=True, slots=True)
class Summary:
    """What a summary tells of the compared arms.

    metrics: over the columns of the groups. joint: whether the covariances between all metrics are known; else each
    has columns of its own that count as independent of the others'. unasked: by arm, units of arms not compared.
    rows: in the table, of which `used` are of compared arms.
    """

    groups: Mapping[str, SufficientStats]
    metrics: tuple[Metric, ...]
    joint: bool
    unasked: Mapping[str, int]
    rows: int
    used: int


def read_summary(table: Table, asked: Asked) -> tuple[Summary, Asked]:
    """The statistics, and the question with its metrics: all that the summary tells, where none is asked for.

    Raises:
        TableError: columns or values that are missing, or that cannot be true of any units.
        SpecError: a metric or an arm that is asked for is not there.
    """
    arm, decimal = asked.question.arm, asked.question.decimal
    if not asked.question.metrics:
        asked = asked.with_metrics({name: name for name in told(table, arm, decimal)})
    if asked.question.pre and is_long(table):
        raise TableError(f"{table.path}: must be wide, with a row per arm, for pre; found a row per arm and metric")
    metrics = estimands(asked.question)
    by_arm = moments_by_arm(table, arm, metrics, decimal)
    arms = compared_arms(asked, list(by_arm))
    groups, joint = _groups({name: by_arm.get(name, _nothing(metrics)) for name in arms}, metrics)
    others = {name: one for name, one in by_arm.items() if name not in arms}
    rows, unused = sum(one.rows for one in by_arm.values()), sum(one.rows for one in others.values())
    of_metrics = metrics if joint else tuple(map(renamed, metrics))
    unasked = {name: one.n for name, one in others.items()}
    return Summary(groups, of_metrics, joint, unasked, rows, rows - unused), asked


def _groups(by_arm: Mapping[str, Moments], metrics: Sequence[Metric]) -> tuple[dict[str, SufficientStats], bool]:
    """By arm, and whether the covariances between metrics are known.

    Columns that two metrics share, such as impressions, are there once for each where they are not: with some
    covariances and without others, a matrix need not be one of any units.
    """
    columns = tuple(dict.fromkeys(column for metric in metrics for column in metric.columns))
    if all(one.knows(columns) for one in by_arm.values()):
        return {arm: one.stats(columns, columns) for arm, one in by_arm.items()}, True
    return {
        arm: joined_blocks([one.stats(m.columns, renamed(m).columns) for m in metrics]) for arm, one in by_arm.items()
    }, False


def _nothing(metrics: Sequence[Metric]) -> Moments:
    """Of an arm that is planned and not there."""
    zero = {column: 0.0 for metric in metrics for column in metric.columns}
    return Moments(0, zero, zero, {frozenset(pair): 0.0 for pair in combinations(zero, 2)})
