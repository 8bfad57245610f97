"""Arrays and structs: lists and structs of DuckDB; UNNEST in FROM."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql.duck import Rule, arguments, call, field, number, text
from sonde.sql.jsons import EXTRACT, dotted, key_step
from sonde.sql.syntax import Refusal


def _element(node: exp.Expr) -> exp.Expr:
    """`a[OFFSET(i)]` raises out of range, `a[SAFE_OFFSET(i)]` is NULL; `j['key']` is JSON."""
    (index,) = node.expressions
    if isinstance(index, exp.Literal) and index.is_string:
        return _json_step(node.this, key_step(index.name, node))
    if isinstance(node.this, exp.Anonymous) and node.this.name == EXTRACT:
        if not isinstance(index, exp.Literal):
            raise Refusal(node, "the position in a JSON array must be a literal")
        return _json_step(node.this, f"[{index.name}]")
    offset = exp.Sub(this=index, expression=number(1)) if node.args.get("offset") == 1 else index
    name = "sonde_safe_element" if node.args.get("safe") else "sonde_element"
    if isinstance(offset, exp.Literal) and node.args.get("safe"):
        return call("list_extract", node.this, number(int(offset.name) + 1))
    return call(name, node.this, offset)


def _json_step(value: exp.Expr, step: str) -> exp.Expr:
    if isinstance(value, exp.Anonymous) and value.name == EXTRACT:
        inner, path = value.expressions
        return call(EXTRACT, inner, text(path.name + step))
    return call(EXTRACT, value, text("$" + step))


def _dot(node: exp.Expr) -> exp.Expr:
    name = node.expression
    if isinstance(name, exp.Star):
        raise Refusal(node, "write the fields of the struct one by one")
    if isinstance(node.this, exp.Anonymous) and node.this.name == EXTRACT:
        return _json_step(node.this, key_step(name.name, node))
    if isinstance(name, exp.Identifier):
        return node if dotted(node) is not None else field(node.this, name.name)
    raise Refusal(node, f'no function "{node.sql("bigquery")}"')


def _array(node: exp.Expr) -> exp.Expr:
    """Later tuples take the field names of the first struct."""
    if not node.expressions or not isinstance(node.expressions[0], exp.Struct):
        return node
    first = node.expressions[0]
    names = [f.this if isinstance(f, exp.PropertyEQ) else None for f in first.expressions]
    for element in node.expressions[1:]:
        if isinstance(element, exp.Tuple | exp.Struct):
            element.replace(_named(element, names))
    return node


def _named(element: exp.Expr, names: list[exp.Expr | None]) -> exp.Expr:
    if len(names) != len(element.expressions):
        raise Refusal(element, "the structs of an array have the same fields")
    values = [v.expression if isinstance(v, exp.PropertyEQ) else v for v in element.expressions]
    pairs = [
        value if name is None else exp.PropertyEQ(this=name.copy(), expression=value)
        for name, value in zip(names, values, strict=True)
    ]
    return exp.Struct(expressions=pairs)


def _unnest(node: exp.Expr) -> exp.Expr:
    """Rows of an array. Of structs: a column per field; of scalars: one column, the alias.

    `max_depth := 2` spreads structs, and keeps the alias as column name of scalars.
    """
    if isinstance(node.parent, exp.In | exp.Any):
        return node
    if len(node.expressions) != 1:
        raise Refusal(node, "UNNEST takes one array")
    array = node.expressions[0]
    alias = _alias(node)
    spread = call("unnest", array, exp.Kwarg(this=exp.var("max_depth"), expression=number(2)))
    columns: list[exp.Expr] = [exp.alias_(spread, alias or "unnest", quoted=True)]
    if offset := node.args.get("offset"):
        name = offset.name if isinstance(offset, exp.Expr) else "offset"
        position = exp.Sub(
            this=call("generate_subscripts", array.copy(), number(1)), expression=number(1)
        )
        columns.append(exp.alias_(position, name, quoted=True))
    rows = exp.Subquery(this=exp.Select(expressions=columns))
    if alias:
        rows.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    return rows


def _alias(node: exp.Expr) -> str | None:
    alias = node.args.get("alias")
    if alias is None:
        return None
    if alias.this is not None:
        return str(alias.this.name)
    return str(alias.columns[0].name) if alias.columns else None


def _concat(node: exp.Expr) -> exp.Expr:
    """NULL if any array is NULL, as `||` does in DuckDB."""
    first, *rest = arguments(node, "this", "expressions")
    joined = first
    for part in rest:
        joined = exp.DPipe(this=joined, expression=part, safe=False)
    return exp.Paren(this=joined) if rest else joined


def _to_string(node: exp.Expr) -> exp.Expr:
    array, separator, *null = arguments(node, "this", "expression", "null")
    return call("sonde_array_to_string", array, separator, *null)


def _series(node: exp.Expr) -> exp.Expr:
    return call("generate_series", *arguments(node, "start", "end", "step"))


def _length(node: exp.Expr) -> exp.Expr:
    return call("len", *arguments(node, "this"))


RULES: dict[type[exp.Expr], Rule] = {
    exp.Bracket: _element,
    exp.Dot: _dot,
    exp.Array: _array,
    exp.Unnest: _unnest,
    exp.ArraySize: _length,
    exp.ArrayConcat: _concat,
    exp.ArrayReverse: lambda node: call("list_reverse", *arguments(node, "this")),
    exp.ArrayToString: _to_string,
    exp.GenerateSeries: _series,
}
