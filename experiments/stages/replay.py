"""Settings valued on the log of the warm-up, off-policy: what the logged requests would have earned, ranked by them.

Leaves the same totals per user as `trials`, so that lifts, errors and their correlation are reckoned alike. Settings
are of models that learned from one half of the visits, and are judged on the other: a target is flattered by the log
that it was fitted on, whatever the estimator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.metrics import USERS
from experiments.offpolicy.evaluator import AUTO, Evaluator, Valued
from experiments.offpolicy.ownlog import BLOCK, slates_of
from experiments.offpolicy.ratios import ratio
from experiments.policy_spec import build_policy
from experiments.stages.common import Needs, Progress
from experiments.stages.fit import half_of
from experiments.stages.trials import TOTALS_OF_SETTINGS
from experiments.strangers import supervised
from policies.base import AbstractPolicy
from sim.ranking import ranked
from sim.records import Floats, Ints, Requests, Scores


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves totals of every setting by user, and in its notes how far the log speaks of it.

    arguments:
        logging: policy and temperature that wrote the log. settings, fits, columns: as of `trials`.
        estimator, requests: see `Evaluator` and `slates_of`.
    """
    folders = tuple(str(folder) for role, folder in sorted(needs.items()) if role.startswith("log "))
    asked = {name: arguments[name] for name in ("logging", "requests", "columns", "seed")}
    key = json.dumps(asked, sort_keys=True)
    evaluator = _evaluator(folders, key)
    if arguments["estimator"] != AUTO:
        evaluator = evaluator.by(arguments["estimator"])
    totals, told = [], []
    for setting, fit in zip(arguments["settings"], arguments["fits"], strict=True):
        folder = needs[f"policy {fit}"]
        policy = build_policy(setting["policy"]).restore_from(folder)
        valued = evaluator.value(_order(policy, str(folder), folders, key, evaluator))
        totals.append(np.stack([_summed(name, valued.columns) for name in arguments["columns"]], axis=1))
        told.append(_told(valued))
    np.savez(out / TOTALS_OF_SETTINGS, user=evaluator.slates.users[0], totals=np.stack(totals))
    click_model = evaluator.click_model
    return {
        "estimator": evaluator.chosen,
        "click_model": click_model.sentence,
        "warnings": list(evaluator.warnings),
        "overlap": told,
        "requests": len(evaluator.slates.request),
    }


def _told(valued: Valued) -> dict[str, Any]:
    """How far the log speaks of a setting; nothing of it where its weights cannot be right."""
    seen = valued.overlap
    believable = valued.refused is None or seen.covered < 1 - 1e-9
    return {
        "covered": seen.covered if believable else 0.0,
        "ess": seen.ess,
        "largest": seen.largest,
        "mean": seen.mean,
        "refused": valued.refused,
    }


@lru_cache(maxsize=2)
def _evaluator(folders: Sequence[str], key: str) -> Evaluator:
    """Slates, examination and outcome models, made once a process; they change no result."""
    asked = json.loads(key)
    logging = asked["logging"]
    seed = asked["seed"]["luck"]
    slates = slates_of(
        [Path(folder) for folder in folders],
        supervised(build_policy(logging["policy"])),
        logging["temperature"],
        most_requests=asked["requests"],
        seed=seed,
        judging=lambda request: ~half_of(request, seed),
    )
    # Each column by itself: what metrics are made of is reckoned from its totals.
    metrics = {name: ratio(name, USERS) for name in asked["columns"] if name != "net_cents"}
    if "net_cents" in asked["columns"]:
        metrics |= {name: ratio(name, USERS) for name in ("value_cents", "refund_cents")}
    return Evaluator(slates, metrics, estimator=AUTO, seed=seed)


def _order(policy: AbstractPolicy, folder: str, folders: Sequence[str], key: str, evaluator: Evaluator) -> Ints:
    """What a setting would show on the logged requests, shape (R, K)."""
    depth, serving = evaluator.slates.shown.shape[1], supervised(policy)
    requests = _blocks(folders, key)
    if serving is not policy:
        return np.concatenate([ranked(serving.score(block), depth) for block in requests])
    remembered = _remembered(folder, folders, key)
    if not remembered:
        remembered += [policy.predictions(block) for block in requests]
    scored: list[Scores] = [policy.fused(found, block) for found, block in zip(remembered, requests, strict=True)]
    return np.concatenate([ranked(scores, depth) for scores in scored])


@lru_cache(maxsize=2)
def _blocks(folders: Sequence[str], key: str) -> tuple[Requests, ...]:
    requests = _evaluator(folders, key).slates.requests
    assert requests is not None
    rows = np.arange(len(requests))
    return tuple(requests.take(rows[start : start + BLOCK]) for start in rows[::BLOCK])


@lru_cache(maxsize=2)
def _remembered(folder: str, folders: Sequence[str], key: str) -> list[Mapping[str, Floats]]:
    """What a fit predicts for the logged requests, by block: made once for all its fusions, and then kept here."""
    return []


def _summed(name: str, columns: Mapping[str, Floats]) -> Floats:
    """Totals of a column of the ledger by user; a log holds what was paid and what was given back apart."""
    return columns["value_cents"] - columns["refund_cents"] if name == "net_cents" else columns[name]
