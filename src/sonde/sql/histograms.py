"""Shorter forms of what metric-hub writes over arrays: no subquery, and a histogram parsed once.

`(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract(h).values))` is a correlated subquery to
DuckDB, and builds a list of structs to add up its parts. As a list function it is neither.
A form is changed only if every name in it is known to be of the array's elements or of the row.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sqlglot import exp

from sonde.sql.duck import Rule, call, lambda_, not_null, number
from sonde.sql.jsons import ROOT_ALIASES, dotted
from sonde.sql.syntax import Refusal

EXTRACTS = frozenset({"mozfun.hist.extract", "udf.json_extract_histogram"})
_PAIR = frozenset({"key", "value"})  # the fields of a map's elements
_LISTS: dict[type[exp.Expr], str] = {
    exp.Sum: "list_sum",
    exp.Max: "list_max",
    exp.Min: "list_min",
    exp.Avg: "list_avg",
    exp.LogicalOr: "list_bool_or",
    exp.LogicalAnd: "list_bool_and",
}


class Made(exp.Anonymous):
    """A call that is DuckDB's already, in a tree that is BigQuery's otherwise."""


class _Unknown(Exception):
    """A name that may be the element's or the row's."""


def shorten(tree: exp.Expr) -> exp.Expr:
    """The tree, with subqueries over arrays turned into list functions where that is the same."""
    holder = exp.Paren(this=tree)
    names = (f"unnested_{i}" for i in itertools.count())
    for node in reversed(list(holder.walk())):
        made = _shortened(node, names)
        if made is not None:
            node.replace(made)
    root: exp.Expr = holder.this.pop()
    return root


def _shortened(node: exp.Expr, names: Iterator[str]) -> exp.Expr | None:
    if (text := _histogram(node)) is not None and isinstance(node, exp.Dot):
        return _of_histogram(node.expression.name.lower(), text)
    query = node.this if isinstance(node, exp.Subquery | exp.Exists) else None
    if not isinstance(query, exp.Select) or node.args.get("alias"):
        return None
    try:
        return _of_array(node, query, next(names))
    except _Unknown:
        return None


def _histogram(node: exp.Expr) -> exp.Expr | None:
    """The text in `mozfun.hist.extract(text).field`."""
    inner = node.this if isinstance(node, exp.Dot) else None
    if not isinstance(inner, exp.Anonymous) or len(inner.expressions) != 1:
        return None
    known = any(str(inner.name).endswith(name) for name in EXTRACTS)
    argument: exp.Expr = inner.expressions[0]
    return argument if known and isinstance(node.expression, exp.Identifier) else None


def _of_histogram(field: str, text: exp.Expr) -> exp.Expr | None:
    if field not in {"values", "sum"}:
        return None
    return Made(this=f"sonde_histogram_{field}", expressions=[text.copy()])


def _of_array(node: exp.Expr, query: exp.Select, variable: str) -> exp.Expr | None:
    clauses = {key for key, value in query.args.items() if value}
    unnest = query.args["from_"].this if "from_" in clauses else None
    if clauses - {"expressions", "from_", "where"} or not isinstance(unnest, exp.Unnest):
        return None
    if len(unnest.expressions) != 1 or unnest.args.get("offset") or len(query.expressions) != 1:
        return None
    alias = unnest.args.get("alias")
    named = alias.columns[0].name if alias and alias.columns else ""
    element = _Element(named, variable, is_map=_mentions_pair(query))
    array: exp.Expr = unnest.expressions[0].copy()
    if (where := query.args.get("where")) is not None:
        array = element.mapped("list_filter", array, where.this)
    if isinstance(node, exp.Exists):
        return _at_least(array)
    return _projected(query.expressions[0], array, element)


def _at_least(array: exp.Expr) -> exp.Expr:
    return exp.Paren(this=exp.GT(this=_counted(array), expression=number(0)))


def _counted(array: exp.Expr) -> exp.Expr:
    length = Made(this="len", expressions=[array])
    return exp.Coalesce(this=length, expressions=[number(0)])


def _mentions_pair(query: exp.Select) -> bool:
    return any(c.parts[0].name.lower() in _PAIR for c in query.find_all(exp.Column))


class _Element:
    """How a subquery names the elements of its array, and the lambda that stands for it.

    Without an alias there is no way but bare names to mention an element, so a bare name is its
    field; unless it is a map's, which has two fields only: then the others may be the row's.
    """

    def __init__(self, alias: str, variable: str, *, is_map: bool) -> None:
        self.alias = alias
        self.variable = variable
        self.bare = _PAIR if alias or is_map else None

    def mapped(self, function: str, array: exp.Expr, body: exp.Expr) -> exp.Expr:
        """`function(array, lambda variable: body)`."""
        holder = exp.Paren(this=body.copy())
        if holder.find(exp.Query, exp.AggFunc, exp.Window, exp.String, exp.JSONBool) is not None:
            raise _Unknown
        for path in list(holder.find_all(exp.Column)):
            path.replace(self._renamed(path))
        return Made(this=function, expressions=[array, lambda_(self.variable, holder.this.pop())])

    def _renamed(self, path: exp.Column) -> exp.Expr:
        parts = dotted(path) or []
        names = [part.name.lower() for part in parts]
        if self.alias and names[:1] == [self.alias.lower()]:
            return _path([exp.to_identifier(self.variable), *parts[1:]])
        if names[:1] and (names[0] in _PAIR or (self.bare is None and len(names) == 1)):
            return _path([exp.to_identifier(self.variable), *parts])
        if names[:1] and names[0] in ROOT_ALIASES and len(names) > 1:
            return path
        raise _Unknown


def _path(parts: list[exp.Identifier]) -> exp.Expr:
    return exp.column(*reversed([part.copy() for part in parts[:4]]))


def _projected(value: exp.Expr, array: exp.Expr, element: _Element) -> exp.Expr | None:
    """The value of an aggregate query, each aggregate made a list function."""
    holder = exp.Paren(this=value.this.copy() if isinstance(value, exp.Alias) else value.copy())
    aggregates = [
        a.parent if isinstance(a.parent, exp.IgnoreNulls) else a
        for a in holder.find_all(exp.AggFunc)
        if not isinstance(a, exp.IgnoreNulls)
    ]
    if not aggregates or holder.find(exp.Query, exp.Window) is not None:
        return None
    for aggregate in aggregates:
        aggregate.replace(_as_list(aggregate, array, element))
    outside = [c for c in holder.find_all(exp.Column) if c.find_ancestor(Made) is None]
    if outside:
        return None
    return holder if isinstance(holder.this, exp.Binary | exp.Unary) else holder.this


def _as_list(aggregate: exp.Expr, array: exp.Expr, element: _Element) -> exp.Expr:
    array = array.copy()
    match aggregate:
        case exp.Count() if isinstance(aggregate.this, exp.Star):
            return _counted(array)
        case exp.Count() if not isinstance(aggregate.this, exp.Distinct):
            counted = element.mapped("list_filter", array, not_null(aggregate.this))
            return _counted(counted)
        case exp.IgnoreNulls(this=exp.ArrayAgg() as listed) if _is_plain(listed):
            values = element.mapped("list_transform", array, listed.this)
            return Made(this="sonde_listed", expressions=[values])
        case exp.CountIf() if not isinstance(aggregate.this, exp.Distinct):
            return _counted(element.mapped("list_filter", array, aggregate.this))
        case exp.Sum() if _is_count(aggregate, array):
            text = array.expressions[0]
            return Made(this="sonde_histogram_count", expressions=[text])
        case _ if type(aggregate) in _LISTS and not isinstance(aggregate.this, exp.Distinct):
            values = element.mapped("list_transform", array, aggregate.this)
            return Made(this=_LISTS[type(aggregate)], expressions=[values])
        case _:
            raise _Unknown


def _is_plain(listed: exp.Expr) -> bool:
    return not isinstance(listed.this, exp.Order | exp.Limit | exp.Distinct | exp.HavingMax)


def _is_count(aggregate: exp.Expr, array: exp.Expr) -> bool:
    """SUM(value) over all values of a histogram."""
    value = aggregate.this
    whole = isinstance(array, Made) and array.name == "sonde_histogram_values"
    return whole and isinstance(value, exp.Column) and value.name.lower() == "value"


def _lambda(node: exp.Expr) -> exp.Expr:
    if not node.args.get("colon"):
        raise Refusal(node, "a lambda is not BigQuery SQL")
    return node


RULES: dict[type[exp.Expr], Rule] = {
    Made: lambda node: call(str(node.name), *node.expressions),
    exp.Lambda: _lambda,
}
