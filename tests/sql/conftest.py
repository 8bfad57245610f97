"""A DuckDB session as an engine sets it up: in UTC, with the macros and an as-of date."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from sonde.sql import MACROS


@pytest.fixture(scope="session")
def macro_session() -> Iterator[duckdb.DuckDBPyConnection]:
    session = duckdb.connect(config={"threads": 1})
    session.execute("SET TimeZone = 'UTC'")
    session.execute("CREATE MACRO sonde_current_date() AS DATE '2024-03-15'")
    for macro in MACROS:
        session.execute(macro)
    yield session
    session.close()


@pytest.fixture
def duck(macro_session) -> Iterator[duckdb.DuckDBPyConnection]:
    with macro_session.cursor() as cursor:
        yield cursor
