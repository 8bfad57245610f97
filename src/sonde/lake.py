"""Tables and receipts in a store: Delta Lake, one Parquet file a partition.

A partition's fingerprint is a partition column of its file, so the receipt is the Delta log's own
entry for the file: a commit makes data and receipt visible together, or neither. Files carry flat
names; the log holds the values of key, mark and fingerprint columns, so a slug may hold anything.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, Transaction
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from sonde.errors import BackendError
from sonde.receipts import key_columns, partition_values, receipts_of, remove_action
from sonde.store import Cache, PassingError, Store, Stored, open_store
from sonde.table import Partition, Receipt, Table

FORMAT = 1  # of the lake: raise it when an older sonde could no longer read or rightly extend it
_MARKER = "_sonde.json"
_LOG = "_delta_log"
_FIRST = f"{0:020}.json"  # of its entries
_TRIES = 20
_PATIENCE = 30  # seconds, for a store whose answers are lost


class _Opened(threading.local):
    """The tables that a thread opened last, each with what tells it from another of its name."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Hashable, DeltaTable]] = {}

    def pop(self, address: str) -> tuple[Hashable, DeltaTable] | None:
        """Take one out: it is put back when it could be read."""
        return self._known.pop(address, None)

    def keep(self, address: str, opened: tuple[Hashable, DeltaTable]) -> None:
        """Put one back, in place of the one that has not been used for longest."""
        self._known[address] = opened
        if len(self._known) > _MOST_OPENED:
            del self._known[next(iter(self._known))]


_OPENED, _MOST_OPENED = _Opened(), 16


@dataclass(frozen=True)
class Filled:
    """A partition's new contents: a staged file, not yet visible."""

    partition: Partition
    fingerprint: str
    path: str
    rows: int
    marks: tuple[str, ...] = ()


class Lake:
    """The tables in one store. Safe with several processes at once.

    Files are read and written in a folder, `root`; when the store is a bucket, it holds copies.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root
        self._known: dict[Table, tuple[int, dict[tuple[str, ...], Receipt]]] = {}

    @classmethod
    def open(cls, url: str | Path, cache: Cache | None = None) -> Lake:
        """The lake at `url`, made when absent. Raises BackendError when it cannot be used.

        cache: where copies are kept of what is in a bucket.
        """
        store = open_store(str(url), cache or Cache())
        with store.failures():
            marker = store.read(_MARKER)
            if marker is None:
                store.create(_MARKER, json.dumps({"format": FORMAT}).encode())
            else:
                _check_format(marker, store.url)
        return cls(store)

    @staticmethod
    def exists(url: str | Path, cache: Cache | None = None) -> bool:
        """Whether there is a lake at `url` already."""
        return open_store(str(url), cache or Cache()).read(_MARKER) is not None

    @property
    def url(self) -> str:
        """Where it is; `open` takes it."""
        return self.store.url

    def folder(self, table: Table) -> Path:
        """Where the table's files are read and written."""
        return self.root / self.store.folder(table.path)

    def version(self, table: Table) -> int:
        """The number of the table's newest commit, without reading it; -1 when there is none."""
        names = self.store.within(f"{self.store.folder(table.path)}/{_LOG}")
        numbers = (name.partition(".")[0] for name in names)
        return max((int(number) for number in numbers if number.isdecimal()), default=-1)

    def changed(self, table: Table) -> int | None:
        """A number that differs once the table has changed; None: it cannot be relied on."""
        return self.store.changed(f"{self.store.folder(table.path)}/{_LOG}")

    def receipts(self, table: Table) -> dict[tuple[str, ...], Receipt]:
        """What exists, by key; empty when the table does not exist yet."""
        if not self.store.is_far:
            delta = self._delta(table)
            return {} if delta is None else receipts_of(table, delta)
        known = self._known.get(table)
        if known is None or known[0] != self.version(table):  # one request, where a log is many
            if (delta := self._delta(table)) is None:
                return {}
            known = self._known[table] = delta.version(), receipts_of(table, delta)
        return dict(known[1])

    def receipt(self, partition: Partition) -> Receipt | None:
        """The receipt of one partition."""
        return self.receipts(partition.table).get(partition.key)

    def history(self, table: Table) -> Iterator[dict[tuple[str, ...], Receipt]]:
        """What existed after each commit, the newest first, as far back as the log goes."""
        for number in range(self.version(table), -1, -1):
            if (delta := self._past(table, number)) is None:
                return  # the log begins later
            yield receipts_of(table, delta)

    def fetch(self, receipts: Iterable[Receipt]) -> None:
        """Make files of partitions be at hand, all at once: `file` would take one by one."""
        self.store.fetch(map(self._stored, receipts))

    def file(self, receipt: Receipt) -> Path:
        """The Parquet file of a partition, at hand."""
        self.store.fetch([self._stored(receipt)])
        return self.path(receipt)

    def path(self, receipt: Receipt) -> Path:
        """Where the file of a partition is read once it is fetched."""
        return self.folder(receipt.partition.table) / receipt.path

    def is_gone(self, receipt: Receipt) -> bool:
        """Whether the file of a partition of the past is no longer there."""
        return bool(self.store.gone([self._stored(receipt)]))

    def delete(self, receipt: Receipt) -> None:
        """Remove the file of a partition that nobody sees any more."""
        self.store.delete(self._stored(receipt).name)

    def stage(self, table: Table) -> Path:
        """A new file name in the table's folder. Invisible until committed."""
        return self.store.make(self.store.folder(table.path)) / f"{uuid.uuid4().hex}.parquet"

    @contextmanager
    def staging(self, table: Table) -> Iterator[Path]:
        """A staged file that is removed again when writing it fails."""
        path = self.stage(table)
        try:
            with self.store.writing():
                yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def write(
        self,
        partition: Partition,
        rows: pa.Table,
        fingerprint: str,
        marks: tuple[str, ...] = (),
    ) -> Filled:
        """Stage `rows` as the partition's new contents."""
        with self.staging(partition.table) as path:
            write_rows(rows, path)
        return Filled(partition, fingerprint, path.name, rows.num_rows, marks)

    def commit(
        self, table: Table, filled: Sequence[Filled], remove: Iterable[Partition] = ()
    ) -> None:
        """Make staged partitions visible and removed ones invisible, all at once.

        Of two writers of the same partition one wins. The other drops its file when both made
        the same thing, else it replaces the first's.
        """
        dropped = {partition.key for partition in remove}
        sent: set[str] = set()
        started = time.monotonic()
        for attempt in range(_TRIES):
            try:
                if self._commit(table, filled, dropped, sent):
                    return
            except PassingError:  # whether it was done, nobody knows: look
                if time.monotonic() - started > _PATIENCE:
                    raise
            time.sleep(0.02 * attempt)
        raise BackendError(f"{table.path}: other writers kept committing first; run again")

    def _commit(
        self, table: Table, filled: Sequence[Filled], dropped: set[tuple[str, ...]], sent: set[str]
    ) -> bool:
        """Try once, after a look at what is there. sent: names of staged files, in the store."""
        with self.store.failures():
            delta = self._delta(table)
            if delta is None:
                if not filled:
                    return True
                delta = self._create(table, filled)
            current = receipts_of(table, delta)
            waiting = self._without_done(filled, current)
            stale = [current[k] for k in dropped if k in current]
            if not waiting and not stale:
                return True
            names = {self._name(table, item.path) for item in waiting} - sent
            self.store.send(names)
            sent |= names
            return self._try_commit(table, delta, waiting, current, stale)

    def read(self, table: Table, keys: Mapping[str, str] | None = None) -> pa.Table:
        """All rows of the partitions whose key columns have the given values."""
        delta = self._delta(table)
        if delta is None:
            return pa.table({})
        filters = [(name, "=", value) for name, value in (keys or {}).items()]
        self.store.fetch(self._parts(table, delta, keys or {}))
        with self.store.failures():
            # Delta's own file system is Python that Arrow's threads call, and may still call when
            # the process ends: that aborts a short command.
            files = SubTreeFileSystem(str(self.folder(table)), LocalFileSystem())
            return delta.to_pyarrow_table(filters=filters or None, filesystem=files)

    def folders(self) -> list[str]:
        """The names of the folders of tables."""
        return [name for name in self.store.within("") if "." not in name]

    def tables(self, prefix: str) -> list[Table]:
        """The tables in a folder of the lake, without their key columns."""
        names = self.store.within(prefix)
        if _LOG in names:
            return [Table(prefix)]
        folders = sorted(name for name in names if "." not in name)
        return [table for name in folders for table in self.tables(f"{prefix}/{name}")]

    def _name(self, table: Table, path: str) -> str:
        return f"{self.store.folder(table.path)}/{path}"

    def _stored(self, receipt: Receipt) -> Stored:
        return Stored(self._name(receipt.partition.table, receipt.path), receipt.size)

    def _opened(self, table: Table, version: int | None = None) -> DeltaTable:
        address = self.store.address(self.store.folder(table.path))
        return DeltaTable(address, version=version, storage_options=self.store.options)

    def _past(self, table: Table, number: int) -> DeltaTable | None:
        with self.store.failures():
            try:
                return self._opened(table, number)
            except DeltaError:
                return None

    def _delta(self, table: Table) -> DeltaTable | None:
        if self.store.lacks(f"{self.store.folder(table.path)}/{_LOG}"):
            return None
        with self.store.failures():
            try:
                return self._newest(table)
            except TableNotFoundError:
                return None

    def _newest(self, table: Table) -> DeltaTable:
        """The table as it is now. What this thread has opened before only reads what came since."""
        folder = self.store.folder(table.path)
        address = self.store.address(folder)
        beginning = self.store.beginning(f"{folder}/{_LOG}/{_FIRST}")
        known = _OPENED.pop(address)
        if known is not None and known[0] == beginning:
            delta = known[1]
            if self.version(table) != delta.version():
                delta.update_incremental()
        else:
            delta = self._opened(table)
        if beginning is not None:
            _OPENED.keep(address, (beginning, delta))
        return delta

    def _parts(self, table: Table, delta: DeltaTable, keys: Mapping[str, str]) -> Iterator[Stored]:
        """The files of some partitions."""
        actions = delta.get_add_actions(flatten=True)
        names = ["path", "size_bytes", *(f"partition.{name}" for name in keys)]
        for path, size, *values in zip(*(actions[n].to_pylist() for n in names), strict=True):
            if values == list(keys.values()):
                yield Stored(self._name(table, path), size)

    def _create(self, table: Table, filled: Sequence[Filled]) -> DeltaTable:
        try:
            return DeltaTable.create(
                self.store.address(self.store.folder(table.path)),
                Schema.from_arrow(self._schema(table, None, filled)),
                partition_by=key_columns(table),
                mode="error",
                storage_options=self.store.options,
                configuration={
                    "delta.checkpointInterval": "20",
                    "delta.setTransactionRetentionDuration": "interval 7 days",
                },
            )
        except DeltaError:
            created = self._delta(table)  # somebody else was first
            if created is None:
                raise
            return created

    def _schema(self, table: Table, known: pa.Schema | None, filled: Sequence[Filled]) -> pa.Schema:
        fields = {f.name: f for f in known} if known else {}
        for name in key_columns(table):
            fields.setdefault(name, pa.field(name, pa.string()))
        for item in filled:
            for field in pq.read_schema(self.folder(table) / item.path):
                fields.setdefault(field.name, field.with_nullable(True).remove_metadata())
        return pa.schema(fields.values())

    def _without_done(
        self, filled: Sequence[Filled], current: Mapping[tuple[str, ...], Receipt]
    ) -> list[Filled]:
        waiting = []
        for item in filled:
            receipt = current.get(item.partition.key)
            if receipt is not None and receipt.fingerprint == item.fingerprint:
                if receipt.path != item.path:
                    self.store.delete(self._name(item.partition.table, item.path))
            else:
                waiting.append(item)
        return waiting

    def _try_commit(
        self,
        table: Table,
        delta: DeltaTable,
        filled: Sequence[Filled],
        current: Mapping[tuple[str, ...], Receipt],
        stale: Sequence[Receipt],
    ) -> bool:
        now = int(time.time() * 1000)
        replaced = [current[i.partition.key] for i in filled if i.partition.key in current]
        actions: list[AddAction | RemoveAction] = [self._add(item, now) for item in filled]
        actions += [remove_action(receipt, now) for receipt in (*replaced, *stale)]
        # A remove conflicts with another remove of the same file. Two first writers of a
        # partition remove nothing: the application transaction makes them conflict as well.
        keys = sorted({i.partition.key for i in filled} | {r.partition.key for r in stale})
        transactions = [Transaction(json.dumps(key), delta.version() + 1) for key in keys]
        known = pa.schema(delta.schema().to_arrow())
        schema = Schema.from_arrow(self._schema(table, known, filled))
        try:
            if new := [field for field in schema.fields if field.name not in known.names]:
                delta.alter.add_columns(new)
            delta.create_write_transaction(
                actions,
                "append",
                schema,
                commit_properties=CommitProperties(
                    app_transactions=transactions, max_commit_retries=10
                ),
            )
        except CommitFailedError:
            return False  # somebody else was first: look again
        return True

    def _add(self, item: Filled, now: int) -> AddAction:
        values = partition_values(item.partition, item.marks, item.fingerprint)
        size = (self.folder(item.partition.table) / item.path).stat().st_size
        return AddAction(item.path, size, values, now, True, json.dumps({"numRecords": item.rows}))


def write_rows(rows: pa.Table, sink: Path | IO[bytes]) -> None:
    """The file of a partition: the same rows are the same bytes."""
    pq.write_table(rows, sink, compression="zstd")


def _check_format(marker: bytes, url: str) -> None:
    try:
        found = json.loads(marker)["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"{url}/{_MARKER} is not sonde's; is {url} a lake?") from error
    if not isinstance(found, int) or found > FORMAT:
        raise BackendError(
            f"the lake {url} was written by a newer sonde (format {found}, this one "
            f"knows up to {FORMAT}); upgrade with `pip install -U sonde`"
        )
