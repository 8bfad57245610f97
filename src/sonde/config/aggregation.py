"""Metrics declared as an aggregation of a column instead of as SQL."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from sonde.config.document import Table
from sonde.config.keys import AGGREGATION, Aggregation
from sonde.errors import did_you_mean

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMPARISONS = (">", ">=", "<", "<=", "=", "!=")
_NULL_TESTS = ("IS NULL", "IS NOT NULL")
_ON_COLUMN = (Aggregation.SUM, Aggregation.COUNT, Aggregation.RECENCY_WITHIN)
_NEVER_SEEN = 30  # days since last seen, for a unit without rows: more than any bit pattern holds


class Combine(enum.StrEnum):
    """How the values of several buckets of days become one."""

    SUM = "SUM"
    MIN = "MIN"


@dataclass(frozen=True)
class Bucketed:
    """A metric as a value per unit and bucket of days, so that windows are made of buckets.

    no_rows: the value of a bucket without rows. finalize: SQL in which `{combined}` stands for the
    combined value.
    """

    bucket_aggregate: str
    combine: Combine
    no_rows: str
    finalize: str


def check_aggregation(table: Table) -> Iterator[tuple[str | None, str]]:
    """What is wrong with the aggregation keys of a metric table: (key, message)."""
    if "aggregation" not in table:
        for key in (key for key in AGGREGATION if _value(table, key) not in (None, [], False)):
            yield key, 'has a meaning only with "aggregation"'
        return
    if "select_expression" in table:
        yield "aggregation", 'a metric has either "select_expression" or "aggregation", not both'
    yield from _check_operand(table)
    yield from _check_windows(table)
    for index, clause in enumerate(_value(table, "where", ())):
        for message in _check_clause(clause):
            yield "where", f"condition {index + 1}: {message}"
    if "threshold" in table:
        for message in _check_threshold(table["threshold"].value):
            yield "threshold", message


def select_expression(table: Table) -> str:
    """The declared aggregation as SQL, with metric-hub's macros as Jinja."""
    column, predicate = _value(table, "column"), _predicate(table)
    match Aggregation(table["aggregation"].value):
        case Aggregation.SUM:
            sql, is_boolean = _macro("agg_sum", column), False
        case Aggregation.COUNT:
            sql, is_boolean = f"COUNT({column})", False
        case Aggregation.COUNT_WHERE:
            sql, is_boolean = f"COUNTIF({predicate})", False
        case Aggregation.ANY:
            sql, is_boolean = _macro("agg_any", predicate), True
        case Aggregation.RECENCY_WITHIN:
            sql, is_boolean = f"{_recency(column)} < {_value(table, 'within_days')}", True
        case unreachable:
            assert_never(unreachable)
    if threshold := _value(table, "threshold"):
        sql = _compared(f"CAST({sql} AS INT64)" if is_boolean else sql, threshold)
        is_boolean = True
    if (scale := _value(table, "scale")) is not None:
        sql = f"{f'CAST({sql} AS INT64)' if is_boolean else sql} * {_literal(scale)}"
    return sql


def bucketed(table: Table) -> Bucketed:
    """The declared aggregation as parts that buckets of days can be composed from."""
    column, predicate = _value(table, "column"), _predicate(table)
    combine, no_rows, finalize = Combine.SUM, "0", "{combined}"
    match Aggregation(table["aggregation"].value):
        case Aggregation.SUM:
            aggregate = f"COALESCE(SUM({column}), 0)"
        case Aggregation.COUNT:
            aggregate = f"COUNT({column})"
        case Aggregation.COUNT_WHERE:
            aggregate = f"COUNTIF({predicate})"
        case Aggregation.ANY:
            aggregate, finalize = f"COUNTIF({predicate})", "CAST({combined} > 0 AS INT64)"
        case Aggregation.RECENCY_WITHIN:
            aggregate, combine, no_rows = _recency(column), Combine.MIN, str(_NEVER_SEEN)
            finalize = f"CAST({{combined}} < {_value(table, 'within_days')} AS INT64)"
        case unreachable:
            assert_never(unreachable)
    if threshold := _value(table, "threshold"):
        finalize = f"CAST({_compared(finalize, threshold)} AS INT64)"
    if (scale := _value(table, "scale")) is not None:
        finalize = f"({finalize}) * {_literal(scale)}"
    return Bucketed(aggregate, combine, no_rows, finalize)


def _check_operand(table: Table) -> Iterator[tuple[str | None, str]]:
    kind = Aggregation(table["aggregation"].value)
    if "column" in table and not _IDENTIFIER.fullmatch(table["column"].value):
        yield "column", f'"{table["column"].value}" is not a plain column name'
    if kind in _ON_COLUMN:
        if "column" not in table:
            yield None, f'aggregation "{kind}" needs a "column"'
        if _value(table, "where"):
            yield "where", f'aggregation "{kind}" takes no "where"'
    elif ("column" in table) == bool(_value(table, "where")):
        yield None, f'aggregation "{kind}" needs either a "column" or a "where"'
    if kind is Aggregation.RECENCY_WITHIN:
        if "within_days" not in table:
            yield None, 'aggregation "recency_within" needs "within_days", 1 to 28'
    elif "within_days" in table:
        yield "within_days", 'has a meaning only with aggregation "recency_within"'
    if "scale" in table and not math.isfinite(table["scale"].value):
        yield "scale", "expected a finite number"


def _check_windows(table: Table) -> Iterator[tuple[str | None, str]]:
    has_window = "cumulative_window" in table or "incremental_window" in table
    if _value(table, "repeat_windows") and not has_window:
        yield "repeat_windows", 'needs "cumulative_window" or "incremental_window"'


def _check_clause(clause: Mapping[str, Any]) -> Iterator[str]:
    column, op, value = clause.get("column"), clause.get("op"), clause.get("value")
    yield from _unknown(clause, ("column", "op", "value"))
    if not isinstance(column, str) or not _IDENTIFIER.fullmatch(column):
        yield f'"column" is to be a plain column name, not {column!r}'
    if op is not None and op not in _COMPARISONS + _NULL_TESTS:
        yield f'unknown "op" {op!r}; expected one of {", ".join(_COMPARISONS + _NULL_TESTS)}'
    elif op in _COMPARISONS and not _is_scalar(value):
        yield f'"op" {op} needs a "value": a number, a text, true or false'
    elif op not in _COMPARISONS and value is not None:
        yield 'a "value" needs an "op" that compares'


def _check_threshold(threshold: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(threshold, ("op", "value"))
    if threshold.get("op") not in _COMPARISONS:
        yield f'"op" is to be one of {", ".join(_COMPARISONS)}'
    value = threshold.get("value")
    if isinstance(value, str | bool) or not _is_scalar(value):
        yield '"value" is to be a number'


def _unknown(table: Mapping[str, Any], known: Sequence[str]) -> Iterator[str]:
    for key in table.keys() - set(known):
        yield f'unknown key "{key}"{did_you_mean(key, known)}'


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _value(table: Table, key: str, default: Any = None) -> Any:
    return table[key].value if key in table else default


def _predicate(table: Table) -> str:
    conditions = _value(table, "where") or [{"column": _value(table, "column")}]
    return " AND ".join(_condition(clause) for clause in conditions)


def _condition(clause: Mapping[str, Any]) -> str:
    match clause.get("op"):
        case None:
            return str(clause["column"])
        case op if op in _NULL_TESTS:
            return f"{clause['column']} {op}"
        case _:
            return _compared(clause["column"], clause)


def _compared(left: str, comparison: Mapping[str, Any]) -> str:
    return f"{left} {comparison['op']} {_literal(comparison['value'])}"


def _literal(value: Any) -> str:
    """A SQL literal in which no brace is left: the expression is formatted later."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return "'" + escaped.replace("{", "\\x7b").replace("}", "\\x7d") + "'"
    return str(value)


def _macro(name: str, argument: str) -> str:
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{{{name}("{escaped}")}}}}'


def _recency(column: str) -> str:
    return f"COALESCE(MIN(mozfun.bits28.days_since_seen({column})), {_NEVER_SEEN})"
