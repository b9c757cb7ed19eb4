"""What many runs of one design say together: operating characteristics per arm and metric, per family, and of the
decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.analysis.operating import (
    Family,
    Operating,
    Rate,
    clustered_rate,
    family,
    operating,
    rate,
    truth_weight,
)
from experiments.many.decisions import Decisions, TrueLifts, decisions
from experiments.many.reading import Pair, Runs
from experiments.spec import Experiment

FAMILIES = ("goal", "guardrail")  # roles whose lifts are judged together
_COUNTED = ("happened", "n", "share", "low", "high")


@dataclass(frozen=True, slots=True)
class OperatingRow:
    """One arm and metric by one estimator."""

    pair: Pair
    found: Operating


@dataclass(frozen=True, slots=True)
class Characteristics:
    """What a design does over its runs.

    what: runs differ in, such as seeds. decider: the estimator that decides. twins: arms that are the control by
    another name. weight: of the truth's variance, see `truth_weight`. coverage, coverage_allowing: of all intervals of
    the deciding estimator, endless ones among them; endless: how many are. families: by role.
    """

    name: str
    control: str
    goals: tuple[str, ...]
    alpha: float
    what: str
    decider: str
    twins: tuple[str, ...]
    weight: float
    coverage: Rate
    coverage_allowing: Rate
    endless: Rate
    rows: tuple[OperatingRow, ...]
    families: Mapping[str, Family]
    decisions: Decisions

    @property
    def n_runs(self) -> int:
        return len(self.decisions.runs)

    def arms(self) -> list[str]:
        """All but the control."""
        return list(dict.fromkeys(row.pair.arm for row in self.rows))

    def by(self, estimator: str) -> list[OperatingRow]:
        return [row for row in self.rows if row.pair.estimator == estimator]

    def of(self, arm: str, metric: str, estimator: str | None = None) -> Operating:
        """By the deciding estimator, or another."""
        wanted = (arm, metric, estimator or self.decider)
        return next(row.found for row in self.rows if (row.pair.arm, row.pair.metric, row.pair.estimator) == wanted)

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row per arm, metric and estimator, as in operating.csv."""
        return [row.pair._asdict() | _flat(asdict(row.found)) for row in self.rows]


def characteristics(experiment: Experiment, runs: Runs, what: str = "seeds") -> Characteristics:
    """Summarise the runs of a design. experiment: any of them; they differ in what is varied alone."""
    alpha, weight = experiment.analysis.alpha, _weight(experiment)
    twins, decider = _twins(experiment, runs), _decider(experiment, runs)
    deciding = [at for at, pair in enumerate(runs.pairs) if pair.estimator == decider]
    null = np.array([pair.arm in twins for pair in runs.pairs])
    rows = tuple(
        OperatingRow(pair, operating(runs.alone(at), null=bool(null[at]), alpha=alpha, weight=weight))
        for at, pair in enumerate(runs.pairs)
    )
    told, families = [rows[at] for at in deciding], dict[str, Family]()
    for role in FAMILIES:
        at = [n for n in deciding if runs.pairs[n].role == role]
        if at:
            families[role] = family(runs.together(at), null=null[at], alpha=alpha, weight=weight)
    return Characteristics(
        name=experiment.name,
        control=experiment.experiment.control,
        goals=tuple(experiment.metrics.goals),
        alpha=alpha,
        what=what,
        decider=decider,
        twins=tuple(twins),
        weight=weight,
        endless=rate(sum(row.found.unbounded for row in told), sum(row.found.runs for row in told)),
        coverage=_coverage(runs, deciding, 0.0),
        coverage_allowing=_coverage(runs, deciding, weight),
        rows=rows,
        families=families,
        decisions=decisions(
            runs.labels,
            runs.decided,
            _true(runs, deciding),
            control=experiment.experiment.control,
            goals=experiment.metrics.goals,
            margins=experiment.metrics.guardrails,
        ),
    )


def _weight(experiment: Experiment) -> float:
    """Where users share something, everyone is the truth: of the same users, no error is left to allow for, unless
    whole markets are divided."""
    if experiment.world.sharing:
        return truth_weight(1.0) if experiment.experiment.assign.unit == "market" else 0.0
    return truth_weight(experiment.truth.users)


def _decider(experiment: Experiment, runs: Runs) -> str:
    adjusted = experiment.analysis.cuped and any(pair.estimator == "cuped" for pair in runs.pairs)
    return "cuped" if adjusted else "raw"


def _twins(experiment: Experiment, runs: Runs) -> list[str]:
    """Arms that are the control by another name: the same spec, and exactly the same life in truth."""
    arms, control = experiment.resolved()["experiment"]["arms"], experiment.experiment.control
    serving = {arm: [spec["policy"], spec["explore"], spec["retrain"]] for arm, spec in arms.items()}
    same = [arm for arm, served in serving.items() if arm != control and served == serving[control]]
    lifts = runs.field("true_lift")
    return [arm for arm in same if not np.nan_to_num(lifts[:, [pair.arm == arm for pair in runs.pairs]], nan=0.0).any()]


def _coverage(runs: Runs, at: Sequence[int], weight: float) -> Rate:
    """Over all arms and metrics, which hang together within a run."""
    told = np.column_stack([runs.alone(n).told for n in at])
    held = np.column_stack([runs.alone(n).covered(weight) for n in at])
    return clustered_rate(held.sum(axis=1), told.sum(axis=1))


def _true(runs: Runs, at: Sequence[int]) -> list[TrueLifts]:
    """True lifts of every run."""
    names, each = ("true_lift", "true_lift_se"), range(len(runs.labels))
    return [TrueLifts(*(_by_arm(runs, at, run, name) for name in names)) for run in each]


def _by_arm(runs: Runs, at: Sequence[int], run: int, name: str) -> dict[str, dict[str, float]]:
    values, found = runs.field(name)[run], dict[str, dict[str, float]]()
    for n in at:
        found.setdefault(runs.pairs[n].arm, {})[runs.pairs[n].metric] = float(values[n])
    return found


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """Rates spread over columns: coverage is the share, coverage_low and so on stand beside it."""
    plain: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            plain |= {f"{name}_{part}".removesuffix("_share"): value[part] for part in _COUNTED}
        else:
            plain[name] = value
    return plain
