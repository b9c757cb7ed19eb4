"""From a log and its public tables to arrays: all that a ranker may know.

Three sides: what belongs to the user, to the item, and to the pair. A user or item that the log has
not seen gets id 0 and average history. History features of a training row come from the other half of
the log (cross-fitting by time), so that no row's own outcome is among its features; at serving they
come from the whole log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policies.base import part, prefixed
from sim.records import Column, Floats, Ints, Log, Requests

F32 = NDArray[np.float32]

PRIOR_CLICKS = 3.0  # a rate is believed once a user or item has collected about so many expected clicks
# COEC: clicks over expected clicks, in logs, like the rates; prices are standardised logs.
USER_DENSE = ("user_coec", "user_log_impressions", "user_price_band", "user_mean_price_clicked")
ITEM_DENSE = ("item_price", "item_rating", "item_coec", "item_reactions_per_click")
ITEM_LENGTH = "item_length"  # one more column of the item, where items have lengths
PAIR_DENSE = ("pair_popularity_in_segment", "pair_category_coec", "pair_price_gap")


def clicks_over_expected(log: Log, key: Ints, n_keys: int) -> Floats:
    """Clicks over what the slots alone would have brought (COEC), shrunk to 1; shape (n_keys,)."""
    if not len(log):
        return np.ones(n_keys)
    slot = log.page.astype(np.int64) * (int(log.slot.max()) + 1) + log.slot
    shown = np.bincount(slot)
    expected = (np.bincount(slot, log["click"]) / np.maximum(shown, 1))[slot]
    clicks = np.bincount(key, log["click"], minlength=n_keys)
    return (clicks + PRIOR_CLICKS) / (np.bincount(key, expected, minlength=n_keys) + PRIOR_CLICKS)


@dataclass(frozen=True, slots=True)
class History:
    """What a stretch of log tells about users and items. Row u + 1 of the users is row u of the public table.

    user: shape (n_users + 1, 3). item: shape (n_items, 2). category: shape (n_users + 1, n_categories).
    """

    user: F32
    item: F32
    category: F32

    @classmethod
    def of(cls, log: Log, user_row: Ints, n_users: int, log_price: F32) -> History:
        """user_row: shape (n,). Row of each impression's user. log_price: shape (n_items,), standardised."""
        n_items, n_categories = len(log.items), int(log.items.category.max()) + 1
        click = log["click"]
        price = log_price[log.item]
        clicks = np.bincount(user_row, click, minlength=n_users)
        mean_price = np.bincount(user_row, click * price, minlength=n_users) / (clicks + PRIOR_CLICKS)
        seen = np.log1p(np.bincount(user_row, minlength=n_users))
        user = np.stack([np.log(clicks_over_expected(log, user_row, n_users)), seen - seen.mean(), mean_price], axis=1)
        after_click = [log[action] > 0 for action in log.actions if action != "click"]
        reacted = np.any([np.zeros(len(log), dtype=np.bool_), *after_click], axis=0)
        rate = (reacted.sum() + 1) / (click.sum() + 1)
        item_clicks = np.bincount(log.item, click, minlength=n_items)
        reactions = np.bincount(log.item, reacted, minlength=n_items)
        per_click = (reactions + PRIOR_CLICKS * rate) / (item_clicks + PRIOR_CLICKS) / rate
        item = np.stack([np.log(clicks_over_expected(log, log.item, n_items)), np.log(per_click)], axis=1)
        pair = user_row * n_categories + log.items.category[log.item]
        category = np.log(clicks_over_expected(log, pair, n_users * n_categories)).reshape(n_users, n_categories)
        f32 = np.float32
        return cls(user.astype(f32), item.astype(f32), category.astype(f32))


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows: n impressions, or n candidates at serving, as indices and dense features.

    user, item, segment: shape (n,). Rows of the user table (0: unknown), the item table, the segments.
    user_dense, item_dense, pair_dense: shape (n, ...). Columns as named above.
    slot: shape (n,). Place on the page, for training only.
    """

    user: Ints
    item: Ints
    segment: Ints
    user_dense: F32
    item_dense: F32
    pair_dense: F32
    slot: Ints

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints) -> Rows:
        return Rows(*(getattr(self, f.name)[rows] for f in fields(self)))

    def dense(self) -> F32:
        """All dense features side by side, shape (n, F)."""
        return np.concatenate([self.user_dense, self.item_dense, self.pair_dense], axis=1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model sees of R requests with C candidates each.

    user, segment: shape (R,). user_dense: shape (R, U). item: shape (R, C). pair_dense: shape (R, C, P).
    """

    user: Ints
    segment: Ints
    user_dense: F32
    item: Ints
    pair_dense: F32

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: slice) -> Inputs:
        return Inputs(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Schema:
    """What a network embeds, and the columns of the items that do not change while it serves.

    category: shape (n_items,). item_dense: shape (n_items, I). user_width, pair_width: columns of those sides.
    """

    n_users: int
    n_segments: int
    category: Ints
    item_dense: F32
    user_width: int
    pair_width: int


class Features:
    """The feature tables of one log, frozen at its horizon."""

    def fit(self, log: Log) -> Self:
        """Learn vocabularies and history from a log."""
        log_price = np.log(np.maximum(log.items.price, 1))  # cents; what costs nothing is as good as a cent
        self.user_ids_ = log.users.user
        self.log_price_ = ((log_price - log_price.mean()) / max(log_price.std(), 1e-6)).astype(np.float32)
        self.length_ = standardised_lengths(log.items.length)
        self.rating_ = log.items.rating.astype(np.float32)
        self.category_ = log.items.category
        self.popularity_ = log.items.popularity.astype(np.float32)
        self.history_ = self._history(log)
        return self

    @property
    def item_names(self) -> tuple[str, ...]:
        """Columns of `item_dense`: `ITEM_DENSE`, and the length where items have one."""
        return ITEM_DENSE + (ITEM_LENGTH,) * self.length_.shape[1]

    @property
    def names(self) -> list[str]:
        """Columns of `Rows.dense`."""
        return [*USER_DENSE, *self.item_names, *PAIR_DENSE]

    @property
    def n_users(self) -> int:
        """Rows of the user table, the unknown user included."""
        return len(self.user_ids_) + 1

    def schema(self) -> Schema:
        """What a network over these features is made of."""
        segments = self.popularity_.shape[1]
        return Schema(self.n_users, segments, self.category_, self.item_dense(), len(USER_DENSE), len(PAIR_DENSE))

    def user_row(self, user: Ints) -> Ints:
        """Row of each user id: from 1 for those in the log's user table, 0 for strangers."""
        if not len(self.user_ids_):
            return np.zeros(len(user), dtype=np.int64)
        place = np.minimum(np.searchsorted(self.user_ids_, user), len(self.user_ids_) - 1)
        return np.where(self.user_ids_[place] == user, place + 1, 0)

    def item_dense(self, history: History | None = None) -> F32:
        """Shape (n_items, 4 or 5), columns as `item_names`."""
        known = (history or self.history_).item
        return np.concatenate([self.log_price_[:, None], self.rating_[:, None], known, self.length_], axis=1)

    def training_rows(self, log: Log) -> Rows:
        """One row per impression; history from the half of the log that the row is not in."""
        early = log.time <= np.median(log.time)
        user, item = self.user_row(log.user), log.item.astype(np.int64)
        place = np.minimum(np.searchsorted(log.users.user, log.user), len(log.users) - 1)
        segment, band = log.users.segment[place], log.users.price_band[place]
        user_dense, item_dense, pair_dense = (
            np.zeros((len(log), len(names)), np.float32) for names in (USER_DENSE, self.item_names, PAIR_DENSE)
        )
        for own, other in ((early, ~early), (~early, early)):
            history = self._history(log.take(other))
            rows = np.flatnonzero(own)
            user_dense[rows] = self._user_dense(history, user[rows], band[rows])
            item_dense[rows] = self.item_dense(history)[item[rows]]
            pair_dense[rows] = self._pair_dense(history, user[rows], segment[rows], item[rows])
        return Rows(user, item, segment, user_dense, item_dense, pair_dense, log.slot.astype(np.int64))

    def inputs(self, requests: Requests) -> Inputs:
        """What a model sees when it serves these requests."""
        user, item = self.user_row(requests.users.user), requests.candidates
        segment = requests.users.segment
        pair = self._pair_dense(self.history_, user[:, None], segment[:, None], item)
        return Inputs(user, segment, self._user_dense(self.history_, user, requests.users.price_band), item, pair)

    def _user_dense(self, history: History, user: Ints, band: Ints) -> F32:
        known = history.user[user]
        return np.stack([known[:, 0], known[:, 1], (band - 1).astype(np.float32), known[:, 2]], axis=1)

    def _pair_dense(self, history: History, user: Ints, segment: Ints, item: Ints) -> F32:
        gap = self.log_price_[item] - history.user[user, 2]
        return np.stack([self.popularity_[item, segment], history.category[user, self.category_[item]], gap], axis=-1)

    def _history(self, log: Log) -> History:
        return History.of(log, self.user_row(log.user), self.n_users, self.log_price_)

    def learned(self) -> dict[str, Column]:
        own = {name: getattr(self, f"{name}_") for name in _TABLES}
        return own | prefixed("history", {f.name: getattr(self.history_, f.name) for f in fields(History)})

    def restore(self, learned: Mapping[str, Column]) -> Self:
        for name in _TABLES:
            setattr(self, f"{name}_", learned[name])
        self.history_ = History(**part("history", learned))  # type: ignore[arg-type]
        return self


_TABLES = ("user_ids", "log_price", "length", "rating", "category", "popularity")


def standardised_lengths(length: Ints) -> F32:
    """Standardised logs of the lengths, 0 for an item without one; shape (n, 1), or (n, 0) if no item has any."""
    known = length > 0
    if not known.any():
        return np.zeros((len(length), 0), dtype=np.float32)
    logs = np.log(np.maximum(length, 1))
    spread = max(logs[known].std(), 1e-6)
    return np.where(known, (logs - logs[known].mean()) / spread, 0)[:, None].astype(np.float32)
