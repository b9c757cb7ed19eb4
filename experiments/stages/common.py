"""What the steps of a run share: worlds from arguments, arms from folders, totals and states as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from experiments.policy_spec import build_policy
from experiments.sections.world import WorldSection
from experiments.strangers import supervised
from sim.engine import State
from sim.market import Applications, Shared, gini
from sim.records import Column, Ints, Ranker
from sim.served import Orders, Served
from sim.world import World

Progress = Callable[[int, int, int], None]  # (done, of, impressions so far)
Needs = Mapping[str, Path]
STATE, TOTALS, EXPECTED, ASSIGNED = "state.npz", "totals.npz", "expected.npz", "arms.npz"
PRE = "pre "  # columns of the warm-up, beside those of the test


class DayCounter:
    """A recorder that tells how far the simulation has come; one for all markets of a task."""

    def __init__(self, progress: Progress, days: int, n_markets: int = 1) -> None:
        self.progress, self.of = progress, days * n_markets
        self.closings, self.n_markets, self.n_impressions = 0, n_markets, 0

    def served(self, wave: Served) -> None:
        self.n_impressions += wave.item.size

    def landed(self, orders: Orders) -> None:
        """Orders are no progress."""

    def closed(self, day: int) -> None:
        self.closings += 1
        self.progress(self.closings // self.n_markets, self.of // self.n_markets, self.n_impressions)


def world_section(arguments: Mapping[str, Any]) -> WorldSection:
    """The world that a task's arguments describe."""
    values = {**arguments["world"], "tick_minutes": arguments["tick_minutes"]}
    return WorldSection.model_validate_json(json.dumps(values), strict=True)


def served_by(arm: Mapping[str, Any], folder: Path) -> tuple[Ranker, float]:
    """The fitted policy of an arm, and the temperature of its exploration."""
    return supervised(build_policy(arm["policy"]).restore_from(folder)), arm["explore"]["temperature"]


def save_totals(path: Path, world: World, columns: Sequence[str], totals: np.ndarray, satisfaction: np.ndarray) -> None:
    """Totals per user with their ids and, as of now, their hidden satisfaction."""
    np.savez(path, user=world.people.user, columns=np.array(columns), totals=totals, satisfaction=satisfaction)


def save_state(path: Path, state: State) -> None:
    """A state as one file of plain arrays."""
    arrays: dict[str, Column] = _columns("orders", state.orders)
    if state.shared is not None:
        named = (f.name for f in fields(Shared) if f.name != "waiting")
        arrays |= {f"shared.{name}": getattr(state.shared, name) for name in named}
        arrays |= _columns("waiting", state.shared.waiting)
    np.savez(
        path,
        day=np.array(state.day),
        next_visit=state.next_visit,
        visits=state.visits,
        satisfaction=state.satisfaction,
        **arrays,  # type: ignore[arg-type]
    )


def load_state(path: Path) -> State:
    """What `save_state` wrote."""
    with np.load(path, allow_pickle=False) as saved:
        orders = Orders(*(saved[f"orders.{f.name}"] for f in fields(Orders)))
        shared = None
        if "shared.units" in saved:
            waiting = Applications(*(saved[f"waiting.{f.name}"] for f in fields(Applications)))
            known = {f.name: saved[f"shared.{f.name}"] for f in fields(Shared) if f.name != "waiting"}
            shared = Shared(**known, waiting=waiting)
        return State(int(saved["day"]), saved["next_visit"], saved["visits"], saved["satisfaction"], orders, shared)


def _columns(prefix: str, table: Orders | Applications) -> dict[str, Column]:
    return {f"{prefix}.{f.name}": getattr(table, f.name) for f in fields(table)}


class Sides:
    """A recorder of the other side of the market: how often each item was applied for, or sold."""

    def __init__(self, world: World) -> None:
        spec = world.scenario.funnel
        decided = next((action.parent for action in spec.actions.values() if action.decided_by), None)
        self.applied = decided
        self.sold = [index for index, name in enumerate(spec.late) if spec.actions[name].units]
        self.counts: Ints = np.zeros(len(world.catalogue), dtype=np.int64)
        self.world = world

    def served(self, wave: Served) -> None:
        if self.applied is not None:
            np.add.at(self.counts, wave.met.item, wave.actions[self.applied].astype(np.int64))

    def landed(self, orders: Orders) -> None:
        if self.applied is None:
            np.add.at(self.counts, orders.item[np.isin(orders.action, self.sold)], 1)

    def closed(self, day: int) -> None:
        """Nothing to do: counts are always up to date."""

    def table(self, after: State) -> dict[str, float]:
        """The columns of `MARKET_COLUMNS`, and the recruiters' mean satisfaction; NaN or 0 where there are none."""
        shared = after.shared
        owners = 0 if shared is None else len(shared.active)
        return {
            "recruiters": owners,
            "recruiters_active": int(shared.active.sum()) if shared is not None else 0,
            "concentration": gini(self.counts[self.world.item]),
            "markets": 1,
            "content": float(shared.satisfaction.mean()) if shared is not None and owners else float("nan"),
        }
