"""The tables people already have: found by their BigQuery name, as Delta, Parquet or CSV files."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from sonde.errors import DataError, did_you_mean
from sonde.sql import TableName, relation_name
from sonde.sql.text import identifier, quoted
from sonde.store import Cache, Store, Stored, open_store
from sonde.warehouse.places import FoundFile, Place, fixed_part, place

# Columns that date a row, in BigQuery tables of telemetry: a file is of the days they span.
_DATE_COLUMNS = ("submission_date", "submission_timestamp", "date", "day")
_HIVE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([^/]*)")
_UNREADABLE = {"deletionVectors", "columnMapping"}


@dataclass(frozen=True)
class SourceFile:
    """One file of a table. version: changes when its contents do. first, last: the days its
    rows are of, inclusive; None when the file does not say. size: in bytes. stored: in a bucket."""

    path: str
    version: str
    first: date | None = None
    last: date | None = None
    size: int = 0
    stored: Stored | None = None

    def within(self, first: date | None, last: date | None) -> bool:
        """Whether the file may hold rows of the days [first, last]; None: unbounded."""
        before = last is not None and self.first is not None and self.first > last
        after = first is not None and self.last is not None and self.last < first
        return not (before or after)


@dataclass(frozen=True)
class SourceTable:
    """A table as files. partitions: Hive columns in the paths, with their DuckDB types.

    schema: what the table says of its columns, so that it may be without files; None when only
    the files say, of which there is then one at least. number: of the Delta table's commit.
    store: the bucket that files are fetched from; None: they are here.
    """

    name: str
    format: str
    files: tuple[SourceFile, ...]
    partitions: tuple[tuple[str, str], ...] = ()
    schema: pa.Schema | None = None
    number: int | None = None
    store: Store | None = None

    def fetch(self, files: Iterable[SourceFile]) -> None:
        """Make files be at hand."""
        if self.store is not None:
            self.store.fetch(file.stored for file in files if file.stored is not None)

    def has_lost(self, files: Iterable[SourceFile]) -> bool:
        """Whether one of the files is no longer where the table says."""
        if self.store is None:
            return not all(Path(file.path).is_file() for file in files)
        return bool(self.store.gone(file.stored for file in files if file.stored is not None))

    def within(self, first: date | None = None, last: date | None = None) -> list[SourceFile]:
        """The files that may hold rows of the days [first, last]."""
        return [file for file in self.files if file.within(first, last)]

    def version(self, first: date | None = None, last: date | None = None) -> str:
        """Digest of the files that may hold rows of the days [first, last]."""
        versions = sorted(file.version for file in self.within(first, last))
        return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]

    def named_version(self, first: date | None = None, last: date | None = None) -> str:
        """The same with the Delta table's commit before it: `17:` and the digest."""
        digest = self.version(first, last)
        return digest if self.number is None else f"{self.number}:{digest}"

    @property
    def last(self) -> date | None:
        """The newest day of which there are rows, as far as the files say."""
        return max((f.last for f in self.files if f.last is not None), default=None)


class Sources:
    """Finds tables. root: the folder of `<dataset>/<table>`, or its address in a bucket. locations:
    patterns of BigQuery names to a folder, a file, a glob or the address of one, which come first.
    numbers: of some Delta tables, by name, the commit to read in place of the newest. cache: where
    copies are kept of what is in a bucket."""

    def __init__(
        self,
        root: str | Path,
        locations: Mapping[str, str] | None = None,
        numbers: Mapping[str, int] | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._cache = cache or Cache()
        self._store = open_store(str(root), self._cache)
        self.root = self._store.root  # where its files are read
        self.locations = dict(locations or {})
        self._numbers = dict(numbers or {})
        self._found: dict[TableName, SourceTable | None] = {}

    def find(self, name: TableName) -> SourceTable:
        """The table, looked up once. Raises DataError naming the places looked at."""
        if (table := self.get(name)) is None:
            raise self._absent(name)
        return table

    def get(self, name: TableName) -> SourceTable | None:
        """The table, looked up once; None when it is nowhere."""
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def folders(self) -> list[Path]:
        """The folders outside the root that files are read from."""
        fixed = (fixed_part(self._location(each)) for each in self.locations.values())
        return [each if isinstance(each, Path) else self._opened(each) for each in fixed]

    def _opened(self, url: str) -> Path:
        return open_store(url, self._cache).root

    def _location(self, location: str) -> str | Path:
        return location if "://" in location else self.root / location

    def _look(self, name: TableName) -> SourceTable | None:
        number = self._numbers.get(str(name))
        opened = (_open(relation_name(name), each, number) for each in self._places(name))
        return next((table for table in opened if table is not None), None)

    def _absent(self, name: TableName) -> DataError:
        looked = " or ".join(str(each) for each in self._places(name))
        return DataError(
            f"table {name} is not there: looked for {looked} (a Delta table, a folder of Parquet "
            f"files, or one Parquet or CSV file)"
            + did_you_mean(f"{name.dataset}.{name.table}", self._known())
            + "; put it there, or name its place under [tables] in sonde.toml"
        )

    def _places(self, name: TableName) -> list[Place]:
        parts = [part for part in (name.project, name.dataset, name.table) if part]
        dotted = [".".join(parts[i:]) for i in range(len(parts))]
        for pattern, location in self.locations.items():
            if any(fnmatch.fnmatchcase(full, pattern) for full in dotted):
                filled = location.format(
                    project=name.project, dataset=name.dataset, table=name.table
                )
                return [place(self._store.url, filled, self._cache)]
        inside = ("/".join(parts[i:]) for i in range(len(parts)))
        return [place(self._store.url, each, self._cache) for each in inside]

    def _known(self) -> list[str]:
        return [
            f"{dataset}.{table.removesuffix('.parquet').removesuffix('.csv')}"
            for dataset in self._store.within("")
            for table in self._store.within(dataset)
            if not table.startswith(("_", "."))
        ]


def _open(name: str, at: Place, number: int | None = None) -> SourceTable | None:
    delta = at.delta(name, number)
    return _files(name, at) if delta is None else _delta(name, at, delta)


def _files(name: str, at: Place) -> SourceTable | None:
    found = at.files()
    if not found:
        return None
    kind = "csv" if found[0].path.endswith(".csv") else "parquet"
    files = tuple(_file(each, _days_of_path(each.path)) for each in found)
    keys = dict.fromkeys(key for key, _ in _HIVE.findall(found[0].path))
    return SourceTable(name, kind, files, tuple((key, "") for key in keys), store=at.store)


def _days_of_path(path: str) -> Sequence[date]:
    return [d for k, v in _HIVE.findall(path) if k in _DATE_COLUMNS and (d := _day(v))]


def _file(found: FoundFile, days: Sequence[date]) -> SourceFile:
    first, last = (min(days), max(days)) if days else (None, None)
    return SourceFile(found.path, found.version, first, last, found.size, found.stored)


def _delta(name: str, at: Place, delta: DeltaTable) -> SourceTable:
    if unreadable := _UNREADABLE & set(delta.protocol().reader_features or ()):
        raise DataError(
            f"table {name} at {at} uses {', '.join(sorted(unreadable))}, which cannot be read "
            "here; rewrite it without (for example `REORG TABLE .. APPLY (PURGE)`)"
        )
    partitions = tuple(delta.metadata().partition_columns)
    schema = pa.schema(delta.schema().to_arrow())
    types = {column.name: str(column.type) for column in schema}
    found = [_delta_file(at, row) for row in _rows(delta.get_add_actions(flatten=True))]
    files = tuple(sorted(found, key=lambda file: file.path))  # the log's own order may change
    typed = tuple((p, _duckdb_type(types[p])) for p in partitions)
    return SourceTable(name, "parquet", files, typed, schema, delta.version(), at.store)


def _rows(actions: Any) -> list[dict[str, object]]:
    columns = {name: actions[name].to_pylist() for name in actions.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _delta_file(at: Place, row: Mapping[str, object]) -> SourceFile:
    return _file(at.part(str(row["path"]), int(str(row["size_bytes"]))), _days_of_row(row))


def _days_of_row(row: Mapping[str, object]) -> Sequence[date]:
    """The first and last day of a file's rows, as far as the log says."""
    for column in _DATE_COLUMNS:
        if (day := _day(row.get(f"partition.{column}"))) is not None:
            return [day]
        low, high = _day(row.get(f"min.{column}")), _day(row.get(f"max.{column}"))
        if low is not None and high is not None:
            return [low, high]
    return []


def _duckdb_type(arrow: str) -> str:
    if "int" in arrow.lower():
        return "BIGINT"
    return "DATE" if "date" in arrow.lower() else ""


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return None
    return None


def view(table: SourceTable, first: date | None = None, last: date | None = None) -> str:
    """The statement that makes the table visible to DuckDB under its relation name.

    Of no file in range, the first says the columns: a table without any has no such statement.
    """
    files = table.within(first, last) or table.files[:1]
    listed = "[" + ", ".join(quoted(file.path) for file in files) + "]"
    name = identifier(table.name)
    if table.format == "csv":
        return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_csv({listed})"
    options = ["union_by_name = true"]
    if table.partitions:
        options.append("hive_partitioning = true")
        typed = ", ".join(f"{quoted(k)}: {t}" for k, t in table.partitions if t)
        options += [f"hive_types = {{{typed}}}"] if typed else []
    else:
        options.append("hive_partitioning = false")
    arguments = ", ".join([listed, *options])
    return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({arguments})"
