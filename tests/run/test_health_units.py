"""Enrolled units, counted for the checks."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sonde.errors import MemoryLimitError
from sonde.run.health_units import read_enrolled
from sonde.warehouse.duckdb import Limits, Session
from tests.run.health_samples import START, experiment


def test_enrollments_are_counted_as_they_lie_in_the_file(tmp_path):
    rows = [
        ("a", "control", START, True, START, False),
        ("b", "treatment", START, None, None, False),
        ("c", "treatment", START + timedelta(days=2), False, None, False),
        ("d", "control", START, True, None, True),
        ("d", "treatment", START, True, None, True),
        ("e", "other", START, True, None, False),
    ]
    names = ("analysis_id", "branch", "enrollment_date", "windows", "exposure_date",
             "in_several_branches")  # fmt: skip
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "enrollments.parquet")
    with Session(START, Limits(), [tmp_path]) as session:
        file = tmp_path / "enrollments.parquet"
        units = read_enrolled(experiment(["windows"]), session, file)
    assert units.days == (START, START + timedelta(days=2))
    assert units.by_day().tolist() == [[1, 1], [0, 1]]
    assert units.by_branch(units.exposed).tolist() == [1, 0]
    assert units.by_branch(units.within["windows"] == 1).tolist() == [1, 0]
    assert units.by_branch(units.within["windows"] == 0).tolist() == [0, 1]
    assert (units.units, units.several, units.strangers) == (5, 1, {"other": 1})


def test_counting_keeps_to_the_memory_it_may_use(tmp_path):
    """Units in several branches are told apart, which takes memory for each of them."""
    units = 400_000
    columns = {
        "analysis_id": [f"{n:032x}" for n in range(units)],
        "branch": ["control"] * units,
        "enrollment_date": [START] * units,
        "exposure_date": pa.nulls(units, pa.date32()),
        "in_several_branches": [True] * units,
    }
    file = tmp_path / "enrollments.parquet"
    pq.write_table(pa.table(columns), file)
    with Session(START, Limits("200MB"), [tmp_path]) as session:
        enough = read_enrolled(experiment(), session, file)
    assert (enough.units, enough.several) == (units, units)
    with (
        Session(START, Limits("10MB"), [tmp_path]) as session,
        pytest.raises(MemoryLimitError, match="more than the 10MB of memory it may use"),
    ):
        read_enrolled(experiment(), session, file)
