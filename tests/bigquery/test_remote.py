"""What is noticed of a change of the tables that people's SQL reads."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from sonde.account import Account
from sonde.errors import DataError
from sonde.sql import TableName
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.remote import RemoteTables
from tests.bigquery.emulator import PROJECT, Emulator

FIRST, SECOND = date(2020, 4, 1), date(2020, 4, 2)


def versions(emulator: Emulator, table: str) -> list[str]:
    """Of the rows of each day, as a new run finds them."""
    found = RemoteTables(BigQuery(Account(PROJECT, "x", emulator=emulator.url))).find(
        TableName.parse(table)
    )
    assert found.last in (None, SECOND)
    return [found.version(day, day) for day in (FIRST, SECOND)]


@pytest.fixture
def table(emulator: Emulator) -> str:
    days = pa.array([FIRST, SECOND], pa.date32())
    emulator.fill("watched.days.rows_of", pa.table({"submission_date": days, "n": [1, 2]}))
    emulator.rows(
        "CREATE OR REPLACE VIEW `watched.days.seen` AS SELECT * FROM watched.days.rows_of"
    )
    return "watched.days.rows_of"


@pytest.mark.parametrize("name", ["rows_of", "seen"])
def test_late_rows_concern_their_day(emulator: Emulator, table: str, name: str) -> None:
    """Of a table partitioned by day, and of a view of it."""
    before = versions(emulator, f"watched.days.{name}")
    assert before == versions(emulator, f"watched.days.{name}")
    emulator.rows(f"INSERT INTO `{table}` VALUES (DATE '{SECOND}', 3)")
    after = versions(emulator, f"watched.days.{name}")
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_view_that_is_another(emulator: Emulator, table: str) -> None:
    before = versions(emulator, "watched.days.seen")
    emulator.rows(
        f"CREATE OR REPLACE VIEW `watched.days.seen` AS SELECT * FROM `{table}` WHERE n > 1"
    )
    assert all(
        old != new for old, new in zip(before, versions(emulator, "watched.days.seen"), strict=True)
    )


def test_a_table_that_is_not_there(emulator: Emulator) -> None:
    with pytest.raises(DataError, match=r"table a\.b\.c is not there, or may not be seen"):
        versions(emulator, "a.b.c")
