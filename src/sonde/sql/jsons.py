"""JSON: columns of BigQuery's JSON type and JSON text. In DuckDB both are VARCHAR or JSON."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql.duck import Rule, call, cast, text
from sonde.sql.syntax import Refusal
from sonde.sql.tables import alias_of

EXTRACT = "sonde_json_extract"
AGGREGATED = "aggregated"  # mark on a node: its argument holds an aggregate
ROOT_ALIASES = frozenset({"ds", "e"})  # of a metric's expression, which has no FROM


def mark_aggregated(tree: exp.Expr) -> None:
    """Note, before anything is rewritten, which JSON functions are applied to aggregates.

    DuckDB's TRY, which makes NULL of malformed text, refuses those; they pay for a test instead.
    """
    for node in tree.walk():
        if type(node) in RULES:
            node.meta[AGGREGATED] = any(
                isinstance(n, exp.AggFunc) for n in node.this.walk(prune=_is_query)
            )


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query)


def path_text(node: exp.Expr) -> str:
    """DuckDB's spelling of a JSONPath: every key quoted.

    >>> import sqlglot
    >>> path_text(sqlglot.parse_one("JSON_VALUE(x, '$.a[0]')", dialect="bigquery").expression)
    '$."a"[0]'
    """
    if not isinstance(node, exp.JSONPath):
        raise Refusal(node, "the JSON path must be a literal")
    return "$" + "".join(_step(part) for part in node.expressions[1:])


def _step(part: exp.Expr) -> str:
    match part:
        case exp.JSONPathKey() if isinstance(part.this, str):
            return key_step(part.this, part)
        case exp.JSONPathSubscript() if isinstance(part.this, int) and part.this >= 0:
            return f"[{part.this}]"
        case _:
            raise Refusal(part, "the JSON path may hold names and positions only")


def key_step(key: str, node: exp.Expr) -> str:
    """The step of a path into an object."""
    if '"' in key or "\\" in key:
        raise Refusal(node, "a quote in a JSON path is not supported")
    return f'."{key}"'


def _located(node: exp.Expr, path: str) -> tuple[exp.Expr, str]:
    """The column that holds the JSON, and the path in it, of `j.key`, `j['key']` and plain `j`.

    A dotted path without a path argument is JSON from its column on: on text it has no meaning.
    """
    if isinstance(node, exp.Anonymous) and node.name == EXTRACT:
        value, inner = node.expressions
        return value, inner.name + path[1:]
    names = dotted(node)
    if names is None or path != "$":
        return node, path
    keep = 2 if len(names) > 1 and names[0].name.lower() in aliases_in_scope(node) else 1
    steps = "".join(key_step(name.name, node) for name in names[keep:])
    return exp.column(*reversed([name.copy() for name in names[:keep]])), "$" + steps


def dotted(node: exp.Expr) -> list[exp.Identifier] | None:
    """The names of `a.b.c`, or None for anything but a path of names."""
    if isinstance(node, exp.Column):
        parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
        return parts if isinstance(node.this, exp.Identifier) else None
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        before = dotted(node.this)
        return None if before is None else [*before, node.expression]
    return None


def aliases_in_scope(node: exp.Expr) -> set[str]:
    """The names of the relations whose columns a node may mention."""
    found = set()
    select = node.find_ancestor(exp.Select)
    while select is not None:
        sources = [select.args.get("from_"), *(select.args.get("joins") or ())]
        found |= {alias_of(source.this) for source in sources if source is not None}
        select = select.find_ancestor(exp.Select)
    return found | ROOT_ALIASES


def _applied(name: str) -> Rule:
    """NULL for malformed text; of JSON_VALUE, for an object or an array too."""

    def rule(node: exp.Expr) -> exp.Expr:
        written = path_text(node.expression)
        value, path = _located(node.this, written)
        if path != written and not node.meta.get(AGGREGATED):
            value = call("sonde_json", value)  # a guess: it must not be a struct
        suffix = "_of_aggregate" if node.meta.get(AGGREGATED) else ""
        return call(f"sonde_json_{name}{suffix}", value, text(path))

    return rule


def _array(node: exp.Expr) -> exp.Expr:
    value, path = _located(node.this, path_text(node.expression))
    name = "value" if isinstance(node, exp.JSONValueArray) else "query"
    return call(f"sonde_json_{name}_array", value, text(path), text(path + "[*]"))


def _typed(kind: str) -> Rule:
    def rule(node: exp.Expr) -> exp.Expr:
        if node.args.get("zone") is not None:
            raise Refusal(node, "write FORMAT_TIMESTAMP with a format")
        value, path = _located(node.this, "$")
        if path == "$":
            return call(f"sonde_{kind}_of", value)
        return call(f"sonde_json_{kind}", value, text(path))

    return rule


def _lax(node: exp.Expr) -> exp.Expr:
    name = type(node).__name__.removeprefix("Lax").upper()
    typed = {"STRING": "STRING", "INT64": "INT64", "FLOAT64": "FLOAT64", "BOOL": "BOOL"}
    to = typed.get(name, name)
    raise Refusal(node, f"LAX_{to} is not supported; write SAFE_CAST(JSON_VALUE(..) AS {to})")


def _to_text(node: exp.Expr) -> exp.Expr:
    made = call("to_json", node.this)
    return made if node.args.get("to_json") else cast(made, "VARCHAR")


def _parse(node: exp.Expr) -> exp.Expr:
    return call("json", node.this)


def _type(node: exp.Expr) -> exp.Expr:
    raise Refusal(node, "JSON_TYPE is not supported; compare the values themselves")


RULES: dict[type[exp.Expr], Rule] = {
    exp.JSONExtractScalar: _applied("value"),
    exp.JSONExtract: _applied("query"),
    exp.JSONExtractArray: _array,
    exp.JSONValueArray: _array,
    exp.String: _typed("string"),
    exp.JSONBool: _typed("bool"),
    exp.Int64: _typed("int64"),
    exp.Float64: _typed("float64"),
    exp.LaxString: _lax,
    exp.LaxBool: _lax,
    exp.LaxInt64: _lax,
    exp.LaxFloat64: _lax,
    exp.JSONFormat: _to_text,
    exp.ParseJSON: _parse,
    exp.JSONType: _type,
}
