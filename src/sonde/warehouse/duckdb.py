"""DuckDB as the engine of one step: in memory, one thread, closed to everything but its tables."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from sonde.errors import BackendError, DataError, MemoryLimitError
from sonde.sql import MACROS
from sonde.sql.text import identifier, quoted
from sonde.warehouse.sources import SourceTable, view


@dataclass(frozen=True)
class Limits:
    """What a session may use. memory: as DuckDB writes it, `1GB`. spill: a folder for more."""

    memory: str = "1GB"
    spill: Path | None = None


class Session:
    """A connection for one step. Statements are DuckDB SQL; tables are views on files.

    threads = 1: sums of floats depend on their order, so the same step gives the same bytes;
    steps, not queries, run in parallel.
    """

    def __init__(self, as_of: date, limits: Limits, folders: Sequence[Path] = ()) -> None:
        self.limits = limits
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        execute = self._connection.execute
        execute("SET TimeZone = 'UTC'")
        execute(f"SET memory_limit = '{limits.memory}'")
        execute("SET preserve_insertion_order = true")
        execute("SET enable_progress_bar = false")  # progress is the runner's to show
        execute("SET parquet_metadata_cache = true")
        if limits.spill is not None:
            execute(f"SET temp_directory = {quoted(str(limits.spill))}")
        allowed = ", ".join(quoted(f"{folder}/") for folder in folders)
        execute(f"SET allowed_directories = [{allowed}]")
        self._installed: set[str] = set()
        self._attached: dict[str, int] = {}
        execute(f"CREATE MACRO sonde_current_date() AS DATE '{as_of.isoformat()}'")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def attach(
        self, table: SourceTable, first: date | None = None, last: date | None = None
    ) -> None:
        """Make a table visible; with days, only the files that may hold rows of them."""
        files = table.within(first, last)
        if table.schema is not None and not files:
            self.register(unfilled := f"{table.name}, no rows", table.schema.empty_table())
            rows = f"SELECT * FROM {identifier(unfilled)}"
            # Not the Arrow table itself by this name: what is registered hides a later view.
            self.execute(f"CREATE OR REPLACE VIEW {identifier(table.name)} AS {rows}")
        else:
            table.fetch(files or table.files[:1])
            self.execute(view(table, first, last))
        self._attached |= {file.path: file.size for file in files}

    @property
    def bytes_attached(self) -> int:
        """The size of the files behind the tables attached, each once."""
        return sum(self._attached.values())

    def lock(self) -> None:
        """From here on, SQL reaches only the session's tables and folders."""
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Run a statement for its effect."""
        with self._errors(sql):
            self._connection.execute(sql, list(parameters))

    def arrow(self, sql: str) -> pa.Table:
        """The rows of a query."""
        with self._errors(sql):
            return self._connection.sql(sql).to_arrow_table()

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of a query as they come, about so many at a time."""
        with self._errors(sql):
            yield from self._connection.sql(sql).to_arrow_reader(rows)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a small query."""
        with self._errors(sql):
            return self._connection.execute(sql, list(parameters)).fetchall()

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of the columns of a relation expression."""
        return {row[0]: row[1] for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def register(self, name: str, rows: pa.Table) -> None:
        """Make an Arrow table visible under `name`."""
        self._connection.register(name, rows)

    def _install(self, sql: str) -> None:
        """The functions that the statement names: all of them would cost more than most steps."""
        for name in _functions_in(sql):
            if name not in self._installed:
                self._installed.add(name)
                self._connection.execute(_functions()[name])

    @contextmanager
    def _errors(self, sql: str) -> Iterator[None]:
        try:
            self._install(sql)
            yield
        except duckdb.OutOfMemoryException as error:
            raise MemoryLimitError(
                f"a query needs more than the {self.limits.memory} of memory it may use; raise "
                "`memory` under [run] in sonde.toml, or lower `workers` (on a cluster: give its "
                "workers more memory, or fewer threads)"
            ) from error
        except duckdb.IOException as error:
            if "No space left" in str(error):
                raise BackendError(f"the disk is full: {_first_line(error)}") from error
            raise DataError(_first_line(error), sql) from error
        except duckdb.InternalException as error:
            raise BackendError(f"the engine failed: {_first_line(error)}") from error
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except duckdb.Error as error:
            raise DataError(_first_line(error), sql) from error


_FUNCTION = re.compile(r"\b(?:sonde|mozfun|udf)_\w+", re.IGNORECASE)


@functools.cache
def _functions() -> dict[str, str]:
    """The statements that make the functions, by name; those they use come before them."""
    return {_FUNCTION.findall(statement)[0].lower(): statement for statement in MACROS}


@functools.lru_cache(maxsize=256)
def _functions_in(sql: str) -> tuple[str, ...]:
    """The functions that a statement names, and those that these use, in the order to make them."""
    named = {name.lower() for name in _FUNCTION.findall(sql)} & _functions().keys()
    for name, statement in reversed(_functions().items()):
        if name in named:
            named |= {used.lower() for used in _FUNCTION.findall(statement)} & _functions().keys()
    return tuple(name for name in _functions() if name in named)


def _first_line(error: Exception) -> str:
    # DuckDB appends the statement with a caret; the error row carries the SQL on its own.
    return str(error).split("\n\nLINE ")[0].strip()
