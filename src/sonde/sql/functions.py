"""DuckDB macros the translation relies on: BigQuery's own functions where DuckDB's differ, and
Mozilla's public ones (`mozfun`, and a few older ones in a dataset `udf`).

A BigQuery map is a list of structs with `key` and `value`; NULL is a map without elements.
`sonde_current_date()` is not among them: the engine defines it, as the as-of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sonde.sql.text import quoted

# An engine's name begins with the left (lower case); the first that fits gives its known name.
SEARCH_ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "google": "Google",
        "bing": "Bing",
        "duckduckgo": "DuckDuckGo",
        "ddg": "DuckDuckGo",
        "amazon": "Amazon",
        "baidu": "Baidu",
        "ebay": "eBay",
        "ecosia": "Ecosia",
        "mailru": "Mail.ru",
        "qwant": "Qwant",
        "wikipedia": "Wikipedia",
        "yahoo": "Yahoo",
        "yandex": "Yandex",
    }
)
# Whether a search earns money, over engine, country, distribution_id, submission_date. What is
# public of it is FALSE.
MONETIZED_SEARCH = "FALSE"

_CASTS = (
    # Text is an integer only if it is written as one: what DuckDB would round is made unreadable.
    "sonde_int64_of_text(x) AS CAST(regexp_replace(x, '[.eE_]', ' is no INT64: ') AS BIGINT)",
    "sonde_safe_int64_of_text(x) AS TRY_CAST(regexp_replace(x, '[.eE_]', '?') AS BIGINT)",
    """sonde_int64(x) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN sonde_int64_of_text(CAST(x AS VARCHAR))
  WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN CAST(round(CAST(x AS DOUBLE)) AS BIGINT)
  ELSE CAST(x AS BIGINT) END""",
    """sonde_safe_int64(x) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN sonde_safe_int64_of_text(CAST(x AS VARCHAR))
  WHEN typeof(x) IN ('DOUBLE', 'FLOAT')
  THEN TRY_CAST(round(TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)) AS BIGINT)
  ELSE TRY_CAST(x AS BIGINT) END""",
    """sonde_safe_bool(x) AS CASE
  WHEN typeof(x) = 'VARCHAR'
  THEN CASE lower(CAST(x AS VARCHAR)) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END
  ELSE TRY_CAST(x AS BOOLEAN) END""",
    """sonde_bool(x) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN CASE
    WHEN x IS NULL OR lower(CAST(x AS VARCHAR)) IN ('true', 'false') THEN CAST(x AS BOOLEAN)
    ELSE error('"' || CAST(x AS VARCHAR) || '" is not a BOOL; write SAFE_CAST') END
  ELSE CAST(x AS BOOLEAN) END""",
    # A whole float has no point, and an instant has its zone, as in BigQuery.
    """sonde_string(x) AS CASE
  WHEN typeof(x) IN ('DOUBLE', 'FLOAT')
    AND abs(TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)) < 1e15
  THEN regexp_replace(CAST(x AS VARCHAR), '\\.0$', '')
  WHEN typeof(x) = 'TIMESTAMP' THEN CAST(x AS VARCHAR) || '+00'
  ELSE CAST(x AS VARCHAR) END""",
    "sonde_safe_string(x) AS sonde_string(x)",
    """sonde_date(x) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN CAST(strptime(CAST(x AS VARCHAR), '%Y-%m-%d') AS DATE)
  ELSE CAST(x AS DATE) END""",
    """sonde_safe_date(x) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN CAST(try_strptime(CAST(x AS VARCHAR), '%Y-%m-%d') AS DATE)
  ELSE TRY_CAST(x AS DATE) END""",
    # Text may name a zone; an instant is kept in UTC.
    """sonde_timestamp(x) AS CASE
  WHEN typeof(x) = 'VARCHAR'
  THEN CAST(CAST(CAST(x AS VARCHAR) AS TIMESTAMP WITH TIME ZONE) AS TIMESTAMP)
  ELSE CAST(x AS TIMESTAMP) END""",
    """sonde_safe_timestamp(x) AS CASE
  WHEN typeof(x) = 'VARCHAR'
  THEN CAST(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP WITH TIME ZONE) AS TIMESTAMP)
  ELSE TRY_CAST(x AS TIMESTAMP) END""",
)

_SCALARS = (
    """sonde_nonzero(b) AS CASE
  WHEN b = 0 THEN error('division by zero; write SAFE_DIVIDE(a, b)') ELSE b END""",
    """sonde_positive(x) AS CASE
  WHEN x <= 0 THEN error('a logarithm is of a positive number') ELSE x END""",
    "sonde_safe_divide(a, b) AS a / nullif(b, 0)",
    "sonde_position(p) AS CASE WHEN p = 0 THEN 1 ELSE p END",
    """sonde_day(d) AS CASE
  WHEN typeof(d) IN ('TIMESTAMP', 'TIMESTAMP WITH TIME ZONE')
  THEN error('DATE_ADD and DATE_SUB take a DATE; write TIMESTAMP_ADD, or DATE(..) around it')
  ELSE CAST(d AS DATE) END""",
    # Weeks begin on weekday w (0: Sunday); days before the first of them are in week 0.
    """sonde_week(d, w) AS CAST(
  (dayofyear(d) + 6 - (dayofweek(d) - w + 7) % 7) // 7 AS BIGINT)""",
    "sonde_at_zone(t, z) AS timezone(z, timezone('UTC', sonde_timestamp(t)))",
    "sonde_from_zone(t, z) AS timezone('UTC', timezone(z, CAST(t AS TIMESTAMP)))",
    """sonde_element(a, i) AS CASE
  WHEN i >= 0 AND i < len(a) THEN a[i + 1]
  WHEN a IS NULL OR i IS NULL THEN NULL
  ELSE error('the array is too short for OFFSET; write SAFE_OFFSET') END""",
    "sonde_safe_element(a, i) AS CASE WHEN i >= 0 THEN a[i + 1] END",
    # ARRAY_AGG(.. IGNORE NULLS): NULL rather than an empty array.
    """sonde_listed(a) AS nullif(
  list_filter(a, lambda listed_value: listed_value IS NOT NULL), [])""",
    """sonde_in_array(x, a) AS CASE
  WHEN a IS NULL OR len(a) = 0 THEN FALSE
  WHEN x IS NULL THEN NULL
  WHEN list_contains(a, x) THEN TRUE
  WHEN list_count(a) < len(a) THEN NULL
  ELSE FALSE END""",
    """sonde_array_to_string(a, s) AS array_to_string(a, s),
  (a, s, n) AS array_to_string(
    list_transform(a, lambda text_or_null: coalesce(text_or_null, n)), s)""",
)

_JSON = (
    # TRY: malformed text is NULL, at no cost for the rest. DuckDB refuses it over aggregates.
    "sonde_json_value(j, p) AS json_extract_string(TRY(json_value(j, p)), '$')",
    "sonde_json_query(j, p) AS nullif(CAST(TRY(json_extract(j, p)) AS VARCHAR), 'null')",
    # Any text function would do: DuckDB has none of a struct, and says so before it starts.
    "sonde_json(j) AS ltrim(j)",
    """sonde_json_value_of_aggregate(j, p) AS CASE
  WHEN json_valid(j) THEN json_extract_string(json_value(j, p), '$') END""",
    """sonde_json_query_of_aggregate(j, p) AS CASE
  WHEN json_valid(j) THEN nullif(CAST(json_extract(j, p) AS VARCHAR), 'null') END""",
    """sonde_json_query_array(j, p, q) AS CASE
  WHEN TRY(json_type(j, p)) = 'ARRAY' THEN CAST(json_extract(j, q) AS VARCHAR[]) END""",
    """sonde_json_value_array(j, p, q) AS CASE
  WHEN TRY(json_type(j, p)) = 'ARRAY'
    AND NOT list_has_any(json_type(j, q), ['OBJECT', 'ARRAY'])
  THEN json_extract_string(j, q) END""",
    "sonde_json_extract(j, p) AS TRY(json_extract(j, p))",
    "sonde_json_string(j, p) AS TRY(json_extract_string(j, p))",
    "sonde_json_bool(j, p) AS sonde_bool(TRY(json_extract_string(j, p)))",
    "sonde_json_int64(j, p) AS sonde_int64_of_text(TRY(json_extract_string(j, p)))",
    "sonde_json_float64(j, p) AS CAST(TRY(json_extract_string(j, p)) AS DOUBLE)",
    # STRING also writes dates and times.
    """sonde_string_of(x) AS CASE
  WHEN typeof(x) IN ('VARCHAR', 'JSON') THEN json_extract_string(CAST(x AS VARCHAR), '$')
  ELSE CAST(x AS VARCHAR) END""",
    "sonde_bool_of(x) AS sonde_bool(json_extract_string(x, '$'))",
    "sonde_int64_of(x) AS sonde_int64_of_text(json_extract_string(x, '$'))",
    "sonde_float64_of(x) AS CAST(json_extract_string(x, '$') AS DOUBLE)",
)

_MAPS = (
    """mozfun_map_get_key(m, k) AS struct_extract(
  list_filter(m, lambda get_key_pair: get_key_pair.key = k)[1], 'value')""",
    """mozfun_map_extract_keyed_scalar_sum(m) AS list_sum(
  list_transform(m, lambda scalar_pair: scalar_pair.value))""",
    """mozfun_stats_mode_last(a) AS (
  SELECT mode_value
  FROM (SELECT unnest(a) AS mode_value, generate_subscripts(a, 1) AS mode_position)
  WHERE mode_value IS NOT NULL
  GROUP BY mode_value
  ORDER BY count(*) DESC, max(mode_position) DESC
  LIMIT 1)""",
)

_PAIRS = 'STRUCT("key" BIGINT, "value" BIGINT)[]'
# A histogram in a string: JSON, or one of three compact forms, which are made JSON first.
_HISTOGRAMS = (
    r"""sonde_histogram_text(s) AS CASE
  WHEN starts_with(ltrim(s), '{') THEN s
  WHEN contains(s, ';') THEN regexp_replace(
    regexp_replace(s, '(-?\d+):(-?\d+)', '"\1":\2', 'g'),
    '^(-?\d*);(-?\d*);(-?\d*);([-\d,]*);([^;]*)$',
    '{"bucket_count":\1,"histogram_type":\2,"sum":\3,"range":[\4],"values":{\5}}')
  ELSE regexp_replace(regexp_replace(s,
    '^\s*(\d+)\s*,\s*(\d+)\s*$', '{"bucket_count":3,"histogram_type":2,"sum":\2,'
      || '"range":[1,2],"values":{"0":\1,"1":\2,"2":0}}'),
    '^\s*(\d+)\s*$', '{"bucket_count":3,"histogram_type":4,"sum":\1,'
      || '"range":[1,2],"values":{"0":\1,"1":0}}') END""",
    """sonde_histogram_sum(s) AS
  sonde_int64_of_text(sonde_json_value(sonde_histogram_text(s), '$.sum'))""",
    # Sum of the values, without the keys: what a histogram's mean is divided by.
    """sonde_histogram_count(s) AS list_sum(CAST(TRY(
  json_extract_string(sonde_histogram_text(s), '$.values.*')) AS BIGINT[]))""",
    f"""sonde_pairs_of(t) AS CAST(list_zip(
  CAST(TRY(json_keys(t, '$.values')) AS VARCHAR[]),
  CAST(TRY(json_extract_string(t, '$.values.*')) AS VARCHAR[])) AS {_PAIRS})""",
    "sonde_histogram_values(s) AS sonde_pairs_of(sonde_histogram_text(s))",
    # NULL for NULL only. The list of one makes DuckDB see the text once, not six times.
    """mozfun_hist_extract(s) AS CASE WHEN s IS NOT NULL THEN list_transform(
  [sonde_histogram_text(s)], lambda histogram_text: struct_pack(
    bucket_count := CAST(sonde_json_value(histogram_text, '$.bucket_count') AS BIGINT),
    histogram_type := CAST(sonde_json_value(histogram_text, '$.histogram_type') AS BIGINT),
    "sum" := CAST(sonde_json_value(histogram_text, '$.sum') AS BIGINT),
    "range" := coalesce(CAST(TRY(json_extract(histogram_text, '$.range[*]')) AS BIGINT[]), []),
    "values" := coalesce(sonde_pairs_of(histogram_text), [])))[1] END""",
    """mozfun_hist_threshold_count(s, t) AS coalesce(list_sum(list_transform(
  list_filter(sonde_histogram_values(s), lambda kept_pair: kept_pair.key >= t),
  lambda kept_pair: kept_pair.value)), 0)""",
    """udf_histogram_max_key_with_nonzero_value(s) AS list_max(list_transform(
  list_filter(sonde_histogram_values(s), lambda full_pair: full_pair.value > 0),
  lambda full_pair: full_pair.key))""",
    "udf_keyed_histogram_get_sum(m, k) AS sonde_histogram_sum(mozfun_map_get_key(m, k))",
    # Subqueries, not list functions: those fail inside DuckDB when the list is an aggregate.
    """sonde_summed_values(hs) AS (
  SELECT coalesce(list({'key': bucket, 'value': total} ORDER BY bucket), [])
  FROM (
    SELECT value_pair.key AS bucket, CAST(sum(value_pair.value) AS BIGINT) AS total
    FROM (SELECT unnest(struct_extract(merged, 'values')) AS value_pair
          FROM (SELECT unnest(hs) AS merged))
    GROUP BY value_pair.key))""",
    """sonde_field_mode(hs, f) AS (
  SELECT struct_extract(merged, f)
  FROM (SELECT unnest(hs) AS merged, generate_subscripts(hs, 1) AS merged_position)
  WHERE struct_extract(merged, f) IS NOT NULL
  GROUP BY struct_extract(merged, f)
  ORDER BY count(*) DESC, max(merged_position) DESC
  LIMIT 1)""",
    """sonde_range_mode(hs, i) AS (
  SELECT list_extract(struct_extract(merged, 'range'), i)
  FROM (SELECT unnest(hs) AS merged, generate_subscripts(hs, 1) AS merged_position)
  WHERE list_extract(struct_extract(merged, 'range'), i) IS NOT NULL
  GROUP BY list_extract(struct_extract(merged, 'range'), i)
  ORDER BY count(*) DESC, max(merged_position) DESC
  LIMIT 1)""",
    """mozfun_hist_merge(hs) AS struct_pack(
  bucket_count := sonde_field_mode(hs, 'bucket_count'),
  "sum" := (SELECT CAST(sum(struct_extract(merged, 'sum')) AS BIGINT)
            FROM (SELECT unnest(hs) AS merged)),
  histogram_type := sonde_field_mode(hs, 'histogram_type'),
  "range" := [sonde_range_mode(hs, 1), sonde_range_mode(hs, 2)],
  "values" := sonde_summed_values(hs))""",
    # Pairs of (percentile, value), by percentile: the least key whose share reaches it.
    """mozfun_hist_percentiles(h, ps) AS (
  SELECT coalesce(list(reached ORDER BY reached.percentile), [])
  FROM (
    SELECT {'percentile': wanted, 'value': min(bucket)} AS reached
    FROM (
      SELECT
        value_pair.key AS bucket,
        sum(value_pair.value) OVER (ORDER BY value_pair.key)
          / nullif(sum(value_pair.value) OVER (), 0) AS share
      FROM (SELECT unnest(struct_extract(h, 'values')) AS value_pair)),
      (SELECT unnest(ps) AS wanted)
    WHERE share >= wanted
    GROUP BY wanted))""",
)

_NORMS = (
    "mozfun_bits28_days_since_seen(b) AS CASE WHEN b > 0 THEN bit_count(xor(b, b - 1)) - 1 END",
    r"""mozfun_norm_extract_version(v, l) AS CAST(nullif(CASE l
  WHEN 'major' THEN regexp_extract(v, '^(\d+)', 1)
  WHEN 'minor' THEN regexp_extract(v, '^\d+[.](\d+)', 1)
  WHEN 'patch' THEN regexp_extract(v, '^\d+[.]\d+[.](\d+)', 1) END, '') AS BIGINT)""",
    r"""mozfun_norm_truncate_version(v, l) AS CASE l
  WHEN 'major' THEN regexp_replace(v, '^(\d+).*', '\1')
  WHEN 'minor' THEN regexp_replace(v, '^(\d+.\d+).*', '\1')
  ELSE v END""",
    """mozfun_norm_os(s) AS CASE
  WHEN s LIKE 'Windows%' OR s LIKE 'WINNT%' THEN 'Windows'
  WHEN s LIKE 'Darwin%' THEN 'Mac'
  WHEN regexp_matches(s, 'Linux|BSD|SunOS|Solaris') THEN 'Linux'
  WHEN s LIKE 'iOS%' OR s LIKE '%iPhone%' THEN 'iOS'
  WHEN s LIKE 'Android%' THEN 'Android'
  ELSE 'Other' END""",
    """mozfun_norm_windows_version_info(os, version, build) AS CASE
  WHEN os = 'Windows_95' THEN 'Windows 95'
  WHEN os = 'Windows_98' THEN 'Windows 98'
  WHEN os = 'Windows_NT' THEN CASE
    WHEN version = '10.0' THEN
      CASE WHEN build >= 22000 THEN 'Windows 11' WHEN build < 22000 THEN 'Windows 10' END
    WHEN version = '6.2' THEN 'Windows 8'
    WHEN version = '6.1' THEN 'Windows 7'
    WHEN version = '6.0' THEN 'Windows Vista'
    WHEN version IN ('5.1', '5.2') THEN 'Windows XP'
    WHEN version = '5.0' THEN 'Windows 2000'
    WHEN version = '4.0' THEN 'Windows NT 4.0' END END""",
    # Eight digits: year since 2018, day of the year, hour, minute. Ten: the low 20 bits without
    # the last three are hours since 2014-12-28.
    """mozfun_norm_fenix_build_to_datetime(s) AS CASE
  WHEN length(s) = 8 AND substring(s, 5, 2) < '24' AND substring(s, 7, 2) < '60'
  THEN make_timestamp(
      2018 + TRY_CAST(substring(s, 1, 1) AS BIGINT), 1, 1,
      TRY_CAST(substring(s, 5, 2) AS BIGINT), TRY_CAST(substring(s, 7, 2) AS BIGINT), 0)
    + to_days(TRY_CAST(substring(s, 2, 3) AS INTEGER) - 1)
  WHEN length(s) = 10
  THEN TIMESTAMP '2014-12-28 00:00:00' + to_hours((TRY_CAST(s AS BIGINT) & 1048575) >> 3) END""",
)


def macros(
    search_engines: Mapping[str, str] = SEARCH_ENGINES,
    monetized_search: str = MONETIZED_SEARCH,
) -> tuple[str, ...]:
    """CREATE MACRO statements, in an order that can be executed.

    search_engines: beginnings of engine names, in lower case, with the known names.
    monetized_search: DuckDB SQL over engine, country, distribution_id and submission_date.
    """
    bodies = (
        *(*_CASTS, *_SCALARS, *_JSON, *_MAPS, *_HISTOGRAMS, *_NORMS),
        f"udf_normalize_search_engine(s) AS CASE {_engine_cases(search_engines)} END",
        f"""udf_monetized_search(engine, country, distribution_id, submission_date) AS
  ({monetized_search})""",
    )
    return tuple(f"CREATE OR REPLACE MACRO {body}" for body in bodies)


def _engine_cases(search_engines: Mapping[str, str]) -> str:
    cases = [
        f"WHEN starts_with(lower(s), {quoted(start)}) THEN {quoted(name)}"
        for start, name in search_engines.items()
    ]
    return "\n  ".join(["WHEN s IS NULL THEN NULL", *cases, "ELSE 'Other'"])


MACROS: tuple[str, ...] = macros()
