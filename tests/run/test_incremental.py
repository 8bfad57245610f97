"""Windows merged from unit-days give the same results as windows computed from rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonde.plan.steps import Estimate, statistics_table
from sonde.plan.unit_days import merged_table, unit_days_table
from sonde.project import Project
from sonde.run.execute import Done
from tests import browser

START = browser.day(3, 30)
WAYS = ("direct", "incremental")

METRICS = """
[experiment]
segments = ["regular_user_v3"]
enrollment_period = 4
{signal}
[metrics]
daily = ["hours", "visits"]
weekly = ["hours", "visits", "days_of_use", "long_uses", "ratio"]
overall = ["hours", "visits", "days_of_use", "most", "long_uses", "rows_after", "hours_seen"]
preenrollment_weekly = ["hours"]

[metrics.hours]
data_source = "clients_daily"
select_expression = "COALESCE(SUM(active_hours_sum), 0)"
[metrics.hours.statistics.linear_model_mean]
drop_highest = 0
covariate_adjustment = {{ period = "preenrollment_week" }}

[metrics.visits]
data_source = "clients_daily"
select_expression = "COUNT(*)"
[metrics.visits.statistics.linear_model_mean]

[metrics.days_of_use]
data_source = "clients_daily"
select_expression = "COUNT(DISTINCT IF(active_hours_sum > 1, submission_date, NULL))"
[metrics.days_of_use.statistics.linear_model_mean]

[metrics.most]
data_source = "clients_daily"
select_expression = "MAX(active_hours_sum)"
[metrics.most.statistics.linear_model_mean]
drop_highest = 0

[metrics.long_uses]
data_source = "clients_daily"
select_expression = "COUNTIF(active_hours_sum > e.num_enrollment_events)"
[metrics.long_uses.statistics.linear_model_mean]
drop_highest = 0

[metrics.rows_after]
data_source = "clients_daily"
select_expression = "COUNTIF(submission_date > e.enrollment_date)"
[metrics.rows_after.statistics.linear_model_mean]

[metrics.hours_seen]
data_source = "clients_last_seen"
select_expression = "SUM(active_hours_sum)"
[metrics.hours_seen.statistics.count]
[metrics.hours_seen.statistics.linear_model_mean]
drop_highest = 0

[metrics.ratio]
depends_on = ["hours", "visits"]
[metrics.ratio.statistics.population_ratio]
numerator = "hours"
denominator = "visits"
"""
SIGNAL = """
[experiment.exposure_signal]
name = "opened"
friendly_name = "Opened"
description = "Opened it"
data_source = "clients_daily"
select_expression = "active_hours_sum > 2"
"""
UNITS = [f"unit{i:02}" for i in range(24)]


def enrollments(units: Sequence[str], day: date) -> pa.Table:
    """Who enrolls on a day; every second one is exposed."""
    rows = []
    for unit in units:
        branch = f"branch{1 + UNITS.index(unit) % 2}"
        rows.append((unit, "enroll", {"branch": branch}))
        if UNITS.index(unit) % 3:
            rows.append((unit, "exposure", {"branchSlug": branch}))
    return pa.table(
        {
            "submission_date": pa.array([day] * len(rows), pa.date32()),
            "client_id": pa.array([r[0] for r in rows], pa.string()),
            "profile_group_id": pa.array([r[0] for r in rows], pa.string()),
            "event_category": pa.array(["normandy"] * len(rows), pa.string()),
            "event_method": pa.array([r[1] for r in rows], pa.string()),
            "event_string_value": pa.array([browser.SLUG] * len(rows), pa.string()),
            "event_map_values": pa.array(
                [[{"key": k, "value": v} for k, v in r[2].items()] for r in rows], browser.MAP
            ),
            "sample_id": pa.array([1] * len(rows), pa.int64()),
        }
    )


def activity(rng: random.Random, day: date, rows: int) -> pa.Table:
    """Rows of some units; hours are eighths, so that their sums are exact in any order."""
    units = [rng.choice(UNITS) for _ in range(rows)]
    carries = [
        [
            {"key": slug, "value": "branch1"}
            for slug in (browser.SLUG, "other")
            if rng.random() < 0.6
        ]
        for _ in units
    ]
    hours = [None if rng.random() < 0.1 else rng.randrange(40) / 8 for _ in units]
    return pa.table(
        {
            "submission_date": pa.array([day] * rows, pa.date32()),
            "client_id": pa.array(units, pa.string()),
            "profile_group_id": pa.array(units, pa.string()),
            "active_hours_sum": pa.array(hours, pa.float64()),
            "experiments": pa.array(carries, browser.MAP),
            "is_regular_user_v3": pa.array([rng.random() < 0.5 for _ in units], pa.bool_()),
        }
    )


class World:
    """One telemetry, and two projects that read it: one for each way."""

    def __init__(self, folder: Path, seed: int = 1, signal: str = "") -> None:
        self.folder, self.rng = folder, random.Random(seed)
        for way in WAYS:
            home = folder / way
            home.mkdir()
            browser.write_project(
                home, METRICS.format(signal=signal), enrollmentEndDate="2020-04-03"
            )
            with (home / "sonde.toml").open("a") as file:
                file.write(f'[run]\nwindows = "{way}"\n[tables]\n')
                file.write(f'"telemetry.*" = "{folder}/telemetry/{{table}}"\n')
        before = [activity(self.rng, START - timedelta(days=n), 6) for n in range(28, 0, -1)]
        for name in ("clients_daily", "clients_last_seen"):
            self._append(name, pa.concat_tables(before))
        self.enroll([], START)

    def arrive(self, day: date, rows: int) -> None:
        for name in ("clients_daily", "clients_last_seen"):
            self._append(name, activity(self.rng, day, rows))

    def enroll(self, units: Sequence[str], day: date) -> None:
        self._append("events", enrollments(units, day))

    def _append(self, name: str, rows: pa.Table) -> None:
        place = str(self.folder / "telemetry" / name)
        write_deltalake(place, rows, partition_by=["submission_date"], mode="append")

    def pass_days(self, first: int, last: int) -> None:
        """The days [first, last] of the experiment, with enrollments on the first five."""
        for n in range(first, last + 1):
            day = START + timedelta(days=n)
            self.arrive(day, 30)
            if n <= 4:
                self.enroll([u for u in UNITS if UNITS.index(u) % 5 == n], day)

    def project(self, way: str) -> Project:
        return Project.open(self.folder / way, {})

    def run(self, as_of: date) -> None:
        for way in WAYS:
            project = self.project(way)
            reports = list(project.run(project.work(as_of), 1))
            assert [r for r in reports if not isinstance(r, Done)] == []

    def results(self, way: str) -> list[dict[str, Any]]:
        project = self.project(way)
        table = statistics_table(project.experiment(browser.SLUG))
        rows = project.lake.read(table).to_pylist()
        # What the metrics mean is told as one query each: of those from rows apart from others'.
        kept = [{k: v for k, v in row.items() if k != "query_id"} for row in rows]
        return sorted(kept, key=str)

    def check(self) -> None:
        direct, incremental = map(self.results, WAYS)
        assert len(direct) == len(incremental)
        assert [pair for pair in zip(direct, incremental, strict=True) if pair[0] != pair[1]] == []

    def unit_days(self) -> dict[tuple[str, ...], int]:
        """When each partition of unit-days was written."""
        project = self.project("incremental")
        table = unit_days_table(project.experiment(browser.SLUG))
        return {key: r.modified for key, r in project.lake.receipts(table).items()}

    def merged_days(self) -> set[str]:
        project = self.project("incremental")
        table = merged_table(project.experiment(browser.SLUG))
        return {receipt.marks[0] for receipt in project.lake.receipts(table).values()}


@pytest.mark.parametrize("signal", ["", SIGNAL], ids=["exposures", "signal"])
def test_results_are_the_same_day_after_day(tmp_path: Path, signal: str) -> None:
    """While units enroll, when a week is full, and once all have enrolled."""
    world = World(tmp_path, signal=signal)
    had = -1
    for n in (0, 3, 5, 11, 12):
        world.pass_days(had + 1, n)
        world.run(START + timedelta(days=n))
        world.check()
        had = n
    assert len(world.results("direct")) > 500
    assert world.merged_days() == {str(12 - 4 + 1)}


def test_a_day_costs_that_days_rows(tmp_path: Path) -> None:
    """A further day leaves the unit-days of other days as they are, also while units enroll."""
    world = World(tmp_path)
    had = -1
    for n in (1, 2, 5, 6):
        before = world.unit_days()
        world.pass_days(had + 1, n)
        world.run(START + timedelta(days=n))
        after = world.unit_days()
        assert {key: after[key] for key in before} == before
        feeds = {key[1] for key in before} or {key[1] for key in after}
        assert {key[2] for key in after.keys() - before.keys() if key[1] in feeds} == {
            (START + timedelta(days=d)).isoformat() for d in range(had + 1, n + 1)
        }
        had = n


def test_late_rows_change_their_day_and_what_was_merged_from_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_days(0, 8)
    world.run(START + timedelta(days=8))
    before, results = world.unit_days(), world.results("incremental")
    world.arrive(START + timedelta(days=6), 40)
    world.run(START + timedelta(days=8))
    world.check()
    assert world.results("incremental") != results
    changed = {key[2] for key, at in world.unit_days().items() if at != before[key]}
    assert changed == {(START + timedelta(days=6)).isoformat()}


def test_late_enrollments(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_days(0, 6)
    world.run(START + timedelta(days=6))
    world.enroll(["unit00", "unit07"], START + timedelta(days=1))
    world.run(START + timedelta(days=6))
    world.check()


def test_an_earlier_day_again(tmp_path: Path) -> None:
    """What was merged up to a later day is of no use, and is left out."""
    world = World(tmp_path)
    world.pass_days(0, 9)
    world.run(START + timedelta(days=9))
    world.arrive(START + timedelta(days=3), 10)
    world.run(START + timedelta(days=7))
    world.run(START + timedelta(days=9))
    world.check()


def test_another_metric_of_the_same_source(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_days(0, 6)
    world.run(START + timedelta(days=6))
    more = METRICS.replace("MAX(active_hours_sum)", "MIN(active_hours_sum)").format(signal="")
    for way in WAYS:
        file = world.folder / way / "metric-hub" / "jetstream" / f"{browser.SLUG}.toml"
        file.write_text(more)
    world.run(START + timedelta(days=6))
    world.check()


def test_a_metric_that_fails_is_told_the_same_way(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_days(0, 6)
    wrong = METRICS.replace("MAX(active_hours_sum)", "MAX(no_such_column)").format(signal="")
    for way in WAYS:
        file = world.folder / way / "metric-hub" / "jetstream" / f"{browser.SLUG}.toml"
        file.write_text(wrong)
    told = {}
    for way in WAYS:
        project = world.project(way)
        reports = list(project.run(project.work(START + timedelta(days=6)), 1))
        told[way] = {(p.metric, p.message) for r in reports for p in getattr(r, "problems", ())}
    assert told["direct"] == told["incremental"]
    assert any(metric == "most" for metric, _ in told["direct"])
    world.check()


def test_nothing_is_merged_of_steps_before_enrollment(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.pass_days(0, 1)
    world.run(START + timedelta(days=1))
    assert min(key[2] for key in world.unit_days()) == START.isoformat()
    steps = world.project("incremental").work(START + timedelta(days=1)).plan.steps
    assert any(isinstance(s.action, Estimate) and s.action.due.window.start < 0 for s in steps)


_EVENT = st.tuples(st.sampled_from(["late rows", "late units", "days"]), st.integers(0, 9))


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**6), events=st.lists(_EVENT, min_size=1, max_size=4))
def test_results_are_the_same_whatever_arrives_when(
    tmp_path_factory: pytest.TempPathFactory, seed: int, events: list[tuple[str, int]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"), seed)
    world.pass_days(0, now := 4)
    world.run(START + timedelta(days=now))
    for what, n in events:
        match what:
            case "late rows":
                world.arrive(START + timedelta(days=min(n, now)), 9)
            case "late units":
                world.enroll([UNITS[n], UNITS[-n]], START + timedelta(days=n % 5))
            case _:
                world.pass_days(now + 1, now := now + 1 + n % 4)
        world.run(START + timedelta(days=now))
        world.check()
