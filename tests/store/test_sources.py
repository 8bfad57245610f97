"""Tables that people have in a bucket: Delta, Parquet, CSV, by name and by pattern."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from sonde.errors import DataError
from sonde.sql import TableName
from sonde.store import Cache
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources
from tests import browser
from tests.store.deployment import upload

EVENTS = TableName("proj", "telemetry", "events")
FIRST, LAST = date(2020, 4, 2), date(2020, 4, 2)


def parquet(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)


def by_day(folder: Path) -> None:
    """The events of each day in a folder of its own."""
    rows = browser.events()
    for n, day in enumerate(dict.fromkeys(rows["submission_date"].to_pylist())):
        of_day = rows.filter(pa.compute.equal(rows["submission_date"], day))
        parquet(folder / f"submission_date={day}" / f"part {n}.parquet", of_day.drop_columns([DAY]))


DAY = "submission_date"


def csv(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pa_csv.write_csv(browser.events().drop_columns(["event_map_values"]), path)


def delta(folder: Path, *partition_by: str) -> None:
    write_deltalake(str(folder), browser.events(), partition_by=list(partition_by) or None)


LAYOUTS = {
    "Delta": lambda root: delta(root / "telemetry/events"),
    "Delta by day": lambda root: delta(root / "telemetry/events", DAY),
    "Delta by names": lambda root: delta(root / "telemetry/events", "event_category", "client_id"),
    "files": lambda root: by_day(root / "proj/telemetry/events"),
    "one file": lambda root: parquet(root / "events.parquet", browser.events()),
    "CSV": lambda root: csv(root / "telemetry/events.csv"),
}


def seen(sources: Sources, first: date | None = None, last: date | None = None) -> int:
    """The number of rows of some days, as a step sees them."""
    folders = [sources.root, *sources.folders()]
    with Session(date(2020, 4, 12), Limits(), folders) as session:
        session.attach(sources.find(EVENTS), first, last)
        session.lock()
        days = f"BETWEEN DATE '{first}' AND DATE '{last}'" if first else "IS NOT NULL"
        ((count,),) = session.rows(
            f'SELECT COUNT(*) FROM "telemetry.events" WHERE submission_date {days}'
        )
        return int(count)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_in_a_folder(tmp_path: Path, bucket: str, layout: str) -> None:
    LAYOUTS[layout](tmp_path / "tables")
    upload(tmp_path / "tables", f"{bucket}/some/tables")
    here, there = Sources(tmp_path / "tables"), Sources(f"{bucket}/some/tables")
    assert seen(there) == seen(here) == 7
    assert seen(there, FIRST, LAST) == seen(here, FIRST, LAST) == 2
    mine, its = there.find(EVENTS), here.find(EVENTS)
    assert [(f.first, f.last, f.size) for f in mine.files] == [
        (f.first, f.last, f.size) for f in its.files
    ]
    assert mine.partitions == its.partitions


def test_only_the_files_of_the_days_are_copied(tmp_path: Path, s3: str) -> None:
    delta(tmp_path / "tables/telemetry/events", DAY)
    upload(tmp_path / "tables", s3)
    assert seen(Sources(s3), FIRST, LAST) == 2
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 1


@pytest.mark.parametrize(
    "location",
    [
        "{url}/exports/events/*/*.parquet",
        "{url}/exports/**/*.parquet",
        "{url}/exports/event[rst]/submission_date=*/part ?.parquet",
        "{url}/exports/{{table}}",
    ],
)
def test_by_its_location(tmp_path: Path, bucket: str, location: str) -> None:
    """Beside a lake that is a folder."""
    by_day(tmp_path / "exports/events")
    upload(tmp_path / "exports", f"{bucket}/exports")
    (tmp_path / "lake").mkdir()
    sources = Sources(tmp_path / "lake", {"telemetry.*": location.format(url=bucket)})
    assert seen(sources) == 7
    assert seen(sources, FIRST, LAST) == 2


def test_a_file_that_is_written_anew_has_another_version(tmp_path: Path, s3: str) -> None:
    parquet(tmp_path / "tables/telemetry/events.parquet", browser.events())
    upload(tmp_path / "tables", s3)
    before = Sources(s3)
    assert seen(before) == 7
    assert Sources(s3).find(EVENTS).version() == before.find(EVENTS).version()
    parquet(tmp_path / "tables/telemetry/events.parquet", browser.events().slice(0, 3))
    upload(tmp_path / "tables", s3)
    assert seen(Sources(s3)) == 3
    assert Sources(s3).find(EVENTS).version() != before.find(EVENTS).version()


def test_an_older_commit(tmp_path: Path, bucket: str) -> None:
    delta(tmp_path / "tables/telemetry/events", DAY)
    place = str(tmp_path / "tables/telemetry/events")
    DeltaTable(place).delete("submission_date = '2020-04-02'")
    upload(tmp_path / "tables", bucket)
    assert seen(Sources(bucket)) == 5
    assert seen(Sources(bucket, numbers={str(EVENTS): 0})) == 7
    with pytest.raises(DataError, match=r"version 9 of table telemetry.events is gone"):
        Sources(bucket, numbers={str(EVENTS): 9}).find(EVENTS)


def test_files_that_were_vacuumed_are_missed(tmp_path: Path, s3: str) -> None:
    delta(tmp_path / "tables/telemetry/events", DAY)
    upload(tmp_path / "tables", s3)
    table = Sources(s3).find(EVENTS)
    assert not table.has_lost(table.files)
    store = table.store
    assert store is not None
    store.delete(table.files[0].stored.name)
    assert table.has_lost(table.files)
    assert not table.has_lost(table.files[1:])


def test_a_table_that_is_nowhere(tmp_path: Path, s3: str) -> None:
    delta(tmp_path / "tables/telemetry/event", DAY)
    upload(tmp_path / "tables", f"{s3}/lake")
    looked = f"looked for {s3}/lake/proj/telemetry/events or {s3}/lake/telemetry/events or "
    with pytest.raises(DataError, match=re.escape(looked)) as raised:
        Sources(f"{s3}/lake").find(EVENTS)
    assert 'did you mean "telemetry.event"?' in str(raised.value)


def test_copies_are_where_they_should_be(tmp_path: Path, s3: str) -> None:
    delta(tmp_path / "tables/telemetry/events", DAY)
    upload(tmp_path / "tables", s3)
    seen(Sources(s3, cache=Cache(tmp_path / "elsewhere")))
    assert len(list((tmp_path / "elsewhere").rglob("*.parquet"))) == 2
    assert not (tmp_path / "cache").exists()
