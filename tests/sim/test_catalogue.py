"""Items: each its own, whoever stands beside it; prices, ratings and clickbait as the scenario says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.catalogue import Catalogue, CatalogueSpec, draw_catalogue
from tests.asserts import assert_mean, assert_same_columns
from tests.worlds import small_world

SPEC = CatalogueSpec(items=20_000)


@pytest.fixture(scope="module")
def many() -> Catalogue:
    return draw_catalogue(SPEC, 1)


def first(catalogue: Catalogue, n: int) -> Catalogue:
    return Catalogue(*(getattr(catalogue, name)[:n] for name in Catalogue.__slots__))


def test_item_is_the_same_however_many_there_are(many: Catalogue) -> None:
    assert_same_columns(draw_catalogue(replace(SPEC, items=37), 1), first(many, 37))


def test_public_columns_of_an_item_are_the_same_however_many_there_are() -> None:
    few, more = small_world(10), small_world(10, catalogue={"items": 733})
    assert np.array_equal(few.items.rating, more.items.rating[:400])
    assert np.array_equal(few.items.popularity, more.items.popularity[:400])


@pytest.mark.parametrize("seed", [0, 2])
def test_another_seed_is_another_catalogue(many: Catalogue, seed: int) -> None:
    other = draw_catalogue(SPEC, seed)
    assert abs(np.corrcoef(many.quality, other.quality)[0, 1]) < 5 / np.sqrt(SPEC.items)
    assert (many.price != other.price).mean() > 0.9


def test_topics_have_unit_length(many: Catalogue) -> None:
    np.testing.assert_allclose(np.linalg.norm(many.topic, axis=1), 1, rtol=1e-6)


def test_quality_and_appeal_are_standard_normal(many: Catalogue) -> None:
    for trait in (many.quality, many.appeal, many.price_z):
        assert_mean(trait, 0)
        assert_mean(trait.astype(np.float64) ** 2, 1)


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.2, 0.9])
def test_appeal_and_quality_correlate_as_told(rho: float) -> None:
    drawn = draw_catalogue(replace(SPEC, appeal_quality_correlation=rho), 1)
    assert_mean(drawn.appeal.astype(np.float64) * drawn.quality, rho)


def test_prices_are_whole_cents_log_normal_around_the_median() -> None:
    drawn = draw_catalogue(replace(SPEC, price_median=50.0, price_log_sd=0.4), 1)
    assert drawn.price.dtype == np.int64
    assert_mean(np.log(drawn.price / 5000), 0)
    assert_mean(np.log(drawn.price / 5000) ** 2, 0.4**2)


def test_no_item_is_free() -> None:
    assert draw_catalogue(replace(SPEC, price_median=0.01, price_log_sd=3.0), 1).price.min() == 1


def test_rating_is_a_standardised_noisy_reading_of_quality() -> None:
    noise = 0.7
    drawn = draw_catalogue(replace(SPEC, rating_noise=noise), 1)
    assert_mean(drawn.rating**2, 1)
    assert_mean(drawn.rating * drawn.quality, 1 / np.sqrt(1 + noise**2))


def test_rating_without_noise_is_quality() -> None:
    drawn = draw_catalogue(replace(SPEC, rating_noise=0.0), 1)
    np.testing.assert_allclose(drawn.rating, drawn.quality, rtol=1e-6)


def test_every_category_is_about_as_large(many: Catalogue) -> None:
    sizes = np.bincount(many.category, minlength=SPEC.categories)
    expected = SPEC.items / SPEC.categories
    assert len(sizes) == SPEC.categories
    assert (abs(sizes - expected) < 5 * np.sqrt(expected)).all()


def test_items_of_a_category_without_spread_have_one_topic() -> None:
    drawn = draw_catalogue(replace(SPEC, items=500, category_spread=0.0), 1)
    for category in range(SPEC.categories):
        mine = drawn.topic[drawn.category == category]
        np.testing.assert_allclose(mine, np.broadcast_to(mine[0], mine.shape), atol=1e-6)


def test_with_full_spread_category_says_nothing_of_topic() -> None:
    drawn = draw_catalogue(replace(SPEC, category_spread=1.0), 1)
    for category in range(3):
        mine = drawn.topic[drawn.category == category]
        assert np.linalg.norm(mine.mean(axis=0)) < 5 / np.sqrt(len(mine))


def test_spread_makes_a_category_wider() -> None:
    def closeness(spread: float) -> float:
        drawn = draw_catalogue(replace(SPEC, items=4000, category_spread=spread), 1)
        return float(np.linalg.norm(drawn.topic[drawn.category == 0].mean(axis=0)))

    assert closeness(0.2) > closeness(0.5) > closeness(0.8)
