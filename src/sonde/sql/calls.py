"""Functions called by a name that is not BigQuery's own: `mozfun.hist.extract(..)`."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sonde.errors import did_you_mean
from sonde.sql.duck import Rule, call, cast, has_aggregate, number
from sonde.sql.syntax import Refusal

# Name without project -> macro. `udf` is the older name of a few.
PERSISTENT = {
    "mozfun.bits28.days_since_seen": "mozfun_bits28_days_since_seen",
    "mozfun.hist.extract": "mozfun_hist_extract",
    "mozfun.hist.merge": "mozfun_hist_merge",
    "mozfun.hist.percentiles": "mozfun_hist_percentiles",
    "mozfun.hist.threshold_count": "mozfun_hist_threshold_count",
    "mozfun.map.extract_keyed_scalar_sum": "mozfun_map_extract_keyed_scalar_sum",
    "mozfun.map.get_key": "mozfun_map_get_key",
    "mozfun.norm.extract_version": "mozfun_norm_extract_version",
    "mozfun.norm.fenix_build_to_datetime": "mozfun_norm_fenix_build_to_datetime",
    "mozfun.norm.os": "mozfun_norm_os",
    "mozfun.norm.truncate_version": "mozfun_norm_truncate_version",
    "mozfun.norm.windows_version_info": "mozfun_norm_windows_version_info",
    "mozfun.stats.mode_last": "mozfun_stats_mode_last",
    "udf.get_key": "mozfun_map_get_key",
    "udf.histogram_max_key_with_nonzero_value": "udf_histogram_max_key_with_nonzero_value",
    "udf.histogram_to_threshold_count": "mozfun_hist_threshold_count",
    "udf.json_extract_histogram": "mozfun_hist_extract",
    "udf.keyed_histogram_get_sum": "udf_keyed_histogram_get_sum",
    "udf.monetized_search": "udf_monetized_search",
    "udf.normalize_search_engine": "udf_normalize_search_engine",
}
_RAISING: dict[str, Callable[..., exp.Expr]] = {
    "sonde_nonzero": lambda b: exp.Nullif(this=b, expression=number(0)),
    "sonde_day": lambda d: cast(d, "DATE"),
    "sonde_bool": lambda x: call("sonde_safe_bool", x),
    "sonde_element": lambda a, i: call("sonde_safe_element", a, i),
    "sonde_positive": lambda x: x,
}
_INSTEAD = {
    "farm_fingerprint": "FARM_FINGERPRINT has no counterpart; use sample_id, or TO_HEX(MD5(x))",
    "rand": "RAND() is not reproducible; use sample_id",
    "generate_uuid": "GENERATE_UUID() is not reproducible",
    "session_user": "SESSION_USER() depends on who runs it",
    "approx_top_count": "APPROX_TOP_COUNT is not reproducible; GROUP BY the value and count",
    "approx_top_sum": "APPROX_TOP_SUM is not reproducible; GROUP BY the value and sum",
}


def gather_names(tree: exp.Expr) -> exp.Expr:
    """The tree with every dotted or quoted function name in one node, in lower case."""
    holder = exp.Paren(this=tree)
    for node in list(holder.find_all(exp.Dot, exp.Column)):
        function = node.expression if isinstance(node, exp.Dot) else node.this
        if not isinstance(function, exp.Func) or not (names := _names_before(node)):
            continue
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        full = ".".join([*names, name]).lower()
        if not isinstance(function, exp.Anonymous):
            raise Refusal(node, _unknown(full))
        node.replace(_moved(function, full))
    for function in holder.find_all(exp.Anonymous):
        if isinstance(function.this, exp.Identifier):
            function.set("this", function.name.lower())
    made: exp.Expr = holder.this.pop()
    return made


def _names_before(node: exp.Expr) -> list[str]:
    """The names a function's name is prefixed with: a Dot or, within an aggregate, a Column."""
    if isinstance(node, exp.Dot):
        return _names(node.this)
    return [part.name for part in node.parts[:-1]] if isinstance(node, exp.Column) else []


def _moved(function: exp.Anonymous, name: str) -> exp.Anonymous:
    moved = call(name, *function.expressions)
    moved.meta.update(function.meta)
    return moved


def _names(node: exp.Expr) -> list[str]:
    if isinstance(node, exp.Identifier):
        return [node.name]
    if isinstance(node, exp.Dot):
        before, last = _names(node.this), node.expression
        return [*before, last.name] if before and isinstance(last, exp.Identifier) else []
    return []


def macro_name(name: str) -> str | None:
    """The macro of a function, whatever the project or dataset prefix.

    >>> macro_name("moz-fx-data-shared-prod.udf.get_key")
    'mozfun_map_get_key'
    """
    parts = name.lower().split(".")
    if "mozfun" in parts:
        return PERSISTENT.get(".".join(parts[parts.index("mozfun") :]))
    if len(parts) >= 2 and parts[-2].startswith("udf"):
        return PERSISTENT.get(f"udf.{parts[-1]}")
    return None


def _anonymous(node: exp.Expr) -> exp.Expr:
    name = str(node.name).lower()
    if name == "ieee_divide" and len(node.expressions) == 2:
        return exp.Paren(this=exp.Div(this=node.expressions[0], expression=node.expressions[1]))
    macro = macro_name(name)
    if macro is None:
        raise Refusal(node, _INSTEAD.get(name) or _unknown(name))
    return call(macro, *node.expressions)


def _unknown(name: str) -> str:
    known = PERSISTENT if "." in name else _builtin()
    short = name.split(".", 1)[1] if name.count(".") > 2 else name
    suggestion = did_you_mean(short if "." in name else name.upper(), known)
    return f'no function "{name}"{suggestion}'


def _builtin() -> list[str]:
    from sonde.sql.rules import RULES, SAME  # noqa: PLC0415 (the rules name this module)

    return [
        name
        for node in (*RULES, *SAME)
        if issubclass(node, exp.Func) and node is not exp.Anonymous
        for name in node.sql_names()
    ]


def _instead(node: exp.Expr) -> exp.Expr:
    assert isinstance(node, exp.Func)
    written = str(node.meta.get("bigquery_name") or node.sql_name()).lower()
    raise Refusal(node, _INSTEAD.get(written, f"the function {written} is not supported"))


def _safe(node: exp.Expr) -> exp.Expr:
    """SAFE.f(x): NULL where f raises. What raises on purpose is no part of DuckDB's TRY."""
    if has_aggregate(node.this):
        raise Refusal(node, "SAFE. applies to a function of a row, not of an aggregate")
    holder = exp.Paren(this=node.this)
    for raising in list(holder.find_all(exp.Anonymous)):
        if (made := _RAISING.get(str(raising.name))) is not None:
            raising.replace(made(*raising.expressions))
    return call("try", holder.this.pop())


RULES: dict[type[exp.Expr], Rule] = {
    exp.Anonymous: _anonymous,
    exp.SafeFunc: _safe,
    exp.FarmFingerprint: _instead,
    exp.Rand: _instead,
    exp.Uuid: _instead,
    exp.SessionUser: _instead,
    exp.ApproxTopK: _instead,
}
