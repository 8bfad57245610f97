"""What the functions of BigQuery take and give, as far as it helps to infer columns."""

from __future__ import annotations

from sqlglot import exp

from sonde.sql.schemas import Array, Scalar, Struct, Type, map_of

HISTOGRAM = Struct(
    (
        ("bucket_count", Scalar.INT64),
        ("histogram_type", Scalar.INT64),
        ("range", Array(Scalar.INT64)),
        ("sum", Scalar.INT64),
        ("values", Array(Struct((("key", Scalar.INT64), ("value", Scalar.INT64))))),
    )
)
_S, _I, _F, _B = Scalar.STRING, Scalar.INT64, Scalar.FLOAT64, Scalar.BOOL
_D, _T = Scalar.DATE, Scalar.TIMESTAMP

# Node -> types of its arguments by key, type of the result. The types of dates are hints only:
# DATE(x) takes a TIMESTAMP and a DATE.
STRICT: dict[type[exp.Expr], tuple[dict[str, Type], Type | None]] = {
    **dict.fromkeys((exp.Lower, exp.Upper, exp.Trim, exp.Reverse, exp.Initcap), ({"this": _S}, _S)),
    **dict.fromkeys((exp.Left, exp.Right), ({"this": _S, "expression": _I}, _S)),
    exp.Substring: ({"this": _S}, _S),
    exp.Replace: ({"this": _S, "expression": _S, "replacement": _S}, _S),
    exp.RegexpExtract: ({"this": _S, "expression": _S}, _S),
    exp.RegexpReplace: ({"this": _S, "expression": _S}, _S),
    exp.RegexpExtractAll: ({"this": _S, "expression": _S}, Array(_S)),
    exp.RegexpLike: ({"this": _S, "expression": _S}, _B),
    exp.Like: ({"this": _S}, _B),
    exp.StartsWith: ({"this": _S, "expression": _S}, _B),
    exp.EndsWith: ({"this": _S, "expression": _S}, _B),
    exp.Contains: ({"this": _S, "expression": _S}, _B),
    exp.StrPosition: ({"this": _S, "substr": _S}, _I),
    exp.Split: ({"this": _S, "expression": _S}, Array(_S)),
    exp.Length: ({"this": _S}, _I),
    exp.Concat: ({"expressions": _S}, _S),
    exp.MD5: ({"this": _S}, _S),
    **dict.fromkeys((exp.And, exp.Or), ({"this": _B, "expression": _B}, _B)),
    exp.Not: ({"this": _B}, _B),
    exp.LogicalOr: ({"this": _B}, _B),
    exp.LogicalAnd: ({"this": _B}, _B),
    exp.CountIf: ({"this": _B}, _I),
    exp.Where: ({"this": _B}, None),
    exp.Count: ({}, _I),
    exp.ApproxDistinct: ({}, _I),
    exp.BitwiseCount: ({"this": _I}, _I),
    exp.BitwiseAnd: ({"this": _I, "expression": _I}, _I),
    exp.BitwiseOr: ({"this": _I, "expression": _I}, _I),
    exp.JSONExtractArray: ({}, Array(_S)),
    exp.JSONValueArray: ({}, Array(_S)),
    exp.ArrayToString: ({"this": Array(_S)}, _S),
    exp.GenerateDateArray: ({}, Array(_D)),
    exp.Exists: ({}, _B),
    exp.StrToDate: ({"this": _S}, _D),
    exp.StrToTime: ({"this": _S}, _T),
    exp.ParseDatetime: ({"this": _S}, _T),
}
LIKELY: dict[type[exp.Expr], tuple[dict[str, Scalar], Type | None]] = {
    exp.Date: ({"this": _T}, _D),
    exp.Timestamp: ({"this": _D}, _T),
    exp.Datetime: ({"this": _T}, _T),
    exp.TsOrDsToDatetime: ({"this": _T}, _T),
    exp.TsOrDsToTimestamp: ({"this": _T}, _T),
    exp.TsOrDsToDate: ({"this": _D}, _D),
    exp.DateAdd: ({"this": _D}, _D),
    exp.DateSub: ({"this": _D}, _D),
    exp.DateTrunc: ({"this": _D}, _D),
    exp.DateDiff: ({"this": _D, "expression": _D}, _I),
    exp.DatetimeDiff: ({"this": _T, "expression": _T}, _I),
    exp.TimestampDiff: ({"this": _T, "expression": _T}, _I),
    exp.TimestampAdd: ({"this": _T}, _T),
    exp.TimestampSub: ({"this": _T}, _T),
    exp.DatetimeAdd: ({"this": _T}, _T),
    exp.DatetimeSub: ({"this": _T}, _T),
    exp.TimestampTrunc: ({"this": _T}, _T),
    exp.DatetimeTrunc: ({"this": _T}, _T),
    exp.Extract: ({"expression": _T}, _I),
    exp.UnixSeconds: ({"this": _T}, _I),
    exp.UnixMillis: ({"this": _T}, _I),
    exp.UnixMicros: ({"this": _T}, _I),
    exp.UnixToTime: ({"this": _I}, _T),
    exp.DateFromUnixDate: ({"this": _I}, _D),
    exp.TimeToStr: ({}, _S),
    exp.CurrentDate: ({}, _D),
    exp.LastDay: ({"this": _D}, _D),
    exp.Avg: ({"this": _I}, _F),
    exp.Stddev: ({"this": _I}, _F),
    exp.StddevPop: ({"this": _I}, _F),
    exp.Variance: ({"this": _I}, _F),
    exp.PercentileCont: ({"this": _F}, _F),
    exp.SafeDivide: ({"this": _I, "expression": _I}, _F),
    exp.Div: ({"this": _I, "expression": _I}, _F),
    exp.Pow: ({"this": _I}, _F),
    exp.Sqrt: ({"this": _I}, _F),
    exp.Exp: ({"this": _F}, _F),
    exp.Ln: ({"this": _F}, _F),
    exp.Log: ({"expression": _F}, _F),
    exp.IsNan: ({"this": _F}, _B),
    exp.IsInf: ({"this": _F}, _B),
    exp.RowNumber: ({}, _I),
    exp.Rank: ({}, _I),
    exp.DenseRank: ({}, _I),
}
# Mozilla's functions: types of the arguments in order; None: whatever it is.
PERSISTENT: dict[str, tuple[tuple[Type | None, ...], Type | None]] = {
    "mozfun_bits28_days_since_seen": ((_I,), _I),
    "mozfun_hist_extract": ((_S,), HISTOGRAM),
    "mozfun_hist_merge": ((Array(HISTOGRAM),), HISTOGRAM),
    "mozfun_hist_percentiles": (
        (HISTOGRAM, None),
        Array(Struct((("percentile", _F), ("value", _I)))),
    ),
    "mozfun_hist_threshold_count": ((_S, _I), _I),
    "mozfun_map_extract_keyed_scalar_sum": ((map_of(_I),), _I),
    "mozfun_norm_extract_version": ((_S, _S), _I),
    "mozfun_norm_fenix_build_to_datetime": ((_S,), _T),
    "mozfun_norm_os": ((_S,), _S),
    "mozfun_norm_truncate_version": ((_S, _S), _S),
    "mozfun_norm_windows_version_info": ((_S, _S, _I), _S),
    "udf_histogram_max_key_with_nonzero_value": ((_S,), _I),
    "udf_keyed_histogram_get_sum": ((map_of(_S), _S), _I),
    "udf_monetized_search": ((_S, _S, _S, _D), _B),
    "udf_normalize_search_engine": ((_S,), _S),
}
