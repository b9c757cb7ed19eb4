"""One cell of a study: a setting, models tuned on its first seed, and their judgement on every seed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.studies.fits import RATES, Choice, Fit, fit, pcvr, tuned
from tests.studies.measures import judged
from tests.studies.worlds import Setting, Study, study

SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Cell:
    """models: of `fits.MODELS`. choices: what each is tuned over, by its own validation loss on the first seed."""

    setting: Setting
    models: Sequence[str]
    choices: Sequence[Choice] = RATES
    seeds: Sequence[int] = SEEDS


@dataclass(frozen=True)
class Row:
    """What one model came to on one seed. facts: of the log. measures: of pCVR over the fresh impressions."""

    seed: int
    model: str
    choice: Choice
    epoch: int
    cut_short: bool
    facts: dict[str, float]
    measures: dict[str, float]


def rows(cell: Cell) -> Iterator[Row]:
    """Every model on every seed; all models of a seed learn from one log and are judged on the same impressions."""
    chosen: dict[str, Choice] = {}
    for seed in cell.seeds:
        with TemporaryDirectory() as folder:
            world = study(cell.setting, seed, Path(folder) / "logs")
        fitted: dict[str, Fit] = {}
        if not chosen:
            start = time.process_time()
            best = tuned(cell.models, world, cell.choices, seed)
            chosen = {name: choice for name, (choice, _) in best.items()}
            fitted = {name: one for name, (_, one) in best.items()}
            print(f"   tuned in {time.process_time() - start:.0f} s CPU", flush=True)
        for name in cell.models:
            yield row(name, seed, world, chosen[name], fitted.get(name))


def row(name: str, seed: int, world: Study, choice: Choice, fitted: Fit | None) -> Row:
    one = fitted or fit(name, world, choice.training(seed))
    measures = judged(pcvr(one.policy, world), world.true_buy)
    return Row(seed, name, choice, one.epoch, one.cut_short, world.facts(), measures)
