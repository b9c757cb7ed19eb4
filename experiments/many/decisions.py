"""What the decisions of a design are worth: the arms it ships, run by run, beside what is true of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP
from experiments.analysis.operating import Rate, rate
from experiments.compare.summary import Lifts, true_verdict
from experiments.many.reading import Decided

VERDICTS = (SHIP, EXTEND, DO_NOT_SHIP)


@dataclass(frozen=True, slots=True)
class TrueLifts:
    """What is true in one run. lift, lift_se: by arm, by metric."""

    lift: Mapping[str, Lifts]
    lift_se: Mapping[str, Lifts]


@dataclass(frozen=True, slots=True)
class RunDecision:
    """The decision of one run beside the truth. Lifts are true ones on the first goal; the control's is 0.

    verdict, shipped: the test's. lift: of the shipped arm, or of the control if none. best: the arm, or the control,
    that has most of the first goal among those that the truth would not refuse; best_lift: its lift.
    regret: what is lacking to the best. loser: an arm was shipped that the truth refuses.
    """

    run: str
    verdict: str
    shipped: str | None
    lift: float
    best: str
    best_lift: float
    regret: float
    loser: bool


@dataclass(frozen=True, slots=True)
class Decisions:
    """Over all runs.

    verdicts: by arm, by verdict, the share of runs. experiment: the same of the test as a whole.
    shipped: by arm, in how many runs it was the one. best: of the runs that shipped, those that shipped the best arm.
    losers: of all runs, those that shipped an arm that the truth refuses.
    regret: mean over all runs, in lift of the first goal. runs: one by one.
    """

    verdicts: Mapping[str, Mapping[str, Rate]]
    experiment: Mapping[str, Rate]
    shipped: Mapping[str, int]
    best: Rate
    losers: Rate
    regret: float
    runs: tuple[RunDecision, ...]


def decisions(
    labels: Sequence[str],
    decided: Sequence[Decided],
    true: Sequence[TrueLifts],
    *,
    control: str,
    goals: Sequence[str],
    margins: Mapping[str, float],
) -> Decisions:
    """Hold what was decided against what is true. margins: of the guardrails."""
    told = zip(labels, decided, true, strict=True)
    runs = [_beside_truth(label, one, truth, control, goals, margins) for label, one, truth in told]
    shipping = [run for run in runs if run.shipped]
    known = [run.regret for run in runs if math.isfinite(run.regret)]
    arms = list(dict.fromkeys(arm for one in decided for arm in one.arms))
    return Decisions(
        verdicts={arm: _shares([one.arms[arm] for one in decided if arm in one.arms]) for arm in arms},
        experiment=_shares([one.verdict for one in decided]),
        shipped={arm: sum(run.shipped == arm for run in runs) for arm in arms},
        best=rate(sum(run.shipped == run.best or run.lift == run.best_lift for run in shipping), len(shipping)),
        losers=rate(sum(run.loser for run in runs), len(runs)),
        regret=float(np.mean(known)) if known else math.nan,
        runs=tuple(runs),
    )


def _beside_truth(
    label: str, decided: Decided, true: TrueLifts, control: str, goals: Sequence[str], margins: Mapping[str, float]
) -> RunDecision:
    first = {arm: lifts[goals[0]] for arm, lifts in true.lift.items()}
    refused = [arm for arm in first if true_verdict(true.lift[arm], true.lift_se[arm], goals, margins) == DO_NOT_SHIP]
    fine = {arm: lift for arm, lift in first.items() if arm not in refused and math.isfinite(lift)} | {control: 0.0}
    best = max(fine, key=lambda arm: (fine[arm], arm == control))  # the control, where nothing is better
    shipped = decided.arm if decided.verdict == SHIP else None
    lift = first.get(shipped, math.nan) if shipped else 0.0
    # An arm that the truth refuses may have more of the first goal: it is counted as a loser, not as a gain.
    regret = max(0.0, fine[best] - lift) if math.isfinite(lift) else math.nan
    return RunDecision(label, decided.verdict, shipped, lift, best, fine[best], regret, shipped in refused)


def _shares(verdicts: Sequence[str]) -> dict[str, Rate]:
    return {verdict: rate(sum(one == verdict for one in verdicts), len(verdicts)) for verdict in VERDICTS}
