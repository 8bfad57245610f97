"""A small demo, made once, and its tables in DuckDB under the names that SQL gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from sonde.datasets import Truth, write_project
from sonde.datasets.tables import TABLES
from sonde.sql import MACROS

SCALE = 0.03


@dataclass(frozen=True)
class Demo:
    folder: Path
    truth: Truth
    connection: duckdb.DuckDBPyConnection

    def rows(self, sql: str) -> list[tuple]:
        return self.connection.execute(sql).fetchall()

    def value(self, sql: str):
        return self.rows(sql)[0][0]


def open_lake(lake: Path) -> duckdb.DuckDBPyConnection:
    """A view `dataset.table` for each table. The partitions' names give the submission date."""
    connection = duckdb.connect()
    for macro in MACROS:
        connection.execute(macro)
    for table in TABLES:
        name = table.path.replace("/", ".")
        files = f"{lake / table.path}/*/*.parquet"
        connection.execute(
            f"CREATE VIEW \"{name}\" AS FROM read_parquet('{files}', hive_partitioning=true)"
        )
    return connection


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "project"
    truth = write_project(folder, scale=SCALE)
    with open_lake(folder / "lake") as connection:
        yield Demo(folder, truth, connection)
