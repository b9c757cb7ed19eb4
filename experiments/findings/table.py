"""The kinds of finding by the name that YAML uses, resolved when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from experiments.sections.common import Section

if TYPE_CHECKING:
    from experiments.results import Results

FINDINGS: Mapping[str, str] = {
    "trade": "experiments.findings.trade:sentence",
    "interference": "experiments.findings.interference:sentence",
    "delay": "experiments.findings.delay:sentence",
    "cost": "experiments.findings.cost:sentence",
    "sweep": "experiments.findings.sweep:sentence",
}


class Finding(Section):
    """The question of an experiment; the run answers it in one sentence.

    type: trade, what an arm wins on one metric and pays on another; interference, how wrong the test is where
        users share something; delay, what an early look says against the last; cost, what one arm lacks against
        another in truth; sweep, what the values of a sweep win on one metric and pay on another.
    arm: which arm it is about; of a sweep, none. sweep: its name in truth.sweeps.
    metric: what it wins, or is read on.
    other: trade and sweep, the metric it pays with; cost, the arm it is measured against.
    """

    type: Literal["trade", "interference", "delay", "cost", "sweep"]
    arm: str | None = None
    sweep: str | None = None
    metric: str
    other: str | None = None


def sentence(finding: Finding, results: Results) -> str:
    """What the run found, in words."""
    module, _, name = FINDINGS[finding.type].partition(":")
    say: Callable[[Finding, Results], str] = getattr(import_module(module), name)
    return say(finding, results)
