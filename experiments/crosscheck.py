"""What only several sections together can tell: policies and metrics against the scenario, days against days.

Read from the document, not from the validated spec, so that these problems are told together with all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.document import Document
from experiments.findings.table import FINDINGS
from experiments.metrics import USERS, nearest, observed_metrics
from experiments.policy_spec import Place, build_policy, policy_problems
from experiments.problems import Problem, translate
from sim.oracle import additive
from sim.scenario import MARKET_COLUMNS


def cross_problems(document: Document) -> list[Problem]:
    """Every problem of policies, metrics, guard, looks and faults, with its place."""
    checks = (_policies, _metrics, _looks, _units, _front, _faults, _finding)
    return [problem for check in checks for problem in check(document)]


def _policies(document: Document) -> Iterator[Problem]:
    places: list[Place] = [("warmup", "policy")]
    arms = document.get(("experiment", "arms"))
    if isinstance(arms, dict):
        places += [("experiment", "arms", name, "policy") for name in arms]
    for place in places:
        mapping = document.get(place)
        if mapping is None:
            continue
        problems = policy_problems(mapping)
        for below, error, found in problems:
            yield from translate({**error, "loc": below}, place, found.json_schema() if found else None)
        if not problems:
            yield from fits_the_scenario(document, place, {"type": mapping} if isinstance(mapping, str) else mapping)
    yield from _retrained(document)


def fits_the_scenario(document: Document, place: Place, mapping: Mapping[str, Any]) -> Iterator[Problem]:
    """What a valid policy asks for that the scenario does not have."""
    policy = build_policy(mapping)
    if place[0] == "warmup" and policy.learns:
        yield Problem(place, f"must need no training, since there is no log yet, got {policy.name!r}; try production")
    actions = document.get(("world", "scenario", "funnel", "actions"))
    if not isinstance(actions, dict):
        return
    known, described = [*actions, "stay"], [action for action in actions.values() if isinstance(action, dict)]
    money = {"value": any(a.get("units") for a in described), "refund": any(a.get("refunds") for a in described)}
    params = ", and other names of a formula must have a value in params" if policy.name == "formula" else ""
    for name in sorted(policy.outcomes() - {*known, *(name for name, earned in money.items() if earned)}):
        yield Problem(
            place,
            f"must ask for what the scenario's log holds, {policy.name} needs {name!r}; {nearest(name, known)}"
            f"there are {', '.join(known)}{params}",
        )


def _retrained(document: Document) -> Iterator[Problem]:
    arms = document.get(("experiment", "arms"))
    for name, arm in arms.items() if isinstance(arms, dict) else ():
        if not isinstance(arm, dict) or arm.get("retrain") is None or policy_problems(arm.get("policy")):
            continue
        policy = arm["policy"]
        if not build_policy({"type": policy} if isinstance(policy, str) else policy).learns:
            yield Problem(
                ("experiment", "arms", name, "retrain"), "needs a policy that learns, got one that does not; drop it"
            )


def _metrics(document: Document) -> Iterator[Problem]:
    metrics = document.get(("world", "scenario", "metrics"))
    if not isinstance(metrics, dict):
        return
    observed = observed_metrics(metrics)
    goals, margins = document.get(("metrics", "goals")), document.get(("metrics", "guardrails"))
    for at, name in enumerate(goals if isinstance(goals, list) else []):
        place: Place = ("metrics", "goals", at)
        if name not in observed:
            yield _unknown(place, name, observed)
        elif observed[name].get("better") == "lower":
            yield Problem(place, f"a goal must be better when higher, got {name!r}; make it a guardrail, such as +5%")
    named = dict(margins) if isinstance(margins, dict) else {}
    for name, margin in named.items():
        yield from _margin(("metrics", "guardrails", name), name, margin, observed)
    yield from _of_markets(document, observed, [*(goals if isinstance(goals, list) else []), *named])
    guard = document.get(("experiment", "guard"))
    if isinstance(guard, dict) and "metric" in guard:
        key = "margin" if guard["metric"] in observed else "metric"
        yield from _margin(("experiment", "guard", key), guard["metric"], guard.get("margin"), observed)


def _of_markets(document: Document, metrics: Mapping[str, Any], named: Sequence[Any]) -> Iterator[Problem]:
    """Metrics of whole markets, asked of a test that does not divide markets."""
    unit = document.get(("experiment", "assign", "unit")) or "user"
    if unit == "market" and document.get(("world", "sharing")):
        return
    for name in named:
        if name in metrics and metrics[name].get("numerator") in MARKET_COLUMNS:
            yield Problem(
                ("metrics",),
                f"{name} is of whole markets: it needs experiment.assign.unit: market and world.sharing: true, "
                f"got unit {unit}",
            )


def _margin(place: Place, name: object, margin: object, observed: Mapping[str, Any]) -> Iterator[Problem]:
    if name not in observed:
        yield _unknown(place, name, observed)
        return
    lower = observed[str(name)].get("better") == "lower"
    falls = str(margin).strip().startswith("-")
    if margin is not None and falls == lower:
        wanted = "a rise, such as +5%, since it is better when lower" if lower else "a fall, such as -1%"
        yield Problem(place, f"the margin of {name} must be {wanted}, got {margin!r}")


def _unknown(place: Place, name: object, observed: Mapping[str, Any]) -> Problem:
    near = nearest(str(name), observed)
    return Problem(
        place,
        f"must be an observed metric of the scenario, got {name!r}; {near}they are {', '.join(observed)}",
    )


def _looks(document: Document) -> Iterator[Problem]:
    looks, days = document.get(("analysis", "looks")), document.get(("experiment", "days"))
    days = 14 if days is None else days
    if isinstance(looks, list) and isinstance(days, int):
        late = [day for day in looks if isinstance(day, int) and day > days]
        if late:
            yield Problem(("analysis", "looks"), f"must lie within the {days} days of the test, got {late}")


def _units(document: Document) -> Iterator[Problem]:
    """Too few markets to divide, and metrics that a test is too short for."""
    place = ("experiment", "assign")
    units, beside = document.get((*place, "unit")), document.get((*place, "beside"))
    markets, arms = document.get(("world", "markets")), document.get(("experiment", "arms"))
    markets = 2 if markets is None else markets
    named = [units, *(beside if isinstance(beside, list) else [])]
    if "market" in named and isinstance(markets, int) and isinstance(arms, dict) and markets < 2 * len(arms):
        yield Problem(
            place,
            f"market needs at least 2 markets per arm, better 20, got {markets} for {len(arms)} arms; "
            f"raise world.markets",
        )
    metrics, days = document.get(("world", "scenario", "metrics")), document.get(("experiment", "days"))
    days = 14 if days is None else days
    goals, margins = document.get(("metrics", "goals")), document.get(("metrics", "guardrails"))
    judged = [*(goals if isinstance(goals, list) else []), *(margins if isinstance(margins, dict) else [])]
    for name in judged if isinstance(metrics, dict) and isinstance(days, int) else []:
        column = metrics[name].get("numerator", "") if isinstance(metrics.get(name), dict) else ""
        gap = str(column).removeprefix("returned_")
        if str(column).startswith("returned_") and days <= int(gap):
            yield Problem(
                ("metrics",), f"{name} needs a test of more than {gap} days, got {days}; raise experiment.days"
            )


def _front(document: Document) -> Iterator[Problem]:
    """A front that cannot be drawn exactly."""
    metrics, goals = document.get(("world", "scenario", "metrics")), document.get(("metrics", "goals"))
    if not document.get(("truth", "front")) or not isinstance(metrics, dict) or not isinstance(goals, list):
        return
    known = [metrics[goal] for goal in goals[:2] if isinstance(metrics.get(goal), dict)]
    sums = {
        str(metric.get("numerator"))
        for metric in known
        if additive(str(metric.get("numerator"))) and metric.get("denominator") in (USERS, "impressions")
    }
    if len(sums) < 2:
        yield Problem(
            ("truth", "front"),
            f"needs two goals that are different sums over impressions, per impression or user, got "
            f"{', '.join(map(str, goals))}; drop front or reorder the goals",
        )
    elif document.get(("world", "sharing")):
        yield Problem(("truth", "front"), "needs users who share nothing, got world.sharing: true; drop one of them")


def _faults(document: Document) -> Iterator[Problem]:
    actions = document.get(("world", "scenario", "funnel", "actions"))
    heavy = document.get(("faults", "heavy_spenders"))
    sells = any(isinstance(a, dict) and a.get("units") for a in (actions if isinstance(actions, dict) else {}).values())
    if heavy is not None and isinstance(actions, dict) and not sells:
        yield Problem(("faults", "heavy_spenders"), "needs a scenario that sells something; drop it")
    arm, arms = document.get(("faults", "lost_rows", "arm")), document.get(("experiment", "arms"))
    if arm is not None and isinstance(arms, dict) and arm not in arms:
        yield Problem(("faults", "lost_rows", "arm"), f"must name an arm out of {', '.join(arms)}, got {arm!r}")


def _finding(document: Document) -> Iterator[Problem]:
    finding = document.get(("finding",))
    arms, metrics = document.get(("experiment", "arms")), document.get(("world", "scenario", "metrics"))
    if not isinstance(finding, dict) or not isinstance(arms, dict) or not isinstance(metrics, dict):
        return
    kind, control = finding.get("type"), document.get(("experiment", "control"))
    if kind not in FINDINGS:
        return
    challengers, sweeps = [name for name in arms if name != control], document.get(("truth", "sweeps"))
    about = {"sweep": list(sweeps) if isinstance(sweeps, dict) else []} if kind == "sweep" else {"arm": challengers}
    wanted = {**about, "metric": list(metrics)}
    if kind in ("trade", "cost", "sweep"):
        wanted["other"] = challengers if kind == "cost" else list(metrics)
    for key, names in wanted.items():
        name = finding.get(key)
        if name is None and key != "metric":
            known = f"name one of {', '.join(names)}" if names else "add truth.sweeps"
            yield Problem(("finding", key), f"must be given for a finding of {kind}; {known}")
        elif name is not None and name not in names:
            known = ", ".join(names) or "truth.sweeps, which has none"
            yield Problem(("finding", key), f"must be one of {known}, got {name!r}")
    goals, margins = document.get(("metrics", "goals")), document.get(("metrics", "guardrails"))
    judged = [*(goals if isinstance(goals, list) else []), *(margins if isinstance(margins, dict) else {})]
    if kind in ("interference", "delay") and finding.get("metric") not in judged:
        yield Problem(("finding", "metric"), f"must be a goal or a guardrail, got {finding.get('metric')!r}")
    if kind == "delay" and not document.get(("analysis", "looks")):
        yield Problem(("finding",), "of delay needs analysis.looks, such as [3], found none")
    if kind == "interference" and not document.get(("world", "sharing")):
        yield Problem(("finding",), "of interference needs world.sharing: true, found none")
