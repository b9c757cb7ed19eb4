"""What things are called: units, conversions, estimators; the same words on the page, the poster and the terminal."""

from __future__ import annotations

import math

from experiments.results import Results, Side

UNITS = {"user": "users", "visit": "visits", "market": "markets", "switchback": "market blocks"}
COUNTED = {"user": "users who came", "market": "markets that were served", "switchback": "blocks of market and time"}
CONVERSIONS = {"buy": "orders"}  # other actions are called by their names


def units(results: Results) -> str:
    """What was divided between the arms, in the plural."""
    return UNITS.get(results.unit, f"{results.unit}s")


def counted(results: Results) -> str:
    """The same, as what is counted."""
    return COUNTED.get(results.unit, units(results))


def conversions(results: Results) -> str:
    """What the rare event is called, as what is counted."""
    return CONVERSIONS.get(results.conversion, results.conversion)


def estimator(results: Results, name: str) -> str:
    """How estimates are made."""
    if name == "cuped":
        return "adjusted by the warm-up (CUPED)"
    if name == "raw" and results.unit in ("visit", "switchback"):
        return f"unadjusted ({units(results)} have no warm-up of their own)"
    return "unadjusted" if name == "raw" else name


def fieller(results: Results) -> str:
    """The kind of interval: of few units, by Student's t."""
    return "t-based Fieller" if any(row.ci_kind.startswith("t-based") for row in results.rows) else "Fieller"


def stopped(results: Results) -> list[str]:
    """One line for every arm that the guard stopped."""
    return [f"{arm} was stopped after day {day}: {cause}" for arm, (day, cause) in results.stops.items()]


def warnings(results: Results) -> list[str]:
    """Warnings without those that say again which arm was stopped."""
    said = stopped(results)
    return [warning for warning in results.warnings if warning not in said]


def other_side(results: Results) -> list[tuple[str, str]]:
    """Columns of the other side of the market that this world has: attribute and heading."""
    columns = [("concentration", "Concentration (Gini)"), ("active", "Recruiters still active")]
    columns.append(("content", "Their satisfaction"))
    return [(name, heading) for name, heading in columns if any(_told(side, name) for side in results.sides)]


def _told(side: Side, name: str) -> bool:
    return math.isfinite(getattr(side, name))
