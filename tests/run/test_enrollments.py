"""Who is enrolled and exposed, for every way that telemetry tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from sonde.errors import ConfigError, DataError
from sonde.experiment import Branch, EnrollmentsQueryType, Experiment, ExperimentRecord
from sonde.metric import (
    AnalysisUnit,
    DataSource,
    ExperimentsColumn,
    ExposureSignal,
    Segment,
    SegmentDataSource,
    WindowLimit,
)
from sonde.plan.steps import Enroll
from sonde.run.enroll import Enrolled, enroll
from sonde.sql.enrollments import EnrollmentDates, enrollments_query, limit_days, signal_dates
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources
from sonde.window import Window

DATES = EnrollmentDates(date(2020, 1, 1), date(2020, 1, 8))
KIND = EnrollmentsQueryType


def experiment(kind: EnrollmentsQueryType, **changes: Any) -> Experiment:
    record = ExperimentRecord(
        "exp", (Branch("a"), Branch("b")), "a", DATES.first, app_id="org.app", app_name="app"
    )
    return replace(Experiment(record, 7, AnalysisUnit.CLIENT, kind, {}), **changes)


def table(lake: Path, name: str, sql: str) -> None:
    """A Parquet table in the lake, made by DuckDB SQL."""
    path = lake / f"{name.replace('.', '/')}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect().execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")


@contextmanager
def session(lake: Path) -> Iterator[Session]:
    with Session(date(2020, 1, 20), Limits(), [lake]) as opened:
        yield opened


def found(lake: Path, declared: Experiment) -> tuple[list[dict[str, Any]], Enrolled]:
    path = lake / "found.parquet"
    with session(lake) as opened:
        done = enroll(Enroll(declared, DATES), opened, Sources(lake), path)
    return pq.read_table(path).to_pylist(), done


def brief(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """By unit: branch, day of enrollment, events, day of exposure, events."""
    return [
        (
            row["analysis_id"],
            row["branch"],
            row["enrollment_date"].day,
            row["num_enrollment_events"],
            row["exposure_date"] and row["exposure_date"].day,
            row["num_exposure_events"],
        )
        for row in sorted(rows, key=lambda row: (row["analysis_id"], row["branch"]))
    ]


NORMANDY = """
SELECT DATE '2020-01-01' + d AS submission_date, c AS client_id, 'g' || c AS profile_group_id,
  'normandy' AS event_category, m AS event_method, 'exp' AS event_string_value,
  [{'key': k, 'value': b}] AS event_map_values, s AS sample_id
FROM (VALUES %s) AS v(d, c, m, k, b, s)
"""


def normandy(*rows: tuple[Any, ...]) -> str:
    return NORMANDY % ", ".join(str(row).replace("None", "NULL") for row in rows)


def test_normandy(tmp_path: Path) -> None:
    events = normandy(
        (2, "u1", "enroll", "branch", "a", 1),
        (1, "u1", "enroll", "branch", "a", 1),
        (3, "u2", "enroll", "branch", "b", 60),
        (9, "late", "enroll", "branch", "a", 1),
        (0, "u1", "expose", "branchSlug", "a", 1),
        (4, "u1", "exposure", "branchSlug", "a", 1),
        (5, "u1", "expose", "branchSlug", "a", 1),
        (5, "u2", "expose", "branchSlug", "a", 1),
    )
    table(tmp_path, "telemetry.events", events)
    rows, done = found(tmp_path, experiment(KIND.NORMANDY))
    assert brief(rows) == [("u1", "a", 2, 2, 5, 2), ("u2", "b", 4, 1, None, 0)]
    assert done.problems == ()
    sampled, _ = found(tmp_path, experiment(KIND.NORMANDY, sample_size=50))
    assert [row["analysis_id"] for row in sampled] == ["u1"]
    groups, _ = found(tmp_path, experiment(KIND.NORMANDY, analysis_unit=AnalysisUnit.PROFILE_GROUP))
    assert [row["analysis_id"] for row in groups] == ["gu1", "gu2"]


def test_units_in_several_branches_are_marked_and_counted(tmp_path: Path) -> None:
    events = normandy(
        (1, "u1", "enroll", "branch", "a", 1),
        (2, "u1", "enroll", "branch", "b", 1),
        (2, "u2", "enroll", "branch", "b", 1),
    )
    table(tmp_path, "telemetry.events", events)
    rows, done = found(tmp_path, experiment(KIND.NORMANDY))
    assert [(r["analysis_id"], r["in_several_branches"]) for r in rows] == [
        ("u1", True),
        ("u1", True),
        ("u2", False),
    ]
    (problem,) = done.problems
    assert problem.level == "WARNING"
    assert problem.message.startswith("1 unit is enrolled in several branches")


def test_enrollments_without_id_or_branch_are_counted_and_left_out(tmp_path: Path) -> None:
    events = normandy(
        (1, "u1", "enroll", "other", "a", 1),
        (1, None, "enroll", "branch", "a", 1),
        (1, "u2", "enroll", "branch", "a", 1),
    )
    table(tmp_path, "telemetry.events", events)
    rows, done = found(tmp_path, experiment(KIND.NORMANDY))
    assert [row["analysis_id"] for row in rows] == ["u2"]
    assert [p.message[:34] for p in done.problems] == ["2 enrollments without an id or a b"]


GLEAN = """
SELECT TIMESTAMP '2020-01-01 23:30:00' + INTERVAL (d) DAY AS submission_timestamp,
  c AS client_id, 'nimbus_events' AS event_category, n AS event_name, 5 AS sample_id,
  '{"experiment": "exp", "branch": "' || b || '"}' AS event_extra
FROM (VALUES %s) AS v(d, c, n, b)
"""
EVENTS = """
(0, 'u1', 'enrollment', 'a'), (1, 'u2', 'enrollment', 'b'), (2, 'u2', 'exposure', 'b'),
(3, 'u2', 'expose', 'b'), (0, 'u2', 'expose', 'b'), (8, 'late', 'enrollment', 'a')
"""


def test_glean_events(tmp_path: Path) -> None:
    table(tmp_path, "org_app.events_stream", GLEAN % EVENTS)
    rows, _ = found(tmp_path, experiment(KIND.GLEAN_EVENT))
    assert brief(rows) == [("u1", "a", 1, 1, None, 0), ("u2", "b", 2, 1, 3, 2)]


def test_fenix_without_enrollment_events(tmp_path: Path) -> None:
    """The first ping that carries the experiment; a unit that had it before is not new."""
    pings = """
    SELECT TIMESTAMP '2020-01-01 12:00:00' + INTERVAL (d) DAY AS submission_timestamp,
      {'client_id': c} AS client_info, 5 AS sample_id,
      {'experiments': CASE WHEN b IS NULL THEN NULL
         ELSE [{'key': 'exp', 'value': {'branch': b}}] END} AS ping_info
    FROM (VALUES (0, 'u1', 'a'), (3, 'u1', 'a'), (-2, 'old', 'a'), (1, 'old', 'a'),
      (1, 'none', NULL)) AS v(d, c, b)
    """
    table(tmp_path, "org_app.baseline", pings)
    table(tmp_path, "org_app.events_stream", GLEAN % "(2, 'u1', 'expose', 'a')")
    rows, _ = found(tmp_path, experiment(KIND.FENIX_FALLBACK))
    assert brief(rows) == [("u1", "a", 1, 2, 3, 1)]


def test_cirrus(tmp_path: Path) -> None:
    sql = """
    SELECT TIMESTAMP '2020-01-01 12:00:00' + INTERVAL (d) DAY AS submission_timestamp,
      {'app_channel': ch} AS client_info,
      [{'category': 'cirrus_events', 'name': n, 'extra': [
        {'key': 'experiment', 'value': 'exp'}, {'key': 'branch', 'value': b},
        {'key': 'nimbus_user_id', 'value': u}]}] AS events
    FROM (VALUES %s) AS v(d, u, n, b, ch)
    """
    enrolled = "(0, 'u1', 'enrollment', 'a', 'production'), (1, 'u2', 'enrollment', 'b', 'dev')"
    table(tmp_path, "org_app.enrollment", sql % enrolled)
    table(tmp_path, "org_app.events", sql % "(2, 'u1', 'expose', 'a', 'production')")
    rows, _ = found(tmp_path, experiment(KIND.CIRRUS))
    assert brief(rows) == [("u1", "a", 1, 1, 3, 1)]


def test_background_update_takes_the_earliest_of_three(tmp_path: Path) -> None:
    stamp = "TIMESTAMP '2020-01-01 12:00:00' + INTERVAL (d) DAY AS submission_timestamp"
    events = f"""
    SELECT {stamp}, 'nimbus_events' AS event_category, 'enrollment' AS event_name, 5 AS sample_id,
      '{{"experiment": "exp", "branch": "a"}}' AS event_extra,
      '{{"uuid": {{"background_update_client_id": "' || c || '"}}}}' AS metrics
    FROM (VALUES (3, 'u1'), (1, 'u2')) AS v(d, c)
    """
    pings = f"""
    SELECT {stamp}, 5 AS sample_id,
      {{'uuid': {{'background_update_client_id': c}}}} AS metrics,
      {{'experiments': [{{'key': 'exp', 'value': {{'branch': 'b'}}}}]}} AS ping_info
    FROM (VALUES (2, 'u1')) AS v(d, c)
    """
    toasts = """
    SELECT DATE '2020-01-01' + d AS submission_date, c AS client_id, 5 AS sample_id,
      'browser.launched_to_handle' AS event_category, 'system_notification' AS event_method,
      'toast' AS event_object, [{'key': 'name', 'value': 'exp:b'}] AS event_map_values,
      NULL::VARCHAR AS event_string_value
    FROM (VALUES (5, 'u3')) AS v(d, c)
    """
    table(tmp_path, "firefox_desktop_background_update.events_stream", events)
    table(tmp_path, "firefox_desktop_background_update.background_update", pings)
    table(tmp_path, "telemetry.events", toasts)
    rows, _ = found(tmp_path, experiment(KIND.BACKGROUND_UPDATE))
    assert brief(rows) == [
        ("u1", "b", 3, 1, None, 0),
        ("u2", "a", 2, 1, None, 0),
        ("u3", "b", 6, 1, None, 0),
    ]


def test_a_query_of_the_experiments_own(tmp_path: Path) -> None:
    """A unit that it gives twice for a branch is one unit, enrolled at the earlier date."""
    table(tmp_path, "telemetry.events", normandy((1, "u1", "enroll", "branch", "a", 1)))
    own = """
    SELECT 'u1' AS analysis_id, 'a' AS branch, DATE '2020-01-03' AS enrollment_date,
      1 AS num_enrollment_events
    UNION ALL SELECT 'u1', 'a', DATE '2020-01-02', 2
    """
    rows, _ = found(tmp_path, experiment(KIND.NORMANDY, enrollment_query=own))
    assert [(r["analysis_id"], r["enrollment_date"].day) for r in rows] == [("u1", 2)]
    assert len(rows) == 1
    with pytest.raises(ConfigError, match="reads profile_group_id"):
        enrollments_query(
            experiment(KIND.NORMANDY, enrollment_query="SELECT profile_group_id"), DATES
        )


@pytest.mark.parametrize("kind", [KIND.GLEAN_EVENT, KIND.FENIX_FALLBACK, KIND.CIRRUS])
def test_units_that_an_enrollment_type_does_not_know(kind: EnrollmentsQueryType) -> None:
    with pytest.raises(ConfigError, match="by client_id only"):
        enrollments_query(experiment(kind, analysis_unit=AnalysisUnit.PROFILE_GROUP), DATES)


@pytest.mark.parametrize("kind", [KIND.GLEAN_EVENT, KIND.CIRRUS])
def test_an_application_without_id(kind: EnrollmentsQueryType) -> None:
    declared = experiment(kind)
    nameless = replace(declared, record=replace(declared.record, app_id=None))
    with pytest.raises(ConfigError, match="appId"):
        enrollments_query(nameless, DATES)


@pytest.mark.parametrize(
    ("kind", "slugs", "samples"),
    [(KIND.NORMANDY, 2, 1), (KIND.BACKGROUND_UPDATE, 4, 3), (KIND.GLEAN_EVENT, 2, 1)],
)
def test_shape_of_the_query(kind: EnrollmentsQueryType, slugs: int, samples: int) -> None:
    text = enrollments_query(experiment(kind, sample_size=25), DATES)
    assert text.count("exp'") + text.count("'exp:") == slugs
    assert text.count("sample_id < 25") == samples


SIGNAL = ExposureSignal(
    "clicked",
    DataSource(
        "clicks",
        "mozdata.telemetry.clicks",
        experiments_column=ExperimentsColumn.NONE,
    ),
    "button = 'new'",
    "Clicked",
    "",
)


def test_a_signal_knows_the_unit_not_the_branch(tmp_path: Path) -> None:
    events = normandy((1, "u1", "enroll", "branch", "a", 1), (3, "u2", "enroll", "branch", "b", 1))
    table(tmp_path, "telemetry.events", events)
    clicks = """
    SELECT DATE '2020-01-01' + d AS submission_date, c AS client_id, b AS button
    FROM (VALUES (2, 'u1', 'new'), (4, 'u1', 'new'), (0, 'u1', 'new'), (2, 'u2', 'new'),
      (4, 'u2', 'old')) AS v(d, c, b)
    """
    table(tmp_path, "telemetry.clicks", clicks)
    rows, _ = found(tmp_path, experiment(KIND.NORMANDY, exposure_signal=SIGNAL))
    assert brief(rows) == [("u1", "a", 2, 1, 3, 2), ("u2", "b", 4, 1, None, 0)]


def test_limits_of_a_signals_window() -> None:
    dates = EnrollmentDates(date(2019, 1, 5), date(2019, 1, 6))
    window = Window(2, 5)
    limits = [None, 11, *WindowLimit]
    assert [limit_days(limit, dates, window) for limit in limits] == [None, 11, 0, 1, 3, 5]
    sliding = replace(SIGNAL, window_end=WindowLimit.ANALYSIS_WINDOW_END)
    assert signal_dates(sliding, dates, window) == (date(2019, 1, 5), date(2019, 1, 10))
    assert signal_dates(SIGNAL, dates, window) == (date(2019, 1, 5), date(2019, 1, 6))


def segment(name: str, expression: str, source: SegmentDataSource) -> Segment:
    return Segment(name, source, expression)


DAILY = SegmentDataSource("daily", "mozdata.telemetry.daily", window_start=-2, window_end=-1)


def test_segments_look_at_their_own_days(tmp_path: Path) -> None:
    events = normandy((4, "u1", "enroll", "branch", "a", 1), (6, "u2", "enroll", "branch", "b", 1))
    table(tmp_path, "telemetry.events", events)
    table(
        tmp_path,
        "telemetry.daily",
        "SELECT DATE '2020-01-01' + d AS submission_date, c AS client_id, TRUE AS heavy "
        "FROM (VALUES (2, 'u1'), (3, 'u2'), (6, 'u2')) AS v(d, c)",
    )
    heavy = segment("heavy", "COALESCE(LOGICAL_OR(heavy), FALSE)", DAILY)
    rows, _ = found(tmp_path, experiment(KIND.NORMANDY, segments=(heavy,)))
    assert [(row["analysis_id"], row["heavy"]) for row in rows] == [("u1", True), ("u2", False)]


@pytest.mark.parametrize(
    "broken", ["LOGICAL_OR(no_such_column)", "LOGICAL_OR(", "FARM_FINGERPRINT(client_id) > 0"]
)
def test_a_segment_that_fails_loses_only_itself(tmp_path: Path, broken: str) -> None:
    table(tmp_path, "telemetry.events", normandy((4, "u1", "enroll", "branch", "a", 1)))
    table(
        tmp_path,
        "telemetry.daily",
        "SELECT DATE '2020-01-04' AS submission_date, 'u1' AS client_id, TRUE AS heavy",
    )
    segments = (
        segment("heavy", "COALESCE(LOGICAL_OR(heavy), FALSE)", DAILY),
        segment("broken", broken, DAILY),
    )
    rows, done = found(tmp_path, experiment(KIND.NORMANDY, segments=segments))
    assert [(row["heavy"], row["broken"]) for row in rows] == [(True, None)]
    assert [problem.segment for problem in done.problems] == ["broken"]


def test_exposures_that_cannot_be_found_lose_only_themselves(tmp_path: Path) -> None:
    table(tmp_path, "telemetry.events", normandy((4, "u1", "enroll", "branch", "a", 1)))
    rows, done = found(tmp_path, experiment(KIND.NORMANDY, exposure_signal=SIGNAL))
    assert brief(rows) == [("u1", "a", 5, 1, None, 0)]
    assert "exposures cannot be found" in done.problems[0].message
    assert "telemetry.clicks is not there" in done.problems[0].message


def test_no_enrollments_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"telemetry\.events is not there"):
        found(tmp_path, experiment(KIND.NORMANDY))
