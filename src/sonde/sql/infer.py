"""Columns and types of tables, from the SQL that reads them.

Enough to make empty tables on which a declaration can be tried without any data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from sonde.sql.calls import gather_names
from sonde.sql.expressions import Reader
from sonde.sql.schemas import Type
from sonde.sql.scopes import Row, Scope, Source
from sonde.sql.syntax import parse_expression, parse_query, parse_relation
from sonde.sql.tables import TableName, spell_out_unnest


@dataclass(frozen=True)
class Use:
    """A relation, and expressions over its rows.

    typed: expressions whose type is known, such as the columns of the unit and of the date.
    """

    relation: str
    expressions: tuple[str, ...] = ()
    typed: Mapping[str, Type] = field(default_factory=dict)


def infer(uses: Iterable[Use], queries: Iterable[str] = ()) -> dict[TableName, dict[str, Type]]:
    """The columns of every physical table that is read, sorted; projects are left out.

    Raises UnsupportedSql.

    >>> tables = infer([Use("d.t", ("SUM(IF(LOWER(a.b) = 'x', n, 0))",))])
    >>> tables[TableName(None, "d", "t")]["a"]
    Struct(fields=(('b', <Scalar.STRING: 'STRING'>),))
    """
    reader = Reader()
    for text in queries:
        reader.rows(_prepared(parse_query(text)), Scope())
    for use in uses:
        _read(reader, use)
    return {
        name: {c.name: c.resolved() for _, c in sorted(row.columns.items())}
        for name, row in sorted(reader.tables.items(), key=lambda item: str(item[0]))
    }


def _read(reader: Reader, use: Use) -> None:
    tree = _prepared(parse_relation(use.relation))
    rows = Scope(sources=[Source("ds", reader.source_row(tree, Scope()))])
    # What the rows of the source do not have, the row of the enrollment has.
    scope = Scope(sources=rows.sources, outer=Scope(sources=[Source("e", Row(is_open=True))]))
    for text, kind in use.typed.items():
        reader.type_of(_prepared(parse_expression(text)), scope).must_be(kind)
    for text in use.expressions:
        reader.type_of(_prepared(parse_expression(text)), scope)


def _prepared(tree: exp.Expr) -> exp.Expr:
    return gather_names(spell_out_unnest(tree))
