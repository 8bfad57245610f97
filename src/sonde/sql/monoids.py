"""Each aggregate as partial aggregates that merge, and what is made of the merged ones."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from sonde.sql.aggregates import (
    full_order,
    in_order,
    joined,
    known,
    listing,
    ranked,
    sliced,
)
from sonde.sql.duck import call, field, filtered, number, structure
from sonde.sql.gates import Day, Entangled
from sonde.sql.rules import to_duckdb

Finish = Callable[..., exp.Expr]


class Merge(enum.StrEnum):
    """How partial aggregates of disjoint rows become that of all: associative and commutative.

    NULL, the partial of no value, is neutral.
    """

    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"
    ANY = "any"
    ALL = "all"
    BIT_AND = "bit_and"
    BIT_OR = "bit_or"
    BIT_XOR = "bit_xor"
    LIST = "list"
    SET = "set"

    def over(self, partials: str) -> str:
        """The DuckDB aggregate over an expression for the partials.

        >>> Merge.COUNT.over("n")
        'CAST(sum(n) AS BIGINT)'
        """
        match self:
            case Merge.COUNT:
                return f"CAST(sum({partials}) AS BIGINT)"
            case Merge.ANY:
                return f"bool_or({partials})"
            case Merge.ALL:
                return f"bool_and({partials})"
            case Merge.LIST:
                return f"flatten(list({partials}) FILTER (({partials}) IS NOT NULL))"
            case Merge.SET:
                return f"list_sort(list_distinct({Merge.LIST.over(partials)}))"
            case _:
                return f"{self}({partials})"


@dataclass(frozen=True)
class Part:
    """One partial aggregate.

    of_rows: the DuckDB aggregate of an argument, which is BigQuery's and used up. of_copies: SQL
    of the partial of n rows with one value; None if there is no short one. counts_days: what
    merges is the number of days whose partial, a boolean, is true.
    """

    merge: Merge
    of_rows: Callable[[exp.Expr], exp.Expr]
    of_copies: Callable[[str, str], str] | None = None
    counts_days: bool = False


@dataclass(frozen=True)
class Monoid:
    """An aggregate, taken apart.

    argument: what is aggregated, in BigQuery's syntax. truth: NULL in it does what FALSE does.
    finish: the aggregate's value as DuckDB's tree, from one tree per part.
    """

    argument: exp.Expr
    parts: tuple[Part, ...]
    finish: Finish
    truth: bool = False


def monoid(aggregate: exp.Expr, day: Day) -> Monoid:
    """The aggregate, taken apart. Raises Entangled if it cannot be."""
    named = isinstance(aggregate, exp.IgnoreNulls | exp.RespectNulls)
    node = aggregate.this if named else aggregate
    if isinstance(node, exp.ArrayAgg | exp.ArrayConcatAgg | exp.GroupConcat):
        return _of_list(node, ignores=isinstance(aggregate, exp.IgnoreNulls))
    if isinstance(node, exp.ApproxDistinct):
        return _counted_set(node.this, day)
    if isinstance(node.this, exp.Distinct):
        return _of_distinct(node, day)
    match node:
        case exp.Count():
            is_star = isinstance(node.this, exp.Star)
            return Monoid(exp.true() if is_star else node.this, (_COUNT,), _itself)
        case exp.CountIf():
            return Monoid(node.this, (COUNT_IF,), _itself, truth=True)
        case exp.Avg():
            return Monoid(node.this, (_sum(exp.Sum), _COUNT), _mean)
        case exp.ArgMax() | exp.ArgMin():
            merge = Merge.MAX if isinstance(node, exp.ArgMax) else Merge.MIN
            part = Part(merge, lambda whole: ranked(_translated_parts(whole)))
            return Monoid(node, (part,), lambda best: field(best, "x"))
        case _ if type(node) in _PLAIN:
            return _plain(type(node), node.this)
        case _:
            raise Entangled(_NOT_PARTED)


_NOT_PARTED = "it has no partial aggregates that merge exactly"


def _of_distinct(node: exp.Expr, day: Day) -> Monoid:
    match node:
        case exp.Count():
            return _counted_set(_one(node.this), day)
        case exp.Sum():
            return Monoid(_one(node.this), (_SET,), lambda values: call("list_sum", values))
        case exp.Avg():
            return Monoid(_one(node.this), (_SET,), lambda values: call("list_avg", values))
        case exp.Min() | exp.Max() | exp.AnyValue():
            return _plain(type(node), _one(node.this))
        case _:
            raise Entangled(_NOT_PARTED)


def _of_list(node: exp.Expr, *, ignores: bool) -> Monoid:
    match node:
        case exp.ArrayAgg():
            return _listed(node, _itself, keep_nulls=not ignores)
        case exp.ArrayConcatAgg():
            return _listed(node, lambda lists: call("flatten", lists), keep_nulls=False)
        case _:
            text = _translated_parts(node)
            return _listed(node, lambda values: joined(values, text), keep_nulls=False)


def _one(distinct: exp.Distinct) -> exp.Expr:
    if len(distinct.expressions) != 1:
        raise Entangled("DISTINCT is of several values")
    value: exp.Expr = distinct.expressions[0]
    return value


def _itself(merged: exp.Expr) -> exp.Expr:
    return merged


def _mean(total: exp.Expr, count: exp.Expr) -> exp.Expr:
    return exp.Div(this=total, expression=exp.Nullif(this=count, expression=number(0)))


def _duck(tree: exp.Expr) -> exp.Expr:
    return to_duckdb(tree.copy())


def _aggregated(kind: type[exp.Expr]) -> Callable[[exp.Expr], exp.Expr]:
    return lambda argument: _duck(kind(this=argument.copy()))


def _times(value: str, n: str) -> str:
    return value if value in {"0", "NULL"} else f"({value}) * {n}"


def _sum(kind: type[exp.Expr]) -> Part:
    return Part(Merge.SUM, _aggregated(kind), _times)


def _plain(kind: type[exp.Expr], argument: exp.Expr) -> Monoid:
    merge = _PLAIN[kind]
    if merge is Merge.SUM:
        return Monoid(argument, (_sum(kind),), _itself)
    same = None if merge is Merge.BIT_XOR else lambda value, _: value
    return Monoid(argument, (Part(merge, _aggregated(kind), same),), _itself)


_PLAIN: dict[type[exp.Expr], Merge] = {
    exp.Sum: Merge.SUM,
    exp.Min: Merge.MIN,
    exp.Max: Merge.MAX,
    exp.AnyValue: Merge.MIN,  # the direct query takes the smallest too
    exp.LogicalOr: Merge.ANY,
    exp.LogicalAnd: Merge.ALL,
    exp.BitwiseAndAgg: Merge.BIT_AND,
    exp.BitwiseOrAgg: Merge.BIT_OR,
    exp.BitwiseXorAgg: Merge.BIT_XOR,
}


def _copies_known(value: str, n: str) -> str:
    match value:
        case "NULL":
            return "0"
        case "TRUE" | "FALSE":
            return n
        case _:
            return f"CASE WHEN ({value}) IS NULL THEN 0 ELSE {n} END"


def _copies_true(value: str, n: str) -> str:
    match value:
        case "TRUE":
            return n
        case "FALSE" | "NULL":
            return "0"
        case _:
            return f"CASE WHEN {value} THEN {n} ELSE 0 END"


_COUNT = Part(Merge.COUNT, _aggregated(exp.Count), _copies_known)
COUNT_IF = Part(
    Merge.COUNT,
    lambda condition: filtered(exp.Count(this=exp.Star()), _duck(condition)),
    _copies_true,
)


def _values(argument: exp.Expr) -> exp.Expr:
    value = _duck(argument)
    listed = filtered(call("list", exp.Distinct(expressions=[value])), known(value))
    return call("list_sort", listed)


def _singleton(value: str, _: str) -> str:
    return value if value == "NULL" else f"CASE WHEN ({value}) IS NOT NULL THEN [{value}] END"


_SET = Part(Merge.SET, _values, _singleton)


def _counted_set(value: exp.Expr, day: Day) -> Monoid:
    """COUNT(DISTINCT x): the size of a set; of days, their number."""
    condition = _qualifies(value, day)
    if condition is None:
        return Monoid(value, (_SET,), _size)
    part = Part(Merge.ANY, _aggregated(exp.LogicalOr), lambda v, _: v, counts_days=True)
    return Monoid(condition, (part,), _itself, truth=True)


def _qualifies(value: exp.Expr, day: Day) -> exp.Expr | None:
    """The condition in `IF(condition, day, NULL)`; TRUE for the day itself."""
    if day.is_named_by(value):
        return exp.true()
    match value.unnest():
        case exp.Case(this=None) as case if len(case.args["ifs"]) == 1:
            branch, otherwise = case.args["ifs"][0], case.args.get("default")
        case exp.If() as branch:
            otherwise = branch.args.get("false")
        case _:
            return None
    is_null = otherwise is None or isinstance(otherwise, exp.Null)
    condition: exp.Expr = branch.this
    return condition if is_null and day.is_named_by(branch.args["true"]) else None


def _size(values: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=call("len", values), expressions=[number(0)])


def _translated_parts(node: exp.Expr) -> exp.Expr:
    """The aggregate with its arguments translated, itself not."""
    made = node.copy()
    for key, value in list(made.args.items()):
        if isinstance(value, exp.Expr):
            made.set(key, to_duckdb(value.copy()))
    return made


def _listed(node: exp.Expr, finish: Finish, *, keep_nulls: bool) -> Monoid:
    parts = listing(node.copy())
    if parts.distinct:
        return _distinct_list(node, finish, keep_nulls=keep_nulls)
    if parts.order is not None:
        return _ordered_list(node, finish, keep_nulls=keep_nulls)
    limit = None if parts.limit is None else _duck(parts.limit)

    def of_rows(argument: exp.Expr) -> exp.Expr:
        value = _duck(argument)
        listed = call("list", value)
        return listed if keep_nulls else filtered(listed, known(value))

    def of_copies(value: str, _: str) -> str:
        if keep_nulls or value != "NULL":
            raise Entangled("it lists values of the enrollment")
        return value

    return Monoid(
        parts.value,
        (Part(Merge.LIST, of_rows, of_copies),),
        lambda listed: finish(sliced(in_order(listed), limit)),
    )


def _distinct_list(node: exp.Expr, finish: Finish, *, keep_nulls: bool) -> Monoid:
    """A set; and whether there was a NULL, which sets leave out, where that counts."""
    parts = listing(node.copy())
    keys = parts.order.expressions if parts.order is not None else []
    if len(keys) > 1 or any(key.this != parts.value for key in keys):
        raise Entangled("the order of a DISTINCT list is of something else")
    descending = bool(keys and keys[0].args.get("desc"))
    limit = None if parts.limit is None else _duck(parts.limit)
    unknown = Part(
        Merge.ANY,
        lambda value: call(
            "bool_or", exp.Is(this=exp.Paren(this=_duck(value)), expression=exp.Null())
        ),
    )

    def finished(values: exp.Expr, has_null: exp.Expr | None = None) -> exp.Expr:
        if has_null is not None:
            some = exp.Coalesce(this=values.copy(), expressions=[exp.Array()])
            more = call("list_append", some, exp.Null())
            values = exp.Case(ifs=[exp.If(this=has_null, true=more)], default=values)
        return finish(sliced(in_order(values, descending=descending), limit))

    return Monoid(parts.value, (_SET, unknown) if keep_nulls else (_SET,), finished)


def _ordered_list(node: exp.Expr, finish: Finish, *, keep_nulls: bool) -> Monoid:
    """Rows of the keys and the value, of which the first n are enough."""
    example = listing(_translated_parts(node))
    order = full_order(example)
    assert order is not None
    limit = example.limit

    def of_rows(whole: exp.Expr) -> exp.Expr:
        parts = listing(_translated_parts(whole))
        by = full_order(parts)
        assert by is not None
        keys = {f"k{i}": key.this.copy() for i, key in enumerate(by.expressions[:-1])}
        row: exp.Expr = structure(**keys, x=parts.value.copy())
        if limit is not None:
            by.set("this", row)
            row = by
        listed: exp.Expr = call("list", row)
        if not keep_nulls:
            listed = filtered(listed, known(parts.value))
        return sliced(listed, None if limit is None else limit.copy())

    def finished(rows: exp.Expr) -> exp.Expr:
        keys = [key.copy() for key in order.expressions]
        for i, key in enumerate(keys):
            name = "x" if i == len(keys) - 1 else f"k{i}"
            key.set("this", field(exp.column("listed_row"), name))
        by = exp.Order(this=field(exp.column("listed_row"), "x"), expressions=keys)
        rows_of = exp.Select(expressions=[exp.alias_(call("unnest", rows), "listed_row")])
        values = exp.select(call("list", by)).from_(exp.Subquery(this=rows_of))
        return finish(sliced(exp.Subquery(this=values), limit))

    return Monoid(node, (Part(Merge.LIST, of_rows),), finished)
