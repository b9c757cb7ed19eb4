"""Every estimator against the truth, in worlds of several click models and logs of several temperatures.

    python -m tests.experiments.offpolicy.study [USERS] [LOGS]

prints root-mean-square errors of the lifts over the base (CTR / GMV, points), coverage of 95 % intervals, GMV that
the picked setting forgoes, how often the pick truly loses more than 1 % of CTR, and how many targets are refused.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from experiments.offpolicy.estimators import ESTIMATORS
from experiments.offpolicy.slates import Slates
from sim.attention import AbstractAttention, Cascade, DynamicBayesian
from sim.world import World
from tests.experiments.offpolicy.rehearsal import FAR, GLANCES, SETTINGS, judged, logged, shop, slates_in

CASES: tuple[tuple[str, AbstractAttention, float, tuple[tuple[float, float], ...]], ...] = (
    ("glances", GLANCES, 0.5, SETTINGS),
    ("glances", GLANCES, 0.25, SETTINGS),
    ("glances", GLANCES, 0.05, SETTINGS),
    ("glances, far targets", GLANCES, 0.05, FAR),
    ("cascade", Cascade(5, 0.05, 1.0), 0.5, SETTINGS),
    ("dynamic Bayesian", DynamicBayesian(5, 0.9), 0.5, SETTINGS),
)
DAYS, MOST = 14, 200_000


def logs_of(world: World, temperature: float, n_logs: int, days: int = DAYS) -> list[Slates]:
    """Logs of one world that differ in their luck."""
    found = []
    for luck in range(n_logs):
        with tempfile.TemporaryDirectory() as folder:
            logged(Path(folder), world, temperature=temperature, days=days, luck=luck + 2)
            found.append(slates_in(Path(folder), world, temperature=temperature, most=MOST))
    return found


def main(users: int, n_logs: int) -> None:
    for name, attention, temperature, settings in CASES:
        world = shop(users, attention)
        logs = logs_of(world, temperature, n_logs)
        print(f"\n{name}, T {temperature:g}, {n_logs} logs of {len(logs[0])} requests, {len(settings)} settings")
        for estimator, e in judged(world, logs, list(ESTIMATORS), settings).items():
            rmse, inside = (f"{by['ctr']:.2f} / {by['gmv']:.2f}" for by in (e.rmse, e.coverage))
            tail = f"regret {e.regret:6.2f}  breaks {e.breaks:.2f}  refused {e.refused:.2f}"
            print(f"  {estimator:<11} rmse {rmse:>15}  covers {inside}  {tail}", flush=True)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [5000, 6][len(given) :]))
