"""Files with one row per unit, and their columns as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sonde.errors import DataError, did_you_mean
from sonde.sql.text import identifier, quoted
from sonde.warehouse.duckdb import Session

_NUMBERS = {"BOOLEAN", "DOUBLE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT",
            "USMALLINT", "UINTEGER"}  # fmt: skip
_CAST = ("FLOAT", "DECIMAL", "UBIGINT", "HUGEINT", "UHUGEINT")  # numpy has them as floats at most
_TEXTS = ("VARCHAR", "ENUM")
_NULLS = ("", "NA", "NaN", "nan", "NULL", "null")  # as programs write them into CSV


class UnitFile:
    """CSV or Parquet files of the same columns, open in a session."""

    def __init__(self, session: Session, paths: Sequence[Path]) -> None:
        """Raises DataError for files that are absent, empty or neither CSV nor Parquet."""
        self._session = session
        self.is_text = _is_csv(paths)
        self._open(_csv(paths) if self.is_text else _parquet(paths))
        if not session.rows(f"SELECT 1 FROM {self.relation} LIMIT 1"):
            raise DataError(f"{_named(paths)} no rows")

    def _open(self, relation: str) -> None:
        self.relation = relation
        self._types = self._session.columns(relation)

    def keep(self, columns: Iterable[str], folder: Path) -> None:
        """Copy columns to a Parquet file in a folder, and read that from here on.

        Text is read once for all; and the statistics of the copy tell of NaN, where other
        programs' say nothing of it, and DuckDB takes it that there is none.
        """
        selected = ", ".join(map(identifier, dict.fromkeys(columns)))
        path = folder / f"units-{len(list(folder.iterdir()))}.parquet"
        self._session.execute(
            f"COPY (SELECT {selected} FROM {self.relation}) TO {quoted(str(path))} "
            "(FORMAT parquet, COMPRESSION lz4)"
        )
        self._open(_parquet([path]))

    def column(self, name: str) -> str:
        """A column as SQL. DataError for one that is not there."""
        if name not in self._types:
            raise DataError(f'the file has no column "{name}"{did_you_mean(name, self._types)}')
        return identifier(name)

    def number(self, name: str) -> str:
        """A column of numbers or booleans as SQL; numbers that are stored as text will do."""
        column, kind = self.column(name), self._types[name]
        if kind in _NUMBERS:
            return column
        if kind.startswith(_TEXTS):
            self._check_text(name)
        elif not kind.startswith(_CAST):
            raise DataError(
                f'column "{name}" is of type {kind}; a metric is a number, or true or false'
            )
        return f"CAST({column} AS DOUBLE)"

    def _check_text(self, name: str) -> None:
        rows = f"SELECT row_number() OVER () AS r, {identifier(name)} AS x FROM {self.relation}"
        count, example, row = self._session.rows(
            f"SELECT count(*), arg_min(x, r), min(r) FROM ({rows})\n"
            "WHERE x IS NOT NULL AND TRY_CAST(x AS DOUBLE) IS NULL"
        )[0]
        if count:
            holds = "1 row holds" if count == 1 else f"{count:,} rows hold"
            raise DataError(
                f'column "{name}" is not a number: {holds} text, the first is row {row:,} with '
                f'"{example}"; leave missing values empty'
            )

    def is_binary(self, name: str) -> bool:
        """Whether the column says yes or no: booleans, or no other numbers than 0 and 1."""
        if self._types[name] == "BOOLEAN":
            return True
        value = self.number(name)
        first = f"SELECT 1 FROM {self.relation} WHERE {value}"
        has_other = self._session.rows(f"{first} NOT IN (0, 1) LIMIT 1")
        return not has_other and bool(self._session.rows(f"{first} IN (0, 1) LIMIT 1"))


def _is_csv(paths: Sequence[Path]) -> bool:
    if not paths:
        raise DataError("no file has such a name; give a CSV or Parquet file")
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
    kinds = {path.suffix.lower() for path in paths}
    if kinds not in ({".csv"}, {".parquet"}):
        raise DataError(f"{paths[0]}: expected .csv or .parquet files, all of one kind")
    return kinds == {".csv"}


def _csv(paths: Sequence[Path]) -> str:
    nulls = ", ".join(map(quoted, _NULLS))
    # Every row is looked at for the types: by some, a later 1.5 would be read as 2.
    options = f"header = true, nullstr = [{nulls}], sample_size = -1"
    return f"read_csv([{_listed(paths)}], {options})"


def _parquet(paths: Sequence[Path]) -> str:
    return f"read_parquet([{_listed(paths)}])"


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(quoted(str(path.absolute())) for path in paths)


def _named(paths: Sequence[Path]) -> str:
    return f"{paths[0]} has" if len(paths) == 1 else f"the {len(paths)} files have"
