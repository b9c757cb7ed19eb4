"""The decision rule: SHIP, EXTEND or DO NOT SHIP, computed and never typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.analysis.lifts import Lift
from experiments.analysis.verdicts import SRM_ALPHA, holm, non_inferiority

SHIP, EXTEND, DO_NOT_SHIP = "SHIP", "EXTEND", "DO NOT SHIP"
NO_VERDICT = "no verdict is given, since the test cannot be trusted"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One arm against one margin.

    margin: below 0 the largest fall accepted, above 0 the largest rise (of a metric where lower is better).
    bound: one-sided, of the lift, on the side of the margin: the lower bound where the margin is not
    above 0, the upper bound where it is.
    verdict: PASS, UNCLEAR or FAIL.
    """

    metric: str
    margin: float
    lift: float
    bound: float
    verdict: str


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What to do with one arm, and why."""

    arm: str
    verdict: str
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    guardrails: tuple[Guardrail, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the experiment. arm: which to ship, if any."""

    verdict: str
    arm: str | None
    sentence: str
    arms: tuple[ArmVerdict, ...]
    srm_p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that is not there is null."""
        return {
            "verdict": self.verdict,
            "arm": self.arm,
            "sentence": self.sentence,
            "srm_p_value": _number(self.srm_p_value),
            "arms": [
                {
                    "arm": a.arm,
                    "verdict": a.verdict,
                    "gains": list(a.gains),
                    "losses": list(a.losses),
                    "reason": a.reason,
                    "guardrails": [
                        {
                            "metric": g.metric,
                            "margin": g.margin,
                            "lift": _number(g.lift),
                            "bound": _number(g.bound),
                            "verdict": g.verdict,
                        }
                        for g in a.guardrails
                    ],
                }
                for a in self.arms
            ],
        }


def decide(
    lifts: Sequence[Lift],
    goals: Sequence[str],
    margins: Mapping[str, float],
    srm_p_value: float,
    alpha: float,
    *,
    adjusted: Mapping[tuple[str, str], float] | None = None,
    blocked: str = "",
) -> Decision:
    """Ship the arm that surely gains on a goal, surely loses on none, and keeps within every guardrail.

    Sure is alpha over all arms x goals together. Guardrails are each tested at alpha one-sided,
    uncorrected: an arm must pass all of them (Schultzberg, Ankargren and Franberg 2024). Of several arms
    the one that gains most on the first goal is shipped, a sure gain before an unsure one. A sample-ratio
    mismatch blocks everything.

    Args:
        lifts: of every arm over control, with at least the goals and the guardrails.
        goals: in order of importance; higher is better.
        margins: by guardrail, < 0 the largest fall accepted, > 0 the largest rise (lower is better).
        adjusted: p-values by (arm, goal) that hold for all of them together, such as those of `max_t`; without
            them, Holm's.
        blocked: why no verdict can be given, whatever the lifts are.
    """
    by = {(lift.arm, lift.metric): lift for lift in lifts}
    arms = list(dict.fromkeys(lift.arm for lift in lifts))
    family = [(arm, goal) for arm in arms for goal in goals]
    if adjusted is None:
        adjusted = dict(zip(family, holm([by[pair].p_value for pair in family]).tolist(), strict=True))
    verdicts = tuple(_judge(arm, by, goals, margins, adjusted, alpha) for arm in arms)
    if srm_p_value < SRM_ALPHA or blocked:
        verdicts = tuple(replace(v, verdict=DO_NOT_SHIP, gains=(), losses=(), reason=NO_VERDICT) for v in verdicts)
    if srm_p_value < SRM_ALPHA:
        sentence = (
            f"{DO_NOT_SHIP}: users per arm do not match the planned shares (p = {srm_p_value:.2g}), "
            f"so no comparison can be trusted; find the cause first."
        )
        return Decision(DO_NOT_SHIP, None, sentence, verdicts, srm_p_value)
    if blocked:
        return Decision(DO_NOT_SHIP, None, f"{DO_NOT_SHIP}: {blocked}.", verdicts, srm_p_value)
    shippable = [v for v in verdicts if v.verdict == SHIP]
    if shippable:
        best = max(shippable, key=lambda v: _standing(v, by, goals))
        return Decision(SHIP, best.arm, f"{SHIP} {best.arm}: {best.reason}.", verdicts, srm_p_value)
    waiting = [v for v in verdicts if v.verdict == EXTEND]
    if waiting:
        best = max(waiting, key=lambda v: _standing(v, by, goals))
        return Decision(EXTEND, best.arm, f"{EXTEND} the test of {best.arm}: {best.reason}.", verdicts, srm_p_value)
    why = "; ".join(f"{v.arm}: {v.reason}" for v in verdicts)
    return Decision(DO_NOT_SHIP, None, f"{DO_NOT_SHIP}: {why}.", verdicts, srm_p_value)


def _standing(verdict: ArmVerdict, by: Mapping[tuple[str, str], Lift], goals: Sequence[str]) -> tuple[bool, int, float]:
    """What makes one arm better than another: a sure gain on the first goal, more sure gains, a larger lift."""
    lift = by[verdict.arm, goals[0]].lift
    return goals[0] in verdict.gains, len(verdict.gains), lift if np.isfinite(lift) else -np.inf


def _judge(
    arm: str,
    by: Mapping[tuple[str, str], Lift],
    goals: Sequence[str],
    margins: Mapping[str, float],
    adjusted: Mapping[tuple[str, str], float],
    alpha: float,
) -> ArmVerdict:
    # Bounded too: where the control cannot be told from 0, there is no lift to speak of.
    sure = [goal for goal in goals if adjusted[arm, goal] < alpha and by[arm, goal].bounded]
    gains = tuple(goal for goal in sure if by[arm, goal].lift > 0)
    losses = tuple(goal for goal in sure if by[arm, goal].lift < 0)
    guardrails = []
    for metric, margin in margins.items():
        verdict, bound = non_inferiority(by[arm, metric], margin, alpha)
        guardrails.append(Guardrail(metric, margin, by[arm, metric].lift, bound, verdict))
    verdict = _verdict(gains, losses, [g.verdict for g in guardrails])
    return ArmVerdict(
        arm, verdict, gains, losses, tuple(guardrails), _reason(arm, by, goals, gains, losses, guardrails)
    )


def _verdict(gains: Sequence[str], losses: Sequence[str], guardrails: Sequence[str]) -> str:
    if losses or "FAIL" in guardrails:
        return DO_NOT_SHIP
    if gains and all(verdict == "PASS" for verdict in guardrails):
        return SHIP
    return EXTEND


def _reason(
    arm: str,
    by: Mapping[tuple[str, str], Lift],
    goals: Sequence[str],
    gains: Sequence[str],
    losses: Sequence[str],
    guardrails: Sequence[Guardrail],
) -> str:
    said = [f"{goal} {_percent(by[arm, goal].lift)}" for goal in gains]
    unsure = [f"{goal} {_percent(by[arm, goal].lift)}" for goal in goals if goal not in (*gains, *losses)]
    if unsure and (said or losses):
        doubt = f", {' and '.join(unsure)} {'is' if len(unsure) == 1 else 'are'} not sure"
    else:
        doubt = ""
    lost = " and ".join(f"{goal} {_percent(by[arm, goal].lift)}" for goal in losses)
    if said:
        text = f"gains {' and '.join(said)}{f', pays with {lost}' if lost else ''}{doubt}"
    else:
        text = f"loses {lost}{doubt}" if lost else f"no sure gain on {' or '.join(unsure)}"
    failed = [g for g in guardrails if g.verdict == "FAIL"]
    unclear = [g for g in guardrails if g.verdict == "UNCLEAR"]
    if failed:
        text += f", breaks the guardrail {' and '.join(f'{g.metric} ({_percent(g.lift)})' for g in failed)}"
    elif unclear:
        text += f", cannot yet rule out {_doubts(unclear)}"
    elif guardrails:
        text += f", keeps {' and '.join(g.metric for g in guardrails)}"
    return text


def _doubts(unclear: Sequence[Guardrail]) -> str:
    falls = " and ".join(_bound(g, "down") for g in unclear if g.margin <= 0)
    rises = " and ".join(_bound(g, "up") for g in unclear if g.margin > 0)
    return " and ".join(said for said in (falls and f"a loss on {falls}", rises and f"a rise of {rises}") if said)


def _bound(guardrail: Guardrail, way: str) -> str:
    if not np.isfinite(guardrail.bound):
        return f"{guardrail.metric} (cannot be bounded)"
    return f"{guardrail.metric} ({way} to {_percent(guardrail.bound, 2)}, margin {_percent(guardrail.margin, 2)})"


def _percent(value: float, digits: int = 1) -> str:
    if not np.isfinite(value):
        return "(can't tell)"
    return f"{100 * value:+.{digits}f} %"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
