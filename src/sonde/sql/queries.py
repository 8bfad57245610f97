"""Clauses of a SELECT statement that mean something else in DuckDB."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql.duck import Rule, has_aggregate
from sonde.sql.syntax import Refusal
from sonde.sql.tables import flat


def _table(node: exp.Expr) -> exp.Expr:
    assert isinstance(node, exp.Table)
    return flat(node)


def _select(node: exp.Expr) -> exp.Expr:
    match str(node.args.get("kind") or ""):
        case "STRUCT" if any(e.is_star for e in node.expressions):
            raise Refusal(node, "SELECT AS STRUCT *: write the columns, or the alias of the row")
        case "VALUE":
            node.set("kind", None)
        case _:
            pass
    if node.args.get("into") or node.args.get("operation_modifiers"):
        raise Refusal(node, "this form of SELECT is not supported")
    _group_by_aliases(node)
    return node


def _group_by_aliases(select: exp.Expr) -> None:
    """A name in GROUP BY means the output column in BigQuery, the input column in DuckDB."""
    group = select.args.get("group")
    named = {
        e.alias_or_name.lower(): e.this if isinstance(e, exp.Alias) else e
        for e in select.expressions
        if isinstance(e, exp.Alias | exp.Column | exp.Dot) and not e.is_star
    }
    for key in group.expressions if group is not None else ():
        if not isinstance(key, exp.Column) or len(key.parts) > 1:
            continue
        value = named.get(key.name.lower())
        if value is not None and not isinstance(value, exp.Literal) and value != key:
            key.replace(value.copy())


def spell_out_names(tree: exp.Expr) -> exp.Expr:
    """The tree with an alias on `f(x).field` in SELECT: BigQuery calls the column `field`."""
    for select in tree.find_all(exp.Select):
        for item in select.expressions:
            if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
                item.replace(exp.alias_(item.copy(), item.expression.name))
    return tree


def spell_out_group_by_all(tree: exp.Expr) -> exp.Expr:
    """The tree with the keys of GROUP BY ALL one by one, beside QUALIFY: DuckDB wants them so."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is None or not group.args.get("all") or not select.args.get("qualify"):
            continue
        if any(item.is_star for item in select.expressions):
            raise Refusal(group, "GROUP BY ALL with QUALIFY and *: write the columns")
        values = [i.this if isinstance(i, exp.Alias) else i for i in select.expressions]
        keys = [v.copy() for v in values if not has_aggregate(v) and v.find(exp.Column)]
        select.set("group", exp.Group(expressions=keys))
    return tree


def _column(node: exp.Expr) -> exp.Expr:
    if node.args.get("join_mark"):
        raise Refusal(node, "an outer join is written LEFT JOIN")
    if isinstance(node.this, exp.Star) and node.args.get("db"):
        raise Refusal(node, f"{node.sql('bigquery')}: write the fields of the struct one by one")
    return node


def _union(node: exp.Expr) -> exp.Expr:
    if node.args.get("by_name") or node.args.get("on"):
        raise Refusal(
            node, "BY NAME and CORRESPONDING are not supported; list the columns in order"
        )
    return node


def _join(node: exp.Expr) -> exp.Expr:
    if node.args.get("method") or node.args.get("match_condition"):
        raise Refusal(node, f"{node.args.get('method')} JOIN is not supported")
    if node.args.get("side") and not (node.args.get("on") or node.args.get("using")):
        node.set("on", exp.true())  # LEFT JOIN UNNEST(..) needs no condition in BigQuery
    return node


def _pivot(node: exp.Expr) -> exp.Expr:
    """One plain aggregate over listed strings: then the columns are named alike."""
    aggregates, fields = node.expressions, node.args.get("fields") or []
    plain = (
        not node.args.get("unpivot")
        and len(aggregates) == 1
        and isinstance(aggregates[0], exp.Min | exp.Max | exp.Sum | exp.Count | exp.Avg)
        and len(fields) == 1
        and all(isinstance(v, exp.Literal) and v.is_string for v in fields[0].expressions)
    )
    if not plain:
        raise Refusal(
            node, "this PIVOT is not supported; write an aggregate of IF(..) for each column"
        )
    return node


def _version(node: exp.Expr) -> exp.Expr:
    raise Refusal(
        node, "FOR SYSTEM_TIME AS OF is not supported; the as-of date is chosen by the run"
    )


def _sample(node: exp.Expr) -> exp.Expr:
    raise Refusal(node, "TABLESAMPLE is not reproducible; filter on sample_id")


RULES: dict[type[exp.Expr], Rule] = {
    exp.Table: _table,
    exp.Select: _select,
    exp.Column: _column,
    exp.Union: _union,
    exp.Except: _union,
    exp.Intersect: _union,
    exp.Join: _join,
    exp.Pivot: _pivot,
    exp.Version: _version,
    exp.TableSample: _sample,
}
