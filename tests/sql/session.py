"""A DuckDB session as an engine sets it up: in UTC, with the macros and an as-of date."""

from __future__ import annotations

import duckdb

from sonde.sql import MACROS, query


def session() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    made.execute("SET TimeZone = 'UTC'")
    made.execute("CREATE MACRO sonde_current_date() AS DATE '2024-03-15'")
    for macro in MACROS:
        made.execute(macro)
    return made


def evaluated(duck: duckdb.DuckDBPyConnection, text: str) -> object:
    """The first value of a BigQuery query, or of an expression with an optional FROM."""
    if not text.startswith(("SELECT", "WITH")):
        text = "SELECT " + text
    row = duck.execute(query(text).sql).fetchone()
    assert row is not None
    return row[0]
