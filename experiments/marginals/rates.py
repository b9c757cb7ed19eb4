"""Rates per impression and per action: expectations over what the warm-up showed."""

from __future__ import annotations

from experiments.marginals.simulated import Simulated
from sim.scenario import Scenario

VIEW = "view"  # an impression, in a name such as like_per_view


def per_event(name: str, scenario: Scenario) -> tuple[str, str] | None:
    """The columns of the ledger behind a name such as cart_per_click or like_per_view; None for other names."""
    action, _, event = name.rpartition("_per_")
    actions = scenario.funnel.actions
    if action not in actions or action == event or not (event == VIEW or event in scenario.funnel.chain(action)):
        return None
    return action, "impressions" if event == VIEW else event


def rate(of: Simulated, numerator: str, denominator: str) -> float:
    """Expected events per expected event."""
    return of.rate(numerator, denominator)


def ctr(of: Simulated) -> float | None:
    """Clicks per impression."""
    return of.rate("click", "impressions")
