"""What is reported on: a simulated test, or a table of one's own; all that figures and tables take beside results."""

from __future__ import annotations

import json
from dataclasses import dataclass

from experiments.results import Results
from experiments.spec import Experiment

SPENDING = {"obrien_fleming": "O'Brien-Fleming", "pocock": "Pocock"}


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """What an arm is and who saw it.

    share: as planned; empty where nobody said. policy: what it serves; empty where nobody said.
    """

    name: str
    share: str
    units: int
    conversions: int
    policy: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A test, as its reader knows it.

    question: that it was to answer, in one sentence. alpha: family-wise error. days: that it ran; None where the data
    do not tell. simulated: whether anything in it is known because it was made up. arms: in the order of the results.
    spending: how looks at the running test spend alpha, in words; empty where they spend none.
    retrained: whether an arm's policy went on learning during the test.
    """

    name: str
    arms: tuple[ArmFacts, ...]
    alpha: float
    question: str | None = None
    days: int | None = None
    simulated: bool = False
    spending: str = ""
    retrained: bool = False

    @property
    def level(self) -> str:
        """What intervals hold with."""
        return f"{100 * (1 - self.alpha):g} %"


def subject_of(experiment: Experiment, results: Results, question: str | None = None) -> Subject:
    """A simulated test."""
    test = experiment.experiment
    return Subject(
        name=experiment.name,
        arms=tuple(_facts(experiment, results, arm) for arm in results.arms),
        alpha=experiment.analysis.alpha,
        question=question,
        days=test.days,
        simulated=True,
        spending=SPENDING.get(experiment.analysis.spending, ""),
        retrained=any(arm.retrain for arm in test.arms.values()),
    )


def _facts(experiment: Experiment, results: Results, arm: str) -> ArmFacts:
    section = experiment.experiment.arms.get(arm)
    policy = (section.policy if section else None) or experiment.warmup.policy
    kind = str(policy.get("type", ""))
    rest = {key: value for key, value in policy.items() if key != "type"}
    said = f"{kind} {json.dumps(rest, ensure_ascii=False)}" if rest else kind
    share = f"{section.share:.4g}" if section else ""
    return ArmFacts(arm, share, results.n_users.get(arm, 0), results.conversions.get(arm, 0), said)
