"""The tables people have in BigQuery: the version of their rows of some days."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sonde.errors import ConfigError, DataError
from sonde.sql import TableName, query
from sonde.warehouse.bigquery import BigQuery

_DEEP = 8  # views of views


@dataclass(frozen=True)
class Part:
    """Rows that change together. days: of which they are, inclusive; None: of any."""

    version: str
    days: tuple[date, date] | None = None

    def within(self, first: date | None, last: date | None) -> bool:
        """Whether it may hold rows of the days [first, last]; None: unbounded."""
        if self.days is None:
            return True
        return (last is None or self.days[0] <= last) and (first is None or self.days[1] >= first)


@dataclass(frozen=True)
class RemoteTable:
    """A table, or a view with the parts of all tables that it reads."""

    name: str
    parts: tuple[Part, ...]

    def version(self, first: date | None = None, last: date | None = None) -> str:
        """Digest of what may hold rows of the days [first, last]."""
        versions = sorted(part.version for part in self.parts if part.within(first, last))
        return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]

    def named_version(self, first: date | None = None, last: date | None = None) -> str:
        """The same: no commit has a number."""
        return self.version(first, last)

    @property
    def last(self) -> date | None:
        """The newest day of which there are rows, as far as partitions say."""
        return max((part.days[1] for part in self.parts if part.days), default=None)


class RemoteTables:
    """Finds tables by the names that people's SQL has for them; each is looked up once."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery
        self._found: dict[TableName, RemoteTable | None] = {}

    def find(self, name: TableName) -> RemoteTable:
        """The table. Raises DataError when it is not there, or may not be seen."""
        if (table := self.get(name)) is None:
            raise DataError(
                f"table {name} is not there, or may not be seen; check its name, and that your "
                "account has the role BigQuery Data Viewer on it"
            )
        return table

    def get(self, name: TableName) -> RemoteTable | None:
        """The table; None when it is not there, or may not be seen."""
        if name not in self._found:
            parts = self._parts(name, _DEEP)
            self._found[name] = None if parts is None else RemoteTable(str(name), tuple(parts))
        return self._found[name]

    def _parts(self, name: TableName, deep: int) -> Sequence[Part] | None:
        if name.dataset is None:
            return None
        path = f"{name.project or self._bigquery.account.project}.{name.dataset}.{name.table}"
        table = self._bigquery.get_table(path)
        if table is None:
            return None
        if table.table_type == "VIEW":
            return list(self._of_view(table.view_query or "", deep))
        if table.time_partitioning is not None:
            return list(self._partitions(path, name.table))
        return [Part(f"{path}:{table.modified}:{table.num_rows}")]

    def _of_view(self, sql: str, deep: int) -> Iterator[Part]:
        """Of the tables behind it, as far as they can be told and seen; and its own text."""
        yield Part(hashlib.sha256(sql.encode()).hexdigest())
        try:
            names = query(sql).tables if deep else ()
        except ConfigError:
            return  # late rows are not noticed: docs/bigquery.md
        for name in names:
            yield from self._parts(name, deep - 1) or ()

    def _partitions(self, path: str, name: str) -> Iterator[Part]:
        dataset = path.rsplit(".", 1)[0]
        rows = self._bigquery.rows(
            "SELECT partition_id, total_rows, last_modified_time\n"
            f"FROM `{dataset}.INFORMATION_SCHEMA.PARTITIONS`\n"
            f"WHERE table_name = '{name}'"
        )
        for partition, number, modified in rows:
            if partition == "__UNPARTITIONED__":
                continue  # what is being streamed comes to its day, and changes that
            yield Part(f"{path}${partition}:{number}:{modified}", _days(partition))


def _days(partition: Any) -> tuple[date, date] | None:
    """Of a partition by day or by hour; of others nothing is known.

    >>> _days("20200401"), _days("202004"), _days("__NULL__")
    ((datetime.date(2020, 4, 1), datetime.date(2020, 4, 1)), None, None)
    """
    digits = str(partition)
    if len(digits) not in (8, 10) or not digits.isdecimal():
        return None
    day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    return day, day
