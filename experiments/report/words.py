"""What things are called: units, conversions, estimators; the same words on the page, the poster and the terminal."""

from __future__ import annotations

import math

from experiments.report.format import percent
from experiments.report.subject import Subject
from experiments.results import Results, Side

UNITS = {"user": "users", "visit": "visits", "market": "markets", "switchback": "market blocks"}
COUNTED = {"user": "users who came", "market": "markets that were served", "switchback": "blocks of market and time"}
CONVERSIONS = {"buy": "orders"}  # other actions are called by their names


def units(results: Results) -> str:
    """What was divided between the arms, in the plural."""
    return UNITS.get(results.unit, f"{results.unit}s")


def counted(subject: Subject, results: Results) -> str:
    """The same, as what is counted."""
    return COUNTED.get(results.unit, units(results)) if subject.simulated else units(results)


def conversions(results: Results) -> str:
    """What the rare event is called, as what is counted."""
    return CONVERSIONS.get(results.conversion, results.conversion)


def before(subject: Subject) -> str:
    """The period before the test."""
    return "warm-up" if subject.simulated else "period before the test"


def estimator(subject: Subject, results: Results, name: str) -> str:
    """How estimates are made."""
    if name == "cuped":
        return f"adjusted by the {before(subject)} (CUPED)"
    if name == "capped":
        over = "the warm-up" if subject.simulated else "all units of the test"
        return f"with money capped at a quantile over {over} (winsorised)"
    if name == "raw" and subject.simulated and results.unit in ("visit", "switchback"):
        return f"unadjusted ({units(results)} have no warm-up of their own)"
    return "unadjusted" if name == "raw" else name


def fieller(results: Results) -> str:
    """The kind of interval: of few units, by Student's t."""
    return "t-based Fieller" if any(row.ci_kind.startswith("t-based") for row in results.rows) else "Fieller"


def corrections(results: Results) -> dict[str, str]:
    """By role, the rule that corrects the deciding p-values for how many there are; roles without one are left out."""
    deciding = [row for row in results.rows if row.estimator == results.estimator]
    return {row.role: row.adjusted_by for row in deciding if row.adjusted_by}


def together(results: Results) -> dict[str, str]:
    """By role, what the intervals are that hold for all its lifts at once; roles without any are left out."""
    deciding = [row for row in results.rows if row.estimator == results.estimator]
    return {row.role: row.sim_kind for row in deciding if row.sim_kind}


def reached(kind: str) -> str:
    """How far an interval holds, of a kind such as "fieller 95% for all 8 at once (max-T)"."""
    return kind.partition("% ")[2] or kind


def explored(correction: str) -> bool:
    """Whether a correction is one of false discoveries: its p-values explore and decide nothing."""
    return correction.startswith("Benjamini")


def stopped(results: Results) -> list[str]:
    """One line for every arm that the guard stopped."""
    return [f"{arm} was stopped after day {day}: {cause}" for arm, (day, cause) in results.stops.items()]


def warnings(results: Results) -> list[str]:
    """Warnings without those that say again which arm was stopped."""
    said = stopped(results)
    return [warning for warning in results.warnings if warning not in said]


def repetition(results: Results) -> str:
    """What the best arm is worth, corrected for having been chosen; empty where there was nothing to choose."""
    best = results.selected
    if best is None or best.n_arms < 2 or not all(map(math.isfinite, (best.hybrid, best.low, best.high))):
        return ""
    return (
        f"{percent(best.hybrid)} {best.goal} ({percent(best.low)} to {percent(best.high)}), after correction for "
        f"having been chosen among {best.n_arms} arms; as measured {percent(best.naive)}"
    )


def other_side(results: Results) -> list[tuple[str, str]]:
    """Columns of the other side of the market that this world has: attribute and heading."""
    columns = [("concentration", "Concentration (Gini)"), ("active", "Recruiters still active")]
    columns.append(("content", "Their satisfaction"))
    return [(name, heading) for name, heading in columns if any(_told(side, name) for side in results.sides)]


def _told(side: Side, name: str) -> bool:
    return math.isfinite(getattr(side, name))
