"""V12: the decision rule ships what it should not in few experiments, and what it should in most."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from experiments.analysis.contrasts import joint_lifts
from experiments.analysis.decision import SHIP, decide
from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import lifts
from experiments.analysis.power import power_per_test, provable, relative_error, units_needed
from experiments.analysis.simultaneous import max_t
from experiments.analysis.stats import SufficientStats
from tests.validation.measured import Measured, Size, at_least, at_most, luck, share
from tests.validation.population import METRICS, Population, population

ALPHA, POWER = 0.05, 0.8
GOAL, GUARDRAIL = METRICS["visits per user"], METRICS["CTR"]
RAISED = 0.20  # visits +13 %, seven standard errors: found in every test
FAR = -0.5  # a margin that nothing breaks


def decision_rule(size: Size) -> list[Measured]:
    """The worst null effects that the rule can meet are shipped in five percent of experiments at most.

    A goal (visits per user) and a guardrail (CTR) of 3 000 users per arm. A goal that gains nothing; a guardrail
    whose true loss is exactly its margin, while the goal surely gains; both; and five such arms at once. Then the
    number of users at which a true gain is found and a harmless guardrail passes, each with power
    1 - .2 / 2 (Schultzberg, Ankargren and Franberg 2024), must ship in 80 % or more.
    """
    k = size.of(150, 5_000)
    base, better = population().only(_columns()), population(RAISED).only(_columns())
    worse = _fewer_clicks(base)
    margin = worse.truth(GUARDRAIL) / base.truth(GUARDRAIL) - 1
    both = _fewer_clicks(better)
    kept = both.truth(GUARDRAIL) / base.truth(GUARDRAIL) - 1
    rng = np.random.default_rng(luck("V12", size))
    found = [
        at_most("V12", "goal gains nothing: shipped", _shipped(rng, base, [base], FAR, k), ALPHA, k),
        share("V12", "sure goal, guardrail at its margin: shipped", _shipped(rng, base, [both], kept, k), ALPHA, k),
        at_most(
            "V12", "null goal, guardrail at its margin: shipped", _shipped(rng, base, [worse], margin, k), ALPHA, k
        ),
        at_most(
            "V12", "five arms that gain nothing: shipped", _shipped(rng, base, [base] * 5, FAR, k // 2), ALPHA, k // 2
        ),
    ]
    return [*found, *_designed(rng, base, k)]


def _columns() -> tuple[str, ...]:
    return ("visits", "impressions", "click")


def _fewer_clicks(people: Population) -> Population:
    """A third of those who click often click once less: the loss is exactly known, as all of the population is."""
    values = people.values.copy()
    click = people.columns.index("click")
    values[::3, click] -= values[::3, click] >= 3
    return Population(people.columns, values)


def _shipped(
    rng: np.random.Generator, control: Population, arms: list[Population], margin: float, k: int, users: int = 3_000
) -> float:
    """Share of experiments in which any arm is shipped."""
    return float(np.mean([_verdict(rng, control, arms, margin, users) == SHIP for _ in range(k)]))


def _verdict(rng: np.random.Generator, control: Population, arms: list[Population], margin: float, users: int) -> str:
    names = [f"arm {a + 1}" for a in range(len(arms))]
    groups = {"control": control.drawn(rng, users)}
    groups |= {name: arm.drawn(rng, users) for name, arm in zip(names, arms, strict=True)}
    estimate = joint_estimate(groups, [GOAL, GUARDRAIL], cuped=False)
    found = lifts(estimate, "control", ALPHA)
    family = max_t(joint_lifts(estimate, "control", found).only(metrics=[GOAL.name]), ALPHA)
    adjusted: Mapping[tuple[str, str], float] = {
        (name, GOAL.name): float(p) for name, p in zip(names, family.p_adjusted[:, 0], strict=True)
    }
    return decide(found, [GOAL.name], {GUARDRAIL.name: margin}, 1.0, ALPHA, adjusted=adjusted).verdict


def _designed(rng: np.random.Generator, base: Population, k: int) -> list[Measured]:
    """As many users as the gain needs, and a margin that these users need, each with power .9: shipped in 80 %."""
    gaining = _more_visits(base)
    gain, each = gaining.truth(GOAL) / base.truth(GOAL) - 1, power_per_test(POWER, 1)
    users = math.ceil(units_needed(gain, _relative_sd(base, GOAL), ALPHA, each))
    harmless = provable(relative_error(_relative_sd(base, GUARDRAIL), users, users), ALPHA, each)
    shipped = _shipped(rng, base, [gaining], -harmless, k, users)
    note = f"gain {100 * gain:.1f} %, margin {-100 * harmless:.1f} %, {users:,} users per arm"
    return [at_least("V12", "true gain, harmless guardrail, as designed: shipped", shipped, POWER, k, note)]


def _more_visits(people: Population) -> Population:
    """One visit more of every eighth person; clicks and impressions are the same, and so is CTR."""
    values = people.values.copy()
    values[::8, people.columns.index("visits")] += 1
    return Population(people.columns, values)


def _relative_sd(people: Population, metric: Metric) -> float:
    """Of one user: the standard error of everybody's metric, relative to it, times the root of their number."""
    everybody = SufficientStats.of(people.columns, people.values)
    estimate = joint_estimate({"all": everybody}, [metric], cuped=False)
    return float(np.sqrt(estimate.variance()[0, 0] * everybody.n) / estimate.value[0, 0])
