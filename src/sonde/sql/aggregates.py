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


def _any_value(node: exp.Expr) -> exp.Expr:
    """Any value is right: the smallest is the same on every run."""
    return exp.Min(this=node.this)


def _having_max(node: exp.Expr) -> exp.Expr:
    best = "MAX_BY" if node.args.get("max") else "MIN_BY"
    raise Refusal(node, f"HAVING MAX and HAVING MIN are not supported; write {best}(x, y)")


def _arg_max(node: exp.Expr) -> exp.Expr:
    """Of the rows with the greatest y, the greatest x that is not NULL; NULL if there is none.

    One struct is the partial aggregate: the greatest of greatest structs is the greatest.
    """
    value, key = arguments(node, "this", "expression")
    largest = isinstance(node, exp.ArgMax)
    known: exp.Expr = exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null())
    if largest:
        known = exp.Not(this=known)
    ranked = structure(y=key, known=known, x=value)
    chosen = exp.Max(this=ranked) if largest else exp.Min(this=ranked)
    return field(filtered(chosen, not_null(key.copy())), "x")


@dataclass
class _Listing:
    """The parts of ARRAY_AGG, STRING_AGG and ARRAY_CONCAT_AGG."""

    value: exp.Expr
    order: exp.Order | None = None
    limit: exp.Expr | None = None
    distinct: bool = False


def _listing(node: exp.Expr) -> _Listing:
    value, order, limit = node.this, None, None
    if isinstance(value, exp.Limit):
        limit, value = value.expression, value.this
    if isinstance(value, exp.Order):
        order, value = exp.Order(expressions=value.expressions), value.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1:
            raise Refusal(node, "DISTINCT takes one value here")
        return _Listing(value.expressions[0], order, limit, distinct=True)
    if isinstance(value, exp.HavingMax):
        _having_max(value)
    return _Listing(value, order, limit)


def _list(parts: _Listing, *, keep_nulls: bool) -> exp.Expr:
    value = parts.value
    order = parts.order
    if order is None and parts.distinct:
        order = exp.Order(expressions=[exp.Ordered(this=value.copy(), nulls_first=True)])
    elif order is not None and parts.limit is not None and not parts.distinct:
        # Which of the rows that tie is cut off is BigQuery's choice; here it is the value's.
        order.append("expressions", exp.Ordered(this=value.copy(), nulls_first=True))
    inner: exp.Expr = exp.Distinct(expressions=[value]) if parts.distinct else value
    if order is not None:
        order.set("this", inner)
        inner = order
    listed: exp.Expr = call("list", inner)
    if not keep_nulls:
        listed = filtered(listed, not_null(_null_with(value).copy()))
    if parts.limit is not None:
        listed = call("list_slice", listed, number(1), parts.limit)
    return listed


def _null_with(value: exp.Expr) -> exp.Expr:
    """What is NULL exactly when the value is, and cheaper."""
    if isinstance(value, exp.Anonymous) and value.name == "mozfun_hist_extract":
        argument: exp.Expr = value.expressions[0]
        return argument
    return value


def _array_agg(node: exp.Expr) -> exp.Expr:
    return _list(_listing(node), keep_nulls=not isinstance(node.parent, exp.IgnoreNulls))


def _array_concat_agg(node: exp.Expr) -> exp.Expr:
    return call("flatten", _list(_listing(node), keep_nulls=False))


def _string_agg(node: exp.Expr) -> exp.Expr:
    separator = node.args.get("separator") or text(",")
    return call("array_to_string", _list(_listing(node), keep_nulls=False), separator)


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
