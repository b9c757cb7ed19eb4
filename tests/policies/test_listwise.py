from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from pydantic import ValidationError

from policies.base import AbstractPolicy
from policies.features import ITEM_DENSE, PAIR_DENSE, USER_DENSE, Features
from policies.levels import levels, request_starts
from policies.listwise import MODEL_FILE, XENDCG, AbstractTrees, LambdaMART, Pointwise, dense_candidates
from sim.records import Log, Requests
from tests.contracts import assert_same_bits
from tests.logs import Shop, asking, hand_made, table_of_items


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


@pytest.mark.parametrize("kind", [LambdaMART, XENDCG, Pointwise])
def test_it_finds_the_order_that_a_feature_gives_away(kind: type[AbstractTrees]) -> None:
    """Only the dearest third of items is ever clicked: it must score above every other item."""
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.permutation(20)[:10] for _ in range(300)])
    log = hand_made((item >= 14) & (rng.random(3000) < 0.5), item=item)
    everything = asking(log.users.take(np.arange(5)), np.tile(np.arange(20), (5, 1)), log.items)
    scores = kind(trees=20).fit(log).score(everything)
    assert (scores[:, 14:].min(axis=1) > scores[:, :14].max(axis=1)).all()


def test_the_trees_are_saved_as_text(fitted: Mapping[str, AbstractPolicy], requests: Requests, tmp_path: Path) -> None:
    fitted["lambdamart"].save(tmp_path)
    assert (tmp_path / MODEL_FILE).read_text().startswith("tree\n")
    assert_same_bits(LambdaMART.load(tmp_path).score(requests), fitted["lambdamart"].score(requests))


def biased(seed: int = 0, n: int = 12_000) -> Log:
    """Every item is liked alike, and looked at as its slot is; cheap items mostly stand on top."""
    rng = np.random.default_rng(seed)
    keys = rng.random((n // 10, 20)) + 0.6 * (np.arange(20) >= 10)
    item = np.argsort(keys, axis=1)[:, :10].ravel()
    items = table_of_items(20)
    plain = replace(items, rating=np.zeros(20), popularity=np.zeros((20, 3)))
    click = rng.random(n) < 0.4 * (1 + np.arange(n) % 10) ** -0.7
    return hand_made(click, item=item, items=plain, user=np.arange(n) // 10 % 60)


def preference_for_cheap(policy: LambdaMART) -> float:
    """Mean score of items 0 to 9, which mostly stood on top, above that of the dearer 10 to 19."""
    log = biased()
    everything = asking(log.users, np.tile(np.arange(20), (len(log.users), 1)), log.items)
    scores = policy.fit(log).score(everything)
    return float(scores[:, :10].mean() - scores[:, 10:].mean())


def test_what_stood_on_top_is_no_better_once_places_are_taken_out() -> None:
    """All items are alike: without places the trees take the slot for the item, with them at most a third of it."""
    levels_of_clicks = {"levels": (("click",),), "label_gain": (0, 1)}
    plain = preference_for_cheap(LambdaMART(**levels_of_clicks))
    by_place = preference_for_cheap(LambdaMART(**levels_of_clicks, position=True))
    print(f"preference for what stood on top: {plain:.3f}, with places taken out {by_place:.3f}")
    assert plain > 0.2
    assert abs(by_place) < plain / 3


def test_places_are_given_page_after_page_and_only_if_asked_for(made: list[dict[str, Any]]) -> None:
    n = 400
    log = hand_made(np.arange(n) % 2, slot=np.arange(n) % 5, page=np.arange(n) % 10 // 5)
    LambdaMART(trees=1, position=True).fit(log)
    LambdaMART(trees=1).fit(log)
    XENDCG(trees=1).fit(log)
    np.testing.assert_array_equal(made[0]["position"], np.tile(np.arange(10), 40))
    assert made[1]["position"] is None
    assert made[2]["position"] is None


def test_taking_places_out_is_another_fit() -> None:
    assert LambdaMART(position=True).seed() != LambdaMART().seed()


@pytest.mark.parametrize("key", [{"position": True}, {"label_gain": [0, 1, 3, 7]}, {"truncation": 5}])
def test_xendcg_has_no_keys_that_it_would_ignore(key: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(key))):
        XENDCG.from_spec(key)


def test_lightgbms_xendcg_silently_ignores_gains_and_places() -> None:
    """Why it has no such keys: identical predictions, and no word of it."""
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(2000, 3)), rng.integers(4, size=2000)
    settings = {"objective": "rank_xendcg", "seed": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}

    def predicted(gains: list[float], position: np.ndarray | None) -> np.ndarray:
        data = lightgbm.Dataset(x, label, group=np.full(200, 10), position=position)
        return np.asarray(lightgbm.train({**settings, "label_gain": gains}, data, num_boost_round=5).predict(x))

    plain = predicted([0, 1, 3, 7], None)
    np.testing.assert_array_equal(predicted([0, 50, 60, 70], None), plain)
    np.testing.assert_array_equal(predicted([0, 1, 3, 7], np.tile(np.arange(10), 200)), plain)


def test_pointwise_predicts_the_mean_gain() -> None:
    """The dear third is clicked, which gains 2, half the time: 1, and 0 for the rest; within 5 standard errors."""
    rng = np.random.default_rng(0)
    item = rng.integers(20, size=4000)
    log = hand_made((item >= 14) & (rng.random(4000) < 0.5), item=item, user=np.arange(4000) // 10 % 40)
    everything = asking(log.users, np.tile(np.arange(20), (len(log.users), 1)), log.items)
    scores = Pointwise(label_gain=(0, 2), levels=(("click",),), trees=150).fit(log).score(everything)
    assert abs(scores[:, 14:].mean() - 1) < 5 * 2 * 0.5 / np.sqrt((item >= 14).sum())
    assert abs(scores[:, :14].mean()) < 0.02


def test_pointwise_learns_from_every_impression(shop: Shop, made: list[dict[str, Any]]) -> None:
    Pointwise(trees=1, label_gain=(0, 1, 2, 10)).fit(shop.log)
    (given,) = made
    np.testing.assert_array_equal(given["label"], np.array([0, 1, 2, 10])[levels(shop.log)])
    assert given["group"] is None


def test_interleaved_requests_are_refused() -> None:
    def interleaved() -> Log:
        return hand_made(np.arange(100) % 2, request=np.arange(100) % 4, time=np.arange(100))

    with pytest.raises(ValueError, match="contiguous"):
        LambdaMART().fit(interleaved())
