"""Declared aggregations: the same SQL as the public parser's, and the same refusals."""

import pytest
from cattrs.errors import ClassValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_config_parser.metric import MetricsSpec

from sonde.config.aggregation import bucketed, check_aggregation, select_expression
from sonde.config.document import Document, Setting
from sonde.config.keys import METRIC
from sonde.config.read import read_definitions

SOURCE = Document("a.toml", b"")


def table_of(raw):
    return {key: Setting(METRIC[key](value).value, SOURCE, (key,)) for key, value in raw.items()}


columns = st.sampled_from(["x", "days_seen_bits", "Flowers_2"])
numbers = st.integers(-5, 99) | st.floats(-2, 2).map(lambda number: round(number, 3))
clauses = st.one_of(
    st.fixed_dictionaries({"column": columns}),
    st.fixed_dictionaries({"column": columns, "op": st.sampled_from(["IS NULL", "IS NOT NULL"])}),
    st.fixed_dictionaries(
        {
            "column": columns,
            "op": st.sampled_from([">", ">=", "<", "<=", "=", "!="]),
            "value": numbers | st.booleans() | st.text("ab'\\\"{ %", max_size=5),
        }
    ),
)
operands = st.one_of(
    st.fixed_dictionaries({"aggregation": st.sampled_from(["sum", "count"]), "column": columns}),
    st.fixed_dictionaries(
        {"aggregation": st.sampled_from(["count_where", "any"]), "column": columns}
    ),
    st.fixed_dictionaries(
        {
            "aggregation": st.sampled_from(["count_where", "any"]),
            "where": st.lists(clauses, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "aggregation": st.just("recency_within"),
            "column": columns,
            "within_days": st.integers(1, 28),
        }
    ),
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.fixed_dictionaries(
            {"op": st.sampled_from([">", "<=", "!="]), "value": numbers}
        ),
        "scale": numbers,
        "cumulative_window": st.integers(1, 30),
        "incremental_window": st.integers(1, 30),
    },
)


@given(operands, extras)
def test_sql_and_buckets_are_those_of_the_public_parser(operand, extra):
    raw = {**operand, **extra}
    theirs = MetricsSpec.from_dict({"m": raw}).definitions["m"]
    table = table_of(raw)
    assert list(check_aggregation(table)) == []
    assert select_expression(table) == theirs.select_expression_from_aggregation
    ours, other = bucketed(table), theirs.bucketed_aggregation
    assert (ours.bucket_aggregate, ours.combine, ours.no_rows, ours.finalize) == (
        other.bucket_aggregate,
        other.combine,
        other.no_rows,
        other.finalize,
    )


anything = st.fixed_dictionaries(
    {},
    optional={
        "aggregation": st.sampled_from(["sum", "count", "count_where", "any", "recency_within"]),
        "select_expression": st.just("COUNT(*)"),
        "column": st.sampled_from(["x", "a.b", "1x"]),
        "where": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "column": st.sampled_from(["x", "no column"]),
                    "op": st.sampled_from([">", "IS NULL", "LIKE"]),
                    "value": st.just(1),
                    "extra": st.just(1),
                },
            ),
            max_size=2,
        ),
        "within_days": st.integers(1, 28),
        "threshold": st.fixed_dictionaries(
            {},
            optional={
                "op": st.sampled_from([">", "IS NULL"]),
                "value": st.sampled_from([1, "1", True]),
            },
        ),
        "scale": st.just(100),
        "cumulative_window": st.just(7),
        "repeat_windows": st.just(True),
    },
)


@settings(max_examples=200)
@given(anything)
def test_what_the_public_parser_refuses_is_refused(raw):
    try:
        MetricsSpec.from_dict({"m": raw})
        is_valid = True
    except (ValueError, ClassValidationError):
        is_valid = False
    assert is_valid == (list(check_aggregation(table_of(raw))) == [])


def test_messages_name_the_key():
    text = """
[metrics.m]
aggregation = "sum"
where = [{ colum = "x" }]
within_days = 3
"""
    errors = [str(f.error) for f in read_definitions(Document("a.toml", text.encode())).findings]
    assert errors == [
        'a.toml:2 [metrics.m]: aggregation "sum" needs a "column"',
        'a.toml:4 [metrics.m.where]: aggregation "sum" takes no "where"',
        'a.toml:5 [metrics.m.within_days]: has a meaning only with aggregation "recency_within"',
        'a.toml:4 [metrics.m.where]: condition 1: unknown key "colum"; did you mean "column"?',
        'a.toml:4 [metrics.m.where]: condition 1: "column" is to be a plain column name, not None',
    ]


@pytest.mark.parametrize("text", ["a}", "{{x}}", "it's {1}"])
def test_no_brace_is_left_for_the_format_step(text):
    raw = {"aggregation": "any", "where": [{"column": "x", "op": "=", "value": text}]}
    assert not {"{{", "}}"} & set(select_expression(table_of(raw))[len("{{agg_any(") : -len(")}}")])
    inner = select_expression(table_of(raw)).removeprefix("{{").removesuffix("}}")
    assert "{" not in inner
    assert "}" not in inner
