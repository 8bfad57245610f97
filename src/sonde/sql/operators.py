"""Arithmetic, comparison and casts: BigQuery's meaning in DuckDB's syntax."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql.duck import Rule, arguments, call, calls, cast, text
from sonde.sql.syntax import Refusal

_ALIASES = {"INT": "BIGINT", "SMALLINT": "BIGINT", "TINYINT": "BIGINT"}  # all are INT64
_TYPES = {
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "TEXT": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMPTZ": "TIMESTAMP",  # instants are kept in UTC, without a zone
    "TIMESTAMP": "TIMESTAMP",
    "TIME": "TIME",
    "DECIMAL": "DECIMAL(38, 9)",
    "JSON": "JSON",
}
# A cast from an unknown type is a macro that looks at the type: see sonde.sql.functions.
_CASTS = {
    "BIGINT": "int64",
    "TEXT": "string",
    "BOOLEAN": "bool",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamp",
    "TIMESTAMP": "timestamp",
}


def duck_type(node: exp.DataType) -> str:
    """DuckDB's name of a BigQuery type, nested ones too."""
    kind = _kind(node)
    if kind == "ARRAY" and node.expressions:
        return duck_type(node.expressions[0]) + "[]"
    if kind == "STRUCT" and all(isinstance(f, exp.ColumnDef) for f in node.expressions):
        fields = (f'"{f.name}" {duck_type(f.args["kind"])}' for f in node.expressions)
        return f"STRUCT({', '.join(fields)})"
    if kind not in _TYPES or node.expressions:
        raise Refusal(node, f"the type {node.sql('bigquery')} is not supported")
    return _TYPES[kind]


def _kind(node: exp.Expr) -> str:
    name = node.this.name if isinstance(node.this, exp.DType) else str(node.this)
    return _ALIASES.get(name, name)


def _cast(node: exp.Expr) -> exp.Expr:
    kind = _kind(node.args["to"])
    if node.args.get("format") is not None:
        raise Refusal(node, "CAST .. FORMAT is not supported; use FORMAT_DATE or PARSE_DATE")
    safe = isinstance(node, exp.TryCast)
    if kind in _CASTS and not _is_plain(node.this, kind):
        of_text = "_of_text" if kind == "BIGINT" and _is_text(node.this) else ""
        return call(f"sonde_{'safe_' if safe else ''}{_CASTS[kind]}{of_text}", node.this)
    to = duck_type(node.args["to"])
    made = exp.TryCast if safe else exp.Cast
    return made(this=node.this, to=exp.DataType.build(to, dialect="duckdb"))


def _is_plain(value: exp.Expr, kind: str) -> bool:
    """Whether DuckDB's own cast is right, seen from the value alone."""
    if isinstance(value, exp.Null):
        return True
    return isinstance(value, exp.Literal) and value.is_string and kind in {"DATE", "TEXT"}


def _is_text(value: exp.Expr) -> bool:
    """Whether the value is a STRING, seen from the syntax alone."""
    return isinstance(value, exp.Anonymous) and value.name.startswith("sonde_json_value")


def _data_type(node: exp.Expr) -> exp.Expr:
    return node  # judged where it is used


def _literal(node: exp.Expr) -> exp.Expr:
    """A number with a point is FLOAT64 in BigQuery; DuckDB makes a DECIMAL of it."""
    if node.args["is_string"] or node.name.isdigit():
        return node
    digits = node.name.lower()
    return exp.Literal.number(digits if "e" in digits else f"{digits.rstrip('.')}e0")


def _wide(node: exp.Expr) -> exp.Expr:
    """INT64, where DuckDB would multiply or shift constants of 32 bits and overflow."""
    left = node.this
    if isinstance(left, exp.Literal) and left.name.isdigit():
        left.replace(cast(left.copy(), "BIGINT"))
    return node


def _divide(node: exp.Expr) -> exp.Expr:
    return exp.Div(this=node.this, expression=_nonzero(node.expression), typed=False, safe=False)


def _nonzero(divisor: exp.Expr) -> exp.Expr:
    if isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.name) != 0:
        return divisor
    return call("sonde_nonzero", divisor)


def _safe_divide(node: exp.Expr) -> exp.Expr:
    return call("sonde_safe_divide", node.this, node.expression)


def _modulo(node: exp.Expr) -> exp.Expr:
    return call("mod", node.this, _nonzero(node.expression))


def _integer_divide(node: exp.Expr) -> exp.Expr:
    return call("divide", node.this, _nonzero(node.expression))


def _in(node: exp.Expr) -> exp.Expr:
    if (unnest := node.args.get("unnest")) is not None:
        return call("sonde_in_array", node.this, unnest.expressions[0])
    if node.args.get("field") is not None:
        raise Refusal(node, "write IN (..) or IN UNNEST(..)")
    return node


def _like(node: exp.Expr) -> exp.Expr:
    pattern = node.expression
    if isinstance(pattern, exp.Any | exp.All):
        return _like_many(node, pattern)
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.name:
        return node
    name = "not_like_escape" if node.args.get("negate") else "like_escape"
    return call(name, node.this, pattern, text("\\"))


def _like_many(node: exp.Expr, patterns: exp.Any | exp.All) -> exp.Expr:
    listed = patterns.this
    if not isinstance(listed, exp.Tuple | exp.Paren) or node.args.get("negate"):
        raise Refusal(node, "write the patterns in parentheses: x LIKE ANY ('a%', 'b%')")
    each = listed.expressions if isinstance(listed, exp.Tuple) else [listed.this]
    terms = [_like(exp.Like(this=node.this.copy(), expression=p.copy())) for p in each]
    joined = exp.or_(*terms) if isinstance(patterns, exp.Any) else exp.and_(*terms)
    return exp.Paren(this=joined)


def _quantifier(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.parent, exp.Like):
        raise Refusal(node, "write IN UNNEST(..)")
    return node


def _ln(node: exp.Expr) -> exp.Expr:
    return call("ln", _positive(node.this))


def _log(node: exp.Expr) -> exp.Expr:
    value = _positive(node.expression)
    return call("log10", value) if node.this.name == "10" else call("log", node.this, value)


def _positive(value: exp.Expr) -> exp.Expr:
    """Zero has no logarithm in BigQuery; in DuckDB it is -inf."""
    return call("sonde_positive", value)


def _round(node: exp.Expr) -> exp.Expr:
    return call("round", *arguments(node, "this", "decimals"))


def _trunc(node: exp.Expr) -> exp.Expr:
    if node.args.get("decimals") is not None:
        raise Refusal(node, "TRUNC with decimals is not supported; use ROUND")
    return call("trunc", node.this)


def _parameter(node: exp.Expr) -> exp.Expr:
    raise Refusal(node, "query parameters have no value here; write the value")


RULES: dict[type[exp.Expr], Rule] = {
    exp.Literal: _literal,
    exp.RawString: lambda node: text(node.name),
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.DataType: _data_type,
    exp.ColumnDef: _data_type,
    exp.Div: _divide,
    exp.SafeDivide: _safe_divide,
    exp.Mul: _wide,
    exp.BitwiseLeftShift: _wide,
    exp.Mod: _modulo,
    exp.IntDiv: _integer_divide,
    exp.In: _in,
    exp.Like: _like,
    exp.Any: _quantifier,
    exp.All: _quantifier,
    exp.Abs: calls("abs", "this"),
    exp.Sign: calls("sign", "this"),
    exp.Ceil: calls("ceil", "this"),
    exp.Floor: calls("floor", "this"),
    exp.Round: _round,
    exp.Trunc: _trunc,
    exp.Pow: calls("pow", "this", "expression"),
    exp.Sqrt: calls("sqrt", "this"),
    exp.Exp: calls("exp", "this"),
    exp.Ln: _ln,
    exp.Log: _log,
    exp.IsNan: calls("isnan", "this"),
    exp.IsInf: calls("isinf", "this"),
    exp.BitwiseCount: calls("bit_count", "this"),
    exp.Parameter: _parameter,
    exp.Placeholder: _parameter,
}
