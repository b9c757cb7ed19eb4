"""What policies and worlds of several runs are called: alike where they are the same, apart where they are not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.compare.folders import ComparedRun

SHOWN = 3  # values by which two things are told apart
IDLE = ("tick_minutes", "scenario.targets")  # of a world: change no result
BESIDES = ("experiment.days", "warmup", "truth.users", "faults")  # beside world and seeds: what lifts depend on
Place = tuple[int, str]  # position of the run, name of the arm


def same(values: Any) -> str:
    """Equal for equal values."""
    return json.dumps(values, sort_keys=True)


def policy_labels(runs: Sequence[ComparedRun]) -> tuple[dict[Place, str], list[str]]:
    """By run and challenger, what its policy is called; and a line for every name that is not one policy's alone.

    A challenger that serves as its control does, or as another challenger of its run, goes by its own name.
    """
    keys = {(n, arm): key for n, run in enumerate(runs) for arm, key in _keys(run).items()}
    places: dict[str, list[Place]] = {}
    for place, key in keys.items():
        places.setdefault(key, []).append(place)
    called = {key: Counter(arm for _, arm in at).most_common(1)[0][0] for key, at in places.items()}
    notes, labels = list[str](), dict[str, str]()
    for name in dict.fromkeys(called.values()):
        rivals = [key for key, its in called.items() if its == name]
        labels |= {key: name if len(rivals) == 1 else f"{name} #{n + 1}" for n, key in enumerate(rivals)}
        if len(rivals) > 1:
            told = zip(rivals, differences([json.loads(key)[0] for key in rivals]), strict=True)
            said = "; ".join(f"{labels[key]} ({what}) in {_folders(runs, places[key])}" for key, what in told)
            notes.append(f"{name} names {len(rivals)} different policies, kept apart: {said}")
    for key, at in places.items():
        names = list(dict.fromkeys(arm for _, arm in at))
        if len(names) > 1:
            notes.append(f"{labels[key]} is one policy under {len(names)} names: {', '.join(names)}")
    return {place: labels[key] for place, key in keys.items()}, notes


def world_labels(runs: Sequence[ComparedRun]) -> list[str]:
    """By run, its world: the scenario's name, with what differs where several worlds are made of it."""
    keys = [same(_lasting(run.spec["world"])) for run in runs]
    worlds = {key: json.loads(key) for key in keys}
    labels = dict[str, str]()
    scenarios = [world["scenario"]["name"] for world in worlds.values()]
    for scenario in dict.fromkeys(scenarios):
        mine = [key for key, world in worlds.items() if world["scenario"]["name"] == scenario]
        told = differences([worlds[key] for key in mine])
        named = {k: f"{scenario} ({what})" if len(mine) > 1 else scenario for k, what in zip(mine, told, strict=True)}
        twins = Counter(named.values())
        for n, (key, label) in enumerate(named.items()):
            labels[key] = label if twins[label] == 1 else f"{label} #{n + 1}"
    return [labels[key] for key in keys]


def people(run: ComparedRun) -> str:
    """Equal for runs of the same people with the same luck, whose lifts are no independent ones.

    The split only says which of them live in the truth; the log that all policies learn from is the same.
    """
    return same({"seed": _drawn(run), "world": _lasting(run.spec["world"])})


def seeds_in_several_worlds(runs: Sequence[ComparedRun]) -> list[str]:
    """A line where luck is common to worlds, so that the spread over all of them is too small."""
    worlds: dict[str, set[str]] = {}
    for run in runs:
        worlds.setdefault(same(_drawn(run)), set()).add(people(run))
    if all(len(found) < 2 for found in worlds.values()):
        return []
    return [
        "runs in different worlds have seeds in common, and with them luck: over all worlds together the standard "
        "errors are too small; within a world they are right"
    ]


def setting(run: ComparedRun) -> str:
    """Equal for runs in which the same policy has the same truth."""
    values = {key: _at(run.spec, key) for key in ("seed", *BESIDES)}
    return same({**values, "world": _lasting(run.spec["world"])})


def settings_that_differ(runs: Sequence[ComparedRun]) -> list[str]:
    """A line for what differs between runs beside world, seeds and arms, and that lifts depend on."""
    values = [{key: _at(run.spec, key) for key in BESIDES} for run in runs]
    apart = dict(zip((run.folder for run in runs), differences(values), strict=True))
    if len({same(value) for value in values}) < 2:
        return []
    said = "; ".join(f"{what} in {', '.join(f for f, w in apart.items() if w == what)}" for what in set_of(apart))
    return [f"the runs differ in more than worlds and seeds, so their lifts are not of one thing: {said}"]


def set_of(told: Mapping[str, str]) -> list[str]:
    """Values in order, each once."""
    return list(dict.fromkeys(told.values()))


def differences(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each mapping, the values in which it differs from the others: a few, named briefly."""
    flat = [dict(leaves(value)) for value in values]
    keys = list(dict.fromkeys(key for leaf in flat for key in leaf))
    varied = [key for key in keys if len({same(leaf.get(key)) for leaf in flat}) > 1]
    return [_said({key: leaf[key] for key in varied if leaf.get(key) is not None}) for leaf in flat]


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, by dotted path."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _said(values: Mapping[str, Any]) -> str:
    parts = [f"{key.rpartition('.')[2]} {_brief(value)}" for key, value in list(values.items())[:SHOWN]]
    rest = len(values) - SHOWN
    return ", ".join(parts) + (f" and {rest} more" if rest > 0 else "") or "as it is"


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 30 else f"{text[:29]}…"


def _keys(run: ComparedRun) -> dict[str, str]:
    """By challenger, what tells its policy from others."""
    taken, keys = Counter([same(run.control_serves)]), dict[str, str]()
    for arm in run.arms:
        key = same(arm.serves)
        again = taken[key]
        taken[key] += 1
        keys[arm.name] = same([arm.serves, f"{arm.name} {again}"] if again else [arm.serves])
    return keys


def _drawn(run: ComparedRun) -> dict[str, Any]:
    """The seeds of people, items and what happens to them."""
    return {name: run.spec["seed"][name] for name in ("world", "luck")}


def _lasting(world: Mapping[str, Any]) -> dict[str, Any]:
    scenario = {key: value for key, value in world["scenario"].items() if f"scenario.{key}" not in IDLE}
    return {key: value for key, value in world.items() if key not in IDLE} | {"scenario": scenario}


def _at(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def _folders(runs: Sequence[ComparedRun], places: Sequence[Place]) -> str:
    return ", ".join(dict.fromkeys(runs[n].folder for n, _ in places))
