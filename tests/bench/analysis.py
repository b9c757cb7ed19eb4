"""The analysis beside tea-tasting: 3 arms x 10 metrics, three of them ratios and three adjusted, of a million users."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from experiments.analysis.contrasts import joint_lifts
from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.stats import SufficientStats
from experiments.tables.units import stats_of
from tests.bench.measure import Figure, race

USERS, ARMS = 1_000_000, ("a", "b", "c")
PLAIN, RATIOS, ADJUSTED = 4, 3, 3
REPEATS = 20  # of analyses from aggregates in one round: a single one is too short for the clock


@cache
def frame() -> Any:
    """Users with an arm and the columns that the metrics need."""
    import pandas as pd

    rng = np.random.default_rng(1)
    made = {f"y{n}": rng.gamma(2, 1, USERS) for n in range(PLAIN + RATIOS + ADJUSTED)}
    made |= {f"d{n}": 1 + rng.poisson(4, USERS).astype(float) for n in range(RATIOS)}
    made |= {f"x{n}": made[f"y{PLAIN + RATIOS + n}"] + rng.normal(size=USERS) for n in range(ADJUSTED)}
    return pd.DataFrame(made).assign(variant=rng.integers(len(ARMS), size=USERS))


def metrics() -> list[Metric]:
    plain = [Metric(f"m{n}", f"y{n}") for n in range(PLAIN)]
    ratios = [Metric(f"r{n}", f"y{PLAIN + n}", f"d{n}") for n in range(RATIOS)]
    return [
        *plain,
        *ratios,
        *(Metric(f"c{n}", f"y{PLAIN + RATIOS + n}", None, (f"x{n}", None)) for n in range(ADJUSTED)),
    ]


def experiment() -> Any:
    """The same metrics in tea-tasting, all pairs with the control."""
    import tea_tasting as tt

    asked = {f"m{n}": tt.Mean(f"y{n}") for n in range(PLAIN)}
    asked |= {f"r{n}": tt.RatioOfMeans(f"y{PLAIN + n}", f"d{n}") for n in range(RATIOS)}
    asked |= {f"c{n}": tt.Mean(f"y{PLAIN + RATIOS + n}", f"x{n}") for n in range(ADJUSTED)}
    return tt.Experiment(asked)


def figures() -> Iterator[Figure]:
    """CPU time of ours over theirs, the median of paired rounds; 0.25 and 0.02 are the bars."""
    table, theirs = frame(), experiment()
    name = "3 arms x 10 metrics, tea-tasting's CPU time over ours"

    def ours() -> int:
        _analysed(_groups())
        return 1

    def from_frame() -> int:
        theirs.analyze(table, control=0, all_variants=True)
        return 1

    yield race(f"{name}: a million users in a frame", "analyses per CPU s", "tea-tasting", ours, from_frame)
    groups, aggregates = _groups(), _their_aggregates()

    def ours_again() -> int:
        for _ in range(REPEATS):
            _analysed(groups)
        return REPEATS

    def theirs_again() -> int:
        theirs.analyze(aggregates, control=0, all_variants=True)
        return 1

    yield race(f"{name}: from aggregates", "analyses per CPU s", "tea-tasting", ours_again, theirs_again)


def _groups() -> dict[str, SufficientStats]:
    table = frame()
    columns = {name: table[name].to_numpy() for name in table.columns if name != "variant"}
    return stats_of(columns, table["variant"].to_numpy(), ARMS)


def _analysed(groups: dict[str, SufficientStats]) -> None:
    estimate = joint_estimate(groups, metrics(), cuped=True)
    joint_lifts(estimate, "a", lifts(estimate, "a", 0.05))


def _their_aggregates() -> Any:
    """What tea-tasting reads from the frame, read once."""
    from tea_tasting.metrics import AggrCols, aggregate_by_variants

    asked = AggrCols()
    for metric in experiment().metrics.values():
        asked |= metric.aggr_cols
    return aggregate_by_variants(frame(), aggr_cols=asked, variant="variant")
