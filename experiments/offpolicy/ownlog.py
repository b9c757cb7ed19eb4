"""Slates from seesaw's own logs: requests rebuilt from a warm-up's folders, with nothing that only the world knows.

What came later than the log's horizon is not in it, for a target as little as for what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from experiments.offpolicy.slates import F32, Slates
from policies.base import AbstractPolicy
from sim import draws
from sim.logbook import CANDIDATES_FILE, LOG_FILE, read_candidates, read_requests
from sim.ranking import ranked, utilities
from sim.records import Bools, Floats, Ints, Log, Ranker, Requests

MOST_REQUESTS = 20_000  # lifts of CTR are then known to .8 points, of GMV to 3; 20 s of CPU, 1 GB at 100 candidates
BLOCK = 2_000  # requests scored at a time
_AGREE = 1e-3  # of a propensity, which the log holds in float32
Predictions = Callable[[Requests], Mapping[str, Floats]]


def slates_of(
    folders: Sequence[Path],
    logging_policy: AbstractPolicy | Ranker,
    temperature: float,
    *,
    most_requests: int = MOST_REQUESTS,
    seed: int = 0,
    predictions: Predictions | None = None,
    judging: Callable[[Ints], Bools] | None = None,
) -> Slates:
    """Slates of a random share of whole users, with their requests.

    Args:
        folders: one per market, each with log, public tables and candidates.
        logging_policy, temperature: what served, as the log was written.
        most_requests: users are taken, in keyed random order, as long as their requests are no more than these.
        predictions: goals by name (R, C) of some requests, features of the outcome model beside public ones.
        judging: of ids of requests (n,), which may be taken; leave out those that the targets were fitted on.

    Raises:
        ValueError: no candidates beside the log, no exploration, or propensities that another policy wrote.
    """
    if temperature <= 0:
        raise ValueError(f"explore.temperature: must be above 0 in the log to evaluate others on it, got {temperature}")
    log = read_requests(folders, _chosen(folders, most_requests, seed, judging))
    requests, first = _requests(folders, log)
    score = in_blocks(logging_policy.score, requests)
    shown, slot, page = _shown(log, requests, first)
    slates = Slates(
        user=requests.users.user.astype(np.int64),
        request=requests.request,
        utilities=utilities(score, np.full(len(requests), float(temperature))),
        shown=shown,
        slot=slot,
        page=page,
        rewards=_rewards(log, shown),
        item=requests.candidates,
        features=_features(requests, score, predictions),
        requests=requests,
    )
    _check_propensities(slates, log, temperature)
    return slates


def order_of(policy: AbstractPolicy | Ranker, slates: Slates) -> Ints:
    """What a fitted policy would show on the logged requests, shape (R, K)."""
    if slates.requests is None:
        raise ValueError("slates: must hold requests to be ranked anew; make them with slates_of")
    return ranked(in_blocks(policy.score, slates.requests), slates.shown.shape[1])


def in_blocks(score: Callable[[Requests], F32], requests: Requests) -> F32:
    """Scores of many requests in bounded memory, shape (R, C)."""
    rows = np.arange(len(requests))
    return np.concatenate([score(requests.take(rows[start : start + BLOCK])) for start in rows[::BLOCK]])


def _chosen(folders: Sequence[Path], most: int, seed: int, judging: Callable[[Ints], Bools] | None) -> Ints:
    """Ids of the requests of the users that are taken."""
    for folder in folders:
        if not (folder / CANDIDATES_FILE).exists():
            raise ValueError(
                f"{folder}: must hold {CANDIDATES_FILE} to rank its requests anew, found none; run it again"
            )
    columns = [pq.read_table(folder / LOG_FILE, columns=["request", "user"]) for folder in folders]
    request = np.concatenate([table["request"].to_numpy() for table in columns])
    request, first = np.unique(request, return_index=True)
    user = np.concatenate([table["user"].to_numpy() for table in columns])[first].astype(np.int64)
    if judging is not None:
        may = judging(request.astype(np.int64))
        request, user = request[may], user[may]
    ids, of_request, n = np.unique(user, return_inverse=True, return_counts=True)
    order = np.argsort(draws.fold(draws.root(seed, "evaluated users"), ids), kind="stable")
    taken = np.zeros(len(ids), dtype=bool)
    taken[order] = np.cumsum(n[order]) <= most
    if not taken.any():
        raise ValueError(f"most_requests: must leave at least one user of {len(ids)}, got {most}; raise it")
    return request[taken[of_request]]


def _requests(folders: Sequence[Path], log: Log) -> tuple[Requests, Ints]:
    """The requests of a log, R of them, and the row of the log at which each begins (R,)."""
    if len(np.unique(log.arm)) > 1:
        raise ValueError(f"log: must be of one policy, found arms {', '.join(log.arms)}; name the folders of one")
    first = np.flatnonzero(np.diff(log.request, prepend=-1))
    pools, at = [], np.empty(len(first), dtype=np.int64)
    market, day, n_before = log.market[first], log.day[first].astype(np.int64), 0
    for folder in folders:
        days, of_day = read_candidates(folder)
        here = np.flatnonzero(market == _market(folder))
        at[here] = n_before + np.searchsorted(days, day[here]) * of_day.shape[1] + log.pool[first[here]]
        pools.append(of_day.reshape(-1, of_day.shape[2]))
        n_before += len(pools[-1])
    users = log.users.take(np.searchsorted(log.users.user, log.user[first]))
    time = log.time[first].astype(np.int64)
    return Requests(log.request[first].astype(np.int64), time, users, at, np.concatenate(pools), log.items), first


def _market(folder: Path) -> int:
    """Which market a folder's log is of."""
    with pq.ParquetFile(folder / LOG_FILE) as file:
        return int(next(file.iter_batches(batch_size=1, columns=["market"]))["market"][0].as_py())


def _shown(log: Log, requests: Requests, first: Ints) -> tuple[Ints, Ints, Ints]:
    """Candidates shown (R, K), and slot and page of each rank (K,)."""
    n_slots, n_pages = int(log.slot.max()) + 1, int(log.page.max()) + 1
    n_items, n_candidates = len(requests.items), requests.pools.shape[1]
    whose = np.repeat(np.arange(len(requests)), np.diff(first, append=len(log)))
    # Pools as sorted (pool, item) pairs: looked up at once, where comparing all candidates takes C times the memory.
    key = (np.arange(len(requests.pools))[:, None] * n_items + requests.pools).ravel()
    order = np.argsort(key, kind="stable")
    place = order[
        np.minimum(np.searchsorted(key, requests.pool[whose] * n_items + log.item, sorter=order), len(key) - 1)
    ]
    if (requests.pools.ravel()[place] != log.item).any():
        raise ValueError(f"{CANDIDATES_FILE}: must hold what the log shows, found other items; both must be of one run")
    shown = np.full((len(requests), n_pages * n_slots), -1)
    shown[whose, log.page.astype(np.int64) * n_slots + log.slot] = place % n_candidates
    rank = np.arange(shown.shape[1])
    return shown, rank % n_slots, rank // n_slots


def _rewards(log: Log, shown: Ints) -> dict[str, Floats]:
    """By columns of the ledger, shape (R, K). Rows of the log and shown cells are in one order."""
    columns = {name: log[name].astype(np.float64) for name in log.actions}
    columns |= {new: log[old].astype(np.float64) for old, new in _MONEY_AND_TIME.items() if old in log.outcomes}
    if (log.items.length > 0).all():
        columns["watched_milli"] = 1000 * columns["stay_ms"] / log.items.length[log.item]
    rewards = {}
    for name, column in columns.items():
        rewards[name] = np.zeros(shown.shape)
        rewards[name][shown >= 0] = column
    return rewards


_MONEY_AND_TIME = {"stay": "stay_ms", "value": "value_cents", "refund": "refund_cents"}


def _features(requests: Requests, score: F32, predictions: Predictions | None) -> F32:
    """Public columns of user, item and pair, and predicted goals in logs; shape (R, C, F)."""
    items, candidates = requests.items, requests.candidates
    segment = requests.users.segment[:, None]
    columns = [
        score,
        items.popularity[candidates, segment],
        items.rating[candidates],
        np.log(np.maximum(items.price, 1))[candidates],
        items.category[candidates],
        segment,
        requests.users.price_band[:, None],
    ]
    if (items.length > 0).any():
        columns.append(np.log(np.maximum(items.length, 1))[candidates])
    if predictions is not None:
        goals = _goals(requests, predictions)
        columns += [np.log(np.maximum(goal, 1e-12)) for goal in goals.values()]
    features = np.empty((*candidates.shape, len(columns)), dtype=np.float32)
    for f, column in enumerate(columns):
        features[:, :, f] = column
    return features


def _goals(requests: Requests, predictions: Predictions) -> dict[str, Floats]:
    rows = np.arange(len(requests))
    parts = [predictions(requests.take(rows[start : start + BLOCK])) for start in rows[::BLOCK]]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _check_propensities(slates: Slates, log: Log, temperature: float) -> None:
    """What the policy would have given must be what the log holds: else it is another policy, or something ran out."""
    given = log.propensity.astype(np.float64)
    gap = np.abs(slates.steps - given)
    off = gap > _AGREE * given + 1e-6
    if off.any():
        worst = int(np.argmax(gap))
        raise ValueError(
            f"propensity: must be what the logging policy gives at temperature {temperature:g}, found "
            f"{given[worst]:.4g} where it gives {slates.steps[worst]:.4g}, and {off.mean():.1%} of impressions off; "
            f"name the policy and temperature that wrote the log, of which nothing sold out"
        )
