"""Columns and types, found from the SQL that reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.sql import TableName, expression, relation
from sonde.sql.infer import Use, infer
from sonde.sql.schemas import Array, Scalar, Struct, create_table, duck_type, map_of
from sonde.sql.signatures import HISTOGRAM
from sonde.sql.unify import Unknown, by_name

T = TableName(None, "d", "t")
INT, FLOAT, STR, BOOL = Scalar.INT64, Scalar.FLOAT64, Scalar.STRING, Scalar.BOOL
DATE, TIME, JSON = Scalar.DATE, Scalar.TIMESTAMP, Scalar.JSON


def columns(*expressions: str, relation: str = "d.t", **typed) -> dict:
    return infer([Use(relation, expressions, typed)])[T]


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("SUM(x)", "x", INT),
        ("SUM(x * 0.5)", "x", INT),
        ("COUNTIF(x)", "x", BOOL),
        ("LOGICAL_OR(x > 1)", "x", INT),
        ("LOGICAL_OR(x > 1.5)", "x", FLOAT),
        ("COUNTIF(LOWER(x) = 'a')", "x", STR),
        ("COUNTIF(x = 'a')", "x", STR),
        ("COUNTIF(x IN ('a', NULL))", "x", STR),
        ("COUNTIF(x >= '2024-01-01')", "x", DATE),
        ("COUNTIF(DATE(x) >= '2024-01-01')", "x", TIME),
        ("COUNTIF(x IS TRUE)", "x", BOOL),
        ("COUNTIF(x BETWEEN 1 AND 3)", "x", INT),
        ("MAX(IF(x, 1, 0))", "x", BOOL),
        ("COALESCE(MAX(x), FALSE)", "x", BOOL),
        ("COUNT(DISTINCT x)", "x", STR),
        ("COUNT(DISTINCT submission_date)", "submission_date", DATE),
        ("MAX(submission_timestamp)", "submission_timestamp", TIME),
        ("MAX(a.b.c + 1)", "a", Struct((("b", Struct((("c", INT),))),))),
        ("COUNTIF(x[SAFE_OFFSET(0)].y = 'a')", "x", Array(Struct((("y", STR),)))),
        ("SUM(mozfun.map.get_key(m, 'k'))", "m", map_of(INT)),
        (
            "LOGICAL_OR(mozfun.map.get_key(m, 'k').branch = 'a')",
            "m",
            map_of(Struct((("branch", STR),))),
        ),
        ("SUM(mozfun.hist.extract(h).sum)", "h", STR),
        ("mozfun.hist.merge(ARRAY_AGG(h IGNORE NULLS)).sum", "h", HISTOGRAM),
        ("SUM(ARRAY_LENGTH(x))", "x", Array(STR)),
        ("COUNTIF('a' IN UNNEST(x))", "x", Array(STR)),
        ("SUM((SELECT SUM(value) FROM UNNEST(x)))", "x", Array(Struct((("value", INT),)))),
        ("SUM((SELECT COUNTIF(e.a) FROM UNNEST(x) AS e))", "x", Array(Struct((("a", BOOL),)))),
        ("SUM((SELECT COUNTIF(a > 1) FROM UNNEST(x)))", "x", Array(Struct((("a", INT),)))),
        ("COUNTIF(JSON_VALUE(j, '$.a') = 'b')", "j", JSON),
        ("COUNTIF(JSON_VALUE(j.a) = 'b')", "j", JSON),
        ("COUNTIF(STRING(j['a']) = 'b')", "j", JSON),
        # Both ways of reading it: JSON it is.
        ("COUNTIF(j.a IS NOT NULL AND JSON_VALUE(j, '$.b') = 'c')", "j", JSON),
    ],
)
def test_use_tells_the_type(text, name, kind):
    assert columns(text)[name] == kind


def test_types_flow_through_queries():
    found = columns(
        "SUM(n)",
        relation="""(
          WITH a AS (SELECT x AS n, y.* FROM d.t, UNNEST(t.items) AS y)
          SELECT * EXCEPT (z) FROM a WHERE flag AND z IS NOT NULL
        )""",
    )
    assert found["x"] == INT
    assert found["items"] == Array(Struct((("flag", BOOL), ("z", STR))))


def test_types_flow_through_joins_and_unions():
    tables = infer(
        [
            Use(
                """(
                  SELECT a.k, b.v FROM d.t AS a JOIN d.u AS b ON a.k = b.k
                  UNION ALL SELECT w, 1 FROM d.w
                )""",
                ("COUNTIF(LOWER(k) = 'x')", "SUM(v)"),
            )
        ]
    )
    assert {str(name): kinds["k"] for name, kinds in tables.items() if "k" in kinds} == {
        "d.t": STR,
        "d.u": STR,
    }
    assert tables[TableName(None, "d", "w")]["w"] == STR


def test_what_the_source_does_not_have_is_the_enrollments():
    found = columns("COUNTIF(x >= e.enrollment_date)", relation="(SELECT x FROM d.t)")
    assert set(found) == {"x"}


def test_known_types_are_kept():
    assert columns("COUNT(c)", c=INT)["c"] == INT


def test_one_table_under_two_projects():
    tables = infer([Use("p.d.t", ("SUM(a)",)), Use("q.d.t", ("SUM(b)",))])
    assert set(tables[T]) == {"a", "b"}


def test_whole_queries_are_read():
    tables = infer([], ["SELECT SUM(x) FROM p.d.t GROUP BY y HAVING SUM(z) > 1"])
    assert set(tables[T]) == {"x", "y", "z"}


def test_an_empty_table_takes_the_translated_sql(duck):
    use = Use("d.t", ("SUM(mozfun.map.get_key(m, 'k'))", "COUNTIF(a.b[OFFSET(0)] = 'x')"))
    for name, kinds in infer([use]).items():
        duck.execute(f'DROP TABLE IF EXISTS "{name.dataset}.{name.table}"')
        duck.execute(create_table(name, kinds))
    selected = ", ".join(expression(text) for text in use.expressions)
    assert duck.execute(f"SELECT {selected} FROM {relation('d.t').sql}").fetchall() == [(None, 0)]


def test_types_have_names_in_duckdb():
    assert duck_type(map_of(Array(Scalar.NUMERIC))) == (
        'STRUCT("key" VARCHAR, "value" DECIMAL(38, 9)[])[]'
    )
    assert duck_type(JSON) == "VARCHAR"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("first_seen_date", DATE),
        ("submission_timestamp", TIME),
        ("is_default", BOOL),
        ("search_count", INT),
        ("active_hours_sum", INT),
        ("country", STR),
    ],
)
def test_names_tell_what_use_does_not(name, kind):
    assert by_name(name) is kind


kinds = st.sampled_from([INT, FLOAT, STR, BOOL, DATE, JSON])


@given(kinds, kinds, kinds)
def test_unification_does_not_depend_on_order(a, b, c):
    """The same facts in another order give the same type."""

    def of(first, second, third):
        x, y, z = Unknown("x"), Unknown("y"), Unknown("z")
        x.must_be(first)
        y.must_be(second)
        z.must_be(third)
        x.same_as(y).same_as(z)
        return {x.resolved(), y.resolved(), z.resolved()}

    assert len(of(a, b, c)) == 1
    assert of(a, b, c) == of(c, a, b)


def test_fields_are_shared_once_unified():
    x, y = Unknown("x"), Unknown("y")
    x.field("a").must_be(INT)
    y.field("A").may_be(FLOAT)
    y.field("b").must_be(STR)
    assert x.same_as(y).resolved() == Struct((("a", INT), ("b", STR)))
