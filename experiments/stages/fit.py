"""Fitting: one policy on the frozen training log, from the models it needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from experiments.policy_spec import build_policy
from experiments.stages.common import Needs, Progress
from experiments.strangers import fit
from sim import draws
from sim.logbook import read_log
from sim.records import Bools, Ints


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves the fitted policy."""
    policy = build_policy(arguments["policy"])
    fitted = {name: model.restore_from(needs[f"model {name}"]) for name, model in policy.needs().items()}
    if not policy.learns or (fitted and not policy.learns_besides):
        policy.assemble(fitted).save(out)
        return {"notes": [], "rows": 0}
    log_folders = [needs[role] for role in sorted(needs) if role.startswith("log ")]
    log = read_log(log_folders, arguments["max_train_rows"], arguments["seed"]["luck"])
    if arguments.get("half"):
        log = log.take(half_of(log.request, arguments["seed"]["luck"]))
    for module in policy.loads:
        import_module(module)
    began = time.process_time()
    fit(policy, log, fitted)
    seconds = time.process_time() - began
    policy.save(out)
    return {"notes": policy.notes(), "rows": len(log), "fit_seconds": seconds}


def half_of(request: Ints, seed: int) -> Bools:
    """Which visits a fit may learn from whose policies are judged on the log itself; the others judge.

    Visits and not users: a model that has never met its judges would be served to them as to strangers.
    """
    return draws.uniform(draws.fold(draws.root(seed, "learned from"), request.astype(np.int64))) < 0.5
