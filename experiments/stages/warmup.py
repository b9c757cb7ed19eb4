"""The warm-up: the logging policy serves all users of one market, with exploration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.policy_spec import build_policy
from experiments.stages.common import STATE, TOTALS, DayCounter, Needs, Progress, save_state, save_totals, world_section
from experiments.strangers import supervised
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.ledger import Totals
from sim.logbook import Logbook, write_public

NAME = "warm-up"


def run(arguments: Mapping[str, Any], needs: Needs, out: Path, progress: Progress) -> dict[str, Any]:
    """Leaves log, public tables, state and totals."""
    section, days, luck = world_section(arguments), arguments["days"], arguments["seed"]["luck"]
    world = section.build(arguments["seed"]["world"], arguments["market"])
    arm = Arm(NAME, supervised(build_policy(arguments["policy"])), arguments["temperature"])
    book, totals, counter = Logbook(out, world, [NAME], 0, days * DAY), Totals(world, 0), DayCounter(progress, days)
    everyone = np.zeros(len(world.people), dtype=np.int64)
    start = opening(world, luck, sharing=section.sharing)
    recorders = (totals, book, counter)
    after = simulate(world, start, days, [arm], everyone, luck, recorders, section.tick(len(world.people)))
    checksum = book.finish()
    save_totals(out / TOTALS, world, totals.columns, totals.totals, after.satisfaction)
    save_state(out / STATE, after)
    write_public(out, world.people.public, world.items)
    return {"checksum": checksum, "impressions": counter.n_impressions}
