"""The tasks of a run: what has to be done for an experiment, and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.spec import Experiment
from experiments.tasks import Task
from policies.base import AbstractPolicy

STAGES = "experiments.stages"


@dataclass(frozen=True, slots=True)
class Plan:
    """All tasks, and those that the analysis reads.

    warmups, tests: by market. policies: by arm. truths: by (arm, market).
    """

    warmups: Mapping[int, Task]
    fits: Mapping[str, Task]
    policies: Mapping[str, Task]
    tests: Mapping[int, Task]
    truths: Mapping[tuple[str, int], Task]

    def tasks(self) -> list[Task]:
        """Every task once, in an order that could be worked through."""
        every = [*self.warmups.values(), *self.fits.values(), *self.tests.values(), *self.truths.values()]
        return list({task.key: task for task in every}.values())  # equal arms share their truth


def plan(experiment: Experiment) -> Plan:
    """The tasks of an experiment, market by market and arm by arm."""
    spec = experiment.resolved()
    # A tick groups work and changes no result; which seed matters differs by stage.
    world = {key: value for key, value in spec["world"].items() if key != "tick_minutes"}
    seed = {name: spec["seed"][name] for name in ("world", "luck")}
    base, tick = {"world": world, "seed": seed}, {"tick_minutes": spec["world"]["tick_minutes"]}
    markets = range(experiment.world.markets)
    warm = spec["warmup"]
    logging = {"days": warm["days"], "policy": warm["policy"], "temperature": warm["explore"]["temperature"]}
    warmups = {
        m: Task("warm-up", f"market {m}", f"{STAGES}:warmup", base | logging | {"market": m}, {}, tick, 20)
        for m in markets
    }
    fits: dict[str, Task] = {}
    logs = {f"log {m:06d}": task for m, task in warmups.items()}
    policies = {arm: _fit(experiment.policy(arm), spec, logs, fits) for arm in experiment.experiment.arms}
    split = {**base, "seed": spec["seed"]}
    tests = _tests(spec, split, tick, warmups, policies)
    return Plan(warmups, fits, policies, tests, _truths(spec, split, tick, warmups, policies))


def _fit(policy: AbstractPolicy, spec: Mapping[str, Any], logs: Mapping[str, Task], fits: dict[str, Task]) -> Task:
    """The task that fits a policy; equal fits are one task."""
    models = {f"model {name}": _fit(model, spec, logs, fits) for name, model in policy.needs().items()}
    arguments = {
        "fit": policy.fit_spec(),
        "max_train_rows": spec["warmup"]["max_train_rows"],
        "seed": {"luck": spec["seed"]["luck"]},
    }
    name = policy.name if policy.name != "goal" else f"goal {policy.spec()['goal']}"
    cost = 0.1 if models or not policy.learns else 10
    # Fusion comes after the fit: it is handed over to build the policy, and is no part of the key.
    task = Task("fit", name, f"{STAGES}:fit", arguments, {**logs, **models}, {"policy": policy.spec()}, cost)
    return fits.setdefault(task.key, task)


def _tests(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    tick: Mapping[str, Any],
    warmups: Mapping[int, Task],
    policies: Mapping[str, Task],
) -> dict[int, Task]:
    test = spec["experiment"]
    # Sorted, so that the order in which a spec names its arms is no part of the key.
    arms = {arm: _serving(test["arms"][arm]) | {"share": test["arms"][arm]["share"]} for arm in sorted(test["arms"])}
    arguments = {"days": test["days"], "control": test["control"], "salt": test["assign"]["salt"], "arms": arms}
    fitted = {f"arm {arm}": task for arm, task in policies.items()}
    return {
        m: Task(
            "arms",
            f"market {m}",
            f"{STAGES}:arms",
            {**base, **arguments, "market": m},
            {"warm-up": warmup, **fitted},
            tick,
            30,
        )
        for m, warmup in warmups.items()
    }


def _truths(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    tick: Mapping[str, Any],
    warmups: Mapping[int, Task],
    policies: Mapping[str, Task],
) -> dict[tuple[str, int], Task]:
    test = spec["experiment"]
    shared = {"days": test["days"], "truth": spec["truth"]["users"]}
    return {
        (arm, m): Task(
            "truth",
            f"{arm}, market {m}",
            f"{STAGES}:truth",
            {**base, **shared, "market": m, "arm": _serving(test["arms"][arm])},
            {"warm-up": warmup, "policy": policies[arm]},
            {**tick, "name": arm},
            6,
        )
        for arm in test["arms"]
        for m, warmup in warmups.items()
    }


def _serving(arm: Mapping[str, Any]) -> dict[str, Any]:
    return {"policy": arm["policy"], "explore": arm["explore"]}
