"""The test as it stood on earlier nights: declared looks, ready to stop it, and every night for the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis.joint import joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.looks import LookRow, with_repeated
from experiments.analysis.sequential import boundaries, nominal_alpha
from experiments.gather import Gathered, estimand
from experiments.readout import Inquiry, Truth
from experiments.truths import paired

CLUSTERED = ("market", "switchback")  # few units: intervals by Student's t
NO_SPENDING = "none"
NIGHTLY = "obrien_fleming"  # of the picture: it leaves the last night nearly all of alpha
Stops = Mapping[str, tuple[int, str]]


def looks_of(run: Gathered, inquiry: Inquiry, last: Sequence[Lift], truth: Truth, stops: Stops) -> tuple[LookRow, ...]:
    """Goals and guardrails as they stood at each declared look, and at the end, beside the truth of that day."""
    days = run.experiment.analysis.looks
    if not days or inquiry.unit not in ("user", "market"):
        return ()
    metrics = run.scenario.metrics
    true = dict[tuple[int, str, str], float]()
    for day in days:
        then = {arm: run.truth(arm, day=day) for arm in run.arms}
        for arm in run.arms:
            for name in _judged(inquiry):
                true[day, arm, name] = paired(metrics[name], then[arm], then[inquiry.control]).lift
    return _series(run, inquiry, days, last, truth, stops, true, run.experiment.analysis.spending)


def daily_of(run: Gathered, inquiry: Inquiry, last: Sequence[Lift], truth: Truth, stops: Stops) -> tuple[LookRow, ...]:
    """Goals and guardrails as they stood every night, with intervals that hold on all nights at once; the truth is
    that of the end."""
    if inquiry.unit not in ("user", "market"):
        return ()
    end = run.experiment.experiment.days
    days = [day for day in run.days(inquiry.unit) if day < end]
    return _series(run, inquiry, days, last, truth, stops, {}, NIGHTLY) if days else ()


def alpha_left(looks: Sequence[LookRow], inquiry: Inquiry, spending: str) -> float | None:
    """What the looks have left of alpha for the end of the test: the least over arms and goals; None without looks."""
    if not looks or spending == NO_SPENDING:
        return None
    left = inquiry.alpha
    for arm, metric in dict.fromkeys((row.arm, row.metric) for row in looks):
        told = [r.information for r in looks if (r.arm, r.metric) == (arm, metric) and np.isfinite(r.information)]
        if metric in inquiry.goals and told:
            left = min(left, float(nominal_alpha(boundaries(np.array(told), inquiry.alpha, spending)[-1])))
    return left


def _judged(inquiry: Inquiry) -> tuple[str, ...]:
    return (*inquiry.goals, *inquiry.guardrails)


def _series(
    run: Gathered,
    inquiry: Inquiry,
    days: Sequence[int],
    last: Sequence[Lift],
    truth: Truth,
    stops: Stops,
    true: Mapping[tuple[int, str, str], float],
    spending: str,
) -> tuple[LookRow, ...]:
    """By arm and metric, a row per night; of a stopped arm, up to the night on which it was stopped."""
    specs = [estimand(name, run.scenario.metrics[name], inquiry.unit) for name in _judged(inquiry)]
    found = dict[tuple[int, str, str], Lift]()
    for day in days:
        estimate = joint_estimate(run.groups(inquiry.unit, day), specs, cuped=inquiry.decider == "cuped")
        for lift in lifts(estimate, inquiry.control, inquiry.alpha, small_sample=inquiry.few):
            found[day, lift.arm, lift.metric] = lift
    end = run.experiment.experiment.days
    found |= {(end, lift.arm, lift.metric): lift for lift in last if lift.arm not in stops}
    ends = {pair: row.expected_lift for pair, row in truth.items()}
    rows = list[LookRow]()
    for arm in (name for name in run.arms if name != inquiry.control):
        until = stops[arm][0] if arm in stops else end  # of a stopped arm, the end is another's
        nights = [day for day in sorted({*days, end}) if day <= until and (day, arm, inquiry.goals[0]) in found]
        for name in _judged(inquiry):
            mine = [found[day, arm, name] for day in nights]
            known = [true.get((day, arm, name), ends[arm, name] if day == end else float("nan")) for day in nights]
            if spending != NO_SPENDING:
                rows += with_repeated(nights, mine, known, inquiry.alpha, spending)
                continue
            rows += [_alone(day, lift, true) for day, lift, true in zip(nights, mine, known, strict=True)]
    return tuple(rows)


def _alone(day: int, lift: Lift, true: float) -> LookRow:
    """A look that nobody acts on."""
    return LookRow(day, lift.arm, lift.metric, lift.lift, lift.se, lift.low, lift.high, true)
