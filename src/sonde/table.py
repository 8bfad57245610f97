"""Open tables, their partitions, and the receipts that say what a partition was made from."""

from __future__ import annotations

import hashlib
import urllib.parse
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """A table in the lake, written one whole partition at a time.

    path: its folder within the lake, `/` between parts.
    keys: columns that name a partition. marks: further columns, one value a partition, that
    say something of it without naming it. Both are strings and stored as partition columns.
    """

    path: str
    keys: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def partition(self, *key: str) -> Partition:
        """The partition with the values `key` for `keys`, in order."""
        if len(key) != len(self.keys):
            raise ValueError(f"{self.path} is keyed by {self.keys}, not by {len(key)} values")
        return Partition(self, key)


@dataclass(frozen=True)
class Partition:
    """The unit of writing: one table, one key, replaced whole."""

    table: Table
    key: tuple[str, ...] = ()

    def __str__(self) -> str:
        values = ", ".join(f"{k}={v}" for k, v in zip(self.table.keys, self.key, strict=True))
        return f"{self.table.path}({values})"


@dataclass(frozen=True)
class Receipt:
    """A partition exists, and this is what it was made from.

    fingerprint: of the step that made it: its query, parameters, and its inputs' versions.
    path: the Parquet file, relative to the table. size: in bytes. modified: milliseconds since
    1970, UTC. marks: the values of the table's marks.
    """

    partition: Partition
    fingerprint: str
    path: str
    rows: int
    size: int
    modified: int
    marks: tuple[str, ...] = field(default=())


def folder_name(name: str) -> str:
    """A folder for any name: readable where it can be, never outside its parent, bounded.

    >>> folder_name("my-experiment")
    'my-experiment'
    >>> folder_name("../x")
    '%2E%2E%2Fx-d6b96a97'
    """
    quoted = urllib.parse.quote(name, safe="").replace(".", "%2E")
    plain = quoted.replace("%2E", ".")
    if plain == name and 0 < len(name) <= 100 and not name.startswith("."):
        return name
    return f"{quoted[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
