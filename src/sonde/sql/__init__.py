"""Declarations -> SQL, and BigQuery's SQL -> DuckDB's."""

from sonde.sql.functions import MACROS
from sonde.sql.syntax import UnsupportedSql
from sonde.sql.tables import TableName, relation_name
from sonde.sql.translate import Relation, check, expression, query, relation

__all__ = [
    "MACROS",
    "Relation",
    "TableName",
    "UnsupportedSql",
    "check",
    "expression",
    "query",
    "relation",
    "relation_name",
]
