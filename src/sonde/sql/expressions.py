"""The types of expressions, and of the rows of queries, over columns not known beforehand."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from sonde.sql.calls import macro_name
from sonde.sql.jsons import dotted
from sonde.sql.schemas import Scalar
from sonde.sql.scopes import Row, Scope, Source, last_name
from sonde.sql.signatures import LIKELY, PERSISTENT, STRICT
from sonde.sql.tables import TableName, alias_of, table_name
from sonde.sql.unify import Unknown

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CASTS = {
    "BIGINT": Scalar.INT64,
    "INT": Scalar.INT64,
    "DOUBLE": Scalar.FLOAT64,
    "TEXT": Scalar.STRING,
    "BOOLEAN": Scalar.BOOL,
    "DATE": Scalar.DATE,
    "TIMESTAMPTZ": Scalar.TIMESTAMP,
    "TIMESTAMP": Scalar.TIMESTAMP,
    "TIME": Scalar.TIME,
    "DECIMAL": Scalar.NUMERIC,
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_SAME_AS_FIRST = (
    exp.Paren,
    exp.Alias,
    exp.Max,
    exp.Min,
    exp.AnyValue,
    exp.ArgMax,
    exp.ArgMin,
    exp.IgnoreNulls,
    exp.RespectNulls,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
    exp.Lag,
    exp.Lead,
    exp.Window,
    exp.Order,
    exp.Ordered,
    exp.Limit,
    exp.SafeFunc,
    exp.ArrayReverse,
    exp.ArrayConcatAgg,
    exp.PercentileDisc,
)
_ALIKE = (exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.ArrayConcat)
_NUMBERS = (exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Sum, exp.Neg, exp.IntDiv)
_JSON_TEXT = (exp.JSONExtractScalar, exp.JSONExtract, exp.JSONExtractArray, exp.JSONValueArray)
_JSON_VALUES: dict[type[exp.Expr], Scalar] = {
    exp.String: Scalar.STRING,
    exp.JSONBool: Scalar.BOOL,
    exp.Int64: Scalar.INT64,
    exp.Float64: Scalar.FLOAT64,
}


class Reader:
    """Reads trees; collects what they say of the physical tables."""

    def __init__(self) -> None:
        self.tables: dict[TableName, Row] = {}

    def rows(self, tree: exp.Expr, outer: Scope) -> Row:
        """The columns a query gives."""
        scope = Scope(outer=outer)
        if (with_ := tree.args.get("with_")) is not None:
            for cte in with_.expressions:
                scope.common[cte.alias.lower()] = self.rows(cte.this, scope)
        match tree:
            case exp.Select():
                return self._select(tree, scope)
            case exp.SetOperation():
                return self._united(tree, scope)
            case exp.Subquery():
                return self.source_row(tree, scope)
            case _:
                return Row(is_open=True)

    def _united(self, tree: exp.SetOperation, scope: Scope) -> Row:
        left, right = self.rows(tree.this, scope), self.rows(tree.expression, scope)
        for mine, its in zip(left.columns.values(), right.columns.values(), strict=False):
            mine.same_as(its)
        return left

    def source_row(self, node: exp.Expr, scope: Scope) -> Row:
        """The columns of a table or a subquery."""
        if isinstance(node, exp.Table):
            name = table_name(node)
            if name is None:
                return scope.common_row(node.name) or Row(is_open=True)
            known_as = TableName(None, name.dataset, name.table)  # as relation_name has it
            row = self.tables.setdefault(known_as, Row(is_open=True))
            return self._pivoted(node, row, scope)
        return self._pivoted(node, self.rows(node.this, scope), scope)

    def _pivoted(self, node: exp.Expr, row: Row, scope: Scope) -> Row:
        made = row
        for pivot in node.args.get("pivots") or ():
            inner = Scope(sources=[Source("", row)], outer=scope)
            value = self.type_of(pivot.expressions[0], inner)
            names = [v.name for f in pivot.args["fields"] for v in f.expressions]
            made = Row({name.lower(): value for name in names}, behind=[(row, frozenset())])
        return made

    def _select(self, tree: exp.Select, scope: Scope) -> Row:
        joins = tree.args.get("joins") or []
        for clause in [tree.args.get("from_"), *joins]:
            if clause is not None:
                scope.sources.append(self._source(clause.this, scope))
        for join in joins:
            self._join(join, scope)
        row = self._selected(tree, scope)
        if (where := tree.args.get("where")) is not None:
            self.type_of(where.this, scope).must_be(Scalar.BOOL)
        scope.selected = dict(row.columns)
        for key in ("group", "having", "qualify", "order"):
            if (clause := tree.args.get(key)) is not None:
                self._children(clause, scope)
        return row

    def _source(self, node: exp.Expr, scope: Scope) -> Source:
        if isinstance(node, exp.Unnest):
            array, offset = node.expressions[0], node.args.get("offset")
            return Source(
                alias_of(node),
                element=self.type_of(array, scope).element(),
                array=last_name(array),
                offset=offset.name if isinstance(offset, exp.Expr) else "offset" if offset else "",
            )
        return Source(alias_of(node), row=self.source_row(node, scope))

    def _join(self, join: exp.Expr, scope: Scope) -> None:
        if (on := join.args.get("on")) is not None:
            self.type_of(on, scope)
        rows = [s.row for s in scope.sources if s.row is not None]
        for name in join.args.get("using") or ():
            columns = [column for r in rows if (column := r.invented(name.name)) is not None]
            for column in columns[1:]:
                columns[0].same_as(column)

    def _selected(self, tree: exp.Select, scope: Scope) -> Row:
        made = Row()
        for item in tree.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star):
                alias = item.table.lower() if isinstance(item, exp.Column) else None
                self._star(star, alias, made, scope)
                continue
            kind = self.type_of(item, scope)
            if name := item.alias_or_name:
                made.columns[name.lower()] = kind
        return made

    def _star(self, star: exp.Star, alias: str | None, made: Row, scope: Scope) -> None:
        hidden = {e.alias_or_name.lower() for e in star.args.get("except_") or ()}
        for replaced in star.args.get("replace") or ():
            made.columns[replaced.alias.lower()] = self.type_of(replaced.this, scope)
        for source in scope.sources:
            if alias is not None and source.alias.lower() != alias:
                continue
            if source.row is not None:
                for name in hidden:
                    source.row.invented(name)
                made.behind.append((source.row, frozenset(hidden)))
            elif source.element is not None:
                made.behind.append((Row(element=source.element), frozenset(hidden)))

    def type_of(self, node: exp.Expr, scope: Scope) -> Unknown:
        """The type of an expression, having noted what it says of its parts."""
        if (names := dotted(node)) is not None:
            return scope.path([name.name for name in names])
        kind = type(node)
        if kind in STRICT or kind in LIKELY:
            return self._signature(node, scope)
        if isinstance(node, exp.Subquery | exp.Query):
            query = node.this if isinstance(node, exp.Subquery) else node
            return self.rows(query, scope).first()
        if isinstance(node, _SAME_AS_FIRST):
            inner = node.args.get("this")  # the order of a window has none
            found = self.type_of(inner, scope) if isinstance(inner, exp.Expr) else Unknown()
            self._children(node, scope, beside="this")
            return found
        return _READERS.get(kind, Reader._other)(self, node, scope)

    def _children(self, node: exp.Expr, scope: Scope, beside: str = "") -> None:
        for child in node.iter_expressions():
            if child.arg_key != beside and isinstance(child, exp.Expr):
                self.type_of(child, scope)

    def _signature(self, node: exp.Expr, scope: Scope) -> Unknown:
        strict, result = STRICT.get(type(node), ({}, None))
        likely, likely_result = LIKELY.get(type(node), ({}, None))
        for child in node.iter_expressions():
            kind = self.type_of(child, scope)
            key = child.arg_key or ""
            if isinstance(child, exp.Literal | exp.Null):
                continue
            if key in strict:
                kind.must_be(strict[key])
            elif key in likely:
                kind.may_be(likely[key])
        of = result or likely_result
        return Unknown().must_be(of) if of is not None else Unknown()

    def _literal(self, node: exp.Expr, scope: Scope) -> Unknown:
        del scope
        if isinstance(node, exp.RawString) or node.args["is_string"]:
            return Unknown().may_be(Scalar.DATE if _DATE.match(node.name) else Scalar.STRING)
        return Unknown().may_be(Scalar.INT64 if node.name.isdigit() else Scalar.FLOAT64)

    def _boolean(self, node: exp.Expr, scope: Scope) -> Unknown:
        del node, scope
        return Unknown().must_be(Scalar.BOOL)

    def _compared(self, node: exp.Expr, scope: Scope) -> Unknown:
        self._alike(list(node.iter_expressions()), scope)
        return Unknown().must_be(Scalar.BOOL)

    def _all_alike(self, node: exp.Expr, scope: Scope) -> Unknown:
        return self._alike(list(node.iter_expressions()), scope)

    def _length(self, node: exp.Expr, scope: Scope) -> Unknown:
        self.type_of(node.this, scope).element()
        return Unknown().must_be(Scalar.INT64)

    def _field(self, node: exp.Expr, scope: Scope) -> Unknown:
        return self.type_of(node.this, scope).field(node.expression.name)

    def _other(self, node: exp.Expr, scope: Scope) -> Unknown:
        self._children(node, scope)
        return Unknown()

    def _cast(self, node: exp.Expr, scope: Scope) -> Unknown:
        inner = self.type_of(node.this, scope)
        name = node.args["to"].this.name
        if name not in _CASTS:
            return Unknown()
        if name == "BOOLEAN":  # casts of text to BOOL are rare, and fail on any other text
            inner.may_be(Scalar.BOOL)
        return Unknown().must_be(_CASTS[name])

    def _bracket(self, node: exp.Expr, scope: Scope) -> Unknown:
        inner = self.type_of(node.this, scope)
        (index,) = node.expressions
        if isinstance(index, exp.Literal) and index.is_string:
            inner.must_be(Scalar.JSON)
            return Unknown().must_be(Scalar.JSON)
        self.type_of(index, scope)
        return inner.element()

    def _struct(self, node: exp.Expr, scope: Scope) -> Unknown:
        made = Unknown()
        for name, part in zip(_field_names(node), node.expressions, strict=True):
            value = part.expression if isinstance(part, exp.PropertyEQ) else part
            made.field(name).same_as(self.type_of(value, scope))
        return made

    def _array(self, node: exp.Expr, scope: Scope) -> Unknown:
        made = Unknown()
        first = node.expressions[0] if node.expressions else None
        names = _field_names(first) if isinstance(first, exp.Struct) else []
        for item in node.expressions:
            if isinstance(item, exp.Tuple):  # takes the names of the first struct
                for name, value in zip(names, item.expressions, strict=False):
                    made.element().field(name).same_as(self.type_of(value, scope))
            elif not isinstance(item, exp.Null):
                made.element().same_as(self.type_of(item, scope))
        return made

    def _listed(self, node: exp.Expr, scope: Scope) -> Unknown:
        made = Unknown()
        made.element().same_as(self.type_of(node.this, scope))
        return made

    def _is(self, node: exp.Expr, scope: Scope) -> Unknown:
        inner = self.type_of(node.this, scope)
        if isinstance(node.expression, exp.Boolean):
            inner.must_be(Scalar.BOOL)
        return Unknown().must_be(Scalar.BOOL)

    def _in(self, node: exp.Expr, scope: Scope) -> Unknown:
        inner = self._alike([node.this, *node.expressions], scope)
        if (query := node.args.get("query")) is not None:
            inner.same_as(self.type_of(query, scope))
        if (unnest := node.args.get("unnest")) is not None:
            self.type_of(unnest.expressions[0], scope).element().same_as(inner)
        return Unknown().must_be(Scalar.BOOL)

    def _branches(self, node: exp.Expr, scope: Scope) -> Unknown:
        values = []
        for branch in [node] if isinstance(node, exp.If) else node.args["ifs"]:
            condition = self.type_of(branch.this, scope)
            if node.args.get("this") is None or isinstance(node, exp.If):
                condition.must_be(Scalar.BOOL)
            values += [branch.args["true"], branch.args.get("false")]
        if isinstance(node, exp.Case):
            values.append(node.args.get("default"))
            if node.this is not None:
                self.type_of(node.this, scope)
        return self._alike([value for value in values if value is not None], scope)

    def _alike(self, nodes: list[exp.Expr], scope: Scope) -> Unknown:
        """Several expressions of one type. Literals only hint at it."""
        made = Unknown()
        for node in nodes:
            if not isinstance(node, exp.Null):
                made.same_as(self.type_of(node, scope))
        return made

    def _number(self, node: exp.Expr, scope: Scope) -> Unknown:
        made = Unknown().may_be(Scalar.INT64)
        for child in node.iter_expressions():
            kind = self.type_of(child, scope)
            if not isinstance(child, exp.Literal | exp.Interval) and not kind.is_known():
                kind.may_be(Scalar.INT64)
            if isinstance(child, exp.Interval):
                made = Unknown().may_be(Scalar.TIMESTAMP)
        return made

    def _json(self, node: exp.Expr, scope: Scope) -> Unknown:
        names = dotted(node.this)
        path = node.args.get("expression")
        whole = path is None or len(path.expressions) == 1
        if names is not None and whole and len(names) > 1:
            keep = 2 if scope.has_source(names[0].name) else 1
            scope.path([name.name for name in names[:keep]]).must_be(Scalar.JSON)
        elif names is not None:
            scope.path([name.name for name in names]).must_be(Scalar.JSON)
        else:
            self.type_of(node.this, scope)
        if isinstance(node, exp.JSONExtractArray | exp.JSONValueArray):
            made = Unknown()
            made.element().must_be(Scalar.STRING)
            return made
        return Unknown().must_be(_JSON_VALUES.get(type(node), Scalar.STRING))

    def _function(self, node: exp.Expr, scope: Scope) -> Unknown:
        arguments = [self.type_of(argument, scope) for argument in node.expressions]
        name = macro_name(str(node.name)) or ""
        if name == "mozfun_map_get_key" and len(arguments) == 2:
            pair = arguments[0].element()
            pair.field("key").same_as(arguments[1])
            return pair.field("value")
        if name == "mozfun_stats_mode_last" and arguments:
            return arguments[0].element()
        expected, result = PERSISTENT.get(name, ((), None))
        for argument, kind in zip(arguments, expected, strict=False):
            if kind is not None:
                argument.must_be(kind)
        return Unknown().must_be(result) if result is not None else Unknown()


def _field_names(node: exp.Expr) -> list[str]:
    return [
        part.this.name if isinstance(part, exp.PropertyEQ) else part.name
        for part in node.expressions
    ]


_READERS: dict[type[exp.Expr], Callable[[Reader, exp.Expr, Scope], Unknown]] = {
    **dict.fromkeys((exp.Literal, exp.RawString), Reader._literal),
    exp.Boolean: Reader._boolean,
    **dict.fromkeys((exp.Cast, exp.TryCast), Reader._cast),
    exp.Bracket: Reader._bracket,
    exp.Dot: Reader._field,
    exp.Struct: Reader._struct,
    exp.Array: Reader._array,
    exp.ArrayAgg: Reader._listed,
    exp.Anonymous: Reader._function,
    exp.Is: Reader._is,
    exp.In: Reader._in,
    exp.Distinct: Reader._all_alike,
    **dict.fromkeys((*_COMPARISONS, exp.Between), Reader._compared),
    **dict.fromkeys((exp.Case, exp.If), Reader._branches),
    **dict.fromkeys(_ALIKE, Reader._all_alike),
    **dict.fromkeys(_NUMBERS, Reader._number),
    exp.ArraySize: Reader._length,
    **dict.fromkeys((*_JSON_TEXT, *_JSON_VALUES), Reader._json),
}
