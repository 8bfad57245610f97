"""BigQuery SQL, as people write it in metric-hub, to DuckDB's. Text in, text out.

What is not known to mean the same is refused with UnsupportedSql, never guessed. The emitted
SQL needs the macros of `sonde.sql.functions`, a session in UTC, and a view per physical table.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, assert_never

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import UnsupportedError

from sonde.sql.aggregates import spell_out_having
from sonde.sql.calls import gather_names
from sonde.sql.histograms import shorten
from sonde.sql.queries import spell_out_group_by_all, spell_out_names
from sonde.sql.rules import to_duckdb
from sonde.sql.syntax import (
    Refusal,
    UnsupportedSql,
    located,
    parse_expression,
    parse_query,
    parse_relation,
)
from sonde.sql.tables import (
    TableName,
    physical_tables,
    relation_name,
    spell_out_unnest,
)
from sonde.sql.text import identifier

Kind = Literal["expression", "relation", "query"]
_CACHED = 1 << 14


@dataclass(frozen=True)
class Relation:
    """Rows: DuckDB SQL that can stand after FROM, before an alias; and the tables it reads."""

    sql: str
    tables: tuple[TableName, ...]


@functools.lru_cache(maxsize=_CACHED)
def expression(text: str) -> str:
    """An aggregate or a scalar.

    >>> expression("COALESCE(SUM(x), 0)")
    'COALESCE(SUM("x"), 0)'
    """
    return _translated(parse_expression(text), text).sql


@functools.lru_cache(maxsize=_CACHED)
def relation(text: str) -> Relation:
    """A data source's `from_expression`: a table name, or a query in parentheses.

    >>> relation("`moz-fx-data-shared-prod.telemetry.main`").sql
    '"telemetry.main"'
    """
    tree = parse_relation(text)
    made = _translated(tree, text)
    if isinstance(tree, exp.Table):
        (name,) = made.tables
        return Relation(identifier(relation_name(name)), made.tables)
    return made


@functools.lru_cache(maxsize=_CACHED)
def query(text: str) -> Relation:
    """A whole SELECT statement, such as an `enrollment_query`.

    >>> query("SELECT a FROM d.t").sql
    'SELECT "a" FROM "d.t" AS "t"'
    """
    return _translated(parse_query(text), text)


def check(text: str, kind: Kind) -> str | None:
    """What is wrong with a snippet, with its line and column; None if nothing is.

    >>> check("SUM(x) / FARM_FINGERPRINT(y)", "expression")
    'line 1, column 10: FARM_FINGERPRINT has no counterpart; use sample_id, or TO_HEX(MD5(x))'
    """
    try:
        match kind:
            case "expression":
                expression(text)
            case "relation":
                relation(text)
            case "query":
                query(text)
            case _:
                assert_never(kind)
    except UnsupportedSql as error:
        return str(error)
    return None


def prepared(tree: exp.Expr) -> exp.Expr:
    """The BigQuery tree in the forms that the rules, and whoever takes it apart, rely on.

    Functions have one name, arrays in FROM are UNNEST, no subquery is left where a list will do.
    """
    steps = (
        *(spell_out_unnest, gather_names, spell_out_names, spell_out_group_by_all),
        *(spell_out_having, shorten),
    )
    for step in steps:
        tree = step(tree)
    return tree


def _translated(tree: exp.Expr, text: str) -> Relation:
    try:
        ready = prepared(tree)
        tables = physical_tables(ready)  # before they are renamed
        return Relation(emit(to_duckdb(ready)), tables)
    except Refusal as refusal:
        raise located(refusal, text) from None
    except UnsupportedError as error:
        raise UnsupportedSql(str(error)) from None


def emit(tree: exp.Expr) -> str:
    """The text of a DuckDB tree. What the generator cannot say is an error, not a warning."""
    return DuckDB().generate(tree, identify=True, unsupported_level=ErrorLevel.RAISE)
