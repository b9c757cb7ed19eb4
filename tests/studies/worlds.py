"""Worlds of the studies: the e-commerce shop made small, its log, and fresh impressions with the truth beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq

from policies.baselines import Production
from policies.features import F32, History
from sim.actions import Delay
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.logbook import HIDDEN_FILE, Logbook, read_log, write_public
from sim.records import Floats, Ints, Items, Log, Requests, Users
from sim.scenario import Scenario, with_conflict
from sim.world import World, build
from tests.logs import ecommerce

LOGGING = Arm("warm-up", Production(), 0.5)  # popularity with exploration, as the library's experiments log
# An order lands within a minute: labels that are still on their way are a study of their own.
AT_ONCE = Delay(short_share=1, short_mean_hours=0.01, long_mean_days=1)


@dataclass(frozen=True)
class Setting:
    """What is turned in the shop, and how much of it is logged.

    items, users, pools: of the shop; pools per segment and day decide how many items are ever shown.
    days, fresh: days that are logged to learn from, and those after them that are only judged on.
    ctr, cvr: rates per impression and per click under the shop's history ranking. The shop's own, .05 and .03, would
        need ten times the impressions for as many buys.
    conflict: correlation of the drivers of click and of buy is 1 - 2 conflict; None leaves the shop's own.
    hidden_intent: sd of the mood that drives both and that nobody sees.
    ids_only: models see ids, segments and categories, and no dense feature; see `blank`.
    """

    items: int = 1000
    users: int = 1200
    pools: int = 4
    days: int = 10
    fresh: int = 3
    ctr: float = 0.1
    cvr: float = 0.15
    conflict: float | None = None
    hidden_intent: float = 0.0
    ids_only: bool = False

    def scenario(self) -> Scenario:
        shop = ecommerce(self.items)
        actions = shop.funnel.actions
        rates = {
            "click": replace(actions["click"], rate=self.ctr),
            "buy": replace(actions["buy"], rate=self.cvr, delay=AT_ONCE),
        }
        shop = replace(
            shop,
            browse=replace(shop.browse, hidden_intent=self.hidden_intent, pools_per_segment=self.pools),
            funnel=replace(shop.funnel, actions={**actions, **rates}),
        )
        return shop if self.conflict is None else with_conflict(shop, self.conflict)


@dataclass(frozen=True)
class Study:
    """One seed of a setting.

    log: to learn from. fresh: the impressions of the days after it, a page of ten per request, shape (R, 10).
    true_click, true_buy: of the fresh ones, P(click | examined) and P(buy | click), shape (R, 10). They know the
        visit's mood, so the mean of true_buy is that of P(buy | do click).
    """

    setting: Setting
    log: Log
    fresh: Requests
    true_click: Floats
    true_buy: Floats

    def facts(self) -> dict[str, float]:
        """What a reader needs to place the world."""
        clicks, buys = float(self.log["click"].sum()), float(self.log["buy"].sum())
        click, buy = (np.log(p / (1 - p)).ravel() for p in (self.true_click, self.true_buy))
        return {
            "impressions": len(self.log),
            "clicks": clicks,
            "buys": buys,
            "items_shown": len(np.unique(self.log.item)),
            "items_per_buy": len(np.unique(self.log.item)) / buys,
            "ctr": clicks / len(self.log),
            "cvr": buys / clicks,
            "correlation": float(np.corrcoef(click, buy)[0, 1]),
            "truth": float(self.true_buy.mean()),
        }


def study(setting: Setting, seed: int, folder: Path) -> Study:
    """Simulate a world of its own for the seed, log it, and go on for the fresh days with the same ranking."""
    world = build(setting.scenario(), seed, np.arange(setting.users))
    everyone = np.zeros(setting.users, dtype=np.int64)
    state, ends = opening(world, seed), (setting.days, setting.days + setting.fresh)
    for start, end in zip((0, setting.days), ends, strict=True):
        part = _part(folder, end)
        part.mkdir(parents=True)
        book = Logbook(part, world, [LOGGING.name], start * DAY, end * DAY)
        state = simulate(world, state, end, [LOGGING], everyone, seed, [book], tick=DAY // 4)
        book.finish()
        write_public(part, world.people.public, world.items)
    learn, judge = (_part(folder, end) for end in ends)
    log, truth = read_log([learn]), pq.read_table(judge / HIDDEN_FILE)
    fresh = pages(read_log([judge]), world)
    true_click, true_buy = (truth[name].to_numpy().astype(np.float64).reshape(-1, 10) for name in _TRUE)
    if setting.ids_only:
        users, items = _alike(log.users, log.items)
        log = replace(log, users=users, items=items)
        fresh = replace(fresh, users=_alike(fresh.users, items)[0], items=items)
    return Study(setting, log, fresh, true_click, true_buy)


_TRUE = ("true_click", "true_buy")


def pages(log: Log, world: World) -> Requests:
    """Every page of a log as a request of its ten items."""
    first = slice(None, None, world.scenario.attention.slots)
    item = log.item.astype(np.int64).reshape(-1, world.scenario.attention.slots)
    user = np.searchsorted(log.users.user, log.user[first])
    row = np.arange(len(item))
    return Requests(row, log.time[first], log.users.take(user), row, item, log.items)


@contextmanager
def blank(setting: Setting) -> Iterator[None]:
    """While inside, histories tell nothing if the setting is of ids only: no rate, no count, no mean price."""
    if not setting.ids_only:
        yield
        return
    with patch.object(History, "of", _nothing):
        yield


def _nothing(log: Log, user_row: Ints, n_users: int, log_price: F32) -> History:
    user, item = np.zeros((n_users, 3)), np.zeros((len(log.items), 2))
    category = np.zeros((n_users, int(log.items.category.max()) + 1))
    return History(*(part.astype(np.float32) for part in (user, item, category)))


def _alike(users: Users, items: Items) -> tuple[Users, Items]:
    """Everyone in the middle price band, and every item with the same numbers; segments and categories stay."""
    alike = replace(
        items,
        price=np.ones_like(items.price),  # whose log is exactly 0
        rating=np.zeros_like(items.rating),
        popularity=np.zeros_like(items.popularity),
    )
    return replace(users, price_band=np.ones_like(users.price_band)), alike


def _part(folder: Path, end: int) -> Path:
    return folder / f"until-{end}"
