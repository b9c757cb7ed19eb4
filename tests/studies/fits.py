"""Models of the studies, each trained at the settings that its own validation loss prefers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any
from unittest.mock import patch

from policies import nets
from policies.base import AbstractPolicy
from policies.cvr import AllMissingAsNegative, CvrOnClicks, Division
from policies.escm2 import ESCM2
from policies.esm2 import ESM2
from policies.esmm import ESMM, ESMMNS
from policies.multitask import SharedBottom
from policies.training import Training
from sim.records import Floats, Log
from tests.studies.variants import SharedEmbeddings, StoppedOnClicks
from tests.studies.worlds import Study, blank

# By name, the class and the keys of its YAML. The first is the yardstick: pCVR learned from clicks alone.
MODELS: Mapping[str, tuple[type[AbstractPolicy], Mapping[str, Any]]] = {
    "cvr_on_clicks": (CvrOnClicks, {}),
    "aman": (AllMissingAsNegative, {}),
    "division": (Division, {}),
    "shared_embeddings": (SharedEmbeddings, {}),
    "shared_bottom": (SharedBottom, {}),
    "esmm": (ESMM, {}),
    "esmm_stopped_on_clicks": (StoppedOnClicks, {}),
    "esmm_buys_x10": (ESMM, {"balance": {"type": "fixed", "weights": {"click": 1, "buy": 10}}}),
    "esmm_ns": (ESMMNS, {}),
    "esm2": (ESM2, {}),
    "escm2_ips": (ESCM2, {"estimator": "ips"}),
    "escm2_dr": (ESCM2, {"estimator": "dr"}),
}
# Head whose validation loss a model is tuned by: the one of the conversion, in the space in which it learns it.
CVR_HEAD = {"esm2": "after"}
TUNED_AS = {"division": "aman"}  # which must come before it: the same model of conversions over all impressions
# Clicks are a tenth of the rows or fewer: with batches of 4096 a model of clicks would get three steps an epoch.
TRAINING = Training(epochs=40, patience=2, batch=1024, validation_share=0.2)


@dataclass(frozen=True)
class Choice:
    """Settings of a training: a rate to tune, and whether the slot has a part in each logit, as it has by default.

    Without it, a slot's part in pCVR, where in truth there is none, cannot be told apart from its part in pCTR that
    was not yet learned when training stopped; docs/cvr.md shows both.
    """

    learning_rate: float
    slot_bias: bool = False

    def training(self, seed: int) -> Training:
        """Another initialisation for each seed: a fit's own seed is a hash of its spec."""
        return replace(TRAINING, learning_rate=self.learning_rate * (1 + 1e-6 * seed), slot_bias=self.slot_bias)


RATES = tuple(Choice(rate) for rate in (0.001, 0.003, 0.01))
RATES_WITH_SLOTS = tuple(replace(choice, slot_bias=True) for choice in RATES)


@dataclass(frozen=True)
class Fit:
    """A fitted model with the validation loss and the best epoch of its conversion, and whether it was cut short."""

    policy: AbstractPolicy
    loss: float
    epoch: int
    cut_short: bool


def tuned(models: Sequence[str], world: Study, choices: Sequence[Choice], seed: int) -> dict[str, tuple[Choice, Fit]]:
    """For each model, the choice of the least validation loss of its conversion on the log's last days, and its fit."""
    found: dict[str, tuple[Choice, Fit]] = {}
    for name in models:
        if name in TUNED_AS:
            choice = found[TUNED_AS[name]][0]
            found[name] = choice, fit(name, world, choice.training(seed))
            continue
        fits = [(choice, fit(name, world, choice.training(seed))) for choice in choices]
        found[name] = min(fits, key=lambda one: one[1].loss)
    return found


def fit(name: str, world: Study, training: Training) -> Fit:
    """Fit one model on the log of a world."""
    cls, keys = MODELS[name]
    policy = cls.from_spec({**keys, "training": asdict(training)})
    with blank(world.setting), trainings() as found:
        if policy.needs():
            _fit_parts(policy, world.log)
        else:
            policy.fit(world.log)
    head = CVR_HEAD.get(name, "cvr")
    mine = next(one for one in found if head in one.best_epoch)
    return Fit(policy, mine.losses[head], mine.best_epoch[head], any(note.startswith(head) for note in mine.notes))


def _fit_parts(policy: AbstractPolicy, log: Log) -> None:
    """Fit the models that a policy is made of; where pCVR does not ask for pCTR, any model may stand in for that."""
    parts = policy.needs()
    conversion = parts["conversion"].fit(log)
    ctr = parts["ctr"].fit(log) if isinstance(policy, Division) else conversion
    policy.assemble({"ctr": ctr, "conversion": conversion})


def pcvr(policy: AbstractPolicy, world: Study) -> Floats:
    """P(buy | click) of the fresh impressions as the model has it, shape (R, 10)."""
    with blank(world.setting):
        return policy.goals(world.fresh)["cvr"]


@contextmanager
def trainings() -> Iterator[list[nets.Trained]]:
    """What every training inside ended with; policies keep of it only what they serve."""
    found: list[nets.Trained] = []
    train = nets.train

    def heard(*given: Any, **named: Any) -> nets.Trained:
        found.append(train(*given, **named))
        return found[-1]

    with patch.object(nets, "train", heard):
        yield found
