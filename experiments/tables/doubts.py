"""What makes a table's answers doubtful: warnings, and reasons why there can be no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.quality import FEW_CLUSTERS, SMALL_ARM, SPARSE, rate_mismatch_p_value
from experiments.analysis.verdicts import SRM_ALPHA
from experiments.tables.collecting import Collected
from experiments.tables.question import Question

ASTRAY = 0.01  # of all units, in several arms or in arms that nobody planned: beyond it, assignment is broken
MANY_DROPPED = 0.05  # of all units: beyond it, the answer is about others than those who were asked for


@dataclass(frozen=True, slots=True)
class Doubts:
    """blocking: why no verdict can be given; each is a warning too."""

    blocking: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __add__(self, more: Doubts) -> Doubts:
        return Doubts(self.blocking + more.blocking, self.others + more.others)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.blocking + self.others

    @property
    def blocked(self) -> str:
        return "; ".join(self.blocking)


def about_units(collected: Collected, question: Question) -> Doubts:
    """Units astray, unknown in one arm more than in another, or too many of them dropped."""
    astray, unknown = _astray(collected, question), _unknown(collected)
    units = collected.units
    lost = len(units.used) - collected.accounts.units_used
    if lost > MANY_DROPPED * len(units.used):
        share = 100 * lost / len(units.used)
        text = f"{share:.0f} % of {collected.accounts.unit}s are dropped as a metric of theirs is unknown: what is said"
        unknown += Doubts(others=(f"{text} is about the others; ask for metrics that are rarely known apart",))
    return astray + unknown


def _astray(collected: Collected, question: Question) -> Doubts:
    word, named = collected.accounts.unit, collected.named
    doubt = about_plan(collected.unasked, named, question, word)
    if collected.crossed:
        doubt += _by_share(collected.crossed, named, f"{word}s are in several arms and dropped")
    return doubt


def about_plan(unasked: Mapping[str, int], of: int, question: Question, word: str) -> Doubts:
    """Units in arms that nobody planned. Whoever names the arms to be compared knows of the others."""
    if question.arms or not sum(unasked.values()):
        return Doubts()
    text = f"{word}s are in arms that nobody planned ({', '.join(unasked)}) and dropped"
    return _by_share(sum(unasked.values()), of, text)


def _by_share(n: int, of: int, text: str) -> Doubts:
    said = f"{n:,} of {of:,} {text}"
    if n > ASTRAY * of:
        return Doubts(blocking=(f"{said}, so no comparison can be trusted; find the cause first",))
    return Doubts(others=(said,))


def _unknown(collected: Collected) -> Doubts:
    """Unknown values in one arm more than in another: what is left of the arms is then not alike."""
    units = collected.units
    lost, assigned = units.counts(~units.used), units.counts()
    p = rate_mismatch_p_value(lost, assigned)
    if not p < SRM_ALPHA:
        return Doubts()
    said = f"unknown values are more frequent in one arm than in another ({_shares(lost, assigned)}, p = {p:.1g})"
    return Doubts(blocking=(f"{said}, so no comparison can be trusted; find the cause first",))


def known_alike_before(collected: Collected) -> bool:
    """Whether the time before the test is known of all arms to the same share, as no test can change."""
    used = collected.units.counts(collected.units.used)
    return not rate_mismatch_p_value(collected.unadjusted, used) < SRM_ALPHA


def about_the_time_before(collected: Collected, metrics: Sequence[Metric], control: str) -> Doubts:
    """Arms that differed before the test, or are known of it to another share: it was not before, or not at random."""
    units, others = collected.units, list[str]()
    if not known_alike_before(collected):
        others.append(
            f"the time before the test is unknown in one arm more often than in another "
            f"({_shares(collected.unadjusted, units.counts(units.used))}), which no test can bring about; judged "
            f"without adjustment"
        )
    before = [Metric(metric.name, *metric.pre) for metric in metrics if metric.pre is not None]
    asked = {column for m in before for column in (m.numerator, m.denominator) if column is not None}
    groups = units.groups({column: units.columns[column] for column in sorted(asked)})
    found = lifts(joint_estimate(groups, before, cuped=False), control, SRM_ALPHA) if before else []
    others += [
        f"{lift.arm} differed from {control} in {lift.metric} before the test already (p = {lift.p_value:.1g}): arms "
        f"were not divided at random, or its columns of pre are not of the time before"
        for lift in found
        if lift.p_value < SRM_ALPHA / len(found)
    ]
    return Doubts(others=tuple(others))


def _shares(some: Mapping[str, int], of: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {100 * some[arm] / max(n, 1):.1f} %" for arm, n in of.items())


def about_numbers(counts: Mapping[str, int], word: str, question: Question) -> Doubts:
    """Arms that are empty or too small."""
    least, what = (FEW_CLUSTERS, "clusters") if question.clusters else (SMALL_ARM, f"{word}s")
    small = {arm: n for arm, n in counts.items() if n < least}
    if not small:
        return Doubts()
    said = ", ".join(f"{arm} {n}" for arm, n in small.items())
    return Doubts(blocking=(f"too few {what} to compare: {said}; at least {least} per arm are needed",))


def about_lifts(found: Sequence[Lift], goals: Sequence[str]) -> Doubts:
    """Metrics that cannot be told, or not bounded."""
    unknown = [lift for lift in found if not lift.known]
    arms = {lift.arm for lift in found}
    nobody = [m for m in dict.fromkeys(lift.metric for lift in unknown) if _count(unknown, m) == len(arms)]
    some = [f"{lift.metric} of {lift.arm}" for lift in unknown if lift.metric not in nobody]
    text = "it or the control shows nothing that varies"
    blocking = tuple(f"can't tell {metric}: {text}" for metric in nobody if metric in goals)
    rest = [*(metric for metric in nobody if metric not in goals), *some]
    others = [f"can't tell {', '.join(rest)}: {text}"] if rest else []
    unbounded = dict.fromkeys(lift.metric for lift in found if lift.known and not lift.bounded)
    if unbounded:
        others.append(f"too few conversions to bound the lift of {', '.join(unbounded)}")
    return Doubts(blocking, tuple(others))


def _count(found: Sequence[Lift], metric: str) -> int:
    return sum(lift.metric == metric for lift in found)


def about_tails(collected: Collected, metrics: Sequence[Metric], goals: Sequence[str]) -> Doubts:
    """Goals that few units have any of, and most have none, in very different amounts."""
    units, others = collected.units, list[str]()
    for metric in (metric for metric in metrics if metric.name in goals):
        values = units.columns[metric.numerator]
        some = units.counts(units.used & (values != 0))
        few = {arm: n for arm, n in some.items() if n < SPARSE}
        rare = 2 * sum(some.values()) < units.used.sum()
        if few and rare and not np.isin(values[units.used], (0, 1)).all():
            said = ", ".join(f"{arm} {n}" for arm, n in few.items())
            others.append(
                f"too few {collected.accounts.unit}s with any {metric.numerator} for intervals of {metric.name} to be "
                f"trusted: {said}; at least {SPARSE} per arm are needed"
            )
    return Doubts(others=tuple(others))
