"""From tables and configuration to results: numbers that can be worked out by hand."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sonde.metric import AnalysisBasis
from sonde.plan.steps import enrollments_table
from sonde.project import Project
from sonde.results import errors, statistics
from sonde.run.execute import Done, Report
from sonde.window import Period
from tests import browser

RUN_DATE = date(2020, 4, 12)
BOTH = list(AnalysisBasis)


def opened(folder: Path) -> Project:
    return Project.open(folder, {})


def run(folder: Path, as_of: date = RUN_DATE, workers: int = 1) -> list[Report]:
    project = opened(folder)
    return list(project.run(project.work(as_of), workers))


def enrolled(folder: Path) -> list[dict[str, Any]]:
    project = opened(folder)
    receipt = project.lake.receipt(enrollments_table(project.experiment(browser.SLUG)).partition())
    assert receipt is not None
    rows: list[dict[str, Any]] = pq.read_table(project.lake.file(receipt)).to_pylist()
    return rows


def estimates(folder: Path, **only: object) -> list[dict[str, Any]]:
    """Results of complete windows."""
    only = {"completeness": "complete", **only}
    project = opened(folder)
    rows = statistics(project.lake, project.experiment(browser.SLUG)).to_pylist()
    return [row for row in rows if all(row[k] == v for k, v in only.items())]


def units(
    folder: Path, period: Period, window: int = 1, basis: AnalysisBasis = AnalysisBasis.ENROLLMENTS
) -> dict[str, dict[str, Any]]:
    table = opened(folder).unit_metrics(browser.SLUG, RUN_DATE, basis, period, window)
    return {row["analysis_id"]: row for row in table.to_pylist()}


def test_enrollments(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    common = {"num_enrollment_events": 1, "num_exposure_events": 1, "in_several_branches": False}
    assert enrolled(tmp_path) == [
        {
            "analysis_id": "aaaa",
            "branch": "branch1",
            "enrollment_date": date(2020, 4, 2),
            "regular_user_v3": False,
            "exposure_date": date(2020, 4, 2),
            **common,
        },
        {
            "analysis_id": "bbbb",
            "branch": "branch2",
            "enrollment_date": date(2020, 4, 3),
            "regular_user_v3": True,
            "exposure_date": date(2020, 4, 3),
            **common,
        },
    ]


def test_profile_groups_as_units(tmp_path: Path) -> None:
    unit = browser.EXPERIMENT.replace(
        "[experiment]", '[experiment]\nanalysis_unit = "profile_group_id"'
    )
    definitions = browser.DEFINITIONS.replace(
        'data_source = "clients_daily"',
        'data_source = "clients_daily"\nanalysis_units = ["client_id", "profile_group_id"]',
    )
    browser.write_project(tmp_path, unit, definitions=definitions)
    run(tmp_path)
    assert [(r["analysis_id"], r["enrollment_date"]) for r in enrolled(tmp_path)] == [
        ("aaa0", date(2020, 4, 2)),
        ("bbb0", date(2020, 4, 3)),
    ]
    found = units(tmp_path, Period.WEEK)
    assert {k: pytest.approx(v["active_hours"]) for k, v in found.items()} == {
        "aaa0": 0.8,
        "bbb0": 0.3,
    }


@pytest.mark.parametrize("basis", BOTH)
def test_week_one(tmp_path: Path, basis: AnalysisBasis) -> None:
    """The row of 04-02 for aaaa is from before its enrollment: it does not carry the experiment."""
    run(browser.write_project(tmp_path))
    found = units(tmp_path, Period.WEEK, basis=basis)
    assert found["aaaa"]["active_hours"] == pytest.approx(0.8)
    assert found["bbbb"]["active_hours"] == pytest.approx(0.3)


def test_sanity_columns(tmp_path: Path) -> None:
    """The rows name a branch, rollout, that neither unit is in."""
    run(browser.write_project(tmp_path))
    for row in units(tmp_path, Period.WEEK).values():
        assert row["clients_daily_has_contradictory_branch"] is True
        assert row["clients_daily_has_non_enrolled_data"] is False


def test_columns_of_unit_metrics(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    assert list(units(tmp_path, Period.WEEK)["aaaa"]) == [
        "analysis_id",
        "branch",
        "enrollment_date",
        "num_enrollment_events",
        "regular_user_v3",
        "analysis_window_start",
        "analysis_window_end",
        "exposure_date",
        "num_exposure_events",
        "active_hours",
        "clients_daily_has_contradictory_branch",
        "clients_daily_has_non_enrolled_data",
    ]


RATIO = """
[metrics]
weekly = ["active_hours", "active_hours_doubled", "ratio"]

[metrics.active_hours.statistics.linear_model_mean]
[metrics.active_hours_doubled.statistics.linear_model_mean]

[metrics.ratio]
depends_on = ["active_hours", "active_hours_doubled"]
[metrics.ratio.statistics.population_ratio]
numerator = "active_hours"
denominator = "active_hours_doubled"
"""


TWO_SOURCES = RATIO.replace("active_hours_doubled", "hours_last_seen")


def test_a_ratio_of_metrics_of_two_sources(tmp_path: Path) -> None:
    """The day after enrollment counts whatever it carries: .1 + .1 + .1 + .6 = .9 for aaaa."""
    run(browser.write_project(tmp_path, TWO_SOURCES))
    rows = estimates(tmp_path, metric="ratio", analysis_basis="enrollments", comparison=None)
    points = {r["branch"]: r["point"] for r in rows}
    assert points == {"branch1": pytest.approx(0.8 / 0.9), "branch2": pytest.approx(1)}
    assert {r["data_source"] for r in rows} == {"clients_daily+clients_last_seen"}


def test_a_ratio_of_two_metrics(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, RATIO))
    table = opened(tmp_path).unit_metrics(
        browser.SLUG, RUN_DATE, AnalysisBasis.ENROLLMENTS, Period.WEEK, 1
    )
    assert table["active_hours_doubled"].to_pylist() == pytest.approx([1.6, 0.6])
    for basis in BOTH:
        rows = estimates(tmp_path, metric="ratio", analysis_basis=basis.value)
        points = {(r["branch"], r["comparison"]): r["point"] for r in rows}
        assert points == {
            ("branch1", None): pytest.approx(0.5),
            ("branch2", None): pytest.approx(0.5),
            ("branch1", "difference"): pytest.approx(0, abs=1e-12),
            ("branch2", "difference"): pytest.approx(0, abs=1e-12),
            ("branch1", "relative_uplift"): pytest.approx(0, abs=1e-12),
            ("branch2", "relative_uplift"): pytest.approx(0, abs=1e-12),
        }


def test_days_after_enrollment(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    by_day = [units(tmp_path, Period.DAY, n) for n in range(1, 6)]
    hours = {u: [day[u]["active_hours"] for day in by_day] for u in ("aaaa", "bbbb")}
    assert hours["aaaa"] == pytest.approx([0, 0, 0.1, 0.1, 0.6])
    assert hours["bbbb"] == pytest.approx([0, 0.1, 0.1, 0.1, 0])


PREENROLLMENT = """
[experiment]
enrollment_period = 12

[metrics]
preenrollment_weekly = ["active_hours"]
preenrollment_days28 = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]

[data_sources.clients_daily]
from_expression = "mozdata.telemetry.clients_daily"
experiments_column_type = "none"
"""


def test_before_enrollment(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, PREENROLLMENT))
    week = units(tmp_path, Period.PREENROLLMENT_WEEK)
    days28 = units(tmp_path, Period.PREENROLLMENT_DAYS28)
    assert week["aaaa"]["active_hours"] == pytest.approx(2.8)
    assert days28["aaaa"]["active_hours"] == pytest.approx(3.6)
    assert week["bbbb"]["active_hours"] == pytest.approx(0.2)
    assert days28["bbbb"]["active_hours"] == pytest.approx(0.2)


def test_a_sample_of_the_population(tmp_path: Path) -> None:
    sampled = browser.EXPERIMENT.replace("[experiment]", "[experiment]\nsample_size = 10")
    run(browser.write_project(tmp_path, sampled))
    assert [row["analysis_id"] for row in enrolled(tmp_path)] == ["aaaa"]


def test_units_are_counted_in_every_segment_and_basis(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    rows = estimates(tmp_path, metric="identity", analysis_period="week")
    found = {(r["analysis_basis"], r["segment"], r["branch"]): r["point"] for r in rows}
    expected = {}
    for basis in BOTH:
        expected[basis.value, "all", "branch1"] = 1
        expected[basis.value, "all", "branch2"] = 1
        expected[basis.value, "regular_user_v3", "branch1"] = 0
        expected[basis.value, "regular_user_v3", "branch2"] = 1
    assert found == expected
    assert all(r["statistic"] == "count" for r in rows)


def test_an_experiment_that_nobody_is_in(tmp_path: Path) -> None:
    branches = [{"slug": "a", "ratio": 1}, {"slug": "b", "ratio": 1}]
    browser.write_project(
        tmp_path, "", slug="test-experiment-2", branches=branches, referenceBranch="a"
    )
    (tmp_path / "metric-hub/jetstream/test-experiment-2.toml").write_text(browser.EXPERIMENT)
    reports = run(tmp_path)
    assert all(isinstance(report, Done) for report in reports)
    project = opened(tmp_path)
    experiment = project.experiment("test-experiment-2")
    receipt = project.lake.receipt(enrollments_table(experiment).partition())
    assert receipt is not None
    assert receipt.rows == 0
    rows = statistics(project.lake, experiment).to_pylist()
    counts = {
        (r["analysis_basis"], r["branch"]): r["point"]
        for r in rows
        if r["metric"] == "identity" and r["analysis_period"] == "week" and r["segment"] == "all"
    }
    assert counts == {(basis.value, branch): 0 for basis in BOTH for branch in ("a", "b")}


def test_a_statistic_that_cannot_be_had_loses_only_itself(tmp_path: Path) -> None:
    """A width of 10 is no share of anything. The run finishes; the errors name the statistic."""
    nonsense = (
        browser.EXPERIMENT
        + "[metrics.active_hours.statistics.bootstrap_mean]\nconfidence_interval = 10\n"
    )
    reports = run(browser.write_project(tmp_path, nonsense))
    assert all(isinstance(report, Done) for report in reports)
    project = opened(tmp_path)
    rows = errors(project.lake, project.experiment(browser.SLUG))
    assert {(r["metric"], r["statistic"], r["analysis_basis"]) for r in rows} == {
        ("active_hours", "bootstrap_mean", basis.value) for basis in BOTH
    }
    assert all("confidence_interval" in r["message"] for r in rows)
    assert {r["statistic"] for r in estimates(tmp_path, metric="active_hours")} == {"mean_lm"}


BOOTSTRAP = """
[metrics]
weekly = ["active_hours"]
[metrics.active_hours.statistics.bootstrap_mean]
"""


def test_rows_of_one_metric(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path, BOOTSTRAP))
    rows = estimates(tmp_path, metric="active_hours")
    kinds = [(r["analysis_basis"], r["comparison"]) for r in rows]
    for basis in BOTH:
        for comparison in (None, "difference", "relative_uplift"):
            assert kinds.count((basis.value, comparison)) == 2
    assert len(rows) == 12
    assert {r["statistic"] for r in rows} == {"mean"}


def test_a_second_run_does_nothing_and_changes_nothing(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    before = estimates(tmp_path), enrolled(tmp_path)
    project = opened(tmp_path)
    assert project.work(RUN_DATE).stale == ()
    assert run(tmp_path) == []
    assert (estimates(tmp_path), enrolled(tmp_path)) == before


def test_every_row_says_where_it_is_from(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    for row in estimates(tmp_path, metric="active_hours"):
        assert row["configuration"] == "metric-hub@-"
        assert row["inputs"].startswith("mozdata.telemetry.clients_daily@")
        assert row["data_through"] >= "2020-04-06"
        assert row["query_id"]


def test_no_errors(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    project = opened(tmp_path)
    assert errors(project.lake, project.experiment(browser.SLUG)) == []


def test_rows_are_json(tmp_path: Path) -> None:
    run(browser.write_project(tmp_path))
    json.dumps(estimates(tmp_path))
