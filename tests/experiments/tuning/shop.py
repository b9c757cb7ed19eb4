"""A small shop whose formula is tuned in seconds."""

from __future__ import annotations

from pathlib import Path

from experiments.spec import Experiment
from experiments.tuning.tune import tune
from experiments.tuning.tuned import Tuned
from tests.experiments.finished import small
from tests.experiments.specs import experiment

ARMS = (
    "{production: {share: 0.5}, fusion: {share: 0.5, policy: {type: formula, formula: 'ctr**alpha * price**c', "
    "params: {alpha: 1, c: 0.2}, training: {epochs: 1}}}}"
)
TUNE = """
tune:
  arm: fusion
  parameters: {alpha: [0, 2], c: [-1, 1]}
  maximise: [stay_per_user, ctr]
  subject_to: ["ctr >= 0.5 * control"]
  exchange_rates: [2]
  users: 0.3
  precision: 20%
  budget: {trials: 8, batch: 4}
"""


def spec(more: str = TUNE, **changes: str) -> Experiment:
    """The shop with a `tune`; changes: as of `small`."""
    return experiment(small(arms=ARMS, more=more, **changes))  # type: ignore[arg-type]


def tuned(given: Experiment, out: Path, workers: int = 1) -> Tuned:
    """A tuning to its end, with its files."""
    return tune(given, out, workers=workers, force=False, listen=lambda _: None, announce=lambda *_: None)
