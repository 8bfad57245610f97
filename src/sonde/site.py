"""The published site as the lake holds it: pages and API answers, ready to be sent."""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sonde.errors import BackendError
from sonde.lake import Lake
from sonde.table import Receipt, Table


class Audience(enum.StrEnum):
    """Who may see a file. Those who may see private experiments see both kinds."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True)
class SiteFile:
    """One file of the site. path: relative, with `/`. body: compressed with gzip.

    etag: names the body; letters, digits, `-` and `_` only, without quotes.
    """

    path: str
    media_type: str
    body: bytes
    etag: str


# One partition per owner and audience. owner: `experiment <slug>`, or `all` for what is made of
# every experiment: the portfolio, metrics, runs, assets, the API's lists.
SITE = Table("sonde/site", ("audience", "owner"))
# What only some may see stands in a folder of its own, so that the lake's rights can be set by it.
PRIVATE_SITE = Table("sonde_private/site", ("audience", "owner"))
SITE_COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("media_type", pa.string()),
        ("body", pa.binary()),
        ("etag", pa.string()),
    ]
)

_INDEX = ["path", "media_type", "etag"]


@dataclass(frozen=True)
class Entry:
    """A file of the site without its body. stored: the Parquet file that holds it."""

    path: str
    media_type: str
    etag: str
    stored: Path


@dataclass(frozen=True)
class _Contents:
    """What is published: the partitions' files, their receipts, each audience's entries by path."""

    read: Mapping[tuple[str, ...], tuple[Entry, ...]] = field(default_factory=dict)
    stored: Mapping[tuple[str, ...], Path] = field(default_factory=dict)
    receipts: Mapping[Path, Receipt] = field(default_factory=dict)
    public: Mapping[str, Entry] = field(default_factory=dict)
    private: Mapping[str, Entry] = field(default_factory=dict)


class Site:
    """What is published in a lake, as of the last `refresh`. Safe with several threads.

    memory: about how many bytes of bodies are kept; those asked for least lately go first.
    """

    def __init__(self, lake: Lake, memory: int = 256 * 2**20) -> None:
        self._lake = lake
        self._contents = _Contents()
        self._bodies = _Bodies(memory, self._at_hand)
        self._refreshing = threading.Lock()
        self._changed: tuple[int | None, ...] = (None,)

    def refresh(self) -> None:
        """Look for new publications; only partitions that changed are read.

        Raises BackendError when the lake cannot be read; what was known stays.
        """
        with self._refreshing:
            tables = (SITE, PRIVATE_SITE)
            changed = tuple(self._lake.changed(table) for table in tables)
            if None not in changed and changed == self._changed:
                return
            receipts = {
                key: receipt
                for table in tables
                for key, receipt in self._lake.receipts(table).items()
            }
            stored = {key: self._lake.path(receipt) for key, receipt in receipts.items()}
            if stored != self._contents.stored:
                self._contents = self._read(receipts, stored)
            self._changed = changed

    def entry(self, path: str, private: bool) -> Entry | None:
        """What is known of a file without its body.

        private: whether the reader may see private experiments. Who may gets the private file of
        a path before the public one; who may not never learns that there is one.
        """
        contents = self._contents
        found = contents.private.get(path) if private else None
        return found or contents.public.get(path)

    def get(self, path: str, private: bool) -> SiteFile | None:
        """A file; None when there is none for this reader. May read from disk."""
        entry = self.entry(path, private)
        return None if entry is None else self.file(entry)

    def file(self, entry: Entry) -> SiteFile:
        """The file of an entry. Raises BackendError when it cannot be read."""
        body = self._bodies.of(entry.stored)[entry.path]
        return SiteFile(entry.path, entry.media_type, body, entry.etag)

    def at_hand(self, entry: Entry) -> bool:
        """Whether `file` needs no reading from disk."""
        return self._bodies.held(entry.stored) is not None

    def paths(self, private: bool) -> list[str]:
        """All paths that this reader can get, sorted."""
        contents = self._contents
        return sorted({*contents.public, *(contents.private if private else ())})

    def _at_hand(self, stored: Path) -> None:
        """Fetch a file again that was read once: a copy may have gone meanwhile."""
        if (receipt := self._contents.receipts.get(stored)) is not None:
            self._lake.fetch([receipt])

    def _read(
        self, receipts: Mapping[tuple[str, ...], Receipt], stored: Mapping[tuple[str, ...], Path]
    ) -> _Contents:
        known = self._contents
        self._lake.fetch(receipts[k] for k in receipts if known.stored.get(k) != stored[k])
        read = {
            key: known.read[key]
            if known.stored.get(key) == stored[key]
            else tuple(_entries(stored[key]))
            for key in receipts
        }
        self._bodies.keep_only(stored.values())
        return _Contents(
            read,
            stored,
            {stored[key]: receipt for key, receipt in receipts.items()},
            _by_path(read, {Audience.PUBLIC}),
            _by_path(read, {key[0] for key in read} - {Audience.PUBLIC}),
        )


def site_table(audience: Audience) -> Table:
    """Where the files for an audience are published."""
    return SITE if audience is Audience.PUBLIC else PRIVATE_SITE


def _by_path(
    read: Mapping[tuple[str, ...], tuple[Entry, ...]], audiences: Iterable[str]
) -> dict[str, Entry]:
    """The entries of some audiences. Of two with one path, that of the first owner by name."""
    found: dict[str, Entry] = {}
    for key in sorted(read):
        if key[0] in audiences:
            for entry in read[key]:
                found.setdefault(entry.path, entry)
    return found


def _entries(stored: Path) -> Iterator[Entry]:
    for row in _rows(stored, _INDEX):
        yield Entry(row["path"], row["media_type"], row["etag"], stored)


def _rows(stored: Path, columns: list[str]) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(stored).read(columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BackendError("a file of the published site cannot be read") from error
    return rows


class _Bodies:
    """Bodies by path, of the stored files that were asked for last."""

    def __init__(self, memory: int, fetch: Callable[[Path], None]) -> None:
        self._memory, self._fetch = memory, fetch
        self._held: OrderedDict[Path, Mapping[str, bytes]] = OrderedDict()
        self._holding = threading.Lock()  # never while reading: who finds a body does not wait
        self._reading = threading.Lock()

    def held(self, stored: Path) -> Mapping[str, bytes] | None:
        """The bodies of a stored file if they are in memory."""
        with self._holding:
            if stored in self._held:
                self._held.move_to_end(stored)
            return self._held.get(stored)

    def of(self, stored: Path) -> Mapping[str, bytes]:
        """The bodies of a stored file. One is read at a time, once for all who wait for it."""
        if (bodies := self.held(stored)) is not None:
            return bodies
        with self._reading:
            if (bodies := self.held(stored)) is not None:
                return bodies
            self._fetch(stored)
            bodies = {row["path"]: row["body"] for row in _rows(stored, ["path", "body"])}
            with self._holding:
                self._held[stored] = bodies
                self._drop()
            return bodies

    def keep_only(self, stored: Iterable[Path]) -> None:
        """Forget stored files that are no longer published."""
        published = set(stored)
        with self._holding:
            for gone in self._held.keys() - published:
                del self._held[gone]

    def _drop(self) -> None:
        held = {path: sum(map(len, bodies.values())) for path, bodies in self._held.items()}
        excess = sum(held.values()) - self._memory
        for path in list(self._held)[:-1]:  # the one just asked for stays, however large
            if excess <= 0:
                return
            excess -= held[path]
            del self._held[path]
