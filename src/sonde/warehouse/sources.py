"""The tables people already have: found by their BigQuery name, as Delta, Parquet or CSV files."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from sonde.errors import DataError, did_you_mean
from sonde.sql import TableName, relation_name
from sonde.sql.text import identifier, quoted

# Columns that date a row, in BigQuery tables of telemetry: a file is of the days they span.
_DATE_COLUMNS = ("submission_date", "submission_timestamp", "date", "day")
_HIVE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([^/]*)")
_UNREADABLE = {"deletionVectors", "columnMapping"}


@dataclass(frozen=True)
class SourceFile:
    """One file of a table. version: changes when its contents do. first, last: the days its
    rows are of, inclusive; None when the file does not say. size: in bytes."""

    path: str
    version: str
    first: date | None = None
    last: date | None = None
    size: int = 0

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
    """

    name: str
    format: str
    files: tuple[SourceFile, ...]
    partitions: tuple[tuple[str, str], ...] = ()
    schema: pa.Schema | None = None
    number: int | None = None

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
    """Finds tables. root: the folder of `<dataset>/<table>`. locations: patterns of BigQuery names
    to a folder, a file or a glob, which come first. numbers: of some Delta tables, by name, the
    commit to read in place of the newest."""

    def __init__(
        self,
        root: Path,
        locations: Mapping[str, str] | None = None,
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        self.root = root
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
        """The places outside the root that tables are read from."""
        return [_fixed_part(self.root / location) for location in self.locations.values()]

    def _look(self, name: TableName) -> SourceTable | None:
        number = self._numbers.get(str(name))
        opened = (_open(relation_name(name), place, number) for place in self._places(name))
        return next((table for table in opened if table is not None), None)

    def _absent(self, name: TableName) -> DataError:
        looked = " or ".join(str(place) for place in self._places(name))
        return DataError(
            f"table {name} is not there: looked for {looked} (a Delta table, a folder of Parquet "
            f"files, or one Parquet or CSV file)"
            + did_you_mean(f"{name.dataset}.{name.table}", self._known())
            + "; put it there, or name its place under [tables] in sonde.toml"
        )

    def _places(self, name: TableName) -> list[Path]:
        parts = [part for part in (name.project, name.dataset, name.table) if part]
        dotted = [".".join(parts[i:]) for i in range(len(parts))]
        for pattern, location in self.locations.items():
            if any(fnmatch.fnmatchcase(full, pattern) for full in dotted):
                filled = location.format(
                    project=name.project, dataset=name.dataset, table=name.table
                )
                return [self.root / filled]
        return [self.root.joinpath(*parts[i:]) for i in range(len(parts))]

    def _known(self) -> list[str]:
        return [
            f"{table.parent.name}.{table.name.removesuffix('.parquet').removesuffix('.csv')}"
            for table in self.root.glob("*/*")
            if not table.name.startswith(("_", "."))
        ]


def _fixed_part(place: Path) -> Path:
    """The folder above the first part that is a pattern."""
    parts = place.parts
    for i, part in enumerate(parts):
        if glob.has_magic(part) or "{" in part:
            return Path(*parts[:i])
    return place if place.is_dir() else place.parent


def _open(name: str, place: Path, number: int | None = None) -> SourceTable | None:
    if (place / "_delta_log").is_dir():
        return _delta(name, place, number)
    if place.is_dir():
        return _files(name, sorted(place.glob("**/*.parquet"))) or _files(
            name, sorted(place.glob("**/*.csv"))
        )
    if place.is_file():
        return _files(name, [place])
    suffixed = [place.with_name(place.name + suffix) for suffix in (".parquet", ".csv")]
    for path in suffixed:
        if path.is_file():
            return _files(name, [path])
    if glob.has_magic(str(place)):
        fixed = _fixed_part(place)
        return _files(name, sorted(fixed.glob(str(place.relative_to(fixed)))))
    return None


def _files(name: str, paths: list[Path]) -> SourceTable | None:
    if not paths:
        return None
    kind = "csv" if paths[0].suffix == ".csv" else "parquet"
    files = []
    for path in paths:
        stat = path.stat()
        days = [d for k, v in _HIVE.findall(str(path)) if k in _DATE_COLUMNS and (d := _day(v))]
        first, last = (min(days), max(days)) if days else (None, None)
        version = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
        files.append(SourceFile(str(path), version, first, last, stat.st_size))
    keys = dict.fromkeys(key for key, _ in _HIVE.findall(str(paths[0])))
    return SourceTable(name, kind, tuple(files), tuple((key, "") for key in keys))


def _delta(name: str, place: Path, number: int | None = None) -> SourceTable:
    try:
        delta = DeltaTable(str(place), version=number)
    except DeltaError as error:
        if number is not None:
            raise DataError(f"version {number} of table {name} is gone: {error}") from error
        raise DataError(f"table {name} at {place} cannot be read as Delta: {error}") from error
    if unreadable := _UNREADABLE & set(delta.protocol().reader_features or ()):
        raise DataError(
            f"table {name} at {place} uses {', '.join(sorted(unreadable))}, which cannot be read "
            "here; rewrite it without (for example `REORG TABLE .. APPLY (PURGE)`)"
        )
    partitions = tuple(delta.metadata().partition_columns)
    schema = pa.schema(delta.schema().to_arrow())
    types = {column.name: str(column.type) for column in schema}
    found = [_delta_file(place, row) for row in _rows(delta.get_add_actions(flatten=True))]
    files = tuple(sorted(found, key=lambda file: file.path))  # the log's own order may change
    typed = tuple((p, _duckdb_type(types[p])) for p in partitions)
    return SourceTable(name, "parquet", files, typed, schema, number=delta.version())


def _rows(actions: Any) -> list[dict[str, object]]:
    columns = {name: actions[name].to_pylist() for name in actions.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _delta_file(place: Path, row: Mapping[str, object]) -> SourceFile:
    path = str(row["path"])
    first = last = None
    for column in _DATE_COLUMNS:
        if (day := _day(row.get(f"partition.{column}"))) is not None:
            first = last = day
            break
        low, high = _day(row.get(f"min.{column}")), _day(row.get(f"max.{column}"))
        if low is not None and high is not None:
            first, last = low, high
            break
    return SourceFile(str(place / path), path, first, last, int(str(row["size_bytes"])))


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
