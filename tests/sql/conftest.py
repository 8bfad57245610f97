"""Fixtures for the translation's tests."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.sql.session import session


@pytest.fixture(scope="session")
def macro_session() -> Iterator[duckdb.DuckDBPyConnection]:
    with session() as made:
        yield made


@pytest.fixture
def duck(macro_session) -> Iterator[duckdb.DuckDBPyConnection]:
    with macro_session.cursor() as cursor:
        yield cursor
