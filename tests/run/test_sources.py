"""Tables that people have, as the engine sees them: those without rows too."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from sonde.metric import AnalysisBasis
from sonde.plan.steps import enrollments_table
from sonde.project import Project
from sonde.results import errors, statistics
from sonde.run.execute import Done
from sonde.sql import TableName
from sonde.stats.estimate import Reason
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources
from sonde.window import Period
from tests import browser

EVENTS = TableName(None, "telemetry", "events")
AS_OF = date(2020, 4, 12)

each_layout = pytest.mark.parametrize("partition_by", [[], ["submission_date"]])


def written(lake: Path, rows: pa.Table, partition_by: Sequence[str] = ()) -> Sources:
    """A lake with one Delta table, `telemetry.events`."""
    place = lake / "telemetry" / "events"
    write_deltalake(str(place), rows, partition_by=list(partition_by), mode="append")
    return Sources(lake)


def seen(sources: Sources, *ranges: tuple[date | None, date | None]) -> tuple[int, dict[str, str]]:
    """The number of rows, and columns with types, once the table is attached for each range."""
    with Session(AS_OF, Limits(), [sources.root]) as session:
        for first, last in ranges or [(None, None)]:
            session.attach(sources.find(EVENTS), first, last)
        ((count,),) = session.rows('SELECT COUNT(*) FROM "telemetry.events"')
        return count, session.columns('"telemetry.events"')


@pytest.mark.parametrize(
    "partition_by", [[], ["submission_date"], ["submission_date", "client_id"]]
)
def test_a_delta_table_without_files_has_the_columns_and_no_rows(
    tmp_path: Path, partition_by: list[str]
) -> None:
    filled = written(tmp_path / "filled", browser.events(), partition_by)
    empty = written(tmp_path / "empty", browser.events().slice(0, 0), partition_by)
    assert DeltaTable(str(tmp_path / "empty" / "telemetry" / "events")).file_uris() == []
    rows, columns = seen(filled)
    assert rows == 7
    assert seen(empty) == (0, columns)


@each_layout
def test_days_of_which_there_are_no_files(tmp_path: Path, partition_by: list[str]) -> None:
    sources = written(tmp_path, browser.events(), partition_by)
    _, columns = seen(sources)
    before = (date(2020, 1, 1), date(2020, 1, 31))
    assert seen(sources, before) == (0, columns)
    assert seen(sources, before, (None, None)) == (7, columns)
    assert seen(sources, (None, None), before) == (0, columns)


def test_a_table_that_was_emptied(tmp_path: Path) -> None:
    sources = written(tmp_path, browser.events(), ["submission_date"])
    _, columns = seen(sources)
    DeltaTable(str(tmp_path / "telemetry" / "events")).delete()
    assert seen(Sources(tmp_path)) == (0, columns)


def test_a_table_gets_its_first_rows(tmp_path: Path) -> None:
    """The version tells, so that what was made of no rows is made again."""
    before = written(tmp_path, browser.events().slice(0, 0)).find(EVENTS).version()
    after = written(tmp_path, browser.events())
    assert after.find(EVENTS).version() != before
    assert seen(after)[0] == 7


def run_without_rows_of(folder: Path, name: str, partition_by: list[str]) -> Project:
    """A project whose table of that name has lost its rows, after a run without a failure."""
    browser.write_project(folder)
    place = folder / "lake" / "telemetry" / name
    rows = DeltaTable(str(place)).to_pyarrow_table().slice(0, 0)
    shutil.rmtree(place)
    write_deltalake(str(place), rows, partition_by=partition_by)
    project = Project.open(folder, {})
    reports = list(project.run(project.work(AS_OF), 1))
    assert {type(report) for report in reports} == {Done}
    assert errors(project.lake, project.experiment(browser.SLUG)) == []
    return project


def enrolled(project: Project) -> list[tuple[str, bool]]:
    """Each unit, and whether it is in the segment."""
    receipt = project.lake.receipt(enrollments_table(project.experiment(browser.SLUG)).partition())
    assert receipt is not None
    rows = pq.read_table(project.lake.file(receipt)).to_pylist()
    return [(row["analysis_id"], row["regular_user_v3"]) for row in rows]


@each_layout
def test_without_events_nobody_is_enrolled(tmp_path: Path, partition_by: list[str]) -> None:
    assert enrolled(run_without_rows_of(tmp_path, "events", partition_by)) == []


@each_layout
def test_without_rows_of_a_segment_nobody_is_in_it(tmp_path: Path, partition_by: list[str]) -> None:
    project = run_without_rows_of(tmp_path, "clients_last_seen", partition_by)
    assert enrolled(project) == [("aaaa", False), ("bbbb", False)]


@each_layout
def test_without_rows_of_a_metric_everybody_has_zero(
    tmp_path: Path, partition_by: list[str]
) -> None:
    project = run_without_rows_of(tmp_path, "clients_daily", partition_by)
    week = (AnalysisBasis.ENROLLMENTS, Period.WEEK, 1)
    units = project.unit_metrics(browser.SLUG, AS_OF, *week).to_pylist()
    assert [(row["analysis_id"], row["active_hours"]) for row in units] == [
        ("aaaa", 0),
        ("bbbb", 0),
    ]
    rows = statistics(project.lake, project.experiment(browser.SLUG)).to_pylist()
    of_all = [r for r in rows if (r["metric"], r["segment"]) == ("active_hours", "all")]
    said = {row["reason"] for row in of_all if row["completeness"] == "complete"}
    assert said == {Reason.NO_VARIATION.value}
