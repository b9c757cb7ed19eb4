"""What every arm does to everyone, metric by metric: the truth that estimates are held against."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.analysis.paired import PairedLift, paired_lift
from experiments.gather import Floats, Gathered
from experiments.results import TrueRow
from experiments.stages.common import TOTALS
from sim.ledger import EVENTUAL
from sim.scenario import MetricSpec


def truth_of(run: Gathered, roles: Mapping[str, str]) -> dict[tuple[str, str], TrueRow]:
    control, metrics = run.experiment.experiment.control, run.scenario.metrics
    expected = {arm: run.truth(arm) for arm in run.arms}
    sampled = {arm: run.truth(arm, TOTALS) for arm in run.arms}
    truth = {}
    for arm in run.arms:
        if arm == control:
            continue
        for name in roles:
            metric = metrics[name]
            within = paired(metric, expected[arm], expected[control])
            chance = paired(metric, sampled[arm], sampled[control])
            eventual = paired(metric, expected[arm], expected[control], EVENTUAL)
            truth[arm, name] = TrueRow(
                arm,
                name,
                within.control_value * metric.scale,
                within.value * metric.scale,
                within.lift,
                within.se,
                chance.lift,
                chance.se,
                eventual.lift,
            )
    return truth


def paired(
    metric: MetricSpec, arm: Mapping[str, Floats], control: Mapping[str, Floats], prefix: str = ""
) -> PairedLift:
    def column(values: Mapping[str, Floats], name: str) -> Floats:
        return values.get(prefix + name, values[name])

    top, bottom = metric.numerator, metric.denominator
    return paired_lift(column(arm, top), column(arm, bottom), column(control, top), column(control, bottom))
