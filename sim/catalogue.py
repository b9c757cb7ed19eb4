"""Items: what they are in truth, and what of it the shop can see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.bounds import Correlation, Count, Moderate, Seconds, Share, Spread, check
from sim.records import Floats, Ints

FORBID_EXTRA: Mapping[str, Any] = {"extra": "forbid", "allow_inf_nan": False}
DEAREST = 2**31 - 1  # cents; the log holds prices in 32 bits
LONGEST = 10**12  # milliseconds, some 30 years


@dataclass(frozen=True, slots=True)
class CatalogueSpec:
    """How items are drawn. Numbers without a source in the scenario file are assumed.

    items: number of items over all markets.
    categories: number of categories; each is a direction in topic space.
    dimensions: length of topic and taste vectors.
    category_spread: 0, items of a category are alike; 1, the category says nothing of the topic.
    appeal_quality_correlation: between what attracts a click and what satisfies after it.
    inner_topic_correlation: of the match at first sight with the match once the item is known; 1, they are one.
    price_median: in currency units.
    price_log_sd: standard deviation of log price.
    rating_noise: sd of the noise in public ratings, in sd of quality.
    popularity_noise: sd of the noise in the shop's click history, in log-odds.
    length_median_seconds, length_log_sd: of items that take time, such as videos; 0, items have no length.
    new_share: share of items that are not there on day 0 and arrive on a day of the first `new_days`; what is
        new has no history.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    items: Count = 4000
    categories: Count = 16
    dimensions: Count = 8
    category_spread: Share = 0.5
    appeal_quality_correlation: Correlation = 0.2
    inner_topic_correlation: Correlation = 1.0
    price_median: Moderate = 26.6
    price_log_sd: Spread = 0.65
    rating_noise: Spread = 0.7
    popularity_noise: Spread = 0.7
    length_median_seconds: Seconds = 0.0
    length_log_sd: Spread = 0.0
    new_share: Share = 0.0
    new_days: Count = 28

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items of a world; row i is item i, whatever its market.

    topic: shape (n, d), unit length. What the item seems to be about.
    inner_topic: shape (n, d), unit length. What it turns out to be about; the same array unless they differ.
    quality: shape (n,), standard normal. What satisfies after the click.
    appeal: shape (n,), standard normal. What attracts the click: picture, title, promise.
    price: shape (n,). Integer cents.
    price_z: shape (n,). Standardised log price.
    category: shape (n,).
    rating: shape (n,). Public, noisy quality.
    length: shape (n,). Milliseconds; 0 where items have none.
    first_day: shape (n,). Day from which the item can be shown; 0 for what has always been there.
    """

    topic: NDArray[np.float32]
    inner_topic: NDArray[np.float32]
    quality: NDArray[np.float32]
    appeal: NDArray[np.float32]
    price: Ints
    price_z: NDArray[np.float32]
    category: Ints
    rating: Floats
    length: Ints
    first_day: Ints

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
    length = np.rint(1000 * spec.length_median_seconds * np.exp(spec.length_log_sd * z("length")))
    if spec.length_median_seconds > 0:
        length = np.clip(length, 1, LONGEST)  # what has a length is watched in parts of it
    luck = draws.uniform(draws.fold(draws.root(seed, "item arrival"), item))
    arrival = 1 + (luck / max(spec.new_share, 1e-12) * spec.new_days).astype(np.int64)
    shown = topic.astype(np.float32)
    inner = shown if spec.inner_topic_correlation == 1 else _inner(spec, topic, z).astype(np.float32)
    return Catalogue(
        topic=shown,
        inner_topic=inner,
        quality=quality.astype(np.float32),
        appeal=appeal.astype(np.float32),
        price=price,
        price_z=price_z.astype(np.float32),
        category=category,
        rating=rating,
        length=length.astype(np.int64),
        first_day=np.where(luck < spec.new_share, arrival, 0),
    )


def _inner(spec: CatalogueSpec, topic: Floats, z: Callable[[str], Floats]) -> Floats:
    """Unit vectors at a fixed angle to the topics, in a direction of each item's own."""
    aside = np.stack([z(f"inner topic {d}") for d in range(spec.dimensions)], axis=1)
    aside = _unit(aside - (aside * topic).sum(axis=1, keepdims=True) * topic)
    rho = spec.inner_topic_correlation
    return _unit(rho * topic + np.sqrt(1 - rho**2) * aside)


def category_directions(spec: CatalogueSpec, seed: int) -> Floats:
    """Unit vectors of the categories, shape (n_categories, d)."""
    category = np.arange(spec.categories)[:, None]
    keys = draws.fold(draws.fold(draws.root(seed, "category"), category), np.arange(spec.dimensions))
    return _unit(draws.normal(keys))


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
