"""The scorecard: how good a policy's predictions are, on impressions that nothing learned from, beside the truth.

The impressions are logged in the days after the warm-up, by the warm-up's policy with its exploration, in the
first market, as far as is needed; whatever follows a click counts, however late it lands. Nothing is shared there,
so that every impression has a truth of its own. All policies of a run are judged on the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis.scoring import (
    NAN,
    expected_auc,
    grouped_auc,
    log_loss,
    ndcg,
    rank_correlation,
    ratio,
    reliability,
)
from experiments.policy_spec import build_policy
from experiments.stages.common import STATE, TOTALS, DayCounter, Needs, Progress, load_state, world_section
from experiments.strangers import Supervised, supervised
from policies.base import AbstractPolicy
from sim import draws
from sim.engine import Arm, simulate
from sim.funnel import encounter
from sim.logbook import read_public, write_public
from sim.oracle import expected_value
from sim.records import Bools, Column, Floats, Requests
from sim.served import Orders, Served
from sim.state import State
from sim.world import World

IMPRESSIONS, PAGES, CURVE = "impressions.npz", "requests.npz", "attention.npz"
POOL_ROWS = 30_000  # candidates of whole requests that rankings are judged on: some 300 requests of 100
BLOCK = 20_000  # impressions that are asked for at a time
DEPTH = 10  # of NDCG: what a first page shows


def judged(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves impressions with outcomes and truth, whole requests with true values, and the true attention curve."""
    section, world, state, days = _sample(arguments, needs)
    luck, everyone = arguments["seed"]["luck"], np.zeros(len(world.people), dtype=np.int64)
    impressions, requests = Impressions(world), WholeRequests(world, luck)
    counter = DayCounter(progress, days)
    arm = Arm("judged", supervised(build_policy(arguments["policy"])), arguments["temperature"])
    tick = section.tick(len(world.people))
    simulate(world, state, state.day + days, [arm], everyone, luck, (impressions, requests, counter), tick)
    if not impressions.waves:  # so few users that nobody came
        return {"impressions": 0}
    np.savez(out / IMPRESSIONS, **impressions.columns())  # type: ignore[arg-type]
    np.savez(out / PAGES, **requests.columns(arguments["columns"]))  # type: ignore[arg-type]
    np.savez(out / CURVE, relative=impressions.attention())
    write_public(out, world.people.public, world.items)
    return {"impressions": counter.n_impressions}


def _sample(arguments: Mapping[str, Any], needs: Needs) -> tuple[Any, World, State, int]:
    """So many users of the market, for so many days, that about the wanted number of impressions is logged."""
    section, market, most = world_section(arguments), arguments["market"], arguments["most"]
    with np.load(needs["warm-up"] / TOTALS, allow_pickle=False) as saved:
        shown = saved["totals"][:, saved["columns"].tolist().index("impressions")].sum()
    per_day = max(float(shown) / arguments["days"], 1.0)
    users = section.users_of(market)
    luck = draws.uniform(draws.fold(draws.root(arguments["seed"]["luck"], "judged users"), users))
    rows = np.sort(np.argsort(luck, kind="stable")[: max(2, int(len(users) * min(1.0, most / per_day)))])
    world = section.build(arguments["seed"]["world"], market, users[rows])
    state = load_state(needs["warm-up"] / STATE).take(rows)
    alone = State(state.day, state.next_visit, state.visits, state.satisfaction, Orders.empty())
    return section, world, alone, int(np.clip(most / per_day, 1, arguments["most_days"]))


class Impressions:
    """A recorder of impressions, one row each, with what came of them in the end and what was true of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.after = [name for name in world.scenario.funnel.actions if name != "click"]
        self.waves: list[dict[str, Column]] = []
        self.examined, self.n_pages = np.zeros(world.scenario.attention.slots), 0

    def served(self, wave: Served) -> None:
        n_slots, where = wave.item.shape[1], (wave.click_page, wave.click_slot)
        happened: dict[str, Floats] = {}
        for name in ("click", *self.after):
            happened[name] = np.zeros(wave.item.shape)
            happened[name][where] = 1 if name == "click" else wave.actions[name]
        happened["stay"] = np.zeros(wave.item.shape)
        happened["stay"][where] = wave.stay_ms / 1000
        truth = self._truth(wave)
        columns: dict[str, Column] = {
            "request": np.repeat(wave.requests.request[wave.visit_of], n_slots),
            "time": np.repeat(wave.requests.time[wave.visit_of], n_slots),
            "user": np.repeat(wave.requests.users.user[wave.visit_of], n_slots),
            "item": wave.item.ravel(),
            "slot": np.tile(np.arange(n_slots), len(wave.item)),
        }
        columns |= {f"happened {name}": column.ravel() for name, column in happened.items()}
        self.waves.append(columns | {f"true {name}": column.ravel() for name, column in truth.items()})
        self._look(wave)

    def landed(self, orders: Orders) -> None:
        """What is under way was counted when it was clicked for."""

    def closed(self, day: int) -> None:
        """Nothing to do: a few waves fit into memory."""

    def columns(self) -> dict[str, Column]:
        """All impressions, each column of shape (n,)."""
        return {name: np.concatenate([wave[name] for wave in self.waves]) for name in self.waves[0]}

    def attention(self) -> Floats:
        """How much likelier each slot of a first page is to be looked at than its top, shape (n_slots,)."""
        mean = self.examined / max(self.n_pages, 1)
        return mean / mean[0] if mean[0] > 0 else np.full(len(mean), NAN)

    def _truth(self, wave: Served) -> dict[str, Floats]:
        """ctr: P(click | shown in the top slot); of what follows, P(action | click), and stay in expected seconds.

        The intent of the visit is a part of them: their mean over all impressions is P(action | do click).
        """
        attention, met, funnel = self.world.scenario.attention, wave.shown, self.world.funnel
        attraction = funnel.attraction(met).astype(np.float64)
        nothing = np.zeros((1, attention.slots))
        top = float(attention.examination_probability(nothing, nothing)[0, 0])
        clicked = np.asarray(attention.clicked_if_examined(attraction, np.zeros(1, dtype=np.int64)), dtype=np.float64)
        truth: dict[str, Floats] = {"click": top * clicked, "stay": funnel.mean_stay(met)}
        return truth | {name: funnel.probability_after_click(name, met) for name in self.after}

    def _look(self, wave: Served) -> None:
        met, funnel = wave.shown, self.world.funnel
        first = np.flatnonzero(wave.page == 0)
        seen = self.world.scenario.attention.examination_probability(
            funnel.attraction(met).astype(np.float64)[first], funnel.satisfaction(met).astype(np.float64)[first]
        )
        self.examined += seen.sum(axis=0)
        self.n_pages += len(first)


class WholeRequests:
    """A recorder of some requests with all their candidates, chosen by luck of their own."""

    def __init__(self, world: World, luck: int) -> None:
        self.world, self.key = world, draws.root(luck, "judged requests")
        self.most = max(20, POOL_ROWS // world.scenario.browse.candidates)
        self.kept: dict[str, Column] = {}

    def served(self, wave: Served) -> None:
        asked = wave.requests
        new: dict[str, Column] = {
            "luck": draws.uniform(draws.fold(self.key, asked.request)),
            "request": asked.request,
            "time": asked.time,
            "user": asked.users.user,
            "row": wave.user,
            "intent": wave.intent.reshape(-1),
            "candidates": asked.candidates,
        }
        both = {name: np.concatenate([self.kept[name], new[name]]) if self.kept else new[name] for name in new}
        first = np.lexsort((both["request"], both["luck"]))[: self.most]
        self.kept = {name: column[first] for name, column in both.items()}

    def landed(self, orders: Orders) -> None:
        """Orders are no requests."""

    def closed(self, day: int) -> None:
        """Nothing to do: no more is kept than is wanted."""

    def columns(self, wanted: Sequence[str]) -> dict[str, Column]:
        """The requests, with what an examined impression of each candidate is worth in truth, by column of the
        ledger; the intent of the visit is a part of it."""
        kept = self.kept
        met = encounter(
            self.world.people,
            self.world.catalogue,
            kept["row"].astype(np.int64)[:, None],
            kept["candidates"].astype(np.int64),
            kept["intent"].astype(np.float32)[:, None],
        )
        worth = {f"worth {column}": expected_value(self.world, column, met) for column in wanted}
        return {name: kept[name] for name in ("request", "time", "user", "candidates")} | worth


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Judges one policy; leaves notes alone."""
    policy = build_policy(arguments["policy"]).restore_from(needs["policy"])
    return card(policy, needs["judged"], arguments["value"])


def card(policy: AbstractPolicy, folder: Path, value: str) -> dict[str, Any]:
    """Rows, reliability curves, the attention curve, and what scoring costs.

    Args:
        folder: as `judged` left it. value: the column of the ledger that NDCG weighs.
    """
    if not (folder / IMPRESSIONS).exists():
        return {"rows": [], "reliability": [], "attention": {}, "scoring_microseconds": NAN}
    with np.load(folder / IMPRESSIONS, allow_pickle=False) as saved:
        shown = {name: saved[name] for name in saved.files}
    with np.load(folder / PAGES, allow_pickle=False) as saved:
        asked = {name: saved[name] for name in saved.files}
    rows, curves = list[dict[str, Any]](), list[dict[str, Any]]()
    conversion = policy.spec().get("conversion", "buy")
    for goal, predicted in _goals(policy, folder, shown).items():
        for row, curve in _of_goal(goal, predicted, shown, conversion):
            rows.append(row)
            curves += curve
    requests = _requests(folder, asked, asked["candidates"])
    scores = Supervised(policy).score(requests)
    rows += _of_ranking(scores, asked, value)
    started = time.process_time()
    policy.score(requests)  # once more: the first time, caches are cold
    micros = 1e6 * (time.process_time() - started) / max(scores.size, 1)
    return {
        "rows": rows,
        "reliability": curves,
        "attention": _attention(policy, folder),
        "scoring_microseconds": micros,
    }


def _requests(folder: Path, columns: Mapping[str, Column], candidates: Column) -> Requests:
    """Requests of judged visits, each from a pool of its own; candidates: shape (R, C)."""
    users, items = read_public([folder])
    row = np.searchsorted(users.user, columns["user"])
    request, when = columns["request"].astype(np.int64), columns["time"].astype(np.int64)
    return Requests(request, when, users.take(row), np.arange(len(row)), candidates.astype(np.int64), items)


def _goals(policy: AbstractPolicy, folder: Path, shown: Mapping[str, Column]) -> dict[str, Floats]:
    """What the policy predicts of every impression, as if it were the only candidate; each of shape (n,)."""
    whole = _requests(folder, shown, shown["item"][:, None])
    parts = []
    for start in range(0, len(whole), BLOCK):
        block = whole.take(np.arange(start, min(start + BLOCK, len(whole))))
        # A policy may well look at all pools: a block is given its own.
        own = Requests(
            block.request, block.time, block.users, np.arange(len(block)), whole.pools[block.pool], block.items
        )
        parts.append(Supervised(policy).goals(own))
    return {goal: np.concatenate([part[goal].ravel() for part in parts]).astype(np.float64) for goal in parts[0]}


def _of_goal(
    goal: str, predicted: Floats, shown: Mapping[str, Column], conversion: str
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The rows of one goal, each with its reliability curve: on the log, and beside the truth of clicked impressions
    and of all."""
    clicked, everything = shown["happened click"].astype(bool), np.ones(len(predicted), dtype=bool)
    outcome = {"ctr": "click", "cvr": conversion, "ctcvr": conversion}.get(goal, goal)
    if f"true {outcome}" not in shown:
        return []
    happened = shown[f"happened {outcome}"].astype(np.float64)
    true = shown[f"true {outcome}"].astype(np.float64)
    if goal == "ctcvr":
        true = true * shown["true click"].astype(np.float64)
    named = {"goal": goal, "outcome": outcome}
    if goal in ("ctr", "ctcvr"):  # of all that is shown, clicked or not
        return [
            (_logged(named, predicted, happened, everything), []),
            _true(named, predicted, true, everything, "all"),
        ]
    return [
        (_logged(named, predicted, happened, clicked), []),
        _true(named, predicted, true, clicked, "clicked"),
        _true(named, predicted, true, everything, "all"),
    ]


def _logged(named: Mapping[str, str], predicted: Floats, happened: Floats, where: Bools) -> dict[str, Any]:
    p, y = predicted[where], happened[where]
    amount = named["goal"] == "stay"
    return {
        **named,
        "against": "log",
        "impressions": "all" if where.all() else "clicked",
        "n": len(p),
        "auc": NAN if amount else expected_auc(p, y),
        "auc_best": NAN,
        "log_loss": NAN if amount else log_loss(p, y),
        "spearman": rank_correlation(p, y) if amount else NAN,
        **_means(p, y, amount),
        "ece": NAN,
        "ndcg": NAN,
    }


def _true(
    named: Mapping[str, str], predicted: Floats, true: Floats, where: Bools, called: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    p, y = predicted[where], true[where]
    amount, bins = named["goal"] == "stay", reliability(p, y)
    row = {
        **named,
        "against": "truth",
        "impressions": called,
        "n": len(p),
        "auc": NAN if amount else expected_auc(p, y),
        "auc_best": NAN if amount else expected_auc(y, y),
        "log_loss": NAN,
        "spearman": rank_correlation(p, y),
        **_means(p, y, amount),
        "ece": NAN if amount else bins.error,
        "ndcg": NAN,
    }
    if amount:
        return row, []
    curve = [
        {**named, "impressions": called, "bin": n, "n": int(size), "mean_prediction": float(a), "mean_truth": float(b)}
        for n, (size, a, b) in enumerate(zip(bins.n, bins.predicted, bins.true, strict=True))
    ]
    return row, curve


def _means(p: Floats, y: Floats, amount: bool) -> dict[str, float]:
    return {
        "mean_prediction": float(p.mean()) if len(p) else NAN,
        "mean_truth": float(y.mean()) if len(y) else NAN,
        "ratio": ratio(p, y),
        "above_one": NAN if amount or not len(p) else float((p > 1).mean()),
    }


def _of_ranking(scores: Column, asked: Mapping[str, Column], value: str) -> list[dict[str, Any]]:
    """The order of whole requests: NDCG by true value, and within requests the expected AUC of what is an action."""
    score, rows = scores.astype(np.float64), []
    for name in asked:
        if not name.startswith("worth "):
            continue
        column, worth = name.removeprefix("worth "), asked[name].astype(np.float64)
        chance = bool((worth >= 0).all() and (worth <= 1).all()) and column not in _AMOUNTS
        rows.append(
            {
                "goal": "score",
                "outcome": column,
                "against": "truth",
                "impressions": "requests",
                "n": len(score),
                "auc": grouped_auc(score, worth) if chance else NAN,
                "auc_best": grouped_auc(worth, worth) if chance else NAN,
                "log_loss": NAN,
                "spearman": NAN,
                "mean_prediction": NAN,
                "mean_truth": float(worth.mean()),
                "ratio": NAN,
                "above_one": NAN,
                "ece": NAN,
                "ndcg": ndcg(score, worth, DEPTH) if column == value else NAN,
            }
        )
    return rows


_AMOUNTS = ("value_cents", "net_cents", "stay_ms", "watched_milli", "fit_milli", "enjoyment")


def _attention(policy: AbstractPolicy, folder: Path) -> dict[str, list[float]]:
    """The inferred curve beside the true one, as far down as both go; empty where none is inferred."""
    inferred = policy.attention()
    if inferred is None:
        return {}
    with np.load(folder / CURVE, allow_pickle=False) as saved:
        true = saved["relative"]
    n = min(len(inferred), len(true))
    return {"inferred": [float(v) for v in inferred[:n]], "true": [float(v) for v in true[:n]]}
