"""Whether a source can be read one day at a time.

It can when the rows that it gives for a day come from that day's rows of its tables only. The rule
is static and on the safe side: filters, projections, UNNEST and UNION ALL of such are; what groups,
joins, orders or looks elsewhere is only when the date is part of it, or not at all.
"""

from __future__ import annotations

import functools

from sqlglot import exp

from sonde.sql.syntax import parse_relation

# Names under which telemetry dates a row. A query that groups by one keeps days apart.
_DATES = frozenset({"submission_date", "submission_timestamp"})
_LOOKS_ELSEWHERE = (
    exp.Window,
    exp.CurrentDate,
    exp.CurrentTimestamp,
    exp.CurrentDatetime,
    exp.Limit,
    exp.Exists,
)


@functools.lru_cache(maxsize=1 << 12)
def separable(text: str) -> bool:
    """Whether the source `text`, a table name or a query in BigQuery SQL, is day-separable.

    >>> separable("`p.d.t`")
    True
    >>> separable("(SELECT client_id, MIN(submission_date) AS first FROM d.t GROUP BY client_id)")
    False
    >>> separable("(SELECT client_id, submission_date, SUM(x) AS x FROM d.t GROUP BY 1, 2)")
    True
    """
    tree = parse_relation(text)
    if isinstance(tree, exp.Table):
        return True
    if any(tree.find(kind) is not None for kind in _LOOKS_ELSEWHERE):
        return False
    if any(_reads_a_table(node) for node in tree.find_all(exp.In)):
        return False
    if any(isinstance(node, exp.Except | exp.Intersect) for node in tree.walk()):
        return False
    return all(_keeps_days(select) for select in tree.find_all(exp.Select))


def _reads_a_table(node: exp.In) -> bool:
    query = node.args.get("query")
    return query is not None and query.find(exp.Table) is not None


def _keeps_days(select: exp.Select) -> bool:
    if any(not _is_unnest(join) for join in select.args.get("joins") or ()):
        return False
    if select.args.get("distinct") is not None and not _names_a_date(select.expressions):
        return False
    group = select.args.get("group")
    if group is None:
        return not _aggregates(select)
    if group.args.get("all"):
        return _names_a_date([e for e in select.expressions if e.find(exp.AggFunc) is None])
    keys = [_key(select, key) for key in group.expressions]
    return _names_a_date(keys)


def _key(select: exp.Select, key: exp.Expression) -> exp.Expression:
    if isinstance(key, exp.Literal) and key.is_int:
        chosen: exp.Expression = select.expressions[int(key.this) - 1]
        return chosen
    return key


def _is_unnest(join: exp.Join) -> bool:
    return isinstance(join.this, exp.Unnest) or join.this.find(exp.Unnest) is not None


def _aggregates(select: exp.Select) -> bool:
    """Aggregates of this query, not of one inside it: all its rows would be one."""
    return any(
        node.find_ancestor(exp.Select) is select
        for column in select.expressions
        for node in column.find_all(exp.AggFunc)
    )


def _names_a_date(columns: list[exp.Expression]) -> bool:
    names = {node.name.lower() for column in columns for node in column.find_all(exp.Column)}
    aliases = {column.alias_or_name.lower() for column in columns}
    return bool((names | aliases) & _DATES)
