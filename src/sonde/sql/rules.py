"""What every node of BigQuery's syntax becomes in DuckDB's. A node without a rule is refused."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql import (
    aggregates,
    arrays,
    calls,
    dates,
    histograms,
    jsons,
    operators,
    queries,
    strings,
)
from sonde.sql.duck import Rule
from sonde.sql.syntax import Refusal

# Same text, same meaning. Anything that needs a thought has a rule instead.
SAME: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Identifier, exp.Star, exp.Alias, exp.TableAlias, exp.Paren, exp.Tuple, exp.Var),
        *(exp.Null, exp.Boolean, exp.Struct, exp.PropertyEQ),
        *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
        *(exp.Is, exp.Between, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Exists),
        *(exp.Add, exp.Sub, exp.Neg, exp.DPipe),
        *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot),
        exp.BitwiseRightShift,
        *(exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
        *(exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count, exp.Distinct),
        *(exp.Window, exp.WindowSpec, exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank),
        *(exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead),
        *(exp.FirstValue, exp.LastValue, exp.NthValue),
        *(exp.From, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Subquery),
        *(exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.With, exp.CTE),
        *(exp.Rollup, exp.Cube, exp.GroupingSets),
        *(exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript),
    }
)
RULES: dict[type[exp.Expr], Rule] = {
    **queries.RULES,
    **operators.RULES,
    **strings.RULES,
    **dates.RULES,
    **jsons.RULES,
    **arrays.RULES,
    **aggregates.RULES,
    **calls.RULES,
    **histograms.RULES,
}


def to_duckdb(tree: exp.Expr) -> exp.Expr:
    """DuckDB's tree of a BigQuery tree, which is used up. Raises Refusal.

    Bottom-up: what a rule returns is never looked at again.
    """
    jsons.mark_aggregated(tree)
    holder = exp.Paren(this=tree)
    for node in reversed(list(tree.walk())):
        made = _rewritten(node)
        if made is not node:
            node.replace(made)
    root: exp.Expr = holder.this.pop()
    return root


def _rewritten(node: exp.Expr) -> exp.Expr:
    kind = type(node)
    if kind in SAME:
        return node
    rule = RULES.get(kind)
    if rule is None:
        raise Refusal(node, f"{_spelled(node)} is not supported")
    try:
        return rule(node)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The parser lets a function have any arguments; each rule expects BigQuery's.
        raise Refusal(node, f"{_spelled(node)}: these arguments are not supported") from error


def _spelled(node: exp.Expr) -> str:
    """The beginning of the text, as its author wrote it."""
    try:
        return node.sql("bigquery")[:60]
    except (AttributeError, TypeError, ValueError):  # too broken to be written again
        return type(node).__name__
