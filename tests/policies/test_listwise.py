from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.features import ITEM_DENSE, PAIR_DENSE, USER_DENSE, Features
from policies.levels import levels, request_starts
from policies.listwise import MODEL_FILE, LambdaMART, dense_candidates
from sim.records import Log, Requests
from tests.contracts import assert_same_bits
from tests.logs import Shop, asking, hand_made


class Dataset(lightgbm.Dataset):
    """Remembers what it was made of."""

    made: list[dict[str, Any]] = []

    def __init__(self, rows: np.ndarray, label: np.ndarray, **rest: Any) -> None:
        self.made.append({"rows": rows.copy(), "label": np.asarray(label).copy(), **rest})
        super().__init__(rows, label, **rest)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(lightgbm, "Dataset", Dataset)
    monkeypatch.setattr(Dataset, "made", [])
    return Dataset.made


@pytest.mark.parametrize("label_gain", [(0, 3, 1, 7), (1, 0, 0, 0), (-1, 0, 1, 2), (7, 3, 1, 0)])
def test_gains_must_not_fall_nor_be_negative(label_gain: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="label_gain must not fall over skip, click, collect or cart, buy"):
        LambdaMART(label_gain=label_gain)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gains_must_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="label_gain"):
        LambdaMART(label_gain=(0, 1, 3, bad))


def test_equal_neighbours_are_allowed_where_two_behaviours_are_worth_the_same() -> None:
    LambdaMART(label_gain=(0, 1, 1, 1))


def test_it_learns_from_whole_requests_with_a_positive_and_no_others(shop: Shop, made: list[dict[str, Any]]) -> None:
    LambdaMART(trees=1).fit(shop.log)
    level, starts = levels(shop.log), request_starts(shop.log)
    useful = [(a, b) for a, b in pairwise(starts) if level[a:b].any()]
    rows = Features().fit(shop.log).training_rows(shop.log).dense()
    (given,) = made
    np.testing.assert_array_equal(given["group"], [b - a for a, b in useful])
    np.testing.assert_array_equal(given["label"], np.concatenate([level[a:b] for a, b in useful]))
    np.testing.assert_array_equal(given["rows"], np.concatenate([rows[a:b] for a, b in useful]))
    assert given["feature_name"] == [*USER_DENSE, *ITEM_DENSE, *PAIR_DENSE]


def test_a_request_without_a_positive_has_no_gradient() -> None:
    """Why leaving them out changes no gradient: trained on such requests alone, every score stays 0."""
    x = np.random.default_rng(0).normal(size=(1000, 3))
    settings = {"objective": "lambdarank", "label_gain": [0, 1, 3, 7], "verbosity": -1, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(x, np.zeros(1000), group=np.full(100, 10))
    assert (lightgbm.train(settings, data, num_boost_round=3).predict(x) == 0).all()


def test_serving_features_are_those_of_training_in_the_same_columns() -> None:
    """A column of another place would be read as another feature, silently."""
    rng = np.random.default_rng(0)
    log = hand_made(rng.random(400) < 0.3, item=rng.integers(20, size=400))
    features = Features().fit(log)
    served = dense_candidates(
        features, features.inputs(asking(log.users, np.tile(np.arange(20), (len(log.users), 1)), log.items))
    )
    assert served.shape == (len(log.users) * 20, len(USER_DENSE) + len(ITEM_DENSE) + len(PAIR_DENSE))
    training = features.training_rows(log).dense()
    known_alike = ["user_price_band", "item_price", "item_rating", "pair_popularity_in_segment"]
    names = [*USER_DENSE, *ITEM_DENSE, *PAIR_DENSE]
    for row in (0, 57, 399):
        candidate = log.user[row] * 20 + log.item[row]
        for name in known_alike:  # history differs between training and serving; public columns do not
            assert served[candidate, names.index(name)] == training[row, names.index(name)], name


def test_a_higher_gain_for_buys_moves_the_trees(
    shop: Shop, requests: Requests, fitted: Mapping[str, AbstractPolicy]
) -> None:
    other = LambdaMART(label_gain=(0, 1, 3, 50)).fit(shop.log)
    assert (other.score(requests) != fitted["lambdamart"].score(requests)).any()


def test_it_finds_the_order_that_a_feature_gives_away() -> None:
    """Only the dearest third of items is ever clicked: it must score above every other item."""
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.permutation(20)[:10] for _ in range(300)])
    log = hand_made((item >= 14) & (rng.random(3000) < 0.5), item=item)
    everything = asking(log.users.take(np.arange(5)), np.tile(np.arange(20), (5, 1)), log.items)
    scores = LambdaMART(trees=20).fit(log).score(everything)
    assert (scores[:, 14:].min(axis=1) > scores[:, :14].max(axis=1)).all()


def test_the_trees_are_saved_as_text(fitted: Mapping[str, AbstractPolicy], requests: Requests, tmp_path: Path) -> None:
    fitted["lambdamart"].save(tmp_path)
    assert (tmp_path / MODEL_FILE).read_text().startswith("tree\n")
    assert_same_bits(LambdaMART.load(tmp_path).score(requests), fitted["lambdamart"].score(requests))


def test_interleaved_requests_are_refused() -> None:
    def interleaved() -> Log:
        return hand_made(np.arange(100) % 2, request=np.arange(100) % 4, time=np.arange(100))

    with pytest.raises(ValueError, match="contiguous"):
        LambdaMART().fit(interleaved())
