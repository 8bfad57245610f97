"""What is in BigQuery after a run: the tables and views that Jetstream's readers look for."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sonde.project import Project
from tests import browser
from tests.bigquery import crowd
from tests.bigquery.emulator import PROJECT, Emulator, fill_telemetry
from tests.run.test_analysis import RUN_DATE

DATASET = "named"
EXPERIMENT = """
[experiment]
segments = ["regular_user_v3"]

[metrics]
weekly = ["active_hours", "hours_last_seen"]
preenrollment_weekly = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]
drop_highest = 0

[metrics.hours_last_seen]
analysis_bases = ["enrollments"]

[metrics.hours_last_seen.statistics.sum]
"""


def project(
    folder: Path, dataset: str = DATASET, more: str = "", experiment: str = EXPERIMENT
) -> Path:
    """Of one week, which is over."""
    browser.write_project(folder, experiment, endDate="2020-04-12")
    with (folder / "sonde.toml").open("a") as file:
        file.write(crowd.warehouse(dataset, more))
    return folder


def opened(folder: Path) -> Project:
    """With the environment, which says where the emulator is."""
    return Project.open(folder)


def run(folder: Path, as_of: date = RUN_DATE) -> int:
    """The number of steps done, with all published."""
    here = opened(folder)
    work = here.work(as_of)
    assert work.left_out == ()
    reports = list(here.run(work, 1))
    assert [p for p in here.publish(work, 1) if p.problem] == []
    return len(reports)


@pytest.fixture(scope="module")
def ran(server: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fill_telemetry(server)
    folder = project(tmp_path_factory.mktemp("named"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        run(folder)
    return folder


def test_the_names(ran: Path, emulator: Emulator) -> None:
    bases = ("enrollments", "exposures")
    assert set(tables(emulator)) == {
        "enrollments_test_experiment",
        *(f"test_experiment_{b}_clients_daily_week_1" for b in bases),
        "test_experiment_enrollments_clients_last_seen_week_1",
        *(f"test_experiment_{b}_clients_daily_preenrollment_week_1" for b in bases),
        *(f"test_experiment_{b}_weekly" for b in bases),
        *(f"test_experiment_{b}_preenrollment_weekly" for b in bases),
        "statistics_test_experiment_week_1",
        "statistics_test_experiment_preenrollment_week_1",
        "statistics_test_experiment_weekly",
        "statistics_test_experiment_preenrollment_weekly",
    }


def tables(emulator: Emulator, dataset: str = DATASET) -> dict[str, str]:
    listed = emulator.client.list_tables(f"{PROJECT}.{dataset}", retry=None)
    return {each.table_id: each.table_type for each in listed}


def test_labels_and_descriptions(ran: Path, emulator: Emulator) -> None:
    for name, kind in tables(emulator).items():
        table = emulator.client.get_table(f"{PROJECT}.{DATASET}.{name}", retry=None)
        assert table.labels["last_updated"].isdecimal()
        if kind == "TABLE":
            assert table.description == browser.SLUG
        is_statistics = kind == "TABLE" and name.startswith("statistics_")
        assert table.labels.get("schema_version") == ("4" if is_statistics else None)


def test_enrollments(ran: Path, emulator: Emulator) -> None:
    """The integration test of Jetstream: who enrolled, and was exposed."""
    rows = emulator.rows(f"SELECT * FROM {DATASET}.enrollments_test_experiment ORDER BY branch")
    assert rows == [
        enrolled("aaaa", "branch1", browser.day(4, 2), regular=False),
        enrolled("bbbb", "branch2", browser.day(4, 3), regular=True),
    ]
    assert list(rows[0]) == [
        "analysis_id", "branch", "enrollment_date", "num_enrollment_events", "regular_user_v3",
        "exposure_date", "num_exposure_events", "in_several_branches",
    ]  # fmt: skip


def enrolled(unit: str, branch: str, day: date, *, regular: bool) -> dict[str, Any]:
    return {
        "analysis_id": unit,
        "branch": branch,
        "enrollment_date": day,
        "num_enrollment_events": 1,
        "regular_user_v3": regular,
        "exposure_date": day,
        "num_exposure_events": 1,
        "in_several_branches": False,
    }


@pytest.mark.parametrize("basis", ["enrollments", "exposures"])
def test_units_of_a_week(ran: Path, emulator: Emulator, basis: str) -> None:
    """0.05 hours of aaaa on the first day are without the experiment; rows name another branch."""
    name = f"test_experiment_{basis}_clients_daily_week_1"
    rows = emulator.rows(f"SELECT * FROM {DATASET}.{name} ORDER BY branch")
    assert [row["active_hours"] for row in rows] == pytest.approx([0.8, 0.3])
    assert {(r["analysis_window_start"], r["analysis_window_end"]) for r in rows} == {(0, 6)}
    sanity = {
        (r["clients_daily_has_contradictory_branch"], r["clients_daily_has_non_enrolled_data"])
        for r in rows
    }
    assert sanity == {(True, False)}
    assert list(rows[0]) == [
        "analysis_id", "branch", "enrollment_date", "num_enrollment_events", "regular_user_v3",
        "analysis_window_start", "analysis_window_end", "exposure_date", "num_exposure_events",
        "active_hours", "clients_daily_has_contradictory_branch",
        "clients_daily_has_non_enrolled_data", "clients_daily_has_rows",
    ]  # fmt: skip


def test_units_before_enrollment(ran: Path, emulator: Emulator) -> None:
    name = "test_experiment_enrollments_clients_daily_preenrollment_week_1"
    rows = emulator.rows(f"SELECT active_hours FROM {DATASET}.{name} ORDER BY branch")
    assert [row["active_hours"] for row in rows] == pytest.approx([2.8, 0.2])


def test_the_view_has_the_metrics_of_all_sources(ran: Path, emulator: Emulator) -> None:
    view = f"{DATASET}.test_experiment_enrollments_weekly"
    (row,) = emulator.rows(f"SELECT * FROM {view} WHERE analysis_id = 'aaaa'")
    assert (row["active_hours"], row["hours_last_seen"]) == pytest.approx((0.8, 0.9))
    assert row["window_index"] == 1


def test_statistics(ran: Path, emulator: Emulator) -> None:
    """As the files for Jetstream's readers have them."""
    found = emulator.rows(
        f"SELECT * FROM {DATASET}.statistics_test_experiment_weekly\n"
        "WHERE metric = 'active_hours' AND segment = 'all' AND analysis_basis = 'enrollments'\n"
        "AND comparison IS NULL ORDER BY branch"
    )
    assert [(r["branch"], r["statistic"], r["window_index"]) for r in found] == [
        ("branch1", "mean_lm", 1),
        ("branch2", "mean_lm", 1),
    ]
    assert [row["point"] for row in found] == pytest.approx([0.8, 0.3])
    assert list(found[0]) == [
        "metric", "statistic", "parameter", "branch", "comparison", "comparison_to_branch",
        "ci_width", "point", "lower", "upper", "segment", "analysis_basis", "window_index",
    ]  # fmt: skip


def test_no_unit_is_in_the_lake(ran: Path) -> None:
    """An id stands in no table of results, and on no page."""
    files = list((ran / "lake" / "sonde").rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    pages = [gzip.decompress(row["body"]).decode("latin-1") for row in rows if "body" in row]
    texts = [str(row) for row in rows if "body" not in row]
    assert len(pages) > 5
    assert any("branch1" in text for text in texts)
    for text in (*pages, *texts):
        assert "aaaa" not in text
        assert "bbbb" not in text


def test_a_second_run_does_nothing(ran: Path, emulator: Emulator) -> None:
    def changed() -> dict[str, Any]:
        client = emulator.client
        return {
            name: client.get_table(f"{PROJECT}.{DATASET}.{name}", retry=None).modified
            for name in tables(emulator)
        }

    before = changed()
    assert run(ran) == 0
    assert changed() == before
