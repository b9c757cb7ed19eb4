from __future__ import annotations

import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.cvr import AllMissingAsNegative, CvrOnClicks, Division
from policies.table import policy_class
from policies.training import Training
from sim.records import Floats, Log
from tests.logs import asking, hand_made
from tests.policies.test_multitask import clicked_log

SMALL = Training(epochs=2, patience=2, batch=256, embedding=3, hidden=4, hidden2=3)


def goals(policy: AbstractPolicy, log: Log) -> dict[str, Floats]:
    items = len(log.items)
    return policy.goals(asking(log.users, np.tile(np.arange(items), (len(log.users), 1)), log.items))


def test_aman_takes_for_pcvr_what_division_takes_for_pctcvr() -> None:
    """They need the same two models, fitted once: the one of the conversion over all impressions."""
    log = clicked_log(1500)
    aman, division = AllMissingAsNegative(training=SMALL), Division(training=SMALL)
    assert {k: v.fit_spec() for k, v in aman.needs().items()} == {k: v.fit_spec() for k, v in division.needs().items()}
    assert aman.needs()["ctr"].fit_spec() == CvrOnClicks(training=SMALL).needs()["ctr"].fit_spec()
    shared = {name: model.fit(log) for name, model in aman.needs().items()}
    low, divided = goals(aman.fit(log, shared), log), goals(division.fit(log, shared), log)
    np.testing.assert_array_equal(low["cvr"], divided["ctcvr"])
    np.testing.assert_array_equal(low["ctr"], divided["ctr"])
    np.testing.assert_allclose(divided["cvr"] * divided["ctr"], divided["ctcvr"], rtol=1e-12)


def test_only_division_can_exceed_one() -> None:
    """Clicks that differ by item, nearly all of them bought: models trained apart disagree enough."""
    rng = np.random.default_rng(0)
    item = rng.integers(20, size=4000)
    click = (rng.random(4000) < 0.02 + 0.3 * (item % 4 == 0)).astype(np.int8)
    log = hand_made(click, item=item, buy=(click * (rng.random(4000) < 0.97)).astype(np.int8))
    most = {
        cls.name: goals(cls(training=SMALL).fit(log), log)["cvr"].max()
        for cls in (Division, AllMissingAsNegative, CvrOnClicks)
    }
    assert most["division"] > 1
    assert most["aman"] <= 1
    assert most["cvr_on_clicks"] <= 1


@pytest.mark.parametrize("name", ["cvr_on_clicks", "aman", "division"])
def test_the_conversion_may_be_another_action(name: str) -> None:
    log = clicked_log(1500)
    policy = policy_class(name).from_spec({"conversion": "cart", "training": {"epochs": 1}})
    assert policy.outcomes() == {"click", "cart"}
    assert sorted(goals(policy.fit(log), log)) == ["ctcvr", "ctr", "cvr"]


CELLS = 10
# Without slot biases: with them, predictions are of slot 0, of which only a tenth of the rows tells.
TABLE = Training(
    epochs=30,
    patience=4,
    batch=1000,
    learning_rate=0.01,
    embedding_decay=1e-4,
    embedding=6,
    hidden=16,
    hidden2=8,
    slot_bias=False,
)


@pytest.fixture(scope="module")
def tabular() -> tuple[Log, Floats, Floats, Floats]:
    """10 users x 10 items, 600 impressions each, in random order; clicks and buys after them depend on both.

    Returns the log, P(click) and P(buy | click) by user and item, and the clicks of each.
    """
    rng = np.random.default_rng(3)
    n = 600 * CELLS * CELLS
    user, item = np.divmod(rng.permutation(n) % (CELLS * CELLS), CELLS)
    logit = rng.normal(size=(2, CELLS, 1)) * 0.5 + rng.normal(size=(2, 1, CELLS)) * 0.7
    p, q = 1 / (1 + np.exp(1.2 - logit[0])), 1 / (1 + np.exp(1.0 - logit[1]))
    click = (rng.random(n) < p[user, item]).astype(np.int8)
    buy = (click * (rng.random(n) < q[user, item])).astype(np.int8)
    cart = (click * (rng.random(n) < 0.2 + 0.5 * buy)).astype(np.int8)
    log = hand_made(
        click, user=user, item=item, buy=buy, cart=cart, collect=cart, time=np.arange(n), request=np.arange(n)
    )
    clicks = np.zeros((CELLS, CELLS))
    np.add.at(clicks, (user, item), click)
    return log, p, q, clicks


def predicted(name: str, log: Log) -> Floats:
    """pCVR by user and item."""
    policy = policy_class(name)(training=TABLE).fit(log)  # type: ignore[call-arg]
    users = log.users.take(np.arange(CELLS))
    return policy.goals(asking(users, np.tile(np.arange(CELLS), (CELLS, 1)), log.items))["cvr"]


CONSISTENT = "cvr_on_clicks esmm esmm_ns esm2 shared_bottom mmoe ple escm2 division".split()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONSISTENT)
def test_consistent_models_reach_the_truth_within_sampling_error(name: str, tabular: tuple) -> None:
    """Mean squared error in units of a cell's own variance q (1 - q) / clicks is about 1 for the cells' own rates; a
    model that shares strength may do better. The mean over all cells, weighted by clicks, is within 5 standard errors.
    """
    log, _, q, clicks = tabular
    found = predicted(name, log)
    error = ((found - q) ** 2 / (q * (1 - q) / clicks)).mean()
    z = ((found - q) * clicks).sum() / np.sqrt((q * (1 - q) * clicks).sum())
    print(f"{name}: squared error {error:.2f} of a cell's variance, mean {z:.1f} standard errors off")
    assert error < 2.5
    assert abs(z) < 5


@pytest.mark.slow
def test_all_missing_as_negative_comes_out_far_too_low(tabular: tuple) -> None:
    """It reaches P(click and buy), which is P(click) times what it is taken for."""
    log, p, q, clicks = tabular
    found = predicted("aman", log)
    assert found.mean() < q.mean() / 2
    assert found.mean() == pytest.approx((p * q).mean(), rel=0.1)
    assert ((found - q) ** 2 / (q * (1 - q) / clicks)).mean() > 10
