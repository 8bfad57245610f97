"""Pieces of DuckDB syntax that the translation rules are made of."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sonde.sql.syntax import Refusal

Rule = Callable[[exp.Expr], exp.Expr]


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A function call, written as it stands.

    >>> call("len", exp.column("x")).sql("duckdb")
    'LEN(x)'
    """
    return exp.Anonymous(this=name, expressions=list(arguments))


def calls(name: str, *keys: str) -> Rule:
    """The rule that turns a node into a call of `name` with the node's arguments at `keys`.

    An absent argument is left out; a list is spread.
    """

    def rule(node: exp.Expr) -> exp.Expr:
        return call(name, *arguments(node, *keys))

    return rule


def arguments(node: exp.Expr, *keys: str) -> list[exp.Expr]:
    """The node's arguments at `keys`, in order, without the absent ones.

    An argument elsewhere would be lost: it is refused.
    """
    for key, value in node.args.items():
        if key not in keys and (isinstance(value, exp.Expr) or (value and type(value) is list)):
            raise Refusal(node, f"{node.sql('bigquery')}: this form is not supported")
    found: list[exp.Expr] = []
    for key in keys:
        value = node.args.get(key)
        found += value if isinstance(value, list) else [value] if value is not None else []
    return found


def text(value: str) -> exp.Literal:
    """A string literal."""
    return exp.Literal.string(value)


def number(value: int) -> exp.Literal | exp.Neg:
    """An integer literal."""
    return exp.Literal.number(value)


def cast(node: exp.Expr, to: str) -> exp.Cast:
    """`CAST(node AS to)`, where `to` is DuckDB's name of a type."""
    return exp.Cast(this=node, to=exp.DataType.build(to, dialect="duckdb"))


def filtered(aggregate: exp.Expr, condition: exp.Expr) -> exp.Filter:
    """`aggregate FILTER (WHERE condition)`."""
    return exp.Filter(this=aggregate, expression=exp.Where(this=condition))


def not_null(node: exp.Expr) -> exp.Not:
    """`node IS NOT NULL`."""
    return exp.Not(this=exp.Is(this=wrapped(node), expression=exp.Null()))


def wrapped(node: exp.Expr) -> exp.Expr:
    """The node, in parentheses when an operator beside it could tear it apart."""
    if isinstance(node, exp.Binary | exp.Unary | exp.Between | exp.In | exp.Case | exp.If):
        return node if isinstance(node, exp.Paren | exp.Dot) else exp.Paren(this=node)
    return node


def structure(**fields: exp.Expr) -> exp.Struct:
    """`{'name': value, ..}`."""
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(name), expression=value)
            for name, value in fields.items()
        ]
    )


def field(node: exp.Expr, name: str) -> exp.Expr:
    """A field of a struct value that is not a plain column path."""
    return call("struct_extract", node, text(name))


def lambda_(variable: str, body: exp.Expr) -> exp.Expr:
    """`lambda variable: body`."""
    return exp.Lambda(this=body, expressions=[exp.to_identifier(variable)], colon=True)


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an aggregate stands in the tree outside subqueries (windows included)."""
    return any(
        isinstance(n, exp.AggFunc | exp.Window)
        for n in node.walk(prune=lambda n: isinstance(n, exp.Query | exp.Subquery))
    )
