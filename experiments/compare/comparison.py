"""A comparison of finished runs: those with one control together, each policy over worlds and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.compare.folders import ComparedArm, ComparedRun
from experiments.compare.names import (
    people,
    policy_labels,
    same,
    seeds_in_several_worlds,
    setting,
    settings_that_differ,
    world_labels,
)
from experiments.compare.summary import (
    Agreement,
    Dominance,
    Lifts,
    Spread,
    Trial,
    agreement,
    dominances,
    mean_ranks,
    ranks,
    spread,
    true_verdict,
)
from experiments.plain import nulled

ALL = "all"  # worlds together
Lived = Sequence[tuple[ComparedRun, Mapping[str, Lifts]]]


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy on one metric, in one world or in all. Lifts are true ones over control.

    rank: of the mean, 1 is best, the control among the ranked. mean_rank: of its ranks within runs.
    """

    policy: str
    world: str
    metric: str
    role: str
    spread: Spread
    rank: int | None
    mean_rank: float


@dataclass(frozen=True, slots=True)
class Winner:
    """Who has the highest mean true lift of a goal in a world, and in how many of its runs it has the highest."""

    world: str
    goal: str
    policy: str
    runs: int
    wins: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs with one control.

    policies: the control first. families: their types. worlds: by run. goals: those of every run.
    standings: by policy, world and metric. reached: by policy, share of the attainable first goal.
    """

    control: str
    runs: tuple[ComparedRun, ...]
    policies: tuple[str, ...]
    families: Mapping[str, str]
    worlds: Mapping[str, str]
    goals: tuple[str, ...]
    trials: tuple[Trial, ...]
    standings: tuple[Standing, ...]
    winners: tuple[Winner, ...]
    dominances: tuple[Dominance, ...]
    agreements: tuple[Agreement, ...]
    reached: Mapping[str, Spread]

    @property
    def challengers(self) -> tuple[str, ...]:
        return self.policies[1:]

    def metrics(self) -> list[str]:
        """Goals first, then guardrails, then the rest."""
        order = {"goal": 0, "guardrail": 1}
        roles = {standing.metric: standing.role for standing in self.standings}
        return sorted(roles, key=lambda metric: order.get(roles[metric], 2))

    def standing(self, policy: str, metric: str, world: str = ALL) -> Standing | None:
        """None where no run there has both."""
        wanted = (policy, metric, world)
        return next((s for s in self.standings if (s.policy, s.metric, s.world) == wanted), None)

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row per policy, world and metric, as in compare.csv."""
        return [
            {
                "control": self.control,
                "policy": s.policy,
                "world": s.world,
                "metric": s.metric,
                "role": s.role,
                **asdict(s.spread),
                "rank": s.rank,
                "mean_rank": s.mean_rank,
            }
            for s in self.standings
        ]

    def trial_dicts(self) -> list[dict[str, Any]]:
        """A row per run, policy and metric, as in compare-runs.csv."""
        seeds = {run.folder: same(run.spec["seed"]) for run in self.runs}
        return [
            {
                "control": self.control,
                "run": trial.run,
                "world": trial.world,
                "seed": seeds[trial.run],
                "policy": trial.policy,
                "metric": metric,
                "true_lift": lift,
                "true_lift_se": trial.lift_se[metric],
                "verdict": trial.verdict,
                "true_verdict": trial.true_verdict,
                "counted": trial.counted,
            }
            for trial in self.trials
            for metric, lift in trial.lift.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; a number that is not there is null."""
        return {
            "control": self.control,
            "runs": [{"run": r.folder, "name": r.name, "world": self.worlds[r.folder]} for r in self.runs],
            "policies": {policy: self.families[policy] for policy in self.policies},
            "goals": list(self.goals),
            "standings": [nulled(row) for row in self.to_dicts()],
            "trials": [nulled(row) for row in self.trial_dicts()],
            "winners": [asdict(winner) for winner in self.winners],
            "dominances": [asdict(dominance) for dominance in self.dominances],
            "agreements": [asdict(agreed) for agreed in self.agreements],
            "reached": {policy: nulled(asdict(found)) for policy, found in self.reached.items()},
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """All comparisons, one per control. notes: what a reader must know before believing a number."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"notes": list(self.notes), "comparisons": [c.to_dict() for c in self.comparisons]}


def compare(runs: Sequence[ComparedRun]) -> Compared:
    """Runs side by side; those with another control by themselves, since a lift is over a control."""
    runs, notes = _once(runs)
    labels, told = policy_labels(runs)
    worlds = dict(zip((run.folder for run in runs), world_labels(runs), strict=True))
    by_control: dict[str, list[int]] = {}
    for n, run in enumerate(runs):
        by_control.setdefault(same(run.control_serves), []).append(n)
    comparisons = []
    for members in by_control.values():
        chosen = [runs[n] for n in members]
        named = {(runs[n].folder, arm): label for (n, arm), label in labels.items() if n in members}
        comparisons.append(_comparison(chosen, named, worlds))
    notes += [*_controls(comparisons), *told]
    for comparison in comparisons:
        notes += [*settings_that_differ(comparison.runs), *_goals(comparison), *_repeats(comparison)]
        notes += seeds_in_several_worlds(comparison.runs)
    return Compared(tuple(comparisons), tuple(notes))


def _comparison(
    runs: Sequence[ComparedRun], labels: Mapping[tuple[str, str], str], worlds: Mapping[str, str]
) -> Comparison:
    challengers = list(dict.fromkeys(labels[run.folder, arm.name] for run in runs for arm in run.arms))
    control = runs[0].control
    control = f"{control} (control)" if control in challengers else control
    families = {control: str(runs[0].control_serves["policy"]["type"])}
    trials, seen = list[Trial](), set[tuple[str, str]]()
    for run in runs:
        for arm in run.arms:
            policy, where = labels[run.folder, arm.name], people(run)
            families[policy] = str(arm.serves["policy"]["type"])
            trials.append(_trial(run, arm, policy, worlds[run.folder], counted=(policy, where) not in seen))
            seen.add((policy, where))
    counted = [trial for trial in trials if trial.counted]
    shared = [goal for goal in runs[0].goals if all(goal in run.goals for run in runs)]
    lived = _lived(runs, counted, control)
    reached = {policy: spread([t.reached for t in counted if t.policy == policy]) for policy in challengers}
    return Comparison(
        control=control,
        runs=tuple(runs),
        policies=(control, *challengers),
        families=families,
        worlds={run.folder: worlds[run.folder] for run in runs},
        goals=tuple(shared),
        trials=tuple(trials),
        standings=tuple(_standings(lived, worlds)),
        winners=tuple(_winners(lived, worlds)),
        dominances=tuple(dominances([(run.goals, lifts) for run, lifts in lived])),
        agreements=tuple(agreement(p, [t for t in trials if t.policy == p]) for p in challengers),
        reached={policy: found for policy, found in reached.items() if found.n},
    )


def _trial(run: ComparedRun, arm: ComparedArm, policy: str, world: str, *, counted: bool) -> Trial:
    verdict = true_verdict(arm.lift, arm.lift_se, run.goals, run.margins)
    return Trial(run.folder, policy, world, arm.lift, arm.lift_se, arm.verdict, verdict, arm.reached, counted)


def _lived(runs: Sequence[ComparedRun], trials: Sequence[Trial], control: str) -> Lived:
    """By policy, the lifts in each world with each luck, the control's at 0: runs that differ in their arms alone had
    the same people do the same, so that their policies can be ranked together."""
    together: dict[str, list[ComparedRun]] = {}
    for run in runs:
        together.setdefault(setting(run), []).append(run)
    lived = []
    for members in together.values():
        first, folders = members[0], {run.folder for run in members}
        lifts: dict[str, Lifts] = {control: dict.fromkeys(first.metrics, 0.0)}
        for trial in trials:
            if trial.run in folders:
                lifts[trial.policy] = {metric: trial.lift.get(metric, math.nan) for metric in first.metrics}
        if len(lifts) > 1:  # the control alone wins nothing
            lived.append((first, lifts))
    return lived


def _standings(lived: Lived, worlds: Mapping[str, str]) -> list[Standing]:
    """Every policy on every metric, over all worlds and, of several, in each."""
    names = list(dict.fromkeys(worlds[run.folder] for run, _ in lived))
    found = _standings_in(ALL, lived)
    for world in names if len(names) > 1 else ():
        found += _standings_in(world, [(run, lifts) for run, lifts in lived if worlds[run.folder] == world])
    return found


def _standings_in(world: str, lived: Lived) -> list[Standing]:
    metrics = list(dict.fromkeys(metric for run, _ in lived for metric in run.metrics))
    policies = list(dict.fromkeys(policy for _, lifts in lived for policy in lifts))
    found = []
    for metric in metrics:
        having = [(run, lifts) for run, lifts in lived if metric in run.metrics]
        lower = any(metric in run.lower_is_better for run, _ in having)
        by_run = [{policy: lift[metric] for policy, lift in lifts.items()} for _, lifts in having]
        spreads = {p: spread([lifts[p] for lifts in by_run if p in lifts]) for p in policies}
        # Means over other worlds are no match: ranked are those that lived through all of them.
        everywhere = [p for p in policies if all(p in lifts for lifts in by_run)]
        places = ranks({p: spreads[p].mean for p in everywhere}, lower=lower) if len(everywhere) > 1 else {}
        within = mean_ranks(by_run, lower=lower)
        role = _role(metric, [run for run, _ in having])
        found += [
            Standing(p, world, metric, role, s, places.get(p), within.get(p, math.nan))
            for p, s in spreads.items()
            if any(p in lifts for lifts in by_run)
        ]
    return found


def _role(metric: str, runs: Sequence[ComparedRun]) -> str:
    if any(metric in run.goals for run in runs):
        return "goal"
    return "guardrail" if any(metric in run.margins for run in runs) else "other"


def _winners(lived: Lived, worlds: Mapping[str, str]) -> list[Winner]:
    """By goal and world, who leads."""
    found = []
    for goal in dict.fromkeys(goal for run, _ in lived for goal in run.goals):
        for world in dict.fromkeys(worlds.values()):
            here = [
                {policy: lift[goal] for policy, lift in lifts.items()}
                for run, lifts in lived
                if worlds[run.folder] == world and goal in run.goals
            ]
            names = list(dict.fromkeys(policy for lifts in here for policy in lifts))
            means = {p: spread([lifts[p] for lifts in here if p in lifts]).mean for p in names}
            best = [policy for policy, rank in ranks(means).items() if rank == 1]
            if best:
                wins = sum(ranks(lifts).get(best[0]) == 1 for lifts in here)
                found.append(Winner(world, goal, best[0], len(here), wins))
    return found


def _once(runs: Sequence[ComparedRun]) -> tuple[list[ComparedRun], list[str]]:
    """Runs of one identity count once."""
    first: dict[str, ComparedRun] = {}
    notes = []
    for run in runs:
        held = first.setdefault(run.identity, run)
        if held is not run:
            notes.append(f"{run.folder} is the same run as {held.folder}, and is left out")
    return list(first.values()), notes


def _controls(comparisons: Sequence[Comparison]) -> list[str]:
    if len(comparisons) < 2:
        return []
    said = "; ".join(f"{c.control} in {', '.join(run.folder for run in c.runs)}" for c in comparisons)
    return [f"controls differ, and lifts over different controls are not pooled, but compared within each: {said}"]


def _goals(comparison: Comparison) -> list[str]:
    if len({run.goals for run in comparison.runs}) < 2:
        return []
    shared = ", ".join(comparison.goals) or "none, so that nobody dominates in the mean"
    return [f"the runs have different goals; those of all runs: {shared}"]


def _repeats(comparison: Comparison) -> list[str]:
    repeats: dict[str, list[str]] = {}
    for trial in comparison.trials:
        if not trial.counted:
            repeats.setdefault(trial.run, []).append(trial.policy)
    counted_once = [
        f"{run} has {', '.join(policies)} in common with another run of the same people with the same luck: "
        f"their lifts are counted once"
        for run, policies in repeats.items()
    ]
    settings: dict[str, list[str]] = {}
    for run in comparison.runs:
        settings.setdefault(setting(run), []).append(run.folder)
    ranked = [
        f"{', '.join(folders)} have the same people with the same luck: their policies are ranked as of one run"
        for folders in settings.values()
        if len(folders) > 1
    ]
    return counted_once + ranked
