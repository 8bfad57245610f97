"""Relations and their tables, refusals and where they point, and the shorter forms."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonde.errors import ConfigError, Place
from sonde.sql import TableName, UnsupportedSql, check, expression, query, relation
from sonde.sql.rules import RULES, SAME
from sonde.sql.syntax import Position
from tests.sql.sweep import literal
from tests.sql.tree import items

# Tables and names.


def test_a_table_has_one_quoted_name():
    found = relation("`moz-fx-data-shared-prod`.telemetry.main")
    assert found.sql == '"telemetry.main"'
    assert found.tables == (TableName("moz-fx-data-shared-prod", "telemetry", "main"),)


@pytest.mark.parametrize(
    "text", ["mozdata.telemetry.main", "`mozdata.telemetry.main`", "`mozdata`.`telemetry.main`"]
)
def test_quotes_may_stand_anywhere(text):
    assert relation(text).tables == (TableName("mozdata", "telemetry", "main"),)


def test_dashes_need_no_quotes():
    found = query("SELECT a FROM moz-fx-data.telemetry.main")
    assert found.tables == (TableName("moz-fx-data", "telemetry", "main"),)


def test_group_by_all_beside_qualify_is_spelled_out(duck):
    found = query(
        """SELECT c, SUM(n) AS n, 1 AS one FROM UNNEST([STRUCT('a' AS c, 1 AS n), ('b', 2)])
        GROUP BY ALL QUALIFY ROW_NUMBER() OVER (ORDER BY SUM(n) DESC) = 1"""
    )
    assert duck.execute(found.sql).fetchall() == [("b", 2, 1)]


def test_a_field_names_its_column(duck):
    found = query(
        "SELECT mozfun.map.get_key([STRUCT('k' AS key, STRUCT(1 AS branch) AS value)], 'k').branch"
    )
    assert [column[0] for column in duck.execute(found.sql).description] == ["branch"]


def test_the_last_component_is_the_alias():
    assert query("SELECT main.a FROM p.d.main").sql == 'SELECT "main"."a" FROM "d.main" AS "main"'


def test_common_tables_are_not_physical():
    found = query(
        "WITH a AS (SELECT * FROM p.d.x), b AS (SELECT * FROM a) SELECT * FROM b JOIN d.a USING (k)"
    )
    assert [str(name) for name in found.tables] == ["d.a", "p.d.x"]


def test_a_common_table_sees_those_before_it_only():
    found = query("WITH a AS (SELECT * FROM a) SELECT * FROM a")
    assert found.tables == (TableName(None, None, "a"),)


def test_tables_in_conditions_count():
    found = relation("(SELECT * FROM d.t WHERE x NOT IN (SELECT y FROM d.u))")
    assert [str(name) for name in found.tables] == ["d.t", "d.u"]


def test_arrays_are_not_tables():
    assert query("SELECT i FROM d.t, t.items AS i").tables == (TableName(None, "d", "t"),)


def test_table_name_parses_itself():
    assert TableName.parse("`p-q.d.t`") == TableName("p-q", "d", "t")
    with pytest.raises(ValueError, match=r"expected project\.dataset\.table"):
        TableName.parse("a.b.c.d")


@pytest.mark.parametrize(
    "text",
    ["d.t AS x", "(SELECT 1) AS x", "d.t JOIN d.u USING (k)", "SELECT 1", "d.t, d.u", "1 + 1"],
)
def test_a_relation_is_a_name_or_a_query_in_parentheses(text):
    with pytest.raises(UnsupportedSql):
        relation(text)


# Refusals: what is not known to be right is named, with what to write instead.

REFUSED = [
    ("FARM_FINGERPRINT(x)", "sample_id"),
    ("APPROX_QUANTILES(x, 100)[OFFSET(50)]", "PERCENTILE_CONT"),
    ("APPROX_TOP_COUNT(x, 3)", "GROUP BY"),
    ("LAX_BOOL(x)", "SAFE_CAST(JSON_VALUE(..) AS BOOL)"),
    ("LAX_INT64(x)", "SAFE_CAST(JSON_VALUE(..) AS INT64)"),
    ("MAX(x HAVING MIN y)", "MIN_BY(x, y)"),
    ("RAND()", "reproducible"),
    ("GENERATE_UUID()", "reproducible"),
    ("CURRENT_TIMESTAMP()", "CURRENT_DATE()"),
    ("CAST(x AS BYTES)", "BYTES"),
    ("CAST(x AS BIGNUMERIC)", "BIGNUMERIC"),
    ("CAST(d AS STRING FORMAT 'YYYY')", "FORMAT_DATE"),
    ("DATE_ADD(d, INTERVAL 1 HOUR)", "TIMESTAMP_ADD"),
    ("DATE_ADD(d, INTERVAL 1.5 DAY)", "whole number"),
    ("FORMAT_DATE('%Q', d)", "%Q"),
    ("FORMAT_DATE(f, d)", "literal"),
    ("PARSE_DATE('%m-%d', s)", "year"),
    ("JSON_VALUE(x, CONCAT('$.', y))", "literal"),
    ("REGEXP_EXTRACT(x, r'(a)(b)')", "one group"),
    ("COUNTIF(DISTINCT x)", "COUNT(DISTINCT"),
    ("SUM(x) FILTER (WHERE y)", "COUNTIF"),
    ("COUNT(x IGNORE NULLS)", "IGNORE NULLS"),
    ("SAFE.SUM(x)", "SAFE."),
    ("@parameter", "value"),
    ("SUMM(x)", 'did you mean "SUM"'),
    ("mozfun.map.get_kye(m, 'k')", 'did you mean "mozfun.map.get_key"'),
    ("mozfun.map.sum(m)", "mozfun.map.sum"),
    ("moz.other.f(x)", 'no function "moz.other.f"'),
    ("x.*", "expression"),
    ("JSON_VALUE(x, '$..a')", "Recursive"),
    ("MAX_BY(x)", "MAX_BY"),
    ("DATE()", "arguments"),
]


@pytest.mark.parametrize(("text", "hint"), REFUSED, ids=[text for text, _ in REFUSED])
def test_refused(text, hint):
    with pytest.raises(UnsupportedSql) as caught:
        expression(text)
    assert hint in str(caught.value)


REFUSED_QUERIES = [
    ("SELECT * FROM `p.d.events_*`", "wildcard"),
    ("SELECT * FROM d.t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'", "SYSTEM_TIME"),
    ("SELECT * FROM d.t TABLESAMPLE SYSTEM (10 PERCENT)", "sample_id"),
    ("SELECT AS STRUCT * FROM d.t", "SELECT AS STRUCT"),
    ("SELECT * FROM d.t PIVOT(SUM(a) AS s, MAX(b) AS m FOR c IN ('x'))", "PIVOT"),
    ("SELECT * FROM d.t UNPIVOT(v FOR k IN (a, b))", "PIVOT"),
    ("SELECT a.b.* FROM d.t AS a", "one by one"),
    ("SELECT * FROM a.b.c.d.e", "three names"),
    ("SELECT 1; SELECT 2", "one SELECT"),
    ("DELETE FROM d.t WHERE TRUE", "one SELECT"),
    ("CREATE TABLE d.t AS SELECT 1", "one SELECT"),
]


@pytest.mark.parametrize(
    ("text", "hint"), REFUSED_QUERIES, ids=[text for text, _ in REFUSED_QUERIES]
)
def test_refused_queries(text, hint):
    with pytest.raises(UnsupportedSql) as caught:
        query(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["SUM(x), 1", "SELECT SUM(x)", "SUM(x) AS y", "", "SUM(x) FROM t"])
def test_an_expression_is_one_expression(text):
    assert check(text, "expression") is not None


def test_a_refusal_points_at_the_place():
    with pytest.raises(UnsupportedSql) as caught:
        expression("SUM(x) +\n  FARM_FINGERPRINT(y)")
    assert caught.value.position == Position(2, 3)


def test_a_refusal_within_a_relation_points_into_its_text():
    with pytest.raises(UnsupportedSql) as caught:
        relation("(\n  SELECT RAND() AS r\n  FROM d.t\n)")
    assert caught.value.position == Position(2, 10)


def test_a_syntax_error_names_the_text_and_its_place():
    message = check("COALESCE(SUM(x), 0\n  + )", "expression")
    assert message is not None
    assert message.startswith("line 2, column 5")
    assert '")"' in message


def test_an_unfilled_template_is_named():
    assert "template is left unfilled" in str(check("(SELECT * FROM {dataset}.t)", "relation"))


def test_an_unclosed_string_is_named():
    assert "not closed" in str(check("x = 'abc", "expression"))


def test_a_refusal_is_the_authors_error():
    with pytest.raises(UnsupportedSql) as caught:
        expression("LAX_BOOL(x)")
    located = caught.value.at(Place("a.toml", 3, "metrics.x"))
    assert isinstance(located, ConfigError)
    assert located.exit_code == 2
    assert str(located).startswith("a.toml:3 [metrics.x]: line 1, column 1: LAX_BOOL")
    assert str(pickle.loads(pickle.dumps(located))) == str(located)


def test_check_is_silent_about_what_is_right():
    assert check("SUM(x)", "expression") is None
    assert check("d.t", "relation") is None
    assert check("SELECT 1", "query") is None


tokens = [
    token
    for item in items(Path(__file__).parent / "hub")
    for text in (item.text, item.source.relation if item.source else "1")
    for token in re.findall(r"\w+|'[^']*'|\s+|.", text)
]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(tokens) - 40), st.integers(1, 40), st.lists(st.sampled_from(tokens)))
def test_broken_text_is_the_authors_error_and_no_other(start, length, noise):
    """Any stretch of real SQL, with any words in it, translates or is refused."""
    text = tokens[start : start + length]
    for word in noise[:3]:
        text.insert(len(text) // 2, word)
    for kind in ("expression", "relation", "query"):
        message = check("".join(text), kind)
        assert message is None or message


def test_every_node_is_kept_or_rewritten_not_both():
    assert not SAME & RULES.keys()


def test_the_generator_has_nothing_to_say(caplog):
    with caplog.at_level(logging.DEBUG, logger="sqlglot"):
        expression("ARRAY_AGG(x IGNORE NULLS ORDER BY y LIMIT 3)")
    assert caplog.records == []


def test_translations_are_kept():
    assert relation("d.kept") is relation("d.kept")


# The shorter forms of subqueries over arrays.

FORMS = [
    "(SELECT SUM(value) FROM UNNEST(m))",
    "(SELECT SUM(value) FROM UNNEST(m) WHERE key = 'a')",
    "(SELECT SUM(kv.value) FROM UNNEST(m) AS kv WHERE kv.key IN ('a', 'b'))",
    "(SELECT COUNT(*) FROM UNNEST(m) WHERE value > 2)",
    "(SELECT COUNT(value) FROM UNNEST(m))",
    "(SELECT COUNTIF(value > 2) > 0 FROM UNNEST(m))",
    "(SELECT IFNULL(SUM(value), 0) FROM UNNEST(m) WHERE key > 'a')",
    "(SELECT SAFE_DIVIDE(SUM(value), COUNT(*)) FROM UNNEST(m))",
    "(SELECT MAX(value) - MIN(value) FROM UNNEST(m))",
    "(SELECT AVG(value) FROM UNNEST(m))",
    "(SELECT LOGICAL_OR(value = 2) FROM UNNEST(m))",
    "(SELECT LOGICAL_AND(value > 0) FROM UNNEST(m))",
    "(SELECT ARRAY_LENGTH(ARRAY_AGG(IF(key = 'a', value, NULL) IGNORE NULLS)) FROM UNNEST(m))",
    "EXISTS(SELECT 1 FROM UNNEST(m) WHERE key = 'b' AND value > 1)",
    "EXISTS(SELECT 1 FROM UNNEST(m) AS kv WHERE kv.value = n)",
    "(SELECT SUM(kv.value + n) FROM UNNEST(m) AS kv)",
    "SUM((SELECT SUM(value) FROM UNNEST(m))) OVER ()",
]
rows = st.lists(
    st.tuples(
        st.one_of(
            st.none(),
            st.lists(
                st.fixed_dictionaries(
                    {
                        "key": st.one_of(st.none(), st.sampled_from("abc")),
                        "value": st.one_of(st.none(), st.integers(0, 4)),
                    }
                ),
                max_size=4,
            ),
        ),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=4,
)


TRANSLATED = [(text, expression(text), literal(text)) for text in FORMS]


@settings(max_examples=15, deadline=None)  # DuckDB is slow to plan the literal forms
@given(rows)
def test_shorter_forms_are_equal(macro_session, rows):
    pair = pa.struct({"key": pa.string(), "value": pa.int64()})
    maps, numbers = zip(*rows, strict=True)
    table = pa.table({"m": pa.array(maps, pa.list_(pair)), "n": pa.array(numbers, pa.int64())})
    with macro_session.cursor() as cursor:
        cursor.register("forms", table)
        for text, short, literal in TRANSLATED:
            found = cursor.execute(f"SELECT {short}, {literal} FROM forms").fetchall()
            assert [a for a, _ in found] == [b for _, b in found], text


def test_most_forms_are_shorter():
    kept = [text for text in FORMS if "UNNEST(" in expression(text)]
    # What may be the row's or the element's is left alone.
    assert kept == [
        "EXISTS(SELECT 1 FROM UNNEST(m) AS kv WHERE kv.value = n)",
        "(SELECT SUM(kv.value + n) FROM UNNEST(m) AS kv)",
    ]


def test_a_histogram_is_parsed_once_for_its_count():
    short = expression("SUM((SELECT SUM(value) FROM UNNEST(mozfun.hist.extract(h).values)))")
    assert short == 'SUM(SONDE_HISTOGRAM_COUNT("h"))'
