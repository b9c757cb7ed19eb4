"""Logs to learn from: one simulated by the e-commerce shop, and small ones written by hand."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from pydantic import TypeAdapter
from ruamel.yaml import YAML

import sim
from policies.baselines import Production
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.funnel import encounter
from sim.logbook import Logbook, read_log, write_public
from sim.records import Bools, Floats, Ints, Items, Log, Requests, Users
from sim.world import Scenario, World, build

STRANGER = 1_000_000  # user ids from here on are in no log


@dataclass(frozen=True)
class Shop:
    """A world and what it logged in its first days under the production policy, with exploration.

    withdrawn: shape (n,). Items that the log never shows; requests may hold them.
    """

    world: World
    log: Log
    withdrawn: Ints
    days: int

    def requests(self, n: int, seed: int = 0) -> Requests:
        """Visits of random users on the day after the log, from that day's pools."""
        rng = np.random.default_rng(seed)
        users = self.world.people.public.take(rng.integers(len(self.world.people), size=n))
        pools = self.world.pools(self.days)
        return Requests(
            request=rng.permutation(10 * n)[:n],
            time=np.full(n, self.days * DAY),
            users=users,
            pool=rng.integers(len(pools), size=n),
            pools=pools,
            items=self.world.items,
        )

    def attraction(self, requests: Requests) -> Floats:
        """Truth: P(click | examined) of every candidate, shape (R, C). No policy is given this."""
        people = self.world.people
        row = np.searchsorted(people.user, requests.users.user)
        met = encounter(
            people, self.world.catalogue, row[:, None], requests.candidates, np.zeros((1, 1), dtype=np.float32)
        )
        return self.world.funnel.attraction(met).astype(np.float64)


def ecommerce(items: int) -> Scenario:
    """The scenario of the library with fewer items, so that a small log says something about each."""
    path = Path(sim.__file__).parent / "scenarios" / "ecommerce.yaml"
    plain = YAML(typ="safe", pure=True).load(path)
    scenario = TypeAdapter(Scenario).validate_json(json.dumps(plain), strict=True)
    return replace(scenario, catalogue=replace(scenario.catalogue, items=items))


def simulated(
    folder: Path,
    *,
    users: int,
    days: int,
    items: int = 300,
    withdrawn: Sequence[int] = (),
    temperature: float = 0.5,
) -> Shop:
    """Simulate a shop into a folder and read its log, without the rows of the items withdrawn.

    temperature: of the production policy's exploration.
    """
    world = build(ecommerce(items), 1, np.arange(users))
    book = Logbook(folder, world, ["warm-up"], 0, days * DAY)
    everyone = np.zeros(users, dtype=np.int64)
    simulate(
        world, opening(world, 2), days, [Arm("warm-up", Production(), temperature)], everyone, 2, [book], tick=DAY // 4
    )
    book.finish()
    write_public(folder, world.people.public, world.items)
    log = read_log([folder])
    gone = np.array(withdrawn, dtype=np.int64)
    return Shop(world, log.take(~np.isin(log.item, gone)), gone, days)


SHOP = ("collect", "cart", "buy")
FEED = ("long_view", "like", "comment", "follow", "share", "hate")
RECRUITING = ("apply", "answer", "chat", "call", "invitation", "interview")


def hand_made(
    click: ArrayLike, *, items: Items | None = None, after: Sequence[str] = SHOP, **columns: ArrayLike
) -> Log:
    """A log of n rows from what is given; the rest is plain.

    Plain is: ten rows a request, in one page, an hour between requests, one user per request, the item of
    the row modulo 20, 20 items in 4 categories, nothing `after` the click.
    """
    clicks = np.asarray(click, dtype=np.int8)
    n = len(clicks)
    row = np.arange(n)
    given = {name: np.asarray(column) for name, column in columns.items()}
    request = given.pop("request", row // 10)
    nothing = np.zeros(n, dtype=np.int8)
    outcomes = {name: given.pop(name, nothing) for name in after}
    stay = given.pop("stay", clicks.astype(np.int32) * 30_000)
    users = table_of_users(int(np.max(given.get("user", request), initial=0)) + 1)
    items = items or table_of_items(20)
    item = given.pop("item", row % len(items))
    base = {
        "market": np.zeros(n, dtype=np.int16),
        "arm": np.zeros(n, dtype=np.int8),
        "time": request * 3600,
        "user": request,
        "visit": np.zeros(n, dtype=np.int32),
        "page": np.zeros(n, dtype=np.int8),
        "slot": (row % 10).astype(np.int8),
        "pool": np.zeros(n, dtype=np.int32),
        "score": np.zeros(n, dtype=np.float32),
        "propensity": np.ones(n, dtype=np.float32),
    } | given
    base["day"] = base["time"] // DAY
    return Log(
        **base,
        request=request,
        item=item,
        price=items.price[item],
        outcomes={"click": clicks, "stay": stay, **outcomes},
        users=users,
        items=items,
        arms=("only",),
        horizon=int(np.max(base["time"], initial=0)) + DAY,
    )


def chance_made(after: Sequence[str], items: Items, n: int = 4000, seed: int = 0) -> Log:
    """A log of 40 users in which well-rated items are clicked more, and a third of the clicks lead to each action.

    The last five items are never shown.
    """
    rng = np.random.default_rng(seed)
    item = rng.integers(len(items) - 5, size=n)
    click = rng.random(n) < 0.1 + 0.2 * (items.rating[item] > 0)
    actions = {name: (click & (rng.random(n) < 0.3)).astype(np.int8) for name in after}
    stay = (click * np.exp(rng.normal(3, 0.7, size=n)) * 1000).astype(np.int32)
    return hand_made(click, items=items, after=after, item=item, stay=stay, user=np.arange(n) // 10 % 40, **actions)


def random_feed(n: int = 4000, seed: int = 0) -> Log:
    """`chance_made` with the actions of a feed; its items are videos of 5 to 100 seconds without a price."""
    items = replace(table_of_items(30), price=np.zeros(30, dtype=np.int64), length=5000 * (1 + np.arange(30) % 20))
    return chance_made(FEED, items, n, seed)


def random_recruiting(n: int = 4000, seed: int = 0) -> Log:
    """`chance_made` with the actions of recruiting; its items are jobs without a length."""
    return chance_made(RECRUITING, table_of_items(30), n, seed)


def table_of_users(n: int) -> Users:
    return Users(np.arange(n), np.arange(n) % 3, np.arange(n) % 3)


def table_of_items(n: int, n_segments: int = 3) -> Items:
    """Items of four categories and prices of 10 to 29 euros."""
    rng = np.random.default_rng(5)
    row = np.arange(n)
    rating, popularity = rng.normal(size=n), rng.normal(size=(n, n_segments))
    return Items(row % 4, 1000 + 100 * (row % 20), rating, popularity, np.zeros(n, dtype=np.int64))


def asking(users: Users, candidates: ArrayLike, items: Items) -> Requests:
    """One request per user, each with candidates of its own (R, C)."""
    pools = np.asarray(candidates, dtype=np.int64)
    row = np.arange(len(users))
    return Requests(row, np.full(len(users), DAY), users, row, pools, items)


def with_outcome(log: Log, **outcomes: ArrayLike) -> Log:
    """The log with some outcomes replaced."""
    changed = {name: np.asarray(column, dtype=log[name].dtype) for name, column in outcomes.items()}
    return replace(log, outcomes={**log.outcomes, **changed})


def flipped(log: Log, rows: int | Ints | Bools) -> Log:
    """The log with the clicks of some rows turned into skips and the other way round; nothing follows them."""
    click = log["click"].copy()
    click[rows] = 1 - click[rows]
    rest = {name: log[name].copy() for name in log.actions if name != "click"}
    for column in rest.values():
        column[rows] = 0
    return with_outcome(log, click=click, **rest)


def unteachable(log: Log) -> dict[str, Log]:
    """Logs in which something is missing or impossible, made from a good one."""
    none = np.zeros(len(log))
    after = [action for action in log.actions if action != "click"]
    orphan = log[after[-1]].copy()
    orphan[np.flatnonzero(log["click"] == 0)[0]] = 1
    return {
        "empty": log.take(np.zeros(0, dtype=np.int64)),
        "no clicks": with_outcome(log, **dict.fromkeys({*log.actions, "stay"} & set(log.outcomes), none)),
        "nothing after a click": with_outcome(log, **dict.fromkeys(after, none)),
        "an action without a click": with_outcome(log, **{after[-1]: orphan}),
    }


def with_only(log: Log, names: Collection[str]) -> Log:
    """The log without the outcomes that are not named."""
    return replace(log, outcomes={name: column for name, column in log.outcomes.items() if name in names})
