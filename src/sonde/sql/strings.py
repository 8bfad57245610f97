"""String functions."""

from __future__ import annotations

import re
import string

from sqlglot import exp

from sonde.sql.duck import Rule, arguments, call, calls, cast, number, text
from sonde.sql.syntax import Refusal

# BigQuery trims what Unicode calls white space; DuckDB only blanks.
_WHITE_SPACE = string.whitespace + "\x85\u00a0\u2000\u2001\u2002\u2003\u2028\u2029\u3000"
_TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim", "BOTH": "trim", "": "trim"}


def _substring(node: exp.Expr) -> exp.Expr:
    """Position 0 is position 1, as in BigQuery."""
    start = node.args["start"]
    if isinstance(start, exp.Literal):
        start = number(max(int(start.name), 1))
    else:
        start = call("sonde_position", start)
    return call("substring", node.this, start, *arguments(node, "this", "start", "length")[2:])


def _trim(node: exp.Expr) -> exp.Expr:
    name = _TRIMS.get(str(node.args.get("position") or ""))
    if name is None or node.args.get("collation"):
        raise Refusal(node, "this form of TRIM is not supported")
    return call(name, node.this, node.args.get("expression") or text(_WHITE_SPACE))


def _position(node: exp.Expr) -> exp.Expr:
    return call("strpos", *arguments(node, "this", "substr"))


def _pad(node: exp.Expr) -> exp.Expr:
    name = "lpad" if node.args.get("is_left") else "rpad"
    pattern = node.args.get("fill_pattern") or text(" ")
    return call(name, node.this, cast(node.expression, "INTEGER"), pattern)


def _length(node: exp.Expr) -> exp.Expr:
    return call("length", *arguments(node, "this"))


def _hex(node: exp.Expr) -> exp.Expr:
    inner = node.this
    if isinstance(inner, exp.Anonymous) and inner.name == "sha256_bytes":
        return call("sha256", *inner.expressions)
    raise Refusal(node, "TO_HEX is supported of MD5 and SHA256 only")


def _digest(node: exp.Expr) -> exp.Expr:
    inside_hex = isinstance(node.parent, exp.Hex | exp.LowerHex)
    if not inside_hex or node.args["length"].name != "256":
        raise Refusal(node, "a digest is bytes; write TO_HEX(SHA256(..)) or TO_HEX(MD5(..))")
    return call("sha256_bytes", node.this)


def _groups(node: exp.Expr) -> int:
    pattern = node.expression
    if not isinstance(pattern, exp.Literal):
        raise Refusal(node, "the regular expression must be a literal")
    found = re.findall(r"(?<!\\)(?:\\\\)*\((?!\?(?!P?<))", re.sub(r"\[[^\]]*\]", "", pattern.name))
    if len(found) > 1:
        raise Refusal(
            node, "the regular expression may have one group; write (?:..) for the others"
        )
    return len(found)


def _regexp_extract(node: exp.Expr) -> exp.Expr:
    """The first match, NULL if none: DuckDB's regexp_extract gives '' for no match."""
    return call("list_extract", _regexp_extract_all(node), number(1))


def _regexp_extract_all(node: exp.Expr) -> exp.Expr:
    this, pattern, *more = arguments(node, "this", "expression", "position", "occurrence", "group")
    if node.args.get("position") is not None or node.args.get("occurrence") is not None:
        raise Refusal(node, "REGEXP_EXTRACT with a position is not supported; use SUBSTR before it")
    del more
    return call("regexp_extract_all", this, pattern, number(_groups(node)))


def _regexp_replace(node: exp.Expr) -> exp.Expr:
    return call("regexp_replace", *arguments(node, "this", "expression", "replacement"), text("g"))


def _split(node: exp.Expr) -> exp.Expr:
    return call("string_split", *arguments(node, "this", "expression"))


def _concat(node: exp.Expr) -> exp.Expr:
    """NULL if any part is NULL."""
    first, *rest = node.expressions
    joined = first
    for part in rest:
        joined = exp.DPipe(this=_operand(joined), expression=_operand(part), safe=False)
    return exp.Paren(this=joined) if rest else joined


def _operand(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node


RULES: dict[type[exp.Expr], Rule] = {
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.StrPosition: _position,
    exp.Pad: _pad,
    exp.Length: _length,
    exp.ByteLength: calls("strlen", "this"),
    exp.Repeat: calls("repeat", "this", "times"),
    exp.Reverse: calls("reverse", "this"),
    exp.StartsWith: calls("starts_with", "this", "expression"),
    exp.EndsWith: calls("ends_with", "this", "expression"),
    exp.Replace: calls("replace", "this", "expression", "replacement"),
    exp.Split: _split,
    exp.Left: calls("left", "this", "expression"),
    exp.Right: calls("right", "this", "expression"),
    exp.Contains: calls("contains", "this", "expression"),
    exp.Lower: calls("lower", "this"),
    exp.Upper: calls("upper", "this"),
    exp.Concat: _concat,
    exp.MD5: calls("md5", "this"),
    exp.SHA2Digest: _digest,
    exp.LowerHex: _hex,
    exp.Hex: _hex,
    exp.RegexpLike: calls("regexp_matches", "this", "expression"),
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpExtractAll: _regexp_extract_all,
    exp.RegexpReplace: _regexp_replace,
}
