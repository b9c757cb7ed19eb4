"""The tasks of a run: what has to be done for an experiment, and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.metrics import USERS
from experiments.policy_spec import build_policy, spec_of
from experiments.spec import Experiment
from experiments.stages.recorders import MOST_DAYS as MOST_NIGHTS
from experiments.strangers import named
from experiments.sweeps import servings
from experiments.tasks import Task
from policies.base import AbstractPolicy
from sim.oracle import additive
from sim.scenario import MARKET_COLUMNS

STAGES = "experiments.stages"


@dataclass(frozen=True, slots=True)
class Plan:
    """All tasks, and those that the analysis reads.

    warmups: by market. policies: by arm. tests: by (unit, market); coupled markets share a task.
    truths: by (arm, market). fronts: by (point, market), from all weight on the second goal to all on the first.
    judged: impressions after the warm-up, by market. cards: by arm, its policy judged on them; none where no policy
    learns. sweeps: by (sweep, point, market); a point that equals an arm is the arm's task.
    """

    warmups: Mapping[int, Task]
    fits: Mapping[str, Task]
    policies: Mapping[str, Task]
    tests: Mapping[tuple[str, int], Task]
    truths: Mapping[tuple[str, int], Task]
    fronts: Mapping[tuple[int, int], Task]
    judged: Mapping[int, Task]
    cards: Mapping[str, Task]
    sweeps: Mapping[tuple[str, int, int], Task] = field(default_factory=dict)

    def tasks(self) -> list[Task]:
        """Every task once, in an order that could be worked through."""
        lived = (self.truths, self.fronts, self.sweeps)
        stages = (self.warmups, self.fits, self.tests, *lived, self.judged, self.cards)
        every = [task for stage in stages for task in stage.values()]
        once: dict[str, Task] = {}
        for task in every:  # equal arms share their truth, and points of a sweep that of the arm they equal
            once.setdefault(task.key, task)
        return list(once.values())


@dataclass(frozen=True, slots=True)
class Foundations:
    """What every task of an experiment stands on.

    spec: resolved. base: world and seeds, without the split, as most tasks are given them. tick: of waves; in the base
    where it changes results, which it does where users share. warmups: by market.
    """

    spec: Mapping[str, Any]
    base: Mapping[str, Any]
    tick: Mapping[str, Any]
    warmups: Mapping[int, Task]

    @property
    def split(self) -> dict[str, Any]:
        return {**self.base, "seed": self.spec["seed"]}

    def fit(self, policy: AbstractPolicy, fits: dict[str, Task], half: bool = False) -> Task:
        """The task that fits a policy on the warm-up's log, entered into `fits`; equal fits are one task.

        half: of its visits alone, so that the others can judge what it learned; see `stages.fit.half_of`.
        """
        logs = {f"log {m:06d}": task for m, task in self.warmups.items()}
        return _fit(policy, self.spec, logs, fits, half)


def foundations(experiment: Experiment) -> Foundations:
    """World, seeds and warm-up of an experiment."""
    spec = experiment.resolved()
    warm, seed = spec["warmup"], {name: spec["seed"][name] for name in ("world", "luck")}
    # A tick groups work and changes no result, unless users share something; which seed matters differs by stage.
    base, tick = {"world": _world(spec), "seed": seed}, {"tick_minutes": spec["world"]["tick_minutes"]}
    if spec["world"]["sharing"]:
        base |= tick
    logging = {"days": warm["days"], "policy": warm["policy"], "temperature": warm["explore"]["temperature"]}
    warmups = {
        m: Task("warm-up", f"market {m}", f"{STAGES}.warmup:run", base | logging | {"market": m}, {}, tick, 20)
        for m in range(experiment.world.markets)
    }
    return Foundations(spec, base, tick, warmups)


def plan(experiment: Experiment) -> Plan:
    """The tasks of an experiment, market by market and arm by arm."""
    given, fits = foundations(experiment), dict[str, Task]()
    policies = {arm: given.fit(experiment.policy(arm), fits) for arm in experiment.experiment.arms}
    tests: dict[tuple[str, int], Task] = {}
    for unit in experiment.units:
        tests |= {(unit, m): task for m, task in _tests(given, unit, policies, experiment.experiment.coupled).items()}
    truths, fronts = _truths(given, policies), _fronts(experiment, given)
    judged, cards = _cards(experiment, given, policies)
    sweeps = _sweeps(experiment, given, fits)
    return Plan(given.warmups, fits, policies, tests, truths, fronts, judged, cards, sweeps)


def _world(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The world that tasks are given: without what changes no result, with the faults that it has."""
    world = {key: value for key, value in spec["world"].items() if key != "tick_minutes"}
    world["scenario"] = {**world["scenario"], "targets": {}}
    heavy = spec["faults"]["heavy_spenders"]
    if heavy is not None:
        people = {**world["scenario"]["people"], "heavy_share": heavy["share"], "heavy_units": heavy["units"]}
        world["scenario"] = {**world["scenario"], "people": people}
    return world


def _fit(
    policy: AbstractPolicy, spec: Mapping[str, Any], logs: Mapping[str, Task], fits: dict[str, Task], half: bool
) -> Task:
    """The task that fits a policy; equal fits are one task."""
    models = {f"model {name}": _fit(model, spec, logs, fits, half) for name, model in policy.needs().items()}
    arguments: dict[str, Any] = {
        "fit": named(policy, policy.fit_spec()),
        "max_train_rows": spec["warmup"]["max_train_rows"],
        "seed": {"luck": spec["seed"]["luck"]},
    }
    if half:
        arguments["half"] = True
    name = policy.name if policy.name != "goal" else f"goal {policy.spec().get('goal', '')}"
    cost = 0.1 if models or not policy.learns else 10
    # Fusion comes after the fit: it is handed over to build the policy, and is no part of the key.
    task = Task("fit", name, f"{STAGES}.fit:run", arguments, {**logs, **models}, {"policy": spec_of(policy)}, cost)
    return fits.setdefault(task.key, task)


def _tests(given: Foundations, unit: str, policies: Mapping[str, Task], coupled: bool) -> dict[int, Task]:
    test, spec = given.spec["experiment"], given.spec
    # Sorted, so that the order in which a spec names its arms is no part of the key.
    arms = {
        arm: serving_of(test["arms"][arm]) | {name: test["arms"][arm][name] for name in ("share", "retrain")}
        for arm in sorted(test["arms"])
    }
    arguments = {
        "days": test["days"],
        "control": test["control"],
        "assign": {"unit": unit, "salt": test["assign"]["salt"], "block_hours": test["assign"]["block_hours"]},
        "arms": arms,
        "ramp": test["ramp"],
        "guard": test["guard"],
        "half": [-(-test["days"] // 2)],
        # Of a test that is not long, every night is kept anyway, and other looks need no new simulation.
        "looks": spec["analysis"]["looks"] if test["days"] > MOST_NIGHTS else [],
        "faults": {name: spec["faults"][name] for name in ("novelty", "lost_rows")},
        "max_train_rows": spec["warmup"]["max_train_rows"],
    }
    fitted = {f"arm {arm}": task for arm, task in policies.items()}

    def task(markets: list[int]) -> Task:
        needs = {f"warm-up {m:06d}": given.warmups[m] for m in markets} | fitted
        of = f"market {markets[0]}" if len(markets) == 1 else f"{len(markets)} markets"
        name = of if unit == test["assign"]["unit"] else f"{of}, by {unit}"
        function, weight = f"{STAGES}.arms:run", 30 * len(markets)
        return Task("arms", name, function, {**given.split, **arguments, "markets": markets}, needs, given.tick, weight)

    markets = list(given.warmups)
    if coupled:
        return dict.fromkeys(markets, task(markets))
    return {m: task([m]) for m in markets}


def _truths(given: Foundations, policies: Mapping[str, Task]) -> dict[tuple[str, int], Task]:
    arms = given.spec["experiment"]["arms"]
    return {
        (arm, m): task for arm in arms for m, task in _lived(given, arm, serving_of(arms[arm]), policies[arm]).items()
    }


def _lived(given: Foundations, name: str, serving: Mapping[str, Any], policy: Task) -> dict[int, Task]:
    """By market, the truth users' life under what serves them."""
    test, spec = given.spec["experiment"], given.spec
    share = 1 if spec["world"]["sharing"] else spec["truth"]["users"]
    shared = {"days": test["days"], "truth": share, "looks": spec["analysis"]["looks"]}
    return {
        m: Task(
            "truth",
            f"{name}, market {m}",
            f"{STAGES}.truth:run",
            {**given.split, **shared, "market": m, "arm": serving},
            {"warm-up": warmup, "policy": policy},
            {**given.tick, "name": name},
            6,
        )
        for m, warmup in given.warmups.items()
    }


def _sweeps(experiment: Experiment, given: Foundations, fits: dict[str, Task]) -> dict[tuple[str, int, int], Task]:
    """Policies that live in the truth alone, as arms do there."""
    tasks, arms = dict[tuple[str, int, int], Task](), given.spec["experiment"]["arms"]
    for name, sweep in experiment.truth.sweeps.items():
        for k, serving in enumerate(servings(sweep, arms)):
            policy = given.fit(build_policy(serving["policy"]), fits)
            lived = _lived(given, f"{name}, point {k + 1}", serving, policy)
            tasks |= {(name, k, m): task for m, task in lived.items()}
    return tasks


def _fronts(experiment: Experiment, given: Foundations) -> dict[tuple[int, int], Task]:
    """Rankers that know the truth, from all weight on the second goal to all on the first."""
    columns = front_columns(experiment)
    n, spec = experiment.truth.front, given.spec
    if columns is None:
        return {}
    shared = {"days": spec["experiment"]["days"], "truth": spec["truth"]["front_users"], "looks": []}
    return {
        (k, m): Task(
            "front",
            f"point {k + 1} of {n}, market {m}",
            f"{STAGES}.truth:front",
            {
                **given.split,
                **shared,
                "market": m,
                "weights": {columns[0]: k / max(n - 1, 1), columns[1]: 1 - k / max(n - 1, 1)},
            },
            {"warm-up": warmup},
            given.tick,
            2,
        )
        for k in range(n)
        for m, warmup in given.warmups.items()
    }


MOST_JUDGED, MOST_DAYS = 100_000, 3  # impressions, and days that they may be of: AUCs then settle within 0.01


def _cards(
    experiment: Experiment, given: Foundations, policies: Mapping[str, Task]
) -> tuple[dict[int, Task], dict[str, Task]]:
    """What the scorecard is made by: impressions of the first market, and every policy judged on them."""
    arms, warm = experiment.experiment.arms, given.spec["warmup"]
    if not any(experiment.policy(arm).learns for arm in arms):
        return {}, {}
    logging = {name: given.warmups[0].arguments[name] for name in ("days", "policy", "temperature")}
    limits = {"market": 0, "most": MOST_JUDGED, "most_days": min(MOST_DAYS, warm["days"])}
    arguments = {**given.base, **logging, **limits, "columns": judged_columns(experiment)}
    needs, function = {"warm-up": given.warmups[0]}, f"{STAGES}.scorecard:judged"
    judged = Task("judged", "market 0", function, arguments, needs, given.tick, 2)
    cards: dict[str, Task] = {}
    for arm in arms:
        asked = {"policy": given.spec["experiment"]["arms"][arm]["policy"], "value": judged_value(experiment)}
        of = {"judged": judged, "policy": policies[arm]}
        cards[arm] = Task("scorecard", arm, f"{STAGES}.scorecard:run", asked, of, {}, 2)
    return {0: judged}, cards


def judged_value(experiment: Experiment) -> str:
    """What a candidate is worth to NDCG: the first goal's numerator that is a sum over impressions; else clicks."""
    metrics = experiment.world.scenario.metrics
    columns = [metrics[goal].numerator for goal in experiment.metrics.goals]
    return next((c for c in columns if additive(c) and c not in MARKET_COLUMNS), "click")


def judged_columns(experiment: Experiment) -> list[str]:
    """What orders are judged by: clicks, the goals that are sums over impressions, and what NDCG weighs."""
    metrics = experiment.world.scenario.metrics
    goals = [metrics[goal].numerator for goal in experiment.metrics.goals]
    known = [column for column in goals if additive(column) and column not in MARKET_COLUMNS]
    return list(dict.fromkeys(["click", *known]))


def front_columns(experiment: Experiment) -> tuple[str, str] | None:
    """What the true front weighs: the first two goals' numerators; None where they cannot be weighed exactly.

    They can where both are sums over impressions, per impression or per user, and users share nothing.
    """
    goals, metrics = experiment.metrics.goals, experiment.world.scenario.metrics
    if not experiment.truth.front or len(goals) < 2 or experiment.world.sharing:
        return None
    first, second = (metrics[goal] for goal in goals[:2])
    fine = all(
        additive(metric.numerator) and metric.denominator in (USERS, "impressions") for metric in (first, second)
    )
    return (first.numerator, second.numerator) if fine and first.numerator != second.numerator else None


def serving_of(arm: Mapping[str, Any]) -> dict[str, Any]:
    return {"policy": arm["policy"], "explore": arm["explore"]}
