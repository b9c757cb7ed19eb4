"""The log on disk: Parquet, in bounded memory, in an order that no tick and no worker can change.

A day of impressions is held, sorted by the time of the visit at midnight, and written. Orders land
later than their impressions; when the period ends, one pass over the file enters them. Hidden truth
goes to a file of its own, row by row beside the log, which no policy is ever given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim import draws
from sim.clock import DAY
from sim.records import LOG_COLUMNS, Column, Ints, Items, Log, Users
from sim.served import Counts, Orders, Served
from sim.world import World

LOG_FILE, HIDDEN_FILE, CANDIDATES_FILE = "impressions.parquet", "truth.parquet", "candidates.parquet"
HORIZON = b"horizon"
_ITEM_COLUMNS = ("category", "price", "rating", "length")
ROWS_PER_GROUP = 131_072  # a row group of 20 columns is then about 3 MB: small in memory, large enough to compress

_TYPES: Mapping[str, type[np.generic]] = {
    "request": np.int64,
    "market": np.int16,
    "arm": np.int16,
    "day": np.int16,
    "time": np.int32,
    "user": np.int32,
    "visit": np.int32,
    "page": np.int16,
    "slot": np.int16,
    "item": np.int32,
    "pool": np.int32,
    "price": np.int32,
    "score": np.float32,
    "propensity": np.float32,
}


class Logbook:
    """A recorder that writes every impression to `folder`.

    Args:
        arms: names of the arms, in the order of their indices.
        since: second from which clicks count; orders of earlier clicks belong to an earlier log.
        horizon: second at which the period ends.
        counts: which visits are logged; without it, all are.
    """

    def __init__(
        self, folder: Path, world: World, arms: Sequence[str], since: int, horizon: int, counts: Counts | None = None
    ) -> None:
        self.folder, self.world, self.arms, self.counts = folder, world, list(arms), counts
        self.since, self.horizon = since, horizon
        self.at_once = list(world.scenario.funnel.at_once)
        self.late = list(world.scenario.funnel.late)
        self._pages: list[dict[str, Column]] = []
        self._landed: list[Orders] = []
        self._drafts: list[Path] = []
        self._hidden_writer: pq.ParquetWriter | None = None

    def served(self, wave: Served) -> None:
        outcomes = {name: np.zeros(wave.item.shape, dtype=np.int8) for name in self.at_once}
        stay = np.zeros(wave.item.shape, dtype=np.int32)
        where = (wave.click_page, wave.click_slot)
        for name in self.at_once:
            outcomes[name][where] = wave.actions[name]
        stay[where] = np.minimum(wave.stay_ms, np.iinfo(np.int32).max)
        columns = _observed(wave) | outcomes | {"stay": stay} | _hidden(wave, self.late)
        if self.counts is not None:
            seen = np.flatnonzero(self.counts(wave.requests.request, wave.arm)[wave.visit_of])
            columns = {name: column[seen] for name, column in columns.items()}
        self._pages.append(columns)

    def landed(self, orders: Orders) -> None:
        self._landed.append(orders.take((orders.clicked >= self.since) & (orders.attributed > 0)))

    def closed(self, day: int) -> None:
        """Write the day, sorted by time of visit and then request, and forget it."""
        if not self._pages:
            return
        columns = {name: np.concatenate([wave[name] for wave in self._pages]) for name in self._pages[0]}
        self._pages = []
        order = np.lexsort((columns["request"][:, 0], columns.pop("visit_time")))  # stable: pages stay in order
        flat = {name: column[order].reshape(-1) for name, column in columns.items()}
        hidden = {name: flat.pop(name) for name in list(flat) if name.startswith("true_")}
        hidden["examined"] = flat.pop("examined")
        log_table = pa.table(flat)
        hidden_table = pa.table({"request": flat["request"], "page": flat["page"], "slot": flat["slot"], **hidden})
        # A file a day, so that what is closed can be read while the test goes on.
        draft = self.folder / f"draft-{day:05d}.parquet"
        with _writer(draft, log_table.schema) as writer:
            writer.write_table(log_table, row_group_size=ROWS_PER_GROUP)
        self._drafts.append(draft)
        if self._hidden_writer is None:
            self._hidden_writer = _writer(self.folder / HIDDEN_FILE, hidden_table.schema)
        self._hidden_writer.write_table(hidden_table, row_group_size=ROWS_PER_GROUP)

    def finish(self) -> str:
        """Enter what has landed, write the final file, and return its checksum (SHA-256 of the rows)."""
        checksum = self.write(self.folder / LOG_FILE, self.horizon)
        assert self._hidden_writer is not None
        self._hidden_writer.close()
        for draft in self._drafts:
            draft.unlink()
        return checksum

    def write(self, path: Path, horizon: int) -> str:
        """Write the closed days as they are known at second `horizon`, and return the checksum of the rows."""
        if not self._drafts:
            raise ValueError("no visit was served; let the period last longer or add users")
        landed = Orders.concatenate(self._landed)
        checksum = hashlib.sha256()
        slots = self.world.scenario.attention.slots
        writer: pq.ParquetWriter | None = None
        for draft in self._drafts:
            with pq.ParquetFile(draft) as file:
                for group in range(file.num_row_groups):
                    table = self._enter_orders(file.read_row_group(group), landed, slots)
                    for column in table.columns:
                        for chunk in column.chunks:
                            checksum.update(_bytes_of(chunk))
                    table = table.replace_schema_metadata({HORIZON: str(horizon)})
                    writer = writer or _writer(path, table.schema)
                    writer.write_table(table)
        if writer is not None:
            writer.close()
        return checksum.hexdigest()

    def _enter_orders(self, table: pa.Table, landed: Orders, slots: int) -> pa.Table:
        actions = self.world.scenario.funnel.actions
        request, page, slot = (table[name].to_numpy() for name in ("request", "page", "slot"))
        impression = impression_id(request, page.astype(np.int64) * slots + slot)
        money = {
            "value": [n for n in self.late if actions[n].units],
            "refund": [n for n in self.late if actions[n].refunds],
        }
        cents = {name: np.zeros(len(request), dtype=np.int64) for name, by in money.items() if by}
        for index, name in enumerate(self.late):
            orders = landed.take(landed.action == index)
            happened, when = np.zeros(len(request), dtype=np.int8), np.full(len(request), -1, dtype=np.int64)
            row, of_order = _locate(impression, impression_id(orders.request, orders.rank))
            happened[row], when[row] = 1, orders.due[of_order]
            for column, by in money.items():
                if name in by:
                    cents[column][row] += orders.value[of_order]
            table = table.append_column(name, pa.array(happened)).append_column(f"{name}_time", pa.array(when))
        for column, values in cents.items():
            table = table.append_column(column, pa.array(values))
        arm = pa.DictionaryArray.from_arrays(pa.array(table["arm"].to_numpy()), pa.array(self.arms))
        return table.set_column(table.schema.get_field_index("arm"), "arm", arm)


def read_log(folders: Sequence[Path], max_rows: int | None = None, seed: int = 0) -> Log:
    """Read the logs of several markets as one.

    Args:
        folders: as written by `Logbook`, each beside the public tables of `write_public`.
        max_rows: keep a random share of whole requests so that at most so many rows remain.
        seed: of that choice.
    """
    return read_requests(folders, _choose_requests(folders, max_rows, seed))


def read_requests(folders: Sequence[Path], chosen: Ints | None) -> Log:
    """Read the rows of some requests from the logs of several markets; None for all. chosen: their ids."""
    parts = [table for folder in folders for table in _read(folder / LOG_FILE, chosen)]
    if not parts:
        raise ValueError(f"the log holds no impressions in {', '.join(str(f) for f in folders)}")
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "arm"}
    arms = table["arm"].chunk(0)
    users, items = read_public(folders)
    outcomes = {name: column for name, column in columns.items() if name not in LOG_COLUMNS}
    base = {name: columns[name] for name in LOG_COLUMNS if name != "arm"}
    return Log(
        **base,
        arm=arms.indices.to_numpy(),
        outcomes=outcomes,
        users=users,
        items=items,
        arms=tuple(arms.dictionary.to_pylist()),
        horizon=max(int(pq.read_schema(folder / LOG_FILE).metadata[HORIZON]) for folder in folders),
    )


def write_public(folder: Path, users: Users, items: Items) -> None:
    """Write what the shop knows of its users and items beside the log."""
    pq.write_table(
        pa.table({"user": users.user, "segment": users.segment, "price_band": users.price_band}),
        folder / "users.parquet",
    )
    popularity = {f"popularity_{s}": items.popularity[:, s] for s in range(items.n_segments)}
    plain = {"item": np.arange(len(items))} | {name: getattr(items, name) for name in _ITEM_COLUMNS}
    pq.write_table(pa.table(plain | popularity), folder / "items.parquet")


def read_public(folders: Sequence[Path]) -> tuple[Users, Items]:
    """The public tables: users of all folders, sorted by id, and the one table of items."""
    public = [folder for folder in folders if (folder / "users.parquet").exists()]  # a test has the warm-up's
    users = pa.concat_tables([pq.read_table(folder / "users.parquet") for folder in public]).sort_by("user")
    items = pq.read_table(public[0] / "items.parquet")
    n_segments = sum(name.startswith("popularity_") for name in items.column_names)
    popularity = np.stack([items[f"popularity_{s}"].to_numpy() for s in range(n_segments)], axis=1)
    return (
        Users(*(users[name].to_numpy() for name in ("user", "segment", "price_band"))),
        Items(**{name: items[name].to_numpy() for name in _ITEM_COLUMNS}, popularity=popularity),
    )


def write_candidates(folder: Path, world: World, days: range) -> None:
    """Write the candidate pools of some days beside the log: from what a request was served.

    A row per day, pool and candidate, in the order in which rankers are given them; pools are as in the log's column
    `pool`. With it and the public tables every request of the log can be ranked anew.
    """
    pools: Ints = np.stack([world.pools(day) for day in days])  # (days, P, C)
    day = np.broadcast_to(np.array(days)[:, None, None], pools.shape)
    pool = np.broadcast_to(np.arange(pools.shape[1])[:, None], pools.shape)
    columns = {"day": day, "pool": pool, "item": pools}
    table = pa.table({name: values.reshape(-1).astype(_TYPES[name]) for name, values in columns.items()})
    pq.write_table(table, folder / CANDIDATES_FILE, compression="zstd")


def read_candidates(folder: Path) -> tuple[Ints, Ints]:
    """The days of `write_candidates`, shape (D,), and their pools, item ids of shape (D, P, C)."""
    table = pq.read_table(folder / CANDIDATES_FILE)
    days = np.unique(table["day"].to_numpy())
    n_pools = int(table["pool"].to_numpy().max()) + 1
    return days.astype(np.int64), table["item"].to_numpy().astype(np.int64).reshape(len(days), n_pools, -1)


def _observed(wave: Served) -> dict[str, Column]:
    pages, slots = wave.item.shape
    visit_of, requests = wave.visit_of, wave.requests

    def per_page(values: Ints) -> Ints:
        return np.broadcast_to(values[:, None], (pages, slots))

    columns = {
        "request": per_page(requests.request[visit_of]),
        "market": np.full((pages, slots), wave.world.market),
        "arm": per_page(wave.arm[visit_of]),
        "day": per_page(requests.time[visit_of] // DAY),
        "time": per_page(wave.page_time),
        "user": per_page(requests.users.user[visit_of]),
        "visit": per_page(wave.visit[visit_of]),
        "page": per_page(wave.page),
        "slot": np.broadcast_to(np.arange(slots), (pages, slots)),
        "item": wave.item,
        "pool": per_page(requests.pool[visit_of]),
        "price": wave.world.catalogue.price[wave.item],
        "score": wave.score,
        "propensity": wave.propensity,
    }
    typed: dict[str, Column] = {name: values.astype(_TYPES[name]) for name, values in columns.items()}
    return typed | {"visit_time": requests.time[visit_of]}


def _hidden(wave: Served, late: Sequence[str]) -> dict[str, Column]:
    """Truth per impression: P(click | examined), P(late action | click), and whether it was examined."""
    funnel = wave.world.funnel
    truth = {"true_click": funnel.attraction(wave.shown)}
    truth |= {f"true_{name}": funnel.probability_after_click(name, wave.shown).astype(np.float32) for name in late}
    return {**truth, "examined": wave.examined}


def impression_id(request: Ints, rank: Ints) -> Ints:
    """One id for the rank-th item of a request; ranks are below the most candidates there can be, 10,000."""
    return request << 14 | rank


def _locate(impression: Ints, ordered: Ints) -> tuple[Ints, Ints]:
    """Rows of the impressions behind the orders, and which order each row belongs to."""
    by_id = np.argsort(impression, kind="stable")
    place = np.minimum(np.searchsorted(impression, ordered, sorter=by_id), len(impression) - 1)
    here = np.flatnonzero(impression[by_id[place]] == ordered)
    return by_id[place[here]], here


def _choose_requests(folders: Sequence[Path], max_rows: int | None, seed: int) -> Ints | None:
    if max_rows is None:
        return None
    requests = np.concatenate([pq.read_table(f / LOG_FILE, columns=["request"])["request"].to_numpy() for f in folders])
    if len(requests) <= max_rows:
        return None
    ids, sizes = np.unique(requests, return_counts=True)
    order = np.argsort(draws.fold(draws.root(seed, "training rows"), ids), kind="stable")
    return np.sort(ids[order][np.cumsum(sizes[order]) <= max_rows])


def _read(path: Path, chosen: Ints | None) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            yield table if chosen is None else table.filter(pa.array(np.isin(table["request"].to_numpy(), chosen)))


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # zstd 3 and byte-stream-split floats: about 11 bytes an impression, and cheap to write.
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    ints = [name for name in schema.names if name not in floats]
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=3, use_dictionary=ints, use_byte_stream_split=floats
    )


def _bytes_of(chunk: pa.Array) -> bytes:
    if pa.types.is_dictionary(chunk.type):
        names = np.array(chunk.dictionary.to_pylist())
        return "\n".join(names[chunk.indices.to_numpy()].tolist()).encode()
    return np.ascontiguousarray(chunk.to_numpy(zero_copy_only=False)).tobytes()
