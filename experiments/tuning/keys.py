"""Which key of an arm a parameter stands for, and what is wrong with a `tune` in a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from experiments.document import Document
from experiments.metrics import nearest, observed_metrics
from experiments.policy_spec import Place
from experiments.problems import Problem
from experiments.sections.tune import Parameter, limit_of
from experiments.sweeps import EXPLORATION, Serving, base_of_arm, key_problem, value_problems
from sim.scenario import MARKET_COLUMNS


def key_of(name: str, arm: str, base: Serving) -> tuple[str, str]:
    """The path below the arm that a parameter's name stands for, and what is wrong with the name, or nothing.

    Args:
        base: the arm with every value of its policy spelled out.
    """
    name = name.removeprefix(f"experiment.arms.{arm}.")
    if "." in name:
        return name, key_problem(name, base, f"the policy of {arm}")
    known = [path for path in _paths(base["policy"], "policy") if path.rsplit(".", 1)[-1] == name]
    if name == "temperature":
        known.append(EXPLORATION)
    if len(known) == 1:
        return known[0], ""
    if known:
        return "", f"must name one key of {arm}, got {name!r}, which may be {' or '.join(known)}; write the whole path"
    names = [path.rsplit(".", 1)[-1] for path in _paths(base["policy"], "policy")]
    return "", (
        f"must be a key of the policy of {arm}, got {name!r}; {nearest(name, names)}there are "
        f"{', '.join(_paths(base['policy'], 'policy'))} and {EXPLORATION}"
    )


def tune_problems(document: Document) -> Iterator[Problem]:
    """Every problem of `tune` that depends on arms, policies and the scenario, with its place."""
    tune = document.get(("tune",))
    if not isinstance(tune, dict):
        return
    yield from _metric_problems(document, tune)
    yield from _arm_problems(document, tune)


def _arm_problems(document: Document, tune: Mapping[str, Any]) -> Iterator[Problem]:
    arm, arms = tune.get("arm"), document.get(("experiment", "arms"))
    if not isinstance(arm, str) or not isinstance(arms, dict):
        return
    if arm not in arms:
        near = nearest(arm, arms)
        yield Problem(("tune", "arm"), f"must name an arm, got {arm!r}; {near}there are {', '.join(arms)}")
        return
    base, parameters = base_of_arm(document, arm), tune.get("parameters")
    if base is None or not isinstance(parameters, dict):
        return
    keys: dict[str, str] = {}
    for name, written in parameters.items():
        place: Place = ("tune", "parameters", name)
        key, wrong = key_of(str(name), arm, base)
        if wrong:
            yield Problem(place, wrong)
            continue
        if key in keys:
            yield Problem(place, f"must be a key of its own, got {key}, which {keys[key]!r} is too; drop one of them")
        keys[key] = str(name)
        yield from _range_problems(document, place, base, key, written)
    yield from _corner_problems(document, base, {key: parameters[name] for key, name in keys.items()})


MOST_CORNERS = 64


def _corner_problems(document: Document, base: Serving, ranges: Mapping[str, Any]) -> Iterator[Problem]:
    """What the policy says of the ends of several ranges together, such as gains that must not fall."""
    ends = {key: [value for _, value in _ends(written)] for key, written in ranges.items()}
    if any(not values for values in ends.values()):
        return
    alone = [value_problems(document, ("tune",), base, {key: v}) for key, values in ends.items() for v in values]
    if any(list(problems) for problems in alone):
        return  # told of its own range
    for corner in islice(product(*ends.values()), MOST_CORNERS):
        for problem in value_problems(document, ("tune", "parameters"), base, dict(zip(ends, corner, strict=True))):
            yield Problem(problem.place, f"must be possible together, found {problem.message}; narrow the ranges")
            return


def _range_problems(document: Document, place: Place, base: Serving, key: str, written: Any) -> Iterator[Problem]:
    """What the policy says of the ends of a range, or of each choice."""
    for below, value in _ends(written):
        found = list(value_problems(document, (*place, *below), base, {key: value}))
        yield from found
        if found:
            return  # the other end is mostly wrong in the same way


def _ends(written: Any) -> Iterator[tuple[Place, Any]]:
    if isinstance(written, list) and len(written) == 2:
        yield from (((n,), value) for n, value in enumerate(written))
    elif isinstance(written, dict) and isinstance(written.get("choices"), list):
        yield from ((("choices", n), value) for n, value in enumerate(written["choices"]))
    elif isinstance(written, dict):
        yield from (((end,), written[end]) for end in ("low", "high") if isinstance(written.get(end), int | float))


def _metric_problems(document: Document, tune: Mapping[str, Any]) -> Iterator[Problem]:
    metrics = document.get(("world", "scenario", "metrics"))
    if not isinstance(metrics, dict):
        return
    observed = observed_metrics(metrics)
    goals = tune.get("maximise") or document.get(("metrics", "goals"))
    named: list[tuple[Place, Any]] = []
    if isinstance(tune.get("maximise"), list):
        named += [(("tune", "maximise", n), goal) for n, goal in enumerate(tune["maximise"])]
    for place, goal in list(named):
        if goal in observed and observed[goal].get("better") == "lower":
            yield Problem(place, f"a goal must be better when higher, got {goal!r}; limit it in subject_to instead")
    for n, text in enumerate(tune["subject_to"] if isinstance(tune.get("subject_to"), list) else []):
        try:
            named.append((("tune", "subject_to", n), limit_of(str(text)).metric))
        except ValueError as problem:
            yield Problem(("tune", "subject_to", str(n)), str(problem))
    for place, name in named:
        if name not in observed:
            there = ", ".join(observed)
            yield Problem(
                place,
                f"must name a metric that is observed, got {name!r}; {nearest(str(name), observed)}there are {there}",
            )
        elif metrics[name].get("numerator") in MARKET_COLUMNS:
            yield Problem(place, f"{name} is of whole markets, which a setting is not searched by; name another metric")
    if isinstance(goals, list) and tune.get("exchange_rates") and len(goals) < 2:
        yield Problem(("tune", "exchange_rates"), "need two goals to exchange, got one; drop them")
    reference = tune.get("reference")
    for name in reference if isinstance(reference, dict) else ():
        if isinstance(goals, list) and name not in goals:
            yield Problem(
                ("tune", "reference", name), f"must name a goal out of {', '.join(map(str, goals))}, got {name!r}"
            )


def _paths(values: Any, above: str) -> list[str]:
    """Paths to every value below a policy that is no mapping; an empty one is a value."""
    if isinstance(values, Mapping) and values:
        return [path for key, value in values.items() if key != "type" for path in _paths(value, f"{above}.{key}")]
    if isinstance(values, list) and values:
        return [path for n, value in enumerate(values) for path in _paths(value, f"{above}.{n}")]
    return [above]


def range_text(parameter: Parameter) -> str:
    """A parameter's range as it is read."""
    if parameter.choices is not None:
        return ", ".join(map(str, parameter.choices))
    told = f"{parameter.low:g} to {parameter.high:g}"
    return f"{told}, log" if parameter.log else told
