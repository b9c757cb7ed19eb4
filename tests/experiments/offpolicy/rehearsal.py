"""A shop with a log to evaluate on, fusion settings as targets, and what each would truly have earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.offpolicy.evaluator import Evaluator
from experiments.offpolicy.ownlog import in_blocks, slates_of
from experiments.offpolicy.slates import Slates
from sim import draws
from sim.actions import Delay
from sim.attention import AbstractAttention, AbstractReading, PositionBased
from sim.clock import DAY
from sim.engine import Arm
from sim.funnel import Encounter, encounter
from sim.logbook import write_candidates
from sim.oracle import expected_value
from sim.ranking import ranked
from sim.records import Bools, Floats, Ints, Requests, Scores
from sim.world import World
from tests.worlds import run_logged, small_world, with_action

METRICS = {"ctr": ("click", "impressions"), "gmv": ("value_cents", "users")}
TRUE_COLUMNS = {"ctr": "click", "gmv": "value_cents"}
SETTINGS = tuple((b, p) for b in (0.0, 0.35, 0.7, 1.0) for p in (0.0, 0.25, 0.5))  # exponents of cvr and price
BASE = (0.35, 0.25)
FAR = (BASE, (0.0, 2.0), (0.35, 2.0), (4.0, 0.0), (4.0, 0.25))  # settings that show other items than the base does
GLANCES = PositionBased((0.68, 0.61, 0.48, 0.34, 0.28))


@dataclass(frozen=True)
class Fused:
    """ctr x cvr^b x price^p of goals that are predicted with errors of the item and of the pair.

    setting: (b, p). error: sd of each error in log-odds.
    """

    world: World
    setting: tuple[float, float]
    error: float = 0.4

    def goals(self, requests: Requests) -> dict[str, Floats]:
        met = meet(self.world, requests)
        click = expected_value(self.world, "click", met)
        buy = expected_value(self.world, "buy", met) / click
        return {"ctr": click * self._noise(requests, "ctr"), "cvr": buy * self._noise(requests, "cvr")}

    def score(self, requests: Requests) -> Scores:
        goals, (b, p) = self.goals(requests), self.setting
        price = np.log(requests.items.price[requests.candidates] / 1000)
        return (np.log(goals["ctr"]) + b * np.log(goals["cvr"]) + p * price).astype(np.float32)

    def _noise(self, requests: Requests, goal: str) -> Floats:
        of_item = draws.normal(draws.fold(draws.root(7, goal), requests.candidates))
        key = draws.fold(draws.fold(draws.root(8, goal), requests.users.user)[:, None], requests.candidates)
        return np.exp(self.error * (of_item + draws.normal(key)))


def meet(world: World, requests: Requests) -> Encounter:
    """All candidates met by their users, shapes (R, C)."""
    row = np.searchsorted(world.people.user, requests.users.user)
    nothing = np.zeros((1, 1), dtype=np.float32)
    return encounter(world.people, world.catalogue, row[:, None], requests.candidates, nothing)


def shop(users: int, attention: AbstractAttention = GLANCES, seed: int = 1) -> World:
    """Pages of 5 from 20 candidates. Orders land at once, so that what is expected in the end is what a log holds."""
    at_once = with_action("buy", delay=Delay(1.0, 0.01, 1.0), rate=0.06)
    return small_world(users, seed, funnel=at_once, attention=attention, browse={"pages": 1, "candidates": 20})


def logged(folder: Path, world: World, *, temperature: float, days: int, luck: int) -> None:
    """A log of the base setting with exploration."""
    arm = Arm("warm-up", Fused(world, BASE), temperature)
    run_logged(folder, world, days, [arm], luck=luck, tick=DAY // 4)
    write_candidates(folder, world, range(days))


def slates_in(folder: Path, world: World, *, temperature: float, most: int, seed: int = 0) -> Slates:
    base = Fused(world, BASE)
    return slates_of([folder], base, temperature, most_requests=most, seed=seed, predictions=base.goals)


def orders(world: World, slates: Slates, settings: Sequence[tuple[float, float]] = SETTINGS) -> list[Ints]:
    assert slates.requests is not None
    goals = Fused(world, BASE)
    depth = slates.shown.shape[1]
    found = []
    parts = in_blocks(lambda some: np.stack([*goals.goals(some).values()], axis=-1).astype(np.float32), slates.requests)
    price = np.log(slates.requests.items.price[slates.requests.candidates] / 1000)
    for b, p in settings:
        score = np.log(parts[:, :, 0]) + b * np.log(parts[:, :, 1]) + p * price
        found.append(ranked(score.astype(np.float32), depth))
    return found


class Truth:
    """What orders truly earn on the log's own requests, in expectation, by metric; up to a constant."""

    def __init__(self, world: World, slates: Slates) -> None:
        assert slates.requests is not None
        self.world, self.slates = world, slates
        met = meet(world, slates.requests)
        self.click = expected_value(world, "click", met)
        self.columns = {name: expected_value(world, column, met) for name, column in TRUE_COLUMNS.items()}
        self.content = world.funnel.satisfaction(met).astype(np.float64)

    def of(self, order: Ints) -> dict[str, float]:
        examined = self._examined(order)
        return {
            name: float((examined * np.take_along_axis(column, order, axis=1)).sum())
            for name, column in self.columns.items()
        }

    def _examined(self, order: Ints) -> Floats:
        attention, depth = self.world.scenario.attention, self.slates.shown.shape[1]
        shown = self.slates.shown >= 0
        if not isinstance(attention, AbstractReading):
            curve = attention.examination_probability(np.zeros((1, attention.slots)), np.zeros((1, attention.slots)))
            return np.tile(curve[0], depth // attention.slots) * shown
        assert depth == attention.slots, "of one page, so that what was shown does not depend on clicks"
        return attention.examination_probability(
            np.take_along_axis(self.click, order, axis=1), np.take_along_axis(self.content, order, axis=1)
        )


@dataclass(frozen=True)
class Errors:
    """Of one estimator over targets and logs; lifts in points (100 x lift).

    rmse, coverage: by metric, of the lift over the base and of its 95 % interval; undefined lifts are left out.
    regret: GMV lift that its pick forgoes, of most GMV among settings that lose at most 1 % of CTR. breaks: share of
    picks that truly lose more. refused: share of the targets.
    """

    rmse: Mapping[str, float]
    coverage: Mapping[str, float]
    regret: float
    breaks: float
    refused: float


def judged(
    world: World,
    logs: Sequence[Slates],
    estimators: Sequence[str],
    settings: Sequence[tuple[float, float]] = SETTINGS,
) -> dict[str, Errors]:
    """Lifts over the base against the truth, by estimator."""
    parts = [_of_log(world, slates, estimators, settings) for slates in logs]
    return {name: _errors([part[name] for part in parts]) for name in estimators}


@dataclass(frozen=True)
class _Lifts:
    """Of T targets in one log: lift, se and truth of shape (T, M), refused (T,), base: index of the base."""

    lift: Floats
    se: Floats
    true: Floats
    refused: Bools
    base: int


def _of_log(
    world: World, slates: Slates, estimators: Sequence[str], settings: Sequence[tuple[float, float]]
) -> dict[str, _Lifts]:
    given, truth, base = orders(world, slates, settings), Truth(world, slates), settings.index(BASE)
    earned = [truth.of(order) for order in given]
    true = np.array([[e[name] / earned[base][name] - 1 for name in METRICS] for e in earned])
    learned, found = Evaluator(slates, METRICS), {}
    for name in estimators:
        evaluator = learned.by(name)
        of_base = evaluator.value(given[base])
        lifts = [evaluator.compare(evaluator.value(order), of_base) for order in given]
        refused = np.array([f.refused is not None for f in lifts])
        found[name] = _Lifts(np.array([f.lifts for f in lifts]), np.array([f.se for f in lifts]), true, refused, base)
    return found


def _errors(logs: Sequence[_Lifts]) -> Errors:
    others = [np.arange(len(log.lift)) != log.base for log in logs]
    gap = np.concatenate([(log.lift - log.true)[other] for log, other in zip(logs, others, strict=True)])
    se = np.concatenate([log.se[other] for log, other in zip(logs, others, strict=True)])
    known = np.isfinite(gap)
    rmse = 100 * np.sqrt(np.sum(np.where(known, gap, 0) ** 2, axis=0) / known.sum(axis=0))
    inside = np.sum(known & (np.abs(gap) <= 1.96 * se), axis=0) / known.sum(axis=0)
    picks = [_pick(log.lift) for log in logs]
    best = [_pick(log.true) for log in logs]
    return Errors(
        dict(zip(METRICS, rmse.tolist(), strict=True)),
        dict(zip(METRICS, inside.tolist(), strict=True)),
        100 * float(np.mean([log.true[b, 1] - log.true[p, 1] for log, b, p in zip(logs, best, picks, strict=True)])),
        float(np.mean([log.true[p, 0] < -0.01 for log, p in zip(logs, picks, strict=True)])),
        float(np.mean(np.concatenate([log.refused[other] for log, other in zip(logs, others, strict=True)]))),
    )


def _pick(lift: Floats) -> int:
    """Most GMV of the settings that are said to lose at most 1 % of CTR; the base if none is."""
    return int(np.argmax(np.where(lift[:, 0] >= -0.01, lift[:, 1], -np.inf)))
