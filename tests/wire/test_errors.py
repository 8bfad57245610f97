from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozilla_nimbus_schemas.jetstream import AnalysisErrors

from sonde.errors import DataError
from sonde.metric import AnalysisBasis
from sonde.wire.errors import (
    ERRORS_SCHEMA,
    ErrorRow,
    LogSource,
    cycle_start,
    error_rows,
    errors_json,
    errors_table,
    read_errors,
)

START = datetime(2020, 1, 17, 4, 5, 6, tzinfo=UTC)
ROW = ErrorRow(
    timestamp=START,
    experiment="a-b",
    message="no column active_hours",
    log_level="ERROR",
    filename="execute.py",
    func_name="execute",
)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TEXT = st.text(max_size=5)
SOME = st.lists(
    st.builds(
        ErrorRow,
        timestamp=st.datetimes(LONG_AGO.replace(tzinfo=None), timezones=st.just(UTC)),
        source=st.none() | st.sampled_from(LogSource),
        experiment=st.none() | TEXT,
        metric=st.none() | TEXT,
        statistic=st.none() | TEXT,
        analysis_basis=st.none() | st.sampled_from(AnalysisBasis),
        segment=st.none() | TEXT,
        analysis_period=st.none() | st.sampled_from(["week", "week_1"]),
        message=TEXT,
        log_level=TEXT,
        exception=st.none() | TEXT,
        filename=TEXT,
        func_name=TEXT,
        exception_type=st.none() | TEXT,
        sql=st.none() | st.text(min_size=1, max_size=5),
    ),
    max_size=5,
)


def test_the_bytes_that_jetstream_writes():
    content = errors_json([ROW], LONG_AGO)
    assert AnalysisErrors.model_validate_json(content).model_dump_json().encode() == content
    assert b'"source":"jetstream"' in content
    assert b'"timestamp":"2020-01-17T04:05:06Z"' in content


def test_period_and_sql_are_kept_and_readers_pass_over_them():
    row = msgspec.structs.replace(ROW, analysis_period="week_2", sql="SELECT 1")
    content = errors_json([row], LONG_AGO)
    assert json.loads(content)[0]["analysis_period"] == "week_2"
    assert json.loads(content)[0]["sql"] == "SELECT 1"
    models = AnalysisErrors.model_validate_json(content)
    assert models.model_dump_json().encode() == errors_json([ROW], LONG_AGO)


@given(SOME)
def test_readers_accept_it_and_we_read_it_back(some):
    content = errors_json(some, LONG_AGO)
    assert len(AnalysisErrors.model_validate_json(content).root) == len(some)
    assert read_errors(content) == sorted(some, key=lambda row: row.timestamp)


@given(SOME)
def test_table_round_trip(some):
    table = errors_table(some)
    assert table.schema == ERRORS_SCHEMA
    assert error_rows(table) == some


@pytest.mark.parametrize(
    ("exception_type", "shown"),
    [
        (None, 1),  # a plain warning
        ("ValueError", 1),
        ("EndedException", 0),
        ("EnrollmentNotCompleteException", 0),
    ],
)
def test_what_needs_no_action_is_left_out(exception_type, shown):
    row = msgspec.structs.replace(ROW, exception_type=exception_type)
    assert len(read_errors(errors_json([row], LONG_AGO))) == shown


def test_since_is_inclusive():
    just_before = msgspec.structs.replace(ROW, timestamp=START - timedelta(microseconds=1))
    assert read_errors(errors_json([just_before, ROW], START)) == [ROW]


def test_times_are_written_in_utc():
    in_berlin = datetime(2020, 1, 17, 5, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    row = msgspec.structs.replace(ROW, timestamp=in_berlin)
    assert errors_json([row], LONG_AGO) == errors_json([ROW], LONG_AGO)


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="has no time zone"):
        msgspec.structs.replace(ROW, timestamp=START.replace(tzinfo=None))


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"message":"m"}]'])
def test_anything_else_is_refused(content):
    with pytest.raises(DataError, match="not a file of errors"):
        read_errors(content)


class TestCycle:
    @pytest.mark.parametrize(
        ("enrollment_end", "start"),
        [
            (None, datetime(2020, 1, 17, 4, 5, tzinfo=UTC)),
            (date(2020, 1, 16), datetime(2020, 1, 17, tzinfo=UTC)),
            (date(2020, 1, 10), datetime(2020, 1, 11, tzinfo=UTC)),
            (date(2020, 1, 9), datetime(2020, 1, 17, tzinfo=UTC)),
            (date(2020, 1, 2), datetime(2020, 1, 17, tzinfo=UTC)),
            (date(2020, 1, 18), datetime(2020, 1, 12, tzinfo=UTC)),  # still enrolling
        ],
    )
    def test_start(self, enrollment_end, start):
        assert cycle_start(START, enrollment_end) == start

    @given(st.datetimes(timezones=st.just(UTC)), st.dates(date(1900, 1, 1), date(2200, 1, 1)))
    def test_a_cycle_is_the_week_before_the_analysis(self, analysis_start, enrollment_end):
        start = cycle_start(analysis_start, enrollment_end)
        assert timedelta(0) <= analysis_start - start < timedelta(days=7)
        assert start.weekday() == (enrollment_end.weekday() + 1) % 7
