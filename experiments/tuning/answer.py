"""The answer of a tuning in words and rows: what terminal, page and JSON all tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.sections.tune import Limit
from experiments.tuning.picks import Z95, aim_of, nearest_miss
from experiments.tuning.posterior import Posterior, feasibility
from experiments.tuning.question import Measured, Question
from experiments.tuning.study import params_text
from experiments.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Number:
    """A quantity with its 95 % interval: of what is believed, or of what was confirmed."""

    value: float
    sd: float

    @property
    def low(self) -> float:
        return self.value - Z95 * self.sd

    @property
    def high(self) -> float:
        return self.value + Z95 * self.sd

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high, "sd": self.sd}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. tastes: what it is picked for; none for others. trial: its number, -1 for one that is no trial.

    promised: by quantity, what the search says; confirmed: what users showed whom no search had seen.
    feasible: P(every limit holds) by what is promised. holds: whether the confirmation saw every limit hold.
    """

    name: str
    tastes: tuple[str, ...]
    trial: int
    params: Mapping[str, Any]
    promised: Mapping[str, Number]
    confirmed: Mapping[str, Number]
    feasible: float
    holds: bool | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tastes": list(self.tastes),
            "trial": self.trial,
            "params": dict(self.params),
            "promised": {name: number.to_dict() for name, number in self.promised.items()},
            "confirmed": {name: number.to_dict() for name, number in self.confirmed.items()},
            "feasible": self.feasible,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True)
class HandRow:
    """One online test of tuning by hand, and what its setting is worth on users whom no search has seen."""

    parameter: str
    kept: Any
    user_days: int
    params: Mapping[str, Any]
    confirmed: Mapping[str, Number]

    def to_dict(self) -> dict[str, Any]:
        found = {name: number.to_dict() for name, number in self.confirmed.items()}
        return {"parameter": self.parameter, "kept": self.kept, "user_days": self.user_days} | {
            "params": dict(self.params),
            "confirmed": found,
        }


@dataclass(frozen=True, slots=True)
class Told:
    """rows: the picks, then the present setting. headline: the sentence to remember. lines: what follows it."""

    rows: tuple[Row, ...]
    hand: tuple[HandRow, ...]
    headline: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def picks(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.tastes)


def answer_of(tuned: Tuned) -> Told:
    """What a finished tuning says."""
    rows = _rows(tuned)
    hand = _hand(tuned)
    picks = [row for row in rows if row.tastes]
    lines = [*_promises(picks, tuned.question), *_flatness(tuned), *_hand_line(tuned, hand, picks)]
    return Told(tuple(rows), hand, _headline(tuned, rows), tuple(lines), tuned.notes)


def _rows(tuned: Tuned) -> list[Row]:
    """Picks, each setting once, then the present setting."""
    confirmed, rows = tuned.confirmed, list[Row]()
    for k, trial in enumerate(tuned.picked):
        rows.append(_pick(tuned, f"pick-{k + 1}", trial, numbers(tuned.question, confirmed, k) if confirmed else {}))
    shown = numbers(tuned.question, confirmed, len(rows)) if confirmed else {}
    promised = numbers(tuned.question, tuned.present.measured, 0)  # nobody has picked it: it is as it was measured
    params = tuned.space.as_it_is()
    trial = tuned.present.trial
    feasible = float(tuned.belief.feasible[trial]) if trial >= 0 else math.nan
    return [*rows, Row("present", (), trial, params, promised, shown, feasible, _holds(tuned.question, shown))]


def _pick(tuned: Tuned, name: str, trial: int, shown: Mapping[str, Number]) -> Row:
    """A pick, promised as users who had no say in it tell."""
    question = tuned.question
    tastes = tuple(pick.taste for pick in tuned.picks if pick.trial == trial)
    promise = next((tuned.promises[taste] for taste in tastes if taste in tuned.promises), None)
    found = tuned.belief.found
    value, sd = (promise.value, promise.sd) if promise else (found.mean[trial], found.sd[trial])
    chance = float(feasibility(Posterior(value[None], sd[:, None, None] ** 2), aim_of(question).bounds)[0])
    promised = {q.name: Number(float(value[m]), float(sd[m])) for m, q in enumerate(question.quantities)}
    return Row(name, tastes, trial, tuned.trials[trial], promised, shown, chance, _holds(question, shown))


def numbers(question: Question, measured: Measured, k: int) -> dict[str, Number]:
    """Quantities of the k-th setting as they were measured; a test knows nothing of what is of the log."""
    return {
        quantity.name: Number(float(value), float(se))
        for quantity, value, se in zip(question.quantities, measured.values[k], measured.se[k], strict=False)
    }


def _holds(question: Question, shown: Mapping[str, Number]) -> bool | None:
    if not shown:
        return None
    return all(_kept(question, limit, shown) for limit in question.of_users)


def _kept(question: Question, limit: Limit, shown: Mapping[str, Number]) -> bool:
    value = shown[question.quantities[question.index(limit)].name].value
    return limit.sense * (value - question.bound(limit)) >= 0


def _hand(tuned: Tuned) -> tuple[HandRow, ...]:
    if tuned.hand_confirmed is None:
        return ()
    return tuple(
        HandRow(
            test.parameter, test.kept, test.user_days, test.params, numbers(tuned.question, tuned.hand_confirmed, k)
        )
        for k, test in enumerate(tuned.hand)
    )


def _headline(tuned: Tuned, rows: Sequence[Row]) -> str:
    question, tried = tuned.question, len(tuned.trials)
    if not tuned.picks:
        nearest = nearest_miss(tuned.belief)
        cannot = "CAN'T TELL" if tuned.experiment.tune and tuned.experiment.tune.evaluate == "log" else "NO PICK"
        return (
            f"{cannot}: no setting of {tried} holds {_limits(question)} with confidence {question.confidence:g}; the "
            f"nearest is {params_text(tuned.trials[nearest])} with {tuned.belief.feasible[nearest]:.0%}. Loosen a "
            f"limit, widen the ranges, or search longer."
        )
    best, present = rows[0], rows[-1]
    gain = best.promised[f"lift({question.goals[0]})"]
    if tuned.experiment.tune and tuned.experiment.tune.evaluate == "log" and gain.low <= 0:
        return (
            f"CAN'T TELL: the best that the log can speak of, {params_text(best.params)}, is promised {said(gain)} "
            f"{question.goals[0]} over {tuned.experiment.experiment.control}. Log longer, or explore more."
        )
    gains = " and ".join(f"{said(best.promised[f'lift({goal})'])} {goal}" for goal in question.goals)
    held = f", {_limits(question)} with {best.feasible:.0%}" if question.limits else ""
    held += _spoken_of(tuned)
    if best.trial == present.trial:
        return f"KEEP the present setting: none of {tried} is believed to have more {question.goals[0]}{held}."
    return f"PICK {params_text(best.params)}: {gains} over {tuned.experiment.experiment.control}{held}."


def _spoken_of(tuned: Tuned) -> str:
    """How many of the settings a log could speak of; empty where they were simulated."""
    question = tuned.question
    of_log = next((limit for limit in question.limits if limit.of == "log"), None)
    if of_log is None:
        return ""
    told = int((tuned.measured.values[:, question.index(of_log)] >= of_log.bound).sum())
    return f"; among the {told} of {len(tuned.trials)} settings that the log can speak of"


def _limits(question: Question) -> str:
    return " and ".join(limit.text for limit in question.limits) or "everything"


def said(number: Number) -> str:
    """A lift as it is read: +4.1 % (3.0 to 5.2)."""
    return f"{100 * number.value:+.1f} % ({100 * number.low:.1f} to {100 * number.high:.1f})"


def _promises(picks: Sequence[Row], question: Question) -> list[str]:
    """Whether what was promised has been confirmed."""
    if not picks or not picks[0].confirmed:
        return []
    kept = total = 0
    for row in picks:
        for goal in question.goals:
            promised, shown = row.promised[f"lift({goal})"], row.confirmed[f"lift({goal})"]
            total += 1
            kept += abs(promised.value - shown.value) <= Z95 * math.hypot(promised.sd, shown.sd)
    held = sum(bool(row.holds) for row in picks)
    limits = f"; {held} of {len(picks)} held every limit there" if question.of_users else ""
    return [
        f"On users whom no search had seen, {kept} of {total} promised lifts were confirmed within their errors"
        f"{limits}."
    ]


def _flatness(tuned: Tuned) -> list[str]:
    """Which parameters matter around the first pick, and which the search cannot tell."""
    if tuned.sensitivity is None:
        return []
    goal, lines = tuned.question.goals[0], []
    moving = [profile for profile in tuned.sensitivity.profiles if profile.identified]
    dear = sorted(moving, key=lambda profile: profile.cost[0])
    if dear:
        told = ", ".join(f"{p.name} {100 * p.cost[0]:+.2f} ± {100 * Z95 * p.cost_sd[0]:.2f}" for p in dear)
        lines.append(f"A tenth of a range away from the first pick, points of {goal} at worst: {told}.")
    idle = [profile.name for profile in tuned.sensitivity.profiles if not profile.identified]
    if idle:
        lines.append(f"Not identified: {', '.join(idle)}; no value surely differs from the pick in any quantity.")
    ridge = tuned.sensitivity.ridge
    if ridge is not None:
        told = ", ".join(f"{name} {part:+.2f}" for name, part in ridge.direction.items() if abs(part) > 0.05)
        lines.append(f"Not identified together: {told} (in widths of the ranges) moves nothing that was seen; fix one.")
    return lines


def _hand_line(tuned: Tuned, hand: Sequence[HandRow], picks: Sequence[Row]) -> list[str]:
    """What tuning by hand has come to, and when the search was there."""
    if not hand:
        return []
    goal = tuned.question.goals[0]
    name, last = f"lift({goal})", hand[-1]
    holds = _holds(tuned.question, last.confirmed)
    limits = "" if not tuned.question.of_users else ", within the limits" if holds else ", breaking a limit"
    line = (
        f"By hand, {len(hand)} online tests of {last.user_days:,} user-days came to {params_text(last.params)}: "
        f"{said(last.confirmed[name])} {goal}{limits}."
    )
    if picks and picks[0].confirmed:
        line += f" The search's first pick has {said(picks[0].confirmed[name])} on the same users"
        reached = _reached(tuned, last.confirmed[name].value)
        line += f"; it knew of a setting as good after trial {reached}." if reached else "."
    return [line]


def _reached(tuned: Tuned, value: float) -> int:
    """After how many trials a setting was tried that is believed to hold all limits and to have as much; 0, never."""
    able = tuned.belief.feasible >= tuned.question.confidence
    there = np.flatnonzero(able & (tuned.belief.found.mean[:, 0] >= value))
    return int(there[0]) + 1 if len(there) else 0
