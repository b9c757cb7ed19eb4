"""Items: what they are in truth, and what of it the shop can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.bounds import Correlation, Count, Moderate, Share, Spread, check
from sim.records import Floats, Ints

FORBID_EXTRA: Mapping[str, Any] = {"extra": "forbid", "allow_inf_nan": False}
DEAREST = 2**31 - 1  # cents; the log holds prices in 32 bits


@dataclass(frozen=True, slots=True)
class CatalogueSpec:
    """How items are drawn. Numbers without a source in the scenario file are assumed.

    items: number of items over all markets.
    categories: number of categories; each is a direction in topic space.
    dimensions: length of topic and taste vectors.
    category_spread: 0, items of a category are alike; 1, the category says nothing of the topic.
    appeal_quality_correlation: between what attracts a click and what satisfies after it.
    price_median: in currency units.
    price_log_sd: standard deviation of log price.
    rating_noise: sd of the noise in public ratings, in sd of quality.
    popularity_noise: sd of the noise in the shop's click history, in log-odds.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    items: Count = 4000
    categories: Count = 16
    dimensions: Count = 8
    category_spread: Share = 0.5
    appeal_quality_correlation: Correlation = 0.2
    price_median: Moderate = 26.6
    price_log_sd: Spread = 0.65
    rating_noise: Spread = 0.7
    popularity_noise: Spread = 0.7

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items of a world; row i is item i, whatever its market.

    topic: shape (n, d), unit length. What the item is about.
    quality: shape (n,), standard normal. What satisfies after the click.
    appeal: shape (n,), standard normal. What attracts the click: picture, title, promise.
    price: shape (n,). Integer cents.
    price_z: shape (n,). Standardised log price.
    category: shape (n,).
    rating: shape (n,). Public, noisy quality.
    """

    topic: NDArray[np.float32]
    quality: NDArray[np.float32]
    appeal: NDArray[np.float32]
    price: Ints
    price_z: NDArray[np.float32]
    category: Ints
    rating: Floats

    def __len__(self) -> int:
        return len(self.price)


def draw_catalogue(spec: CatalogueSpec, seed: int) -> Catalogue:
    """Draw all items; item i is the same however many there are."""
    item = np.arange(spec.items)

    def z(name: str) -> Floats:
        return draws.normal(draws.fold(draws.root(seed, f"item {name}"), item))

    category = (draws.uniform(draws.fold(draws.root(seed, "item category"), item)) * spec.categories).astype(np.int64)
    scatter = _unit(np.stack([z(f"topic {d}") for d in range(spec.dimensions)], axis=1))
    keep = np.sqrt(1 - spec.category_spread**2)
    topic = _unit(keep * category_directions(spec, seed)[category] + spec.category_spread * scatter)
    quality = z("quality")
    rho = spec.appeal_quality_correlation
    appeal = rho * quality + np.sqrt(1 - rho**2) * z("appeal")
    price_z = z("price")
    cents = np.rint(100 * spec.price_median * np.exp(spec.price_log_sd * price_z))
    price = np.clip(cents, 1, DEAREST).astype(np.int64)
    rating = (quality + spec.rating_noise * z("rating")) / np.sqrt(1 + spec.rating_noise**2)
    f32 = np.float32
    return Catalogue(
        topic.astype(f32), quality.astype(f32), appeal.astype(f32), price, price_z.astype(f32), category, rating
    )


def category_directions(spec: CatalogueSpec, seed: int) -> Floats:
    """Unit vectors of the categories, shape (n_categories, d)."""
    category = np.arange(spec.categories)[:, None]
    keys = draws.fold(draws.fold(draws.root(seed, "category"), category), np.arange(spec.dimensions))
    return _unit(draws.normal(keys))


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
