from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policies.features import Features
from sim.clock import DAY
from sim.funnel import encounter
from sim.world import build
from tests.studies.worlds import Setting, Study, blank, study

SMALL = Setting(items=150, users=120, days=2, fresh=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study(SMALL, 3, tmp_path_factory.mktemp("small") / "logs")


def test_fresh_impressions_come_after_all_that_is_learned_from(small: Study) -> None:
    assert len(small.log)
    assert small.log.horizon == SMALL.days * DAY
    # A page may be turned after midnight; its visit began before.
    assert small.log.day.max() < SMALL.days
    assert small.fresh.time.min() >= SMALL.days * DAY


def test_truth_beside_the_fresh_pages_is_that_of_their_users_and_items(small: Study) -> None:
    world = build(SMALL.scenario(), 3, np.arange(SMALL.users))
    user = np.searchsorted(world.people.user, small.fresh.users.user)[:, None]
    met = encounter(world.people, world.catalogue, user, small.fresh.candidates, np.zeros((1, 1), dtype=np.float32))
    np.testing.assert_allclose(small.true_buy, world.funnel.probability_after_click("buy", met), rtol=1e-5)
    np.testing.assert_allclose(small.true_click, world.funnel.attraction(met), rtol=1e-5)


def test_a_hidden_mood_is_in_the_truth_of_its_visits(tmp_path: Path) -> None:
    """With the mood's pull on both, P(buy | click) differs among pages of one user and item; without it, it cannot."""
    moody = study(replace(SMALL, hidden_intent=1.0), 3, tmp_path / "logs")
    world = build(moody.setting.scenario(), 3, np.arange(SMALL.users))
    user = np.searchsorted(world.people.user, moody.fresh.users.user)[:, None]
    met = encounter(world.people, world.catalogue, user, moody.fresh.candidates, np.zeros((1, 1), dtype=np.float32))
    apart = np.log(moody.true_click / (1 - moody.true_click)) - world.funnel.log_odds["click"](met)
    np.testing.assert_allclose(apart, np.broadcast_to(apart[:, :1], apart.shape), atol=1e-4)  # one mood a page
    assert 0.8 < apart[:, 0].std() < 1.2
    assert np.corrcoef(apart[:, 0], (moody.true_buy - world.funnel.probability("buy", met)).mean(axis=1))[0, 1] > 0.5


def test_a_world_of_ids_leaves_the_dense_features_without_anything_to_tell(tmp_path: Path) -> None:
    ids = study(replace(SMALL, ids_only=True), 3, tmp_path / "logs")
    with blank(ids.setting):
        features = Features().fit(ids.log)
        rows, inputs = features.training_rows(ids.log), features.inputs(ids.fresh)
    assert not rows.dense().any()
    assert not inputs.user_dense.any()
    assert not inputs.pair_dense.any()
    assert not features.item_dense().any()
    with blank(SMALL):
        assert Features().fit(ids.log).training_rows(ids.log).dense().any()
