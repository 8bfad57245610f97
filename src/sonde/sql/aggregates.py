"""Aggregates. Where BigQuery leaves a choice, it is made: the smallest value, a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from sonde.sql.duck import (
    Rule,
    arguments,
    call,
    calls,
    field,
    filtered,
    not_null,
    number,
    structure,
    text,
)
from sonde.sql.syntax import Refusal


def _count_if(node: exp.Expr) -> exp.Expr:
    """Zero, not NULL, when no row holds."""
    if isinstance(node.this, exp.Distinct):
        raise Refusal(node, "COUNTIF(DISTINCT ..) is not supported; write COUNT(DISTINCT IF(..))")
    return filtered(exp.Count(this=exp.Star()), node.this)


def spell_out_having(tree: exp.Expr) -> exp.Expr:
    """The tree with ANY_VALUE(x HAVING MAX y) written as MAX_BY(x, y), which it is."""
    holder = exp.Paren(this=tree)
    for node in list(holder.find_all(exp.AnyValue)):
        having = node.this
        if isinstance(having, exp.HavingMax):
            best = exp.ArgMax if having.args.get("max") else exp.ArgMin
            node.replace(best(this=having.this, expression=having.expression))
    made: exp.Expr = holder.this.pop()
    return made


def _any_value(node: exp.Expr) -> exp.Expr:
    """Any value is right: the smallest is the same on every run."""
    return exp.Min(this=node.this)


def _having_max(node: exp.Expr) -> exp.Expr:
    best = "MAX_BY" if node.args.get("max") else "MIN_BY"
    raise Refusal(node, f"HAVING is supported in ANY_VALUE only; write {best}(x, y)")


def ranked(node: exp.Expr) -> exp.Expr:
    """What MAX_BY(x, y) and MIN_BY(x, y) choose: a struct with the value as `x`.

    Of the rows with the greatest y, the greatest x that is not NULL; NULL if there is none.
    The greatest of greatest structs is the greatest: it is the partial aggregate too.
    """
    value, key = arguments(node, "this", "expression")
    largest = isinstance(node, exp.ArgMax)
    known: exp.Expr = exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null())
    if largest:
        known = exp.Not(this=known)
    pair = structure(y=key, known=known, x=value)
    chosen = exp.Max(this=pair) if largest else exp.Min(this=pair)
    return filtered(chosen, not_null(key.copy()))


def _arg_max(node: exp.Expr) -> exp.Expr:
    return field(ranked(node), "x")


@dataclass
class Listing:
    """The parts of ARRAY_AGG, STRING_AGG and ARRAY_CONCAT_AGG."""

    value: exp.Expr
    order: exp.Order | None = None
    limit: exp.Expr | None = None
    distinct: bool = False


def listing(node: exp.Expr) -> Listing:
    """The parts of an aggregate that lists values."""
    value, order, limit = node.this, None, None
    if isinstance(value, exp.Limit):
        limit, value = value.expression, value.this
    if isinstance(value, exp.Order):
        order, value = exp.Order(expressions=value.expressions), value.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1:
            raise Refusal(node, "DISTINCT takes one value here")
        return Listing(value.expressions[0], order, limit, distinct=True)
    if isinstance(value, exp.HavingMax):
        _having_max(value)
    return Listing(value, order, limit)


def _list(node: exp.Expr, *, keep_nulls: bool) -> exp.Expr:
    """Values in an order that leaves BigQuery no choice: where rows tie, by the value itself.

    Without ORDER BY a metric's list is sorted; in a query, the rows have an order of their own.
    """
    parts = listing(node)
    inner: exp.Expr = exp.Distinct(expressions=[parts.value]) if parts.distinct else parts.value
    if (order := full_order(parts)) is not None:
        order.set("this", inner)
        inner = order
    listed: exp.Expr = call("list", inner)
    if not keep_nulls:
        listed = filtered(listed, known(parts.value))
    if order is None and node.find_ancestor(exp.Query) is None:
        listed = in_order(listed)
    return sliced(listed, parts.limit)


def full_order(parts: Listing) -> exp.Order | None:
    """The ORDER BY, with the value as last key."""
    by_value = exp.Ordered(this=parts.value.copy(), nulls_first=True)
    if parts.order is None:
        return exp.Order(expressions=[by_value]) if parts.distinct else None
    if not parts.distinct:
        parts.order.append("expressions", by_value)
    return parts.order


def known(value: exp.Expr) -> exp.Expr:
    """`value IS NOT NULL`."""
    return not_null(_null_with(value).copy())


def in_order(listed: exp.Expr, *, descending: bool = False) -> exp.Expr:
    """The list, sorted as BigQuery sorts: NULL is the smallest."""
    if descending:
        return call("list_sort", listed, text("DESC"), text("NULLS LAST"))
    return call("list_sort", listed, text("ASC"), text("NULLS FIRST"))


def sliced(listed: exp.Expr, limit: exp.Expr | None) -> exp.Expr:
    """The first `limit` of the list."""
    return listed if limit is None else call("list_slice", listed, number(1), limit)


def _null_with(value: exp.Expr) -> exp.Expr:
    """What is NULL exactly when the value is, and cheaper."""
    if isinstance(value, exp.Anonymous) and value.name == "mozfun_hist_extract":
        argument: exp.Expr = value.expressions[0]
        return argument
    return value


def _array_agg(node: exp.Expr) -> exp.Expr:
    return _list(node, keep_nulls=not isinstance(node.parent, exp.IgnoreNulls))


def _array_concat_agg(node: exp.Expr) -> exp.Expr:
    return call("flatten", _list(node, keep_nulls=False))


def _string_agg(node: exp.Expr) -> exp.Expr:
    return joined(_list(node, keep_nulls=False), node)


def joined(listed: exp.Expr, node: exp.Expr) -> exp.Expr:
    """The text that STRING_AGG makes of its values."""
    return call("array_to_string", listed, node.args.get("separator") or text(","))


def _nulls(node: exp.Expr) -> exp.Expr:
    """Inside a window the words stay; ARRAY_AGG has taken them in already."""
    if isinstance(node.parent, exp.Window) and isinstance(
        node.this, exp.FirstValue | exp.LastValue | exp.NthValue | exp.Lag | exp.Lead
    ):
        return node
    if isinstance(node.this, exp.Anonymous | exp.Filter | exp.Min):
        return node.this
    raise Refusal(node, "IGNORE NULLS is supported in ARRAY_AGG and window functions")


def _limit_or_order(node: exp.Expr) -> exp.Expr:
    return node  # of a query, or taken in by the aggregate around it


def _quantiles(node: exp.Expr) -> exp.Expr:
    raise Refusal(
        node,
        "APPROX_QUANTILES is not reproducible; write "
        "PERCENTILE_CONT(x, 0.5) OVER () in the data source, or use the quantile statistics",
    )


def _quantile(name: str) -> Rule:
    def rule(node: exp.Expr) -> exp.Expr:
        return call(name, *arguments(node, "this", "expression"))

    return rule


def _filter(node: exp.Expr) -> exp.Expr:
    raise Refusal(node, "FILTER is not BigQuery's; write COUNTIF(..) or SUM(IF(..))")


RULES: dict[type[exp.Expr], Rule] = {
    exp.CountIf: _count_if,
    exp.AnyValue: _any_value,
    exp.HavingMax: _having_max,
    exp.ArgMax: _arg_max,
    exp.ArgMin: _arg_max,
    exp.ArrayAgg: _array_agg,
    exp.ArrayConcatAgg: _array_concat_agg,
    exp.GroupConcat: _string_agg,
    exp.IgnoreNulls: _nulls,
    exp.RespectNulls: _nulls,
    exp.Filter: _filter,
    exp.LogicalOr: calls("bool_or", "this"),
    exp.LogicalAnd: calls("bool_and", "this"),
    exp.ApproxDistinct: lambda node: exp.Count(this=exp.Distinct(expressions=[node.this])),
    exp.ApproxQuantiles: _quantiles,
    exp.PercentileCont: _quantile("quantile_cont"),
    exp.PercentileDisc: _quantile("quantile_disc"),
    exp.Stddev: calls("stddev_samp", "this"),
    exp.StddevSamp: calls("stddev_samp", "this"),
    exp.StddevPop: calls("stddev_pop", "this"),
    exp.Variance: calls("var_samp", "this"),
    exp.VariancePop: calls("var_pop", "this"),
    exp.Corr: calls("corr", "this", "expression"),
    exp.CovarPop: calls("covar_pop", "this", "expression"),
    exp.CovarSamp: calls("covar_samp", "this", "expression"),
    exp.BitwiseAndAgg: calls("bit_and", "this"),
    exp.BitwiseOrAgg: calls("bit_or", "this"),
    exp.BitwiseXorAgg: calls("bit_xor", "this"),
}
