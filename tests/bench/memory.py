"""How much memory does a market take? Peak of a process that serves a day of a million users, log on."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.spec import load_experiment
from sim.clock import DAY
from sim.engine import Arm, opening, simulate
from sim.ledger import Totals
from sim.logbook import Logbook
from sim.records import Requests, Scores
from tests.bench.measure import Figure

N_USERS, N_MARKETS = 1_000_000, 8
TEMPERATURE = 0.5  # of the library's warm-up: exploration holds more of a wave in memory than anything else
BAR_GB = 1.5


class Popularity:
    """The shop's history ranking: no model, so the memory measured is the simulation's own."""

    def score(self, requests: Requests) -> Scores:
        liked = requests.items.popularity[requests.candidates, requests.users.segment[:, None]]
        return liked.astype(np.float32)


def figures() -> Iterator[Figure]:
    """Peak resident memory in GB of `day_of_everyone`, in a process of its own, against the bar."""
    subprocess.run([sys.executable, "-m", "tests.bench.memory"], check=True)
    # KB on Linux. The largest child so far, and never below this process at its start: both are far smaller.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    yield Figure(
        f"one day of {N_USERS:,} users in {N_MARKETS} markets, one after the other, exploring, log on",
        peak,
        "GB at the peak",
        "the most allowed",
        BAR_GB,
        peak / BAR_GB,
    )


def day_of_everyone(folder: Path) -> None:
    """What the tasks of a run do, one market at a time: build it, simulate a day, write the log and the totals."""
    section = load_experiment("ecommerce").world.model_copy(update={"users": N_USERS, "markets": N_MARKETS})
    for market in range(N_MARKETS):
        world = section.build(1, market)
        n = len(world.people)
        out = folder / str(market)
        out.mkdir()
        totals, book = Totals(world, 0), Logbook(out, world, ["popularity"], 0, DAY)
        arms = [Arm("popularity", Popularity(), TEMPERATURE)]
        everyone = np.zeros(n, dtype=np.int64)
        simulate(world, opening(world, 2), 1, arms, everyone, 2, [totals, book], section.tick(n))
        book.finish()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        day_of_everyone(Path(folder))
