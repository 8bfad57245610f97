"""Mozilla's public functions, by the examples in their sources and by hand."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonde.sql import MACROS, query
from sonde.sql.calls import PERSISTENT
from sonde.sql.functions import macros
from tests.sql.session import evaluated

HISTOGRAM = (
    '{"bucket_count":10,"histogram_type":1,"sum":2628,"range":[1,100],'
    '"values":{"0":12434,"1":297,"13":8}}'
)


def pairs(**values: int) -> list[dict[str, int]]:
    return [{"key": int(key.strip("_")), "value": value} for key, value in values.items()]


def histogram(bucket_count, histogram_type, total, span, values):
    return {
        "bucket_count": bucket_count,
        "histogram_type": histogram_type,
        "sum": total,
        "range": span,
        "values": values,
    }


def at(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


MAPS = [
    ("mozfun.map.get_key([STRUCT('foo' AS key, 42 AS value), ('bar', 12)], 'bar')", 12),
    ("mozfun.map.get_key([STRUCT('foo' AS key, 42 AS value)], 'x')", None),
    ("mozfun.map.get_key(CAST(NULL AS ARRAY<STRUCT<key STRING, value INT64>>), 'x')", None),
    ("mozfun.map.get_key([STRUCT('a' AS key, 1 AS value), ('a', 2)], 'a')", 1),  # the first
    ("mozfun.map.get_key([STRUCT('a' AS key, NULL AS value), ('a', 2)], 'a')", None),
    ("mozfun.map.get_key(mozfun.hist.extract('0,31').values, 1)", 31),
    ("mozfun.map.get_key([STRUCT('a' AS key, STRUCT('b' AS branch) AS value)], 'a').branch", "b"),
    ("`mozfun.map.get_key`([STRUCT('a' AS key, 1 AS value)], 'a')", 1),
    ("`moz-fx-data-shared-prod`.udf.get_key([STRUCT('a' AS key, 1 AS value)], 'a')", 1),
    ("`moz-fx-data-shared-prod.udf.get_key`([STRUCT('a' AS key, 1 AS value)], 'a')", 1),
    ("udf.get_key([STRUCT('a' AS key, 1 AS value)], 'a')", 1),
    ("mozfun.map.extract_keyed_scalar_sum([STRUCT('a' AS key, 1 AS value), ('b', 2)])", 3),
    ("mozfun.map.extract_keyed_scalar_sum([STRUCT('a' AS key, 1 AS value), ('b', NULL)])", 1),
    (
        "mozfun.map.extract_keyed_scalar_sum([STRUCT('a' AS key, CAST(NULL AS INT64) AS value)])",
        None,
    ),
    (
        "mozfun.map.extract_keyed_scalar_sum(CAST([] AS ARRAY<STRUCT<key STRING, value INT64>>))",
        None,
    ),
]
HISTOGRAMS = [
    (
        f"mozfun.hist.extract('{HISTOGRAM}')",
        histogram(10, 1, 2628, [1, 100], pairs(_0=12434, _1=297, _13=8)),
    ),
    (
        f"`p`.udf.json_extract_histogram('{HISTOGRAM}')",
        histogram(10, 1, 2628, [1, 100], pairs(_0=12434, _1=297, _13=8)),
    ),
    ("mozfun.hist.extract('0,31')", histogram(3, 2, 31, [1, 2], pairs(_0=0, _1=31, _2=0))),
    ("mozfun.hist.extract('37')", histogram(3, 4, 37, [1, 2], pairs(_0=37, _1=0))),
    ("mozfun.hist.extract('51;1;0;1,50;')", histogram(51, 1, 0, [1, 50], [])),
    (
        "mozfun.hist.extract('3;2;5;1,2;0:0,1:5,2:0')",
        histogram(3, 2, 5, [1, 2], pairs(_0=0, _1=5, _2=0)),
    ),
    ("mozfun.hist.extract(CAST(NULL AS STRING))", None),
    ("mozfun.hist.extract('{}')", histogram(None, None, None, [], [])),
    ("mozfun.hist.extract('{\"broken')", histogram(None, None, None, [], [])),
    ("ARRAY_LENGTH(mozfun.hist.extract('{}').values)", 0),
    ("mozfun.hist.extract('3;2;5;1,2;0:0,1:5,2:0').sum", 5),
    ("mozfun.hist.extract(s).sum FROM UNNEST([CAST(NULL AS STRING)]) AS s", None),
    (f"(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract('{HISTOGRAM}').values))", 12739),
    ("(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract('0,31').values))", 31),
    ("(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract('{}').values))", None),
    ("(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract('{\"broken').values))", None),
    ("(SELECT SUM(value) FROM UNNEST(mozfun.hist.extract('51;1;0;1,50;').values))", None),
    ("""mozfun.hist.threshold_count('{"values":{"0":1,"1":2, "4": 10, "8": 7}}', 4)""", 17),
    ("mozfun.hist.threshold_count('{}', 1)", 0),
    ("""mozfun.hist.threshold_count('{"values":{"0":0}}', 1)""", 0),
    ("""mozfun.hist.threshold_count('{"values":{"5":1, "6":3}}', 6)""", 3),
    ("mozfun.hist.threshold_count(CAST(NULL AS STRING), 0)", 0),  # not NULL
    ("udf.histogram_to_threshold_count('0,31', 1)", 31),
    ("""udf.histogram_max_key_with_nonzero_value('{"values":{"0":3,"1":2}}')""", 1),
    ("""udf.histogram_max_key_with_nonzero_value('{"values":{"0":0}}')""", None),
    ("udf.histogram_max_key_with_nonzero_value('{}')", None),
    (
        """udf.keyed_histogram_get_sum([STRUCT('k' AS key, '{"sum":1}' AS value)], 'k')""",
        1,
    ),
    ("udf.keyed_histogram_get_sum([STRUCT('k' AS key, '0,31' AS value)], 'k')", 31),
    ("""udf.keyed_histogram_get_sum([STRUCT('k' AS key, '{"sum":1}' AS value)], 'x')""", None),
    ("udf.keyed_histogram_get_sum([STRUCT('k' AS key, '{}' AS value)], 'k')", None),
]
_MERGED = """mozfun.hist.merge(ARRAY_AGG(mozfun.hist.extract(h))) FROM UNNEST([
  '{"bucket_count":5,"histogram_type":1,"sum":20,"range":[0,100],"values":{"0":0,"20":1}}',
  '{"bucket_count":5,"histogram_type":1,"sum":40,"range":[0,100],"values":{"0":0,"40":1}}',
  '{"bucket_count":9,"histogram_type":2,"sum":null,"range":[1,10],"values":{}}'
]) AS h"""
_UNIFORM = (
    "STRUCT(ARRAY(SELECT STRUCT(v AS key, 1 AS value) FROM UNNEST(GENERATE_ARRAY(1, 100)) AS v)"
    " AS values)"
)
MERGES = [
    (_MERGED, histogram(5, 1, 60, [0, 100], pairs(_0=0, _20=1, _40=1))),
    (
        """mozfun.hist.merge(ARRAY_AGG(mozfun.hist.extract(h) IGNORE NULLS)).sum
        FROM UNNEST([CAST(NULL AS STRING)]) AS h""",
        None,
    ),
    (
        f"mozfun.hist.percentiles({_UNIFORM}, [.9, .1, .5])",
        [
            {"percentile": 0.1, "value": 10},
            {"percentile": 0.5, "value": 50},
            {"percentile": 0.9, "value": 90},
        ],
    ),
    (
        """mozfun.hist.percentiles(
        STRUCT([STRUCT(99 AS key, 100 AS value), (100, 101)] AS values), [.5])[OFFSET(0)].value""",
        100,
    ),
    (
        """ARRAY_LENGTH(mozfun.hist.percentiles(
        STRUCT([STRUCT(0 AS key, 0 AS value)] AS values), [.2, .5]))""",
        0,
    ),
    ("mozfun.stats.mode_last(['foo', 'bar', 'baz', 'bar', 'fred'])", "bar"),
    ("mozfun.stats.mode_last(['foo', 'bar', 'baz', 'bar', 'baz', 'fred'])", "baz"),
    ("mozfun.stats.mode_last([NULL, 'foo', NULL])", "foo"),
    ("mozfun.stats.mode_last(CAST([] AS ARRAY<STRING>))", None),
    ("mozfun.stats.mode_last(ARRAY_AGG(x)) FROM UNNEST(['a', 'b', 'b']) AS x", "b"),
]
NORMS = [
    ("mozfun.norm.extract_version('16.03.1', 'minor')", 3),
    ("mozfun.norm.extract_version('16.05.2', 'patch')", 2),
    ("mozfun.norm.extract_version('100.01.1', 'major')", 100),
    ("mozfun.norm.extract_version('5.1.5-ubuntu-foobar', 'patch')", 5),
    ("mozfun.norm.extract_version('10', 'minor')", None),
    ("mozfun.norm.extract_version('foo-bar', 'major')", None),
    ("mozfun.norm.extract_version(NULL, 'major')", None),
    ("mozfun.norm.truncate_version('16.1.1', 'minor')", "16.1"),
    ("mozfun.norm.truncate_version('16.1.1', 'major')", "16"),
    ("mozfun.norm.truncate_version('10', 'minor')", "10"),
    ("mozfun.norm.truncate_version('foo', 'major')", "foo"),
    *((f"mozfun.norm.os('{os}')", "Windows") for os in ("Windows", "WINNT", "Windows_NT")),
    *((f"mozfun.norm.os('{os}')", "Linux") for os in ("GNU/Linux", "FreeBSD", "SunOS", "Solaris")),
    *((f"mozfun.norm.os('{os}')", "iOS") for os in ("iOS?", "All the iPhones")),
    ("mozfun.norm.os('Darwin')", "Mac"),
    ("mozfun.norm.os('Android')", "Android"),
    *((f"mozfun.norm.os({os})", "Other") for os in ("'IOS'", "'All the iOSes'", "'AIX'", "NULL")),
    ("mozfun.norm.windows_version_info('Windows_NT', '6.1', NULL)", "Windows 7"),
    ("mozfun.norm.windows_version_info('Windows_NT', '10.0', 19043)", "Windows 10"),
    ("mozfun.norm.windows_version_info('Windows_NT', '10.0', 22000)", "Windows 11"),
    ("mozfun.norm.windows_version_info('Windows_NT', '10.0', NULL)", None),
    ("mozfun.norm.windows_version_info('Windows_98', '4.10', NULL)", "Windows 98"),
    ("mozfun.norm.windows_version_info('Darwin', '11.4.2', NULL)", None),
    ("mozfun.norm.fenix_build_to_datetime('21571434')", at(2020, 6, 5, 14, 34)),
    ("mozfun.norm.fenix_build_to_datetime('93652359')", at(2027, 12, 31, 23, 59)),
    ("mozfun.norm.fenix_build_to_datetime('2015757667')", at(2020, 8, 13, 4)),
    ("mozfun.norm.fenix_build_to_datetime('0000000009')", at(2014, 12, 28, 1)),
    ("mozfun.norm.fenix_build_to_datetime('2147483648')", at(2014, 12, 28)),
    *(
        (f"mozfun.norm.fenix_build_to_datetime('{build}')", None)
        for build in ("11832459", "11831860", "7777777", "hi", "999999999")
    ),
    *(
        (f"mozfun.bits28.days_since_seen({bits})", days)
        for bits, days in ((1, 0), (8, 3), (9, 0), (1 << 27, 27), (0, None), ("NULL", None))
    ),
    ("udf.normalize_search_engine('google-b-d')", "Google"),
    ("udf.normalize_search_engine('DuckDuckGo')", "DuckDuckGo"),
    ("udf.normalize_search_engine('other-engine')", "Other"),
    ("udf.normalize_search_engine(NULL)", None),
    ("udf.monetized_search('google', 'US', '', DATE '2024-01-01')", False),
]


def cases(*groups):
    return [pytest.param(*case, id=case[0][:70]) for group in groups for case in group]


@pytest.mark.parametrize(("text", "expected"), cases(MAPS, HISTOGRAMS, MERGES, NORMS))
def test_value(duck, text, expected):
    assert evaluated(duck, text) == expected


def test_every_function_is_tried():
    texts = " ".join(text for group in (MAPS, HISTOGRAMS, MERGES, NORMS) for text, _ in group)
    assert [name for name in PERSISTENT if name not in texts] == []


def test_lists_are_configurable():
    with duckdb.connect() as session:
        for macro in macros({"it's": "Its"}, "engine = 'google' AND country = 'US'"):
            session.execute(macro)
        asked = "udf_normalize_search_engine('It''s all'), udf_normalize_search_engine('google')"
        assert session.execute(f"SELECT {asked}").fetchone() == ("Its", "Other")
        asked = "udf_monetized_search('google', 'US', NULL, NULL)"
        assert session.execute(f"SELECT {asked}").fetchone() == (True,)


def test_macros_are_made_again_without_complaint(duck):
    for macro in MACROS:
        duck.execute(macro)


buckets = st.dictionaries(st.integers(0, 50), st.integers(0, 1000), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), buckets), min_size=1, max_size=6), st.integers(0, 60))
def test_sums_over_histograms_are_sums_of_values(macro_session, found, threshold):
    """The mean's denominator, the zero fraction and merging agree with plain Python."""
    texts = [
        None if values is None else json.dumps({"sum": sum(values), "values": values})
        for values in found
    ]
    known = [values for values in found if values is not None]
    macro_session.execute(
        "CREATE OR REPLACE TABLE hists AS SELECT unnest(?::VARCHAR[]) AS h", [texts]
    )
    text = f"""
SELECT
  SUM((SELECT SUM(value) FROM UNNEST(mozfun.hist.extract(h).values))),
  SUM(mozfun.hist.threshold_count(h, {threshold})),
  SUM(mozfun.map.get_key(mozfun.hist.extract(h).values, 0)),
  mozfun.hist.merge(ARRAY_AGG(mozfun.hist.extract(h) IGNORE NULLS)).values
FROM hists"""
    total, above, zeros, merged = macro_session.execute(query(text).sql).fetchone()
    assert total == (sum(sum(v.values()) for v in known) if any(known) else None)
    assert above == sum(n for v in known for key, n in v.items() if key >= threshold)
    assert zeros == (sum(v.get(0, 0) for v in known) if any(0 in v for v in known) else None)
    summed = {}
    for values in known:
        for key, n in values.items():
            summed[key] = summed.get(key, 0) + n
    assert {pair["key"]: pair["value"] for pair in merged} == summed
