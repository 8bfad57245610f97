from __future__ import annotations

import json
import time

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozilla_nimbus_schemas.jetstream import Statistic, Statistics

from sonde.errors import DataError
from sonde.metric import AnalysisBasis
from sonde.window import Period
from sonde.wire.statistics import (
    STATISTICS_SCHEMA,
    StatisticRow,
    parameter_text,
    read_statistics,
    statistic_rows,
    statistics_files,
    statistics_json,
    statistics_table,
)

MEAN = StatisticRow(
    metric="active_hours",
    statistic="mean",
    branch="branch1",
    ci_width=0.95,
    point=0.8,
    lower=0.8,
    upper=0.8,
    analysis_basis=AnalysisBasis.ENROLLMENTS,
    window_index=1,
    analysis_period=Period.WEEK,
)
WORDS = st.sampled_from(["all", "a", "b-1", "naïve", 'say "x"', "null", "1"])
NUMBERS = st.none() | st.floats()
PARAMETERS = st.none() | st.floats(-1e9, 1e9).map(parameter_text)


FINAL = st.just(False)
EITHER = st.booleans()
WEEK = st.just(Period.WEEK)
ANY = st.sampled_from(Period)


def rows(partial=FINAL, period=WEEK):
    return st.builds(
        StatisticRow,
        metric=WORDS,
        statistic=WORDS,
        parameter=PARAMETERS,
        branch=WORDS,
        comparison=st.sampled_from([None, "difference", "relative_uplift"]),
        comparison_to_branch=st.none() | WORDS,
        ci_width=st.none() | st.floats(0, 1),
        point=NUMBERS,
        lower=NUMBERS,
        upper=NUMBERS,
        segment=WORDS,
        analysis_basis=st.sampled_from(AnalysisBasis),
        window_index=st.integers(1, 400),
        analysis_period=period,
        partial=partial,
    )


def lists_of(row):
    return st.lists(row, unique_by=lambda row: (row.analysis_period, row.key), max_size=8)


def names_of(model: Statistic) -> tuple[object, ...]:
    """What must not repeat in a file, from the reader's side: all but the numbers."""
    named = model.model_dump(exclude={"point", "lower", "upper"})
    return tuple(named.values())


class TestJson:
    def test_the_bytes_that_jetstream_writes(self):
        assert statistics_json([MEAN]) == (
            b'[{"metric":"active_hours","statistic":"mean","branch":"branch1","ci_width":0.95,'
            b'"point":0.8,"lower":0.8,"upper":0.8,"segment":"all",'
            b'"analysis_basis":"enrollments","window_index":"1"}]'
        )

    def test_all_fields(self):
        row = msgspec.structs.replace(
            MEAN, parameter="0.1", comparison="difference", comparison_to_branch="control"
        )
        assert list(json.loads(statistics_json([row]))[0].items()) == [
            ("metric", "active_hours"),
            ("statistic", "mean"),
            ("parameter", "0.1"),
            ("branch", "branch1"),
            ("comparison", "difference"),
            ("comparison_to_branch", "control"),
            ("ci_width", 0.95),
            ("point", 0.8),
            ("lower", 0.8),
            ("upper", 0.8),
            ("segment", "all"),
            ("analysis_basis", "enrollments"),
            ("window_index", "1"),
        ]

    @pytest.mark.parametrize("missing", [None, float("nan"), float("inf"), float("-inf")])
    def test_a_missing_number_is_absent(self, missing):
        row = msgspec.structs.replace(MEAN, point=missing, lower=missing, upper=missing)
        assert row.point is row.lower is row.upper is None
        assert not {"point", "lower", "upper"} & json.loads(statistics_json([row]))[0].keys()

    @given(lists_of(rows(partial=EITHER)))
    def test_readers_accept_it(self, some):
        models = Statistics.model_validate_json(statistics_json(some)).root
        assert len({names_of(model) for model in models}) == len(some)
        for row, model in zip(some, models, strict=True):
            for name in ("metric", "statistic", "branch", "segment", "point", "lower", "upper"):
                assert getattr(model, name) == getattr(row, name)
            assert model.comparison == row.comparison
            assert model.analysis_basis.value == row.analysis_basis
            assert model.window_index == str(row.window_index)
            assert model.parameter == (None if row.parameter is None else float(row.parameter))

    def test_no_row_twice(self):
        other = msgspec.structs.replace(MEAN, point=1.0)
        with pytest.raises(DataError, match=r'metric "active_hours".*branch "branch1".*window 1'):
            statistics_json([MEAN, other])
        (content,) = statistics_files("a", [MEAN, other]).values()
        assert read_statistics(content, Period.WEEK) == [other]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("metric", "search_count"),
            ("statistic", "deciles"),
            ("parameter", "0.1"),
            ("branch", "branch2"),
            ("comparison", "difference"),
            ("comparison_to_branch", "control"),
            ("ci_width", 0.9),
            ("point", 0.7),
            ("lower", 0.7),
            ("upper", 0.9),
            ("segment", "new_users"),
            ("analysis_basis", AnalysisBasis.EXPOSURES),
            ("window_index", 2),
        ],
    )
    def test_rows_repeat_for_us_when_they_repeat_for_readers(self, name, value):
        two = msgspec.structs.replace(MEAN, **{name: value})
        models = [
            Statistics.model_validate_json(statistics_json([row])).root[0] for row in (MEAN, two)
        ]
        assert models[0] != models[1]
        assert (MEAN.key == two.key) == (names_of(models[0]) == names_of(models[1]))

    def test_a_hundred_thousand_rows_in_well_under_a_second(self):
        many = [
            msgspec.structs.replace(MEAN, metric=f"m{i % 100}", parameter=parameter_text(i / 7))
            for i in range(100_000)
        ]
        start = time.process_time()
        assert len(statistics_json(many)) > 10_000_000
        assert time.process_time() - start < 1.0  # 0.22 s on a laptop of 2 cores


class TestParameter:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, None),
            (float("nan"), None),
            (float("inf"), None),
            (0.1, "0.1"),
            (1, "1"),
            (100.0, "100"),
            (-0.0, "0"),
            (-2e-7, "0"),
            (2e-6, "0.000002"),
            (0.30000000000000004, "0.3"),
            (1e22, "10000000000000000000000"),
        ],
    )
    def test_text(self, value, text):
        assert parameter_text(value) == text

    @given(st.floats(-1e9, 1e9))
    def test_six_decimals_and_stable(self, value):
        text = parameter_text(value)
        assert float(text) == round(value, 6)
        assert parameter_text(float(text)) == text


class TestFiles:
    @given(
        lists_of(rows(period=ANY, partial=EITHER)),
        st.randoms(use_true_random=False),
    )
    def test_same_bytes_for_any_order_and_each_final_row_once(self, some, random):
        files = statistics_files("a-b", some)
        shuffled = list(some)
        random.shuffle(shuffled)
        assert statistics_files("a-b", shuffled) == files
        back = [
            row
            for period in Period
            for row in read_statistics(
                files.get(f"statistics/statistics_a_b_{period.suffix}.json", b"[]"), period
            )
        ]
        final = [row for row in some if not row.partial]
        assert len(back) == len(final)
        assert all(row in final for row in back)

    def test_windows_in_numerical_order(self):
        some = [msgspec.structs.replace(MEAN, window_index=index) for index in (10, 9, 1)]
        (content,) = statistics_files("a", some).values()
        assert [row["window_index"] for row in json.loads(content)] == ["1", "9", "10"]

    def test_the_first_windows_of_all_periods(self):
        """A day, a week and a month have a window 1 each: none takes the place of another."""
        some = [msgspec.structs.replace(MEAN, analysis_period=period) for period in Period]
        files = statistics_files("a", some)
        assert [len(json.loads(content)) for content in files.values()] == [1] * 6

    def test_places_on_a_grid_in_numerical_order(self):
        some = [msgspec.structs.replace(MEAN, parameter=text) for text in ("10", "9.5", "-1")]
        (content,) = statistics_files("a", some).values()
        assert [row["parameter"] for row in json.loads(content)] == ["-1", "9.5", "10"]

    def test_a_period_of_partial_windows_only_has_no_file(self):
        assert statistics_files("a", [msgspec.structs.replace(MEAN, partial=True)]) == {}


class TestReading:
    @given(lists_of(rows(partial=EITHER)))
    def test_what_was_written(self, some):
        assert read_statistics(statistics_json(some), Period.WEEK) == some

    def test_forms_of_other_programs(self):
        content = (
            b'[{"metric":"m","statistic":"deciles","branch":"b","parameter":0.1,"point":1,'
            b'"comparison":null,"lower":null,"segment":"all","analysis_basis":"exposures",'
            b'"window_index":"2","something":"else"}]'
        )
        assert read_statistics(content, Period.OVERALL) == [
            StatisticRow(
                metric="m",
                statistic="deciles",
                branch="b",
                parameter="0.1",
                point=1.0,
                analysis_basis=AnalysisBasis.EXPOSURES,
                window_index=2,
                analysis_period=Period.OVERALL,
            )
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b'[{"metric":"m"}]',
            statistics_json([MEAN]).replace(b'"1"', b'"one"'),
            statistics_json([MEAN]).replace(b'"enrollments"', b'"everybody"'),
        ],
    )
    def test_anything_else_is_refused(self, content):
        with pytest.raises(DataError, match="not a file of statistics"):
            read_statistics(content, Period.WEEK)


class TestTable:
    @given(lists_of(rows(partial=EITHER, period=ANY)))
    def test_round_trip(self, some):
        table = statistics_table(some)
        assert table.schema == STATISTICS_SCHEMA
        assert statistic_rows(table) == some

    def test_columns_in_another_order_and_type_and_further_ones(self):
        connection = duckdb.connect()
        connection.register("statistics", statistics_table([MEAN]))
        table = connection.sql(
            "SELECT 'slug' AS experiment, * REPLACE (window_index::VARCHAR AS window_index) "
            "FROM statistics"
        ).to_arrow_table()
        as_stored = table.set_column(
            table.schema.get_field_index("metric"), "metric", table["metric"].dictionary_encode()
        )
        assert statistic_rows(as_stored) == [MEAN]

    def test_no_rows(self):
        assert statistics_table([]).num_rows == 0
        assert statistic_rows(statistics_table([])) == []
