"""What follows a visit later: orders with their due times, chains of them, and the answers of recruiters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from sim import draws
from sim.clock import DAY
from sim.funnel import Encounter, encounter, logistic
from sim.market import Applications, Shared, to_read
from sim.records import Bools, Floats, Ints
from sim.served import Orders
from sim.world import World


@dataclass(frozen=True, slots=True)
class Roots:
    """Where late actions start from: n clicks, or n applications that were answered.

    request, rank, arm, clicked: shape (n,), as in `Orders`. since: shape (n,). Second from which delays run.
    keys: shape (n,). Luck of what follows.
    """

    request: Ints
    rank: Ints
    arm: Ints
    clicked: Ints
    since: Ints
    keys: draws.Keys

    def take(self, rows: Ints) -> Roots:
        return Roots(*(getattr(self, f.name)[rows] for f in fields(self)))


def late_orders(world: World, happened: Mapping[str, Bools], met: Encounter, roots: Roots) -> Orders:
    """Orders of the late actions in `happened` (each of shape (n,)), every one due after its parent."""
    spec = world.scenario.funnel
    named = [(index, name) for index, name in enumerate(spec.late) if name in happened]
    if not named:
        return Orders.empty()
    # Few clicks lead to anything: draw for those alone, a third of the cost of drawing for every click.
    some = np.flatnonzero(np.logical_or.reduce([happened[name] for _, name in named]))
    roots, user, item = roots.take(some), met.user[some], met.item[some]
    due: dict[str, Ints] = {}
    value: dict[str, Ints] = {}
    attributed: dict[str, Bools] = {}
    orders = []
    for index, name in named:
        action, rows = spec.actions[name], np.flatnonzero(happened[name][some])
        if not len(rows):
            continue  # nor will anything that follows from it
        which, size, how_many = draws.uniform(draws.fold(draws.fold(roots.keys, draws.purpose(name)), _LUCK))
        due[name] = due.get(action.parent, roots.since)
        if action.delay is not None:
            due[name] = due[name] + action.delay.draw(which, size)
        attributed[name] = attributed.get(action.parent, due[name] - roots.clicked <= spec.window)
        units = np.zeros(len(item), dtype=np.int64)
        if action.units:
            n = np.searchsorted(np.cumsum(action.units)[:-1], how_many, side="right") + 1
            units = n * world.people.units[user]
        value[name] = value[action.parent] if action.refunds else world.catalogue.price[item] * units
        found = Orders(
            user=user,
            request=roots.request,
            rank=roots.rank,
            item=item,
            arm=roots.arm,
            action=np.full(len(item), index),
            clicked=roots.clicked,
            due=due[name],
            value=value[name],
            units=units,
            attributed=attributed[name].astype(np.int64),
        )
        orders.append(found.take(rows))
    return Orders.concatenate(orders)


_LUCK = np.array([[1], [2], [3]])  # of a delay: which exponential, and how long; of an order: how many units


class AnswerDesk:
    """Recruiters at work: they read what waits for them, answer or not, grow content or weary, and may leave.

    Args:
        world: whose scenario has recruiters and an action that they decide.
    """

    def __init__(self, world: World) -> None:
        spec = world.scenario.market.recruiters
        assert spec is not None
        self.world, self.spec = world, spec
        self.reads = spec.reads(world.seed, world.owner_id)
        self.hour = spec.hour(world.seed, world.owner_id)
        self.willing = spec.willing(world.seed, world.owner_id)
        self.decided = decided_by_recruiters(world)
        self.answer = next(n for n in self.decided if world.scenario.funnel.actions[n].decided_by)

    def read(self, shared: Shared, readers: Ints, now: Ints) -> tuple[Shared, Orders]:
        """One reading by these recruiters; `now` (n_owners,) is the second at which each reads."""
        world, spec = self.world, self.spec
        rows, gone, waiting = to_read(shared.waiting, world.owner, readers, self.reads, now, spec.lapse_days)
        mine = shared.waiting.take(rows)
        met = encounter(world.people, world.catalogue, mine.user, mine.item, mine.intent)
        owner = world.owner[mine.item]
        chance = self.answer_probability(met, owner, waiting[owner], shared.satisfaction[owner])
        luck = draws.uniform(draws.fold(mine.key, draws.purpose(self.answer)))
        answered = np.flatnonzero(luck < chance)
        orders = self._follow(mine.take(answered), met.at(answered), now[owner[answered]])
        fit = logistic(world.funnel.fit(met)).astype(np.float64)
        return self._moved(shared, gone, readers, now, owner, fit), orders

    def answer_probability(self, met: Encounter, owner: Ints, waiting: Ints, satisfaction: Floats) -> Floats:
        """P(answer | read), all of shape (n,): the funnel's log-odds, the recruiter's own, load and mood."""
        base = self.world.funnel.log_odds[self.answer](met).astype(np.float64) + self.willing[owner]
        log_odds = self.spec.answer_log_odds(base, waiting, self.reads[owner], satisfaction)
        return 1 / (1 + np.exp(-log_odds))

    def _follow(self, mine: Applications, met: Encounter, read: Ints) -> Orders:
        """The answers given, and what comes of them."""
        further = [name for name in self.decided if name != self.answer]
        answered = {self.answer: np.ones(len(mine), dtype=bool)}
        happened = self.world.funnel.draw_after(answered, further, met, mine.key)
        roots = Roots(mine.request, mine.rank, mine.arm, mine.clicked, read, mine.key)
        return late_orders(self.world, happened, met, roots)

    def _moved(self, shared: Shared, gone: Bools, readers: Ints, now: Ints, owner: Ints, fit: Floats) -> Shared:
        """What reading does to the recruiters: `owner` and `fit` (n,) of what was read."""
        after, n = shared.copy(), len(self.reads)
        count = np.bincount(owner, minlength=n)
        mean = np.bincount(owner, fit, minlength=n) / np.maximum(count, 1)
        moved = count > 0
        after.satisfaction[moved] += self.spec.learning * (mean - after.satisfaction)[moved]
        suited = np.bincount(owner, fit >= self.spec.suitable, minlength=n) > 0
        after.suitable_at[suited] = now[suited]
        weary = now[readers] - after.suitable_at[readers] > self.spec.patience_days * DAY
        after.active[readers[weary]] = False
        return replace(after, waiting=shared.waiting.take(~gone))


def decided_by_recruiters(world: World) -> tuple[str, ...]:
    """The action that recruiters decide and all that follows from it, in the funnel's order; () without one."""
    spec = world.scenario.funnel
    return tuple(name for name in spec.actions if any(spec.actions[step].decided_by for step in spec.chain(name)))
