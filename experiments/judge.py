"""From the judged policies of a finished run to its scorecard, and to what they cost."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.plan import Plan, judged_value
from experiments.scorecard import AttentionPoint, CurvePoint, Scorecard, ScoreRow
from experiments.spec import Experiment
from experiments.store import RunFolder
from experiments.tasks import Task


def scorecard_of(experiment: Experiment, folder: RunFolder, plan: Plan) -> Scorecard | None:
    """The scorecard of a run whose tasks are done; None where no policy learns."""
    if not plan.cards:
        return None
    rows, curves, attention = list[ScoreRow](), list[CurvePoint](), list[AttentionPoint]()
    for policy, task in named_cards(plan).items():
        told = folder.notes(task)
        rows += [ScoreRow(policy, **row) for row in told["rows"]]
        curves += [CurvePoint(policy, **point) for point in told["reliability"]]
        pairs = zip(told["attention"].get("inferred", []), told["attention"].get("true", []), strict=True)
        attention += [AttentionPoint(policy, slot, inferred, true) for slot, (inferred, true) in enumerate(pairs)]
    return Scorecard(
        tuple(rows),
        tuple(curves),
        tuple(attention),
        judged_value(experiment),
        experiment.world.effective().browse.hidden_intent,
        experiment.world.sharing,
    )


def costs_of(folder: RunFolder, plan: Plan) -> dict[str, dict[str, float]]:
    """By policy, CPU seconds of training and CPU microseconds of scoring per candidate, as measured in this run.

    A policy is charged with its own fit and with those of all models that it needs, as if it were alone; a model
    that several policies need was fitted once, and is in the charge of each.
    """
    costs = {}
    for policy, task in named_cards(plan).items():
        fits = {fit.key: fit for fit in _with_models(task.needs["policy"])}
        told = [folder.notes(fit) for fit in fits.values()]
        cpu = sum(float(notes["fit_seconds"]) for notes in told if notes["rows"])  # without rows, nothing was learned
        micros = float(folder.notes(task)["scoring_microseconds"])
        costs[policy] = {"train_cpu_seconds": round(cpu, 2), "scoring_us_per_candidate": round(micros, 3)}
    return costs


def named_cards(plan: Plan) -> dict[str, Task]:
    """Cards by the arms that they are of: arms with one policy share one."""
    arms: Mapping[str, list[str]] = {task.key: [] for task in plan.cards.values()}
    for arm, task in plan.cards.items():
        arms[task.key].append(arm)
    return {", ".join(arms[task.key]): task for task in plan.cards.values()}


def _with_models(fit: Task) -> list[Task]:
    """A fit and, below it, those of the models it needs."""
    models = [task for role, task in fit.needs.items() if role.startswith("model ")]
    return [fit, *(below for model in models for below in _with_models(model))]
