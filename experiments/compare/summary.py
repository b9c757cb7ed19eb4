"""Policies over several runs: mean true lifts and their spread, ranks, dominance, and tests beside the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP
from experiments.analysis.dominance import dominates

KNOWN = 2.0  # standard errors of the truth beyond which the sign of a true lift counts as known
Lifts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of several runs: count, mean, standard deviation and error, and the t interval of the mean.

    NaN where too few runs tell: everything for none; sd, se and interval for one.
    """

    n: int
    mean: float
    sd: float
    se: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run says of one policy. Lifts are true ones over control, by metric.

    counted: False where another run of the same people has the policy already.
    true_verdict: what the decision rule says of lifts that are known.
    reached: share of the attainable first goal; NaN where the run has no front.
    """

    run: str
    policy: str
    world: str
    lift: Lifts
    lift_se: Lifts
    verdict: str
    true_verdict: str
    reached: float
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dominance:
    """How one policy stands to another on the goals, in truth. runs: with both. wins: in which it dominates.

    in_mean: whether its mean lifts, over the runs with both, dominate.
    """

    better: str
    worse: str
    runs: int
    wins: int
    in_mean: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """Tests of one policy beside the truth: decided as the truth would, otherwise, or not decided."""

    policy: str
    runs: int
    agreed: int
    erred: int
    undecided: int


def spread(values: Sequence[float], alpha: float = 0.05) -> Spread:
    """Over runs; what is not known is left out."""
    known = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    n, nothing = len(known), math.nan
    if n == 0:
        return Spread(0, nothing, nothing, nothing, nothing, nothing)
    mean = float(known.mean())
    if n == 1:
        return Spread(1, mean, nothing, nothing, nothing, nothing)
    sd = float(known.std(ddof=1))
    se = sd / math.sqrt(n)
    half = -float(stdtrit(n - 1, alpha / 2)) * se
    return Spread(n, mean, sd, se, mean - half, mean + half)


def ranks(lifts: Lifts, *, lower: bool = False) -> dict[str, int]:
    """By name, 1 for the best; equals share the better rank, and what is not known has none."""
    known = {name: -value if lower else value for name, value in lifts.items() if math.isfinite(value)}
    return {name: 1 + sum(other > value for other in known.values()) for name, value in known.items()}


def mean_ranks(by_run: Sequence[Lifts], *, lower: bool = False) -> dict[str, float]:
    """By name, the mean of its ranks within runs. by_run: of each run, the lift by name."""
    found: dict[str, list[int]] = {}
    for lifts in by_run:
        for name, rank in ranks(lifts, lower=lower).items():
            found.setdefault(name, []).append(rank)
    return {name: float(np.mean(values)) for name, values in found.items()}


def dominances(by_run: Sequence[tuple[Sequence[str], Mapping[str, Lifts]]]) -> list[Dominance]:
    """Every pair of which one dominates the other in a run or in the mean, the surest first.

    Args:
        by_run: of each run, its goals (higher is better) and by name the lifts, the control's among them.
    """
    names = list(dict.fromkeys(name for _, lifts in by_run for name in lifts))
    common = [goal for goal in (by_run[0][0] if by_run else ()) if all(goal in goals for goals, _ in by_run)]
    found = []
    for better in names:
        for worse in names:
            both = [(goals, lifts[better], lifts[worse]) for goals, lifts in by_run if {better, worse} <= set(lifts)]
            if better == worse or not both:
                continue
            wins = sum(dominates([mine[g] for g in goals], [other[g] for g in goals]) for goals, mine, other in both)
            means = [[float(np.mean([run[side][g] for run in both])) for g in common] for side in (1, 2)]  # type: ignore[call-overload]
            in_mean = bool(common) and dominates(means[0], means[1])
            if wins or in_mean:
                found.append(Dominance(better, worse, len(both), wins, in_mean))
    return sorted(found, key=lambda d: (-d.wins / d.runs, not d.in_mean, -d.runs))


def true_verdict(lift: Lifts, lift_se: Lifts, goals: Sequence[str], margins: Mapping[str, float]) -> str:
    """What the rule of decision says when lifts are known: SHIP with a gain, no loss and every margin kept; DO NOT
    SHIP with a loss or a margin broken; EXTEND where the truth shows neither gain nor loss.

    The truth is itself of some users: a goal gains or loses beyond twice its standard error.
    """
    signs = [_sign(lift[goal], lift_se[goal]) for goal in goals]
    kept = [lift[metric] >= margin if margin < 0 else lift[metric] <= margin for metric, margin in margins.items()]
    broken = any(not fine for fine, metric in zip(kept, margins, strict=True) if math.isfinite(lift[metric]))
    if -1 in signs or broken:
        return DO_NOT_SHIP
    return SHIP if 1 in signs and all(kept) else EXTEND


def agreement(policy: str, trials: Sequence[Trial]) -> Agreement:
    """How often the tests of one policy decided as the truth would."""
    decided = [trial for trial in trials if trial.verdict in (SHIP, DO_NOT_SHIP)]
    agreed = sum(trial.verdict == trial.true_verdict for trial in decided)
    return Agreement(policy, len(trials), agreed, len(decided) - agreed, len(trials) - len(decided))


def _sign(lift: float, se: float) -> int:
    if not math.isfinite(lift) or not abs(lift) > KNOWN * (se if math.isfinite(se) else 0):
        return 0
    return 1 if lift > 0 else -1
