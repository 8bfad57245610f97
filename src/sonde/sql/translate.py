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

from sonde.sql.calls import gather_names
from sonde.sql.histograms import shorten
from sonde.sql.rules import to_duckdb
from sonde.sql.syntax import (
    Refusal,
    UnsupportedSql,
    located,
    parse_expression,
    parse_query,
    parse_relation,
)
from sonde.sql.tables import TableName, physical_tables, spell_out_unnest

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
    return _translated(spell_out_unnest(parse_expression(text)), text)


@functools.lru_cache(maxsize=_CACHED)
def relation(text: str) -> Relation:
    """A data source's `from_expression`: a table name, or a query in parentheses.

    >>> relation("`moz-fx-data-shared-prod.telemetry.main`").sql
    '"telemetry.main"'
    """
    tree = spell_out_unnest(parse_relation(text))
    tables = _tables(tree, text)
    if isinstance(tree, exp.Table):
        (name,) = tables
        tree.set("alias", exp.TableAlias(this=exp.to_identifier(name.table)))
        sql = _translated(tree, text)
        return Relation(sql.rsplit(" AS ", 1)[0], tables)
    return Relation(_translated(tree, text), tables)


@functools.lru_cache(maxsize=_CACHED)
def query(text: str) -> Relation:
    """A whole SELECT statement, such as an `enrollment_query`.

    >>> query("SELECT a FROM d.t").sql
    'SELECT "a" FROM "d.t" AS "t"'
    """
    tree = spell_out_unnest(parse_query(text))
    tables = _tables(tree, text)  # before the translation renames them
    return Relation(_translated(tree, text), tables)


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


def _tables(tree: exp.Expr, text: str) -> tuple[TableName, ...]:
    try:
        return physical_tables(tree)
    except Refusal as refusal:
        raise located(refusal, text) from None


def _translated(tree: exp.Expr, text: str) -> str:
    try:
        return emit(to_duckdb(shorten(gather_names(tree))))
    except Refusal as refusal:
        raise located(refusal, text) from None


def emit(tree: exp.Expr) -> str:
    """The text of a DuckDB tree. What the generator cannot say is an error, not a warning."""
    return DuckDB().generate(tree, identify=True, unsupported_level=ErrorLevel.RAISE)
