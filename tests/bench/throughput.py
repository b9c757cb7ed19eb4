"""How fast is the simulation, against a bare NumPy loop that only scores, selects and clicks?"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.spec import load_experiment
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.ledger import Totals
from sim.logbook import Logbook
from sim.people import Style
from sim.records import Requests, Scores
from sim.scenario import Scenario
from sim.served import Recorder
from sim.world import World, build
from tests.bench.measure import Figure, paired_rates, race, rate

DIMENSIONS, CANDIDATES, SLOTS, WAVE = 16, 100, 10, 1000
N_USERS, DAYS = 24_000, 4  # with one visit in about six days: waves of a thousand at the tick below
TICK = DAY // 4
# Impressions per CPU second of one thread at 100 candidates, with position-based clicks and no log. Neither
# can be measured beside us: the newest RecSim NG does not import with any TensorFlow for Python 3.11 (its
# edward2 breaks on today's SciPy), and T-RECS asks for pandas 1.0.5, which Python 3.11 cannot build.
RECORDED = {"RecSim NG": 0.90e6, "T-RECS": 0.29e6}


class DotProduct:
    """User vector times item vector: the cheapest ranker that personalises."""

    def __init__(self, n_users: int, n_items: int) -> None:
        luck = np.random.default_rng(0)
        self.users = luck.standard_normal((n_users, DIMENSIONS), dtype=np.float32)
        self.items = luck.standard_normal((n_items, DIMENSIONS), dtype=np.float32)

    def score(self, requests: Requests) -> Scores:
        assert len(requests.pools) == 1  # a pool shared by everyone, as in the reference
        scores: Scores = self.users[requests.users.user] @ self.items[requests.pools[0]].T
        return scores


def bare_loop(waves: int = 40) -> int:
    """Shared pool, 16 dimensions, float32, waves of 1,000: scores, top ten, clicks. Nothing else."""
    luck = np.random.default_rng(0)
    users = luck.standard_normal((WAVE, DIMENSIONS), dtype=np.float32)
    items = luck.standard_normal((CANDIDATES, DIMENSIONS), dtype=np.float32)
    examination = np.array([0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06], dtype=np.float32)
    clicks = 0
    for _ in range(waves):
        scores = users @ items.T
        top = np.argpartition(-scores, SLOTS, axis=1)[:, :SLOTS]
        best = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-best, axis=1)
        top, best = np.take_along_axis(top, order, axis=1), np.take_along_axis(best, order, axis=1)
        attraction = 1 / (1 + np.exp(3 - best))
        clicks += int((luck.random((WAVE, SLOTS), dtype=np.float32) < examination * attraction).sum())
    assert clicks > 0
    return waves * WAVE * SLOTS


def figures() -> Iterator[Figure]:
    """Impressions per CPU second, in full and in the shape that others publish, and what the log adds to each."""
    yield from _full_funnel()
    yield from _published_shape()


def _full_funnel() -> Iterator[Figure]:
    world, arm = _built(_scenario())
    yield race(
        "full funnel, dot-product ranker, 100 candidates from a shared pool, 10 slots, log off",
        "impressions per CPU second",
        "bare NumPy loop, waves of 1,000",
        lambda: _simulated(world, arm, log=False),
        bare_loop,
    )
    pairs = paired_rates(lambda: _simulated(world, arm, log=True), lambda: _simulated(world, arm, log=False))
    costs = [(1e6 / logged - 1e6 / bare, 1e6 / bare) for logged, bare in pairs]
    added, alone = (statistics.median(side) for side in zip(*costs, strict=True))
    ratio = statistics.median(a / b for a, b in costs)
    yield Figure("the log, hidden truth included", added, "CPU us per impression", "without the log", alone, ratio)


def _published_shape() -> Iterator[Figure]:
    """Our simulation where only clicks are asked for, beside figures of others that are recorded, not measured."""
    world, arm = _built(_clicks_only(_scenario()))
    ours = rate(lambda: _simulated(world, arm, log=False))
    for name, theirs in RECORDED.items():
        yield Figure(
            "position-based clicks, no funnel beyond them, 100 candidates, 10 slots, log off",
            ours,
            "impressions per CPU second",
            f"{name} at that shape (a recorded figure, not measured in this run)",
            theirs,
            ours / theirs,
        )


def _built(scenario: Scenario) -> tuple[World, Arm]:
    """World and ranker, made once and outside what is timed: the benchmark is of the simulation."""
    world = build(scenario, 1, np.arange(N_USERS))
    return world, Arm("dot product", DotProduct(len(world.people), len(world.catalogue)))


def _clicks_only(scenario: Scenario) -> Scenario:
    """The scenario without actions after the click; stay, satisfaction and return are still simulated."""
    funnel = replace(scenario.funnel, actions={"click": scenario.funnel.actions["click"]})
    metrics = {"ctr": scenario.metrics["ctr"]}
    return replace(scenario, funnel=funnel, people=replace(scenario.people, styles={"plain": Style()}), metrics=metrics)


def _scenario() -> Scenario:
    scenario = load_experiment("ecommerce").world.scenario
    browse = replace(scenario.browse, pages=1, candidates=CANDIDATES, pools_per_segment=1)
    return replace(scenario, browse=browse, people=replace(scenario.people, segments=1))


def _simulated(world: World, arm: Arm, *, log: bool) -> int:
    totals = Totals(world, 0)
    recorders: list[Recorder] = [totals]
    everyone = np.zeros(len(world.people), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        book = Logbook(Path(folder), world, [arm.name], 0, DAYS * DAY)
        simulate(world, opening(world, 2), DAYS, [arm], everyone, 2, [*recorders, *([book] if log else [])], TICK)
        if log:
            book.finish()
    return totals.n_impressions
