"""Types of columns, and the statement that makes an empty table of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from sonde.sql.tables import TableName, relation_name
from sonde.sql.text import identifier


class Scalar(enum.Enum):
    """A BigQuery type without parts."""

    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    NUMERIC = "NUMERIC"
    STRING = "STRING"
    BOOL = "BOOL"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    TIME = "TIME"
    JSON = "JSON"


_DUCK_TYPES = {
    Scalar.INT64: "BIGINT",
    Scalar.FLOAT64: "DOUBLE",
    Scalar.NUMERIC: "DECIMAL(38, 9)",
    Scalar.STRING: "VARCHAR",
    Scalar.BOOL: "BOOLEAN",
    Scalar.DATE: "DATE",
    Scalar.TIMESTAMP: "TIMESTAMP",
    Scalar.TIME: "TIME",
    Scalar.JSON: "VARCHAR",  # as Parquet has it
}


@dataclass(frozen=True)
class Array:
    """A list."""

    element: Type


@dataclass(frozen=True)
class Struct:
    """Named parts, in order."""

    fields: tuple[tuple[str, Type], ...]


Type: TypeAlias = "Scalar | Array | Struct"


def map_of(value: Type) -> Array:
    """BigQuery's map: an array of structs with `key` and `value`."""
    return Array(Struct((("key", Scalar.STRING), ("value", value))))


def duck_type(kind: Type) -> str:
    """The type in DuckDB.

    >>> duck_type(map_of(Scalar.INT64))
    'STRUCT("key" VARCHAR, "value" BIGINT)[]'
    """
    match kind:
        case Scalar():
            return _DUCK_TYPES[kind]
        case Array(element):
            return f"{duck_type(element)}[]"
        case Struct(fields):
            return f"STRUCT({_columns(dict(fields))})"
        case _:
            assert_never(kind)


def create_table(name: TableName, columns: Mapping[str, Type]) -> str:
    """CREATE TABLE under the name that translated SQL reads.

    >>> create_table(TableName("p", "d", "t"), {"x": Scalar.INT64})
    'CREATE TABLE "d.t" ("x" BIGINT)'
    """
    return f"CREATE TABLE {identifier(relation_name(name))} ({_columns(columns)})"


def _columns(columns: Mapping[str, Type]) -> str:
    return ", ".join(f"{identifier(name)} {duck_type(kind)}" for name, kind in columns.items())
