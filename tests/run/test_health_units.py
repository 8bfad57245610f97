"""Enrolled units, counted for the checks."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

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
