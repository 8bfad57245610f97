"""Literals and layout of SQL text. A value enters SQL only through here."""

from __future__ import annotations

import textwrap
from datetime import date


def string(value: str) -> str:
    r"""A string literal, in BigQuery's and in DuckDB's way when it needs no escape.

    >>> print(string("it's"))
    'it\'s'
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def date_literal(day: date) -> str:
    """A date literal.

    >>> date_literal(date(2020, 3, 30))
    "DATE '2020-03-30'"
    """
    return f"DATE '{day.isoformat()}'"


def indented(text: str) -> str:
    """Two spaces further in."""
    return textwrap.indent(text, "  ")


def identifier(name: str) -> str:
    """A quoted DuckDB identifier.

    >>> print(identifier('a "b"'))
    "a ""b\"""
    """
    return '"' + name.replace('"', '""') + '"'


def quoted(value: str) -> str:
    """A DuckDB string literal.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
