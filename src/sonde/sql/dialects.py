"""How an engine writes the few things that summaries and pre-treatments are made of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from sonde.sql import summaries as duckdb
from sonde.sql.text import identifier


@dataclass(frozen=True)
class Dialect:
    """Functions from SQL to SQL.

    name: of a column. number: a column, by name, as floating-point numbers. literal: such a number.
    is_nan, is_finite: of a number; null for null. quantile: of a value that may be null and its
    probability, over the rows of the same window (`__n`), in each row.
    """

    name: Callable[[str], str]
    number: Callable[[str], str]
    literal: Callable[[float], str]
    is_nan: Callable[[str], str]
    is_finite: Callable[[str], str]
    quantile: Callable[[str, float], str]


def backquoted(name: str) -> str:
    r"""A quoted BigQuery identifier.

    >>> print(backquoted("m:x"))
    `m:x`
    """
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def frame_column(name: str) -> str:
    """A frame's column in BigQuery, where a name has letters, digits and underscores only.

    >>> frame_column("m:hours|0_1")
    '`m_x3a_hours_x7c_0_1`'
    """
    return backquoted(re.sub(r"\W", lambda match: f"_x{ord(match[0]):x}_", name))


def float64(value: float) -> str:
    """A FLOAT64 of BigQuery, with all its digits.

    >>> float64(0.1), float64(-float("inf"))
    ('0.1', "CAST('-inf' AS FLOAT64)")
    """
    return repr(float(value)) if math.isfinite(value) else f"CAST('{value!r}' AS FLOAT64)"


DUCKDB = Dialect(
    name=identifier,
    number=duckdb.number,
    literal=duckdb.float_literal,
    is_nan=lambda value: f"isnan({value})",
    is_finite=lambda value: f"isfinite({value})",
    quantile=lambda value, probability: (
        f"quantile_cont({value}, {duckdb.float_literal(probability)}) OVER (PARTITION BY __n)"
    ),
)

BIGQUERY = Dialect(
    name=frame_column,
    number=lambda column: f"CAST({frame_column(column)} AS FLOAT64)",
    literal=float64,
    is_nan=lambda value: f"IS_NAN({value})",
    is_finite=lambda value: f"(NOT IS_NAN({value}) AND NOT IS_INF({value}))",
    quantile=lambda value, probability: (
        f"PERCENTILE_CONT({value}, {float64(probability)}) OVER (PARTITION BY __n)"
    ),
)
