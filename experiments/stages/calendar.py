"""The calendar of a test: it is opened in steps, watched at night, and arms learn on the way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.policy_spec import build_policy
from experiments.stages.branch import Branch, Test
from experiments.stages.warmup import NAME as WARM_UP
from experiments.stages.watch import harmful
from experiments.strangers import fit, supervised
from sim.clock import DAY
from sim.engine import Story
from sim.logbook import LOG_FILE, read_log
from sim.records import Log, Ranker
from sim.stories import guard, ramp, retrain


def stories_of(test: Test, branches: Sequence[Branch], start: int, stops: dict[str, dict[str, Any]]) -> list[Story]:
    """The calendar of the test: ramp, guard and retraining, as far as it has them."""
    spec, stories = test.arguments, list[Story]()
    if spec["ramp"]:
        steps = {start + step["day"]: step["share"] for step in spec["ramp"]}
        stories.append(lambda shops: ramp(shops, steps))
    for index, name in enumerate(test.names):
        again = spec["arms"][name]["retrain"]
        if again is not None:
            stories.append(_retraining(test, branches, index, again))
    if spec["guard"] is not None:
        watched = [n for n, name in enumerate(test.names) if name != spec["control"]]

        def stopped(arm: int, day: int, cause: str) -> None:
            stops[test.names[arm]] = {"day": day - start, "cause": cause}
            for branch in branches:
                branch.moments.keep(day - start)

        def judge(day: int) -> Mapping[int, str]:
            parts = [(branch.totals, branch.assigned) for branch in branches]
            early = day - start < spec["guard"]["from_day"]
            return {} if early else harmful(parts, test.names, spec["control"], spec["guard"], test.section.scenario)

        stories.append(lambda shops: guard(shops, judge, watched, stopped))
    return stories


def _retraining(test: Test, branches: Sequence[Branch], index: int, again: Mapping[str, Any]) -> Story:
    """An arm that is fitted anew on what the log holds by then, its own rows or everybody's."""
    name, spec, own = test.names[index], test.arguments, again["on"] == "own"

    def fit_anew(day: int) -> Ranker:
        drafts = [test.out / f"as-of-{day}" / str(branch.market) for branch in branches]
        for draft, branch in zip(drafts, branches, strict=True):
            draft.mkdir(parents=True)
            branch.book.write(draft / LOG_FILE, day * DAY)
        before = [test.needs[f"warm-up {branch.market:06d}"] for branch in branches]
        log = read_log([*before, *drafts], spec["max_train_rows"], spec["seed"]["luck"])
        shutil.rmtree(test.out / f"as-of-{day}")
        return supervised(fit(build_policy(spec["arms"][name]["policy"]), _own(log, name) if own else log, {}))

    # Who is not in the test, or not any more, is served like the control: by the one that it learns to be.
    like = [test.rest] if name == spec["control"] else []
    return lambda shops: retrain(shops, index, again["every_days"], fit_anew, like)


def _own(log: Log, name: str) -> Log:
    """The rows of one arm, after those of the warm-up."""
    mine = [n for n, arm in enumerate(log.arms) if arm in (WARM_UP, name)]
    return log.take(np.flatnonzero(np.isin(log.arm, mine)))
