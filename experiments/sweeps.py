"""Sweeps: what serves at each point, what the points are called, and what is wrong with them in a document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from experiments.crosscheck import fits_the_scenario
from experiments.document import Document, dotted
from experiments.metrics import nearest
from experiments.policy_spec import Place, build_policy, policy_problems, spec_of
from experiments.problems import Problem, translate
from experiments.sections.sweep import Sweep
from experiments.sections.warmup import Explore
from policies.base import plain

Serving = dict[str, Any]  # `policy` and `explore` with every value spelled out, as of an arm
EXPLORATION = "explore.temperature"


def resolved_sweep(sweep: Sweep) -> dict[str, Any]:
    """A sweep with every value of its own policy spelled out, and its values in their order."""
    values = sweep.model_dump(mode="json", exclude_none=True)
    if sweep.policy is not None:
        values["policy"] = _spelled_out(sweep.policy)
    if sweep.values is not None:
        values["values"] = [value for change in sweep.changes() for value in change.values()]
    resolved: dict[str, Any] = plain(values)
    return resolved


def servings(sweep: Sweep, arms: Mapping[str, Mapping[str, Any]]) -> list[Serving]:
    """What serves at each point; arms: of the resolved spec."""
    base = unexplored(_spelled_out(sweep.policy)) if sweep.policy is not None else arms[str(sweep.arm)]
    return [serving(base, changes) for changes in sweep.changes()]


def unexplored(policy: Mapping[str, Any]) -> Serving:
    """A policy that is no arm serves without exploration."""
    return {"policy": policy, "explore": plain(Explore().model_dump())}


def serving(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Serving:
    """A base with some keys replaced, spelled out as arms are, so that equal policies are equal values."""
    changed: Serving = {name: base[name] for name in ("policy", "explore")}
    for key, value in changes.items():
        changed = _put(changed, key.split("."), value)
    return {"policy": _spelled_out(changed["policy"]), "explore": plain(changed["explore"])}


def labels(sweep: Sweep) -> list[str]:
    """What the points are called: the value, or of several keys each with its value, as briefly as they differ."""
    changes = sweep.changes()
    keys = list(dict.fromkeys(key for change in changes for key in change))
    if len(keys) == 1:
        return [_said(value) for change in changes for value in change.values()]
    short = {key: _shortest(key, keys) for key in keys}
    return [", ".join(f"{short[key]} {_said(value)}" for key, value in change.items()) for change in changes]


def sweep_problems(document: Document) -> Iterator[Problem]:
    """Every problem of sweeps that depends on arms, policies and the scenario, with its place."""
    sweeps = document.get(("truth", "sweeps"))
    for name, sweep in sweeps.items() if isinstance(sweeps, dict) else ():
        if isinstance(sweep, dict):
            place: Place = ("truth", "sweeps", name)
            yield from _base_problems(document, place, sweep)
            base = _base(document, sweep)
            if base is not None:
                yield from _point_problems(document, place, sweep, base)


def _base_problems(document: Document, place: Place, sweep: Mapping[str, Any]) -> Iterator[Problem]:
    arm, arms = sweep.get("arm"), document.get(("experiment", "arms"))
    if isinstance(arm, str) and isinstance(arms, dict) and arm not in arms:
        near = nearest(arm, arms)
        yield Problem((*place, "arm"), f"must name an arm, got {arm!r}; {near}there are {', '.join(arms)}")
    if sweep.get("policy") is not None:
        problems = policy_problems(sweep["policy"])
        for below, error, found in problems:
            schema = found.json_schema() if found else None
            yield from translate({**error, "loc": below}, (*place, "policy"), schema)
        if not problems:
            yield from fits_the_scenario(document, (*place, "policy"), _mapping(sweep["policy"]))


def _base(document: Document, sweep: Mapping[str, Any]) -> Serving | None:
    """What is varied, spelled out; nothing where that is wrong itself and told elsewhere."""
    arm = sweep.get("arm")
    if (arm is None) == (sweep.get("policy") is None):
        return None
    if arm is not None:
        return base_of_arm(document, arm)
    return None if policy_problems(sweep["policy"]) else unexplored(_spelled_out(_mapping(sweep["policy"])))


def base_of_arm(document: Document, arm: object) -> Serving | None:
    """An arm of a document, spelled out; nothing where there is none or it is wrong itself."""
    arms = document.get(("experiment", "arms"))
    section = arms.get(arm) if isinstance(arms, dict) and isinstance(arm, str) else None
    if not isinstance(section, dict):
        return None
    policy, explore = (
        section.get("policy") or document.get(("warmup", "policy")) or "production",
        section.get("explore"),
    )
    if policy_problems(policy):
        return None
    serves = unexplored(_spelled_out(_mapping(policy)))
    return {**serves, "explore": {**serves["explore"], **(explore if isinstance(explore, dict) else {})}}


def _point_problems(document: Document, place: Place, sweep: Mapping[str, Any], base: Serving) -> Iterator[Problem]:
    key, values, points = sweep.get("key"), sweep.get("values"), sweep.get("points")
    of = f"the policy of {sweep['arm']}" if sweep.get("arm") is not None else "this policy"
    if isinstance(key, str) and (wrong := key_problem(key, base, of)):
        yield Problem((*place, "key"), wrong)
    elif isinstance(key, str) and isinstance(values, list):
        for n, value in enumerate(values):
            yield from value_problems(document, (*place, "values", n), base, {key: value})
    for n, point in enumerate(points if isinstance(points, list) else []):
        if not isinstance(point, dict):
            continue
        wrongs = {name: text for name in point if (text := key_problem(name, base, of) or _below_another(name, point))}
        yield from (Problem((*place, "points", n, name), text) for name, text in wrongs.items())
        if not wrongs:
            yield from value_problems(document, (*place, "points", n), base, point)


def key_problem(key: str, base: Serving, of: str) -> str:
    """What is wrong with a path below an arm; nothing where it leads to a value. of: what it is, for the reader."""
    first, *steps = key.split(".")
    if key != EXPLORATION and (first != "policy" or not steps):
        return f"must be {EXPLORATION} or a path below policy, such as policy.weights.buy, got {key!r}"
    here: Any = base[first]
    for step in steps:
        if here == {} and step == steps[-1]:
            return (
                ""  # a mapping that names nothing yet, such as the weights of losses; the policy says what may be in it
            )
        known = _keys(here)
        if step not in known:
            there = f"{nearest(step, known)}there are {', '.join(known)}" if known else "it ends there"
            return f"must be a key of {of}, got {key!r}: no {step!r}; {there}"
        here = here[int(step)] if isinstance(here, list) else here[step]
    return ""


def _below_another(key: str, point: Iterable[str]) -> str:
    """What is wrong with a key inside what another key of the point replaces: their order would decide."""
    above = next((name for name in point if key.startswith(f"{name}.")), None)
    return f"must not be below another key of its point, got it below {above}; put its value in there" if above else ""


def value_problems(document: Document, place: Place, base: Serving, changes: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a base of which some keys are replaced."""
    changed = dict(base)
    for key, value in changes.items():
        changed = _put(changed, key.split("."), value)
    try:
        TypeAdapter(Explore).validate_json(json.dumps(changed["explore"]), strict=True)
    except ValidationError as invalid:
        schema = Explore.model_json_schema()
        found = [p for error in invalid.errors() for p in translate(dict(error), ("explore",), schema)]
        yield from (Problem(place, str(problem)) for problem in found if EXPLORATION in changes)
    problems = policy_problems(changed["policy"])
    for below, error, policy in problems:
        schema = policy.json_schema() if policy else {}
        for problem in translate({**error, "loc": below}, ("policy",), schema or None):
            yield Problem(place, _with_keys(problem, changes))
    if not problems:
        for problem in fits_the_scenario(document, ("policy",), changed["policy"]):
            yield Problem(place, _with_keys(problem, changes))


def _with_keys(problem: Problem, changes: Mapping[str, Any]) -> str:
    """The problem, under the key that was changed where the policy complains of something above it."""
    under = dotted(problem.place)
    above = [key for key in changes if key.startswith(f"{under}.")]
    return f"{', '.join(above)}: {problem.message}" if above else str(problem)


def _put(values: Any, steps: Sequence[str], value: Any) -> Any:
    """A copy with one value replaced."""
    if not steps:
        return value
    first, *rest = steps
    if isinstance(values, list):
        return [_put(old, rest, value) if str(n) == first else old for n, old in enumerate(values)]
    return {**values, first: _put(values.get(first), rest, value)}


def _keys(values: Any) -> list[str]:
    if isinstance(values, list):
        return [str(n) for n in range(len(values))]
    return list(values) if isinstance(values, Mapping) else []


def _spelled_out(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy with every value that it does not name."""
    return spec_of(build_policy(policy))


def _mapping(policy: Any) -> Mapping[str, Any]:
    return {"type": policy} if isinstance(policy, str) else policy


def _shortest(key: str, keys: Sequence[str]) -> str:
    """The last steps of a path that no other path ends in."""
    steps = key.split(".")
    for n in range(1, len(steps) + 1):
        tail = steps[-n:]
        if sum(other.split(".")[-n:] == tail for other in keys) == 1:
            return ".".join(tail)
    return key


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), sort_keys=True)
