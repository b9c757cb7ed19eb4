"""Position debiasing against a world of known merit and attention, with the naive model and curve beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from policies.base import AbstractPolicy
from policies.examination import clickthrough_by_slot
from policies.table import policy_class
from sim.records import Floats, Log, Requests
from tests.logs import Shop, asking, hand_made, simulated, table_of_items

METHODS: dict[str, dict[str, Any]] = {
    "position_feature": {},
    "pal": {},
    "regression_em": {"training": {"epochs": 12, "patience": 2}},
    "ipw": {"examination": "harvest"},
}
SMALL = {"batch": 256, "learning_rate": 0.005, "embedding": 4, "hidden": 16, "hidden2": 8}
N_ITEMS, SEEN = 24, (1.0, 0.8, 0.55, 0.35, 0.2, 0.1)


@dataclass(frozen=True)
class Tabular:
    """Items of known merit, P(click | seen), shown where a ranker that half knows it puts them.

    seen: P(seen) by slot. merit: shape (n_items,).
    """

    log: Log
    seen: Floats
    merit: Floats


@cache
def tabular(seen: tuple[float, ...] = SEEN, requests: int = 9000, seed: int = 0) -> Tabular:
    """Every request ranks a dozen random items by what the ranker makes of them, plus noise, and shows the best.

    The ranker is right about merit on the whole and wrong about items: half of its opinion is a lasting error.
    """
    rng = np.random.default_rng(seed)
    items = table_of_items(N_ITEMS)
    log_odds = rng.permutation(np.linspace(-3, 0.5, N_ITEMS))
    merit = 1 / (1 + np.exp(-log_odds))
    pool = rng.permuted(np.tile(np.arange(N_ITEMS), (requests, 1)), axis=1)[:, :12]
    opinion = log_odds + rng.normal(scale=log_odds.std(), size=N_ITEMS)
    heard = opinion[pool] + rng.normal(scale=log_odds.std(), size=pool.shape)
    item = np.take_along_axis(pool, np.argsort(-heard, axis=1)[:, : len(seen)], axis=1)
    click = rng.random(item.shape) < merit[item] * np.array(seen)
    row = np.repeat(np.arange(requests), len(seen))
    slot = np.tile(np.arange(len(seen)), requests)
    log = hand_made(click.ravel(), items=items, item=item.ravel(), request=row, user=row % 40, time=row * 60, slot=slot)
    return Tabular(log, np.array(seen), merit)


def method(name: str, **training: Any) -> AbstractPolicy:
    spec = METHODS[name]
    settings = {**SMALL, **spec.get("training", {}), **training}
    return policy_class(name).from_spec({**spec, "training": settings})


@cache
def fitted(name: str, seen: tuple[float, ...] = SEEN) -> AbstractPolicy:
    return method(name).fit(tabular(seen).log)


@cache
def naive(seen: tuple[float, ...] = SEEN) -> AbstractPolicy:
    spec = {"goal": "ctr", "training": {**SMALL, "slot_bias": False}}
    return policy_class("goal").from_spec(spec).fit(tabular(seen).log)


def everyone(world: Tabular) -> Requests:
    """All users, asked about all items."""
    users = world.log.users
    return asking(users, np.tile(np.arange(N_ITEMS), (len(users), 1)), world.log.items)


def ctr_of(policy: AbstractPolicy, world: Tabular) -> Floats:
    """Mean forecast by item, shape (n_items,)."""
    return policy.goals(everyone(world))["ctr"].mean(axis=0)


def curve_of(policy: AbstractPolicy) -> Floats:
    curve = policy.attention()
    assert curve is not None
    return curve


def naive_curve(log: Log) -> Floats:
    return clickthrough_by_slot(log["click"] > 0, log.slot)


# The largest gap by slot. Clicks of a slot are known to 1 / sqrt(clicks): 2 % at the top, 6 % at the bottom, hence
# theta to about 0.02, if merit were known. Gradient steps that stop early cost as much again.
CURVE_TOLERANCE = 0.05


@pytest.mark.parametrize("name", METHODS)
def test_attention_comes_near_the_truth_where_click_through_by_slot_does_not(name: str) -> None:
    world = tabular()
    gap = np.abs(curve_of(fitted(name)) - world.seen).max()
    naive_gap = np.abs(naive_curve(world.log) - world.seen).max()
    print(f"{name}: off by {gap:.3f}, click-through by {naive_gap:.3f}")
    assert gap < CURVE_TOLERANCE < naive_gap


@pytest.mark.parametrize("name", METHODS)
def test_debiased_ctr_is_nearer_to_merit_than_the_naive_models(name: str) -> None:
    """Mean error in log-odds. The naive model takes the lower slots' few looks for dislike."""
    world = tabular()
    error, naive_error = (_log_odds_error(policy, world) for policy in (fitted(name), naive()))
    print(f"{name}: {error:.2f} in log-odds, naive {naive_error:.2f}")
    assert error < 0.7 * naive_error


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name != "regression_em"])
def test_debiased_ctr_orders_items_by_merit_better_than_the_naive_model(name: str) -> None:
    """Kendall's tau with true merit, paired over worlds whose rankers are wrong about other items.

    Regression-EM finds the curve but orders no better (tau +.009, .4 standard errors): a skip where few look moves its
    model little, so that it is slow to learn what the top has hidden.
    """
    gains = []
    for seed in range(10, 18):
        world = tabular(seed=seed)
        plain = policy_class("goal").from_spec({"goal": "ctr", "training": {**SMALL, "slot_bias": False}})
        one, other = (ctr_of(policy.fit(world.log), world) for policy in (method(name), plain))
        gains.append(kendalltau(one, world.merit).statistic - kendalltau(other, world.merit).statistic)
    z = np.mean(gains) / (np.std(gains, ddof=1) / np.sqrt(len(gains)))
    print(f"{name}: tau higher by {np.mean(gains):.3f}, {z:.1f} standard errors")
    assert z > 2


def _log_odds_error(policy: AbstractPolicy, world: Tabular) -> float:
    p = ctr_of(policy, world)
    return float(np.abs(np.log(p / (1 - p)) - np.log(world.merit / (1 - world.merit))).mean())


ALIKE = (1.0,) * len(SEEN)


# To one side only where theta is held to at most 1, so as far off as above, not nearer. PAL's comes from below, where
# click-through has it start, and a sigmoid takes ever smaller steps towards 1.
FLAT_TOLERANCE = {"position_feature": 0.12, "pal": 0.25, "regression_em": 0.12, "ipw": 0.06}


@pytest.mark.parametrize("name", FLAT_TOLERANCE)
def test_where_all_slots_are_seen_alike_the_curve_is_flat_and_the_order_the_naive_models(name: str) -> None:
    world = tabular(ALIKE)
    gap, naive_gap = (np.abs(curve - 1).max() for curve in (curve_of(fitted(name, ALIKE)), naive_curve(world.log)))
    print(f"off by {gap:.3f}, click-through by {naive_gap:.3f}")
    assert gap < min(FLAT_TOLERANCE[name], 0.7 * naive_gap)
    same = kendalltau(ctr_of(fitted(name, ALIKE), world), ctr_of(naive(ALIKE), world)).statistic
    print(f"{name}: {curve_of(fitted(name, ALIKE)).round(3)}, tau with the naive order {same:.3f}")
    assert same > 0.85


# Not position_feature: nothing holds its slots to one curve, and on so few clicks its mean forecasts are further off
# than click-through is.
ESTIMATORS = ("pal", "regression_em", "ipw")


@pytest.fixture(scope="module")
def little_explored(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A production log with little exploration: about 125,000 impressions, of which 6,000 are clicked."""
    return simulated(tmp_path_factory.mktemp("shop"), users=3000, days=8, temperature=0.05)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_attention_in_a_simulated_shop_comes_near_the_scenarios_curve(name: str, little_explored: Shop) -> None:
    """Mean error over ten slots, nearer than click-through. On 6,000 clicks the margin is a fifth and chance could turn
    it: the seed is fixed.
    """
    log = little_explored.log
    seen = np.array(little_explored.world.scenario.attention.examination)
    policy = policy_class(name).from_spec({**METHODS[name], "training": {"epochs": 12, "patience": 2, "batch": 512}})
    gap, naive_gap = (
        float(np.abs(curve - seen / seen[0]).mean()) for curve in (curve_of(policy.fit(log)), naive_curve(log))
    )
    print(f"{name}: off by {gap:.4f}, click-through by {naive_gap:.4f}")
    assert gap < 0.9 * naive_gap
