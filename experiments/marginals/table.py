"""The marginals by name, resolved when asked for; and their verdicts against a scenario's targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from experiments.metrics import nearest
from experiments.problems import Problem
from sim.scenario import Scenario, Target

if TYPE_CHECKING:
    from experiments.marginals.simulated import Simulated

# Beside these, every action has a rate per click or other action before it, and per view: cart_per_click.
MARGINALS: Mapping[str, str] = {
    "attention_curve": "looks",
    "leave_per_item": "looks",
    "ctr": "rates",
    "answer_rate": "answers",
    "answers_lost_to_load": "answers",
    "order_value_log_sd": "people",
    "spend_top_10_share": "people",
    "watch_ratio_q1": "times",
    "watch_ratio_median": "times",
    "watch_ratio_q3": "times",
    "dwell_median": "times",
    "dwell_log_sd": "times",
    "delay_1h": "times",
    "delay_24h": "times",
    "delay_14d": "times",
    "pages_per_visit_log_sd": "looks",
    "gap_log_sd": "times",
    "return_day_1": "times",
    "return_day_7": "times",
    "random_ctr_ratio": "contrast",
    "random_long_view_ratio": "contrast",
    "binary_sd_over_mean": "people",
    "value_sd_over_mean": "people",
    "top_1_share_of_activity": "people",
}
Verdict = Literal["PASS", "OFF", "-"]


@dataclass(frozen=True, slots=True)
class Row:
    """One marginal. value: as simulated. target: its band, None where the scenario names none."""

    name: str
    value: float
    target: Target | None

    @property
    def verdict(self) -> Verdict:
        """PASS within the band, OFF outside it, or where there is no number; - where nothing is judged."""
        if self.target is None or self.target.kind == "reported":
            return "-"
        low = -math.inf if self.target.low is None else self.target.low
        high = math.inf if self.target.high is None else self.target.high
        return "PASS" if low <= self.value <= high else "OFF"

    @property
    def fails(self) -> bool:
        """Whether a band with a source is missed; one that is assumed is no reason to fail."""
        return self.target is not None and self.target.kind == "judged" and self.verdict == "OFF"


def measured(of: Simulated) -> list[Row]:
    """Every target of the scenario, in its order; without any, every marginal that the scenario has.

    A target that the simulation has no number for is NaN, and so OFF where it is judged.
    """
    targets = of.scenario.targets
    if targets:
        found = {name: measure(name, of) for name in targets}
        return [Row(n, math.nan if value is None else value, targets[n]) for n, value in found.items()]
    found = {name: measure(name, of) for name in (*MARGINALS, *rate_names(of.scenario))}
    return [Row(name, value, None) for name, value in found.items() if value is not None]


def measure(name: str, of: Simulated) -> float | None:
    """One marginal; None where the scenario has no such thing."""
    from experiments.marginals import rates

    columns = rates.per_event(name, of.scenario)
    if columns is not None:
        return rates.rate(of, *columns)
    found: Callable[[Simulated], float | None] = getattr(
        import_module(f"experiments.marginals.{MARGINALS[name]}"), name
    )
    return found(of)


def meaning(name: str) -> str:
    """A marginal in words: the first line of what its function says of itself."""
    if name not in MARGINALS:
        return name.replace("_", " ")
    found = getattr(import_module(f"experiments.marginals.{MARGINALS[name]}"), name)
    return (found.__doc__ or "").strip().splitlines()[0].rstrip(".")


def unknown_targets(scenario: Scenario) -> list[Problem]:
    """A problem for each target that is no marginal of the scenario."""
    known = [*MARGINALS, *rate_names(scenario)]
    return [
        Problem(("targets", name), f"must be a marginal, got {name!r}; {nearest(name, known)}known: {', '.join(known)}")
        for name in scenario.targets
        if name not in known
    ]


def rate_names(scenario: Scenario) -> list[str]:
    """Names of the rates of all actions but the click: per action before it, and per view."""
    from experiments.marginals.rates import VIEW

    chains = {name: scenario.funnel.chain(name)[:-1] for name in scenario.funnel.actions if name != "click"}
    return [f"{name}_per_{event}" for name, above in chains.items() for event in (*reversed(above), VIEW)]
