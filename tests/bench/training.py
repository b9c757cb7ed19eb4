"""How fast does ESMM learn, against the two libraries that people use and against a loop written by hand?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import torch
from torch import Tensor, nn

from policies.esmm import ESMM
from policies.features import Features
from policies.training import Training
from sim.records import Floats, Ints, Log
from tests.bench.measure import Figure, race, rate
from tests.logs import hand_made, table_of_items

ROWS, USERS, ITEMS = 200_000, 20_000, 6_000
EMBEDDING, HIDDEN, HIDDEN2, BATCH, LEARNING_RATE = 16, 64, 32, 4096, 0.003
SHAPE = f"embedding {EMBEDDING}, towers {HIDDEN}-{HIDDEN2}, batch {BATCH:,}, Adam, one epoch of {ROWS:,} rows"
UNIT = "rows per CPU second"
FIELDS = {"user": USERS, "item": ITEMS, "segment": 3, "category": 4, "slot": 10}


def figures() -> Iterator[Figure]:
    """Rows of an epoch per CPU second: ours from log to towers, the others from arrays that are ready."""
    torch.set_num_threads(1)
    log = made_log()
    ids, dense = columns(log)
    rivals: dict[str, Callable[[], int]] = {"a plain torch loop": lambda: plain_loop(ids, dense, log)}
    for name, rival in (("DeepCTR-Torch", deepctr), ("torch-rechub (no dense features)", rechub)):
        try:
            rivals[name] = rival(ids, dense, log)
        except ImportError:
            print(f"{name} is not installed, and not measured: pip install '.[bench]'")
    for name, rival in rivals.items():
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # both libraries report every epoch
            figure = race(f"ESMM from log to towers, {SHAPE}", UNIT, name, lambda: from_log(log), rival)
        yield figure
    alone, whole = rate(lambda: features(log)), rate(lambda: from_log(log))
    yield Figure("its features alone", alone, UNIT, "with the training", whole, alone / whole)


def made_log() -> Log:
    """One impression in eight clicked, three clicks in ten bought; better rated items more."""
    rng = np.random.default_rng(0)
    items = table_of_items(ITEMS)
    item = rng.integers(ITEMS, size=ROWS)
    click = rng.random(ROWS) < 0.1 + 0.05 * (items.rating[item] > 0)
    buy = click & (rng.random(ROWS) < 0.3)
    return hand_made(click, items=items, item=item, buy=buy.astype(np.int8), user=np.arange(ROWS) // 10 % USERS)


def columns(log: Log) -> tuple[dict[str, Ints], Floats]:
    """Five fields of ids, and four dense features of shape (n, 4), for the others."""
    user, item = log.user, log.item
    ids = {"user": user, "item": item, "segment": log.users.segment[user], "category": log.items.category[item]}
    dense = np.random.default_rng(1).normal(size=(len(log), 4))
    return {**ids, "slot": log.slot.astype(np.int64)}, dense


def features(log: Log) -> int:
    """History and rows, as `fit` makes them."""
    return len(Features().fit(log).training_rows(log))


def from_log(log: Log) -> int:
    """Rows that were trained on; those that decide when to stop cost a pass besides and do not count."""
    training = Training(
        epochs=1, batch=BATCH, learning_rate=LEARNING_RATE, embedding=EMBEDDING, hidden=HIDDEN, hidden2=HIDDEN2
    )
    ESMM(training=training).fit(log)
    return round(len(log) * (1 - training.validation_share))


def plain_loop(ids: dict[str, Ints], dense: Floats, log: Log) -> int:
    """What one would write by hand: embeddings side by side, two towers, slices of a permutation."""
    tables = nn.ModuleList([nn.Embedding(n, EMBEDDING) for n in FIELDS.values()])
    width = EMBEDDING * len(FIELDS) + dense.shape[1]
    towers = nn.ModuleList(
        nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN2), nn.ReLU(), nn.Linear(HIDDEN2, 1))
        for _ in range(2)
    )
    x = torch.from_numpy(np.stack([ids[name] for name in FIELDS], axis=1))
    z = torch.from_numpy(dense.astype(np.float32))
    click, buy = (torch.from_numpy(log[name].astype(np.float32)) for name in ("click", "buy"))
    optimiser = torch.optim.Adam([*tables.parameters(), *towers.parameters()], lr=LEARNING_RATE)
    for picked in torch.randperm(len(log)).split(BATCH):
        here = x[picked]
        seen = torch.cat([*(table(here[:, k]) for k, table in enumerate(tables)), z[picked]], dim=1)
        ctr, cvr = (torch.sigmoid(tower(seen)[:, 0]) for tower in towers)
        loss = _cross_entropy(ctr, click[picked]) + _cross_entropy(ctr * cvr, buy[picked])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return len(log)


def _cross_entropy(p: Tensor, label: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), label)


def deepctr(ids: dict[str, Ints], dense: Floats, log: Log) -> Callable[[], int]:
    """DeepCTR-Torch as its examples use it."""
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import ESMM as Theirs

    fields = [SparseFeat(name, n, embedding_dim=EMBEDDING) for name, n in FIELDS.items()]
    numbers = {f"dense_{k}": column for k, column in enumerate(dense.T)}
    label = np.stack([log["click"], log["buy"]], axis=1).astype(np.float32)

    def work() -> int:
        dense_fields = [DenseFeat(name, 1) for name in numbers]
        model = Theirs(fields + dense_fields, tower_dnn_hidden_units=(HIDDEN, HIDDEN2), l2_reg_embedding=0)
        model.compile("adam", loss=["binary_crossentropy"] * 2, metrics=[])
        model.fit({**ids, **numbers}, label, batch_size=BATCH, epochs=1, verbose=0)
        return len(log)

    return work


def rechub(ids: dict[str, Ints], dense: Floats, log: Log) -> Callable[[], int]:
    """torch-rechub as its examples use it; its ESMM takes no dense features."""
    from torch.utils.data import DataLoader
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.multi_task import ESMM as Theirs
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import TorchDataset

    fields = {name: SparseFeature(name, vocab_size=n, embed_dim=EMBEDDING) for name, n in FIELDS.items()}
    of_user = [fields["user"], fields["segment"]]
    of_item = [fields["item"], fields["category"], fields["slot"]]
    label = np.stack([log["buy"], log["click"], log["buy"]], axis=1).astype(np.float32)  # cvr, ctr, ctcvr

    def work() -> int:
        model = Theirs(of_user, of_item, {"dims": [HIDDEN, HIDDEN2]}, {"dims": [HIDDEN, HIDDEN2]})
        settings = {"lr": LEARNING_RATE, "weight_decay": 0}
        trainer = MTLTrainer(model, task_types=["classification"] * 3, optimizer_params=settings, n_epoch=1)
        trainer.train_one_epoch(DataLoader(TorchDataset(ids, label), batch_size=BATCH, shuffle=True))
        return len(log)

    return work
