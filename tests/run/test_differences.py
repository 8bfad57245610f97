"""What differs from Jetstream on purpose, from tables to results: docs/compatibility.md."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from sonde.results import errors
from sonde.run.execute import Done
from sonde.window import Period
from tests import browser
from tests.run.test_analysis import RUN_DATE, enrolled, estimates, opened, run, units

Event = tuple[date, str | None, dict[str, str], int | None]


def enrollments_of(rows: list[Event]) -> pa.Table:
    """Enrollment events: day, client, values, sample."""
    return pa.table(
        {
            "submission_date": pa.array([r[0] for r in rows], pa.date32()),
            "client_id": pa.array([r[1] for r in rows], pa.string()),
            "profile_group_id": pa.array([r[1] for r in rows], pa.string()),
            "event_category": ["normandy"] * len(rows),
            "event_method": ["enroll"] * len(rows),
            "event_string_value": [browser.SLUG] * len(rows),
            "event_map_values": pa.array(
                [[{"key": k, "value": v} for k, v in r[2].items()] for r in rows], browser.MAP
            ),
            "sample_id": pa.array([r[3] for r in rows], pa.int64()),
        }
    )


def arrive(folder: Path, *rows: Event) -> None:
    """More enrollment events in the table."""
    place = str(folder / "lake" / "telemetry" / "events")
    write_deltalake(place, enrollments_of(list(rows)), mode="append")


def problems(folder: Path) -> list[dict[str, Any]]:
    project = opened(folder)
    return errors(project.lake, project.experiment(browser.SLUG))


def ids(folder: Path) -> list[str]:
    return [row["analysis_id"] for row in enrolled(folder)]


def counted(folder: Path) -> dict[str, float]:
    """Units by branch in the first week."""
    rows = estimates(
        folder,
        metric="identity",
        analysis_period="week",
        analysis_basis="enrollments",
        segment="all",
    )
    return {row["branch"]: row["point"] for row in rows}


def test_units_in_several_branches_are_left_out_and_reported(tmp_path: Path) -> None:
    browser.write_project(tmp_path)
    first, second = {"branch": "branch1"}, {"branch": "branch2"}
    arrive(tmp_path, (browser.day(4, 3), "cccc", first, 1), (browser.day(4, 4), "cccc", second, 1))
    run(tmp_path)
    marked = {
        (r["analysis_id"], r["branch"]) for r in enrolled(tmp_path) if r["in_several_branches"]
    }
    assert marked == {("cccc", "branch1"), ("cccc", "branch2")}
    assert counted(tmp_path) == {"branch1": 1, "branch2": 1}
    assert set(units(tmp_path, Period.WEEK)) == {"aaaa", "bbbb"}
    (said,) = problems(tmp_path)
    assert said["log_level"] == "WARNING"
    assert said["message"].startswith("1 unit is enrolled in several branches and left out")


def test_enrollments_without_an_id_or_a_branch_are_left_out_and_reported(tmp_path: Path) -> None:
    browser.write_project(tmp_path)
    arrive(
        tmp_path,
        (browser.day(4, 3), None, {"branch": "branch1"}, 1),
        (browser.day(4, 3), "cccc", {}, 1),
    )
    run(tmp_path)
    assert ids(tmp_path) == ["aaaa", "bbbb"]
    (said,) = problems(tmp_path)
    assert said["message"] == "2 enrollments without an id or a branch are left out"


def test_enrollments_that_arrive_late_count(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    assert counted(tmp_path) == {"branch1": 1, "branch2": 1}
    arrive(tmp_path, (browser.day(4, 4), "eeee", {"branch": "branch1"}, 1))
    run(tmp_path)
    assert ids(tmp_path) == ["aaaa", "bbbb", "eeee"]
    assert counted(tmp_path) == {"branch1": 2, "branch2": 1}


def test_a_segment_added_later_is_filled_in(tmp_path: Path) -> None:
    without = browser.EXPERIMENT.replace('segments = ["regular_user_v3"]', "")
    run(browser.write_project(tmp_path, without))
    assert all("regular_user_v3" not in row for row in enrolled(tmp_path))
    (tmp_path / "metric-hub/jetstream/test-experiment.toml").write_text(browser.EXPERIMENT)
    run(tmp_path)
    assert [row["regular_user_v3"] for row in enrolled(tmp_path)] == [False, True]
    assert estimates(tmp_path, metric="identity", segment="regular_user_v3")


def test_a_sample_is_taken_only_when_asked_for(tmp_path: Path) -> None:
    """`sample_id < 100` would lose the units without a sample."""
    browser.write_project(tmp_path)
    arrive(tmp_path, (browser.day(4, 3), "eeee", {"branch": "branch1"}, None))
    run(tmp_path)
    assert ids(tmp_path) == ["aaaa", "bbbb", "eeee"]


TWICE = """
[experiment]
enrollment_query = \"\"\"
SELECT 'aaaa' AS analysis_id, 'branch1' AS branch, DATE '2020-04-03' AS enrollment_date,
  1 AS num_enrollment_events
UNION ALL
SELECT 'aaaa', 'branch1', DATE '2020-04-02', 1
\"\"\"

[metrics]
weekly = ["active_hours"]
[metrics.active_hours.statistics.linear_model_mean]
"""


def test_a_unit_that_a_custom_query_gives_twice_is_one(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, TWICE))
    (row,) = enrolled(tmp_path)
    assert (row["enrollment_date"], row["num_enrollment_events"]) == (browser.day(4, 2), 2)
    assert units(tmp_path, Period.WEEK)["aaaa"]["active_hours"] == pytest.approx(0.8)


def test_a_segment_that_fails_loses_only_itself(tmp_path: Path) -> None:
    wrong = browser.DEFINITIONS.replace("is_regular_user_v3", "is_regular_user_v4")
    run(browser.write_project(tmp_path, definitions=wrong))
    assert [(r["analysis_id"], r["regular_user_v3"]) for r in enrolled(tmp_path)] == [
        ("aaaa", None),
        ("bbbb", None),
    ]
    (said,) = problems(tmp_path)
    assert said["segment"] == "regular_user_v3"
    assert "is_regular_user_v4" in said["message"]
    assert counted(tmp_path) == {"branch1": 1, "branch2": 1}


SIGNAL = """
[experiment.exposure_signal]
name = "opened"
friendly_name = "Opened"
description = "Opened it"
data_source = "clients_daily"
select_expression = "opened > 0"

[metrics]
weekly = ["active_hours"]
[metrics.active_hours.statistics.linear_model_mean]
"""


def test_exposures_that_fail_do_not_lose_the_enrollments(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, SIGNAL))
    found = [(r["analysis_id"], r["exposure_date"]) for r in enrolled(tmp_path)]
    assert found == [("aaaa", None), ("bbbb", None)]
    said = [row["message"] for row in problems(tmp_path)]
    assert any(each.startswith("exposures cannot be found") for each in said)


def test_units_are_counted_whatever_becomes_of_the_metrics(tmp_path: Path) -> None:
    browser.write_project(tmp_path)
    shutil.rmtree(tmp_path / "lake" / "telemetry" / "clients_daily")
    run(tmp_path)
    assert estimates(tmp_path, metric="active_hours") == []
    assert counted(tmp_path) == {"branch1": 1, "branch2": 1}


SPARSE = """
[metrics]
daily = ["hours_seen"]

[metrics.hours_seen]
data_source = "clients_daily"
select_expression = "SUM(active_hours_sum)"
[metrics.hours_seen.statistics.count]
[metrics.hours_seen.statistics.linear_model_mean]
drop_highest = 0
pre_treatments = ["zero_fill"]
"""


def test_zero_fill_reaches_units_without_rows(tmp_path: Path) -> None:
    """aaaa has no row of the day after its enrollment."""
    run(browser.write_project(tmp_path, SPARSE))
    rows = estimates(
        tmp_path,
        metric="hours_seen",
        analysis_basis="enrollments",
        window_index=2,
        comparison=None,
        branch="branch1",
    )
    assert {row["statistic"]: row["point"] for row in rows} == {"count": 0, "mean_lm": 0}


CONSTANT = """
[metrics]
weekly = ["nothing"]

[metrics.nothing]
data_source = "clients_daily"
select_expression = "COUNT(*) * 0"
[metrics.nothing.statistics.linear_model_mean]
"""


def test_what_cannot_be_estimated_is_stored_with_its_reason(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, CONSTANT))
    rows = estimates(tmp_path, metric="nothing", analysis_basis="enrollments")
    asked = {(row["branch"], row["comparison"]) for row in rows}
    kinds = (None, "difference", "relative_uplift")
    assert asked == {(branch, kind) for branch in ("branch1", "branch2") for kind in kinds}
    assert {(row["point"], row["reason"]) for row in rows} == {(None, "no_variation")}
    assert all("same value" in row["detail"] for row in rows)


ADJUSTED = """
[metrics]
daily = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]
drop_highest = 0
covariate_adjustment = { period = "preenrollment_week" }
"""

BEFORE = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
AFTER = np.array([2.0, 1, 4, 2, 5, 4, 8, 4])
TREATED = np.array([1.0, 0, 1, 0, 1, 0, 1, 0])


def write_units(lake: Path) -> None:
    """Eight units, enrolled on one day, with hours of three days before and of that day."""
    names = [f"unit{i}" for i in range(8)]
    branches = ["branch1" if treated else "branch2" for treated in TREATED]
    rows = [
        (browser.day(4, 2), name, {"branch": branch}, 1)
        for name, branch in zip(names, branches, strict=True)
    ]
    days = [browser.day(3, 30)] * 8 + [browser.day(4, 2)] * 8
    carries = [[]] * 8 + [[{"key": browser.SLUG, "value": branch}] for branch in branches]
    hours = {
        "submission_date": pa.array(days, pa.date32()),
        "client_id": names * 2,
        "profile_group_id": names * 2,
        "active_hours_sum": [*BEFORE, *AFTER],
        "experiments": pa.array(carries, browser.MAP),
    }
    for name, table in (("events", enrollments_of(rows)), ("clients_daily", pa.table(hours))):
        write_deltalake(str(lake / "telemetry" / name), table, mode="overwrite")


def test_covariates_need_no_preenrollment_list_and_adjust_the_first_day(tmp_path: Path) -> None:
    """The coefficient of the branch, by numpy's least squares."""
    browser.write_project(tmp_path, ADJUSTED)
    write_units(tmp_path / "lake")
    run(tmp_path)
    rows = estimates(
        tmp_path,
        metric="active_hours",
        window_index=1,
        analysis_basis="enrollments",
        branch="branch1",
        comparison="difference",
    )
    design = np.column_stack([np.ones(8), TREATED, BEFORE])
    expected = np.linalg.lstsq(design, AFTER, rcond=None)[0][1]
    unadjusted = AFTER[TREATED == 1].mean() - AFTER[TREATED == 0].mean()
    assert [row["point"] for row in rows] == [pytest.approx(expected)]
    assert abs(expected - unadjusted) > 0.1


def test_a_covariate_that_is_not_measured_is_a_warning(tmp_path: Path) -> None:
    named = ADJUSTED.replace("preenrollment_week", 'preenrollment_week", metric = "active_hour')
    browser.write_project(tmp_path, named)
    project = opened(tmp_path)
    reports = list(project.run(project.work(RUN_DATE), 1))
    told = {p.message for r in reports if isinstance(r, Done) for p in r.problems}
    assert any(message.startswith("not adjusted: active_hour is not one of") for message in told)
    assert {r.problems[0].level for r in reports if isinstance(r, Done) and r.problems} == {
        "WARNING"
    }


def test_a_holdback_is_analysed_as_of_its_rerun_in_all_periods(tmp_path: Path) -> None:
    asked = {"doRerun": True, "doRerunTimestamp": "2020-04-09T05:00:00Z"}
    browser.write_project(tmp_path, **asked)
    steps = opened(tmp_path).work(RUN_DATE).stale
    estimated = [step for step in steps if step.marks]
    assert max(step.marks[1] for step in estimated) == "2020-04-08"
    assert {step.output.key[2] for step in estimated} == {"day", "week"}
    later = opened(tmp_path).work(RUN_DATE + timedelta(days=5)).stale
    assert [step.fingerprint for step in later] == [step.fingerprint for step in steps]
