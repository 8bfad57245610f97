"""The commands, as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from mozilla_nimbus_schemas.jetstream import AnalysisErrors, Metadata, Statistics

from sonde.project import Project
from tests import browser
from tests.commands import ended

DATE = ("--date", "2020-04-12")


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose results are there."""
    folder = browser.write_project(tmp_path_factory.mktemp("project"))
    project = Project.open(folder, {})
    list(project.run(project.work(date(2020, 4, 12)), 1))
    return folder


def sonde(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command prints; it must succeed."""
    code = ended(*arguments)
    said = capsys.readouterr()
    assert not code, said.err
    return said.out


def test_results(analysed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ("--project", analysed, "--period", "week", "--window", 1, "--metric", "active_hours")
    text = sonde(capsys, "results", browser.SLUG, *only)
    assert "week 1  enrollments  all" in text
    rows = json.loads(sonde(capsys, "results", browser.SLUG, *only, "--format", "json"))
    assert {row["metric"] for row in rows} == {"active_hours"}
    table = sonde(capsys, "results", browser.SLUG, *only, "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(table)))) == len(rows)


def test_units(analysed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "units.parquet"
    said = sonde(
        capsys, "units", browser.SLUG, target, "--project", analysed, *DATE, "--period", "week"
    )
    assert said == f"2 units in {target}\n"
    assert pq.read_table(target)["analysis_id"].to_pylist() == ["aaaa", "bbbb"]


def test_export_is_what_readers_expect(
    analysed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sonde(capsys, "export", tmp_path, "--project", analysed, *DATE)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/*")}
    assert files == {
        "statistics/statistics_test_experiment_daily.json",
        "statistics/statistics_test_experiment_weekly.json",
        "metadata/metadata_test_experiment.json",
        "errors/errors_test_experiment.json",
    }
    weekly = (tmp_path / "statistics/statistics_test_experiment_weekly.json").read_text()
    rows = Statistics.model_validate_json(weekly).root
    assert {row.metric for row in rows} == {"active_hours", "identity"}
    assert {row.window_index for row in rows} == {"1"}
    metadata = (tmp_path / "metadata/metadata_test_experiment.json").read_text()
    assert Metadata.model_validate_json(metadata).metrics["active_hours"].bigger_is_better
    made_from = json.loads(metadata)["provenance"]
    assert made_from["sonde"]
    assert made_from["configuration"][0]["path"] == "metric-hub"
    assert {each["table"] for each in made_from["inputs"]} == {"mozdata.telemetry.clients_daily"}
    assert made_from["queries"]
    errors = (tmp_path / "errors/errors_test_experiment.json").read_text()
    assert AnalysisErrors.model_validate_json(errors).root == []


def test_a_private_experiment_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = (
        '[experiment]\nis_private = true\ndataset_id = "secret"\n'
        + browser.EXPERIMENT.replace("[experiment]\n", "")
    )
    browser.write_project(tmp_path, private)
    sonde(capsys, "run", "--project", tmp_path, *DATE, "--workers", 1)
    assert (tmp_path / "lake/secret/statistics").is_dir()
    assert not (tmp_path / "lake/sonde/statistics").exists()
    for stored in (tmp_path / "lake/sonde").rglob("*"):  # the pages of everybody
        assert not stored.is_file() or browser.SLUG.encode() not in stored.read_bytes()
    said = sonde(capsys, "export", tmp_path / "out", "--project", tmp_path, *DATE)
    assert said.startswith("0 files")
    assert not (tmp_path / "out").exists()


def test_plan_then_run_then_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    assert "test-experiment: clients_daily: 20 steps" in sonde(
        capsys, "plan", "--project", tmp_path, *DATE
    )
    sonde(capsys, "run", "--project", tmp_path, *DATE, "--workers", 2)
    assert sonde(capsys, "run", "--project", tmp_path, *DATE) == "nothing to do as of 2020-04-12\n"
    planned = json.loads(sonde(capsys, "plan", "--project", tmp_path, *DATE, "--format", "json"))
    assert planned["steps"] == []
    assert planned["done"] == 41


def test_show(analysed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = sonde(capsys, "show", browser.SLUG, "--project", analysed)
    assert "definitions/firefox_desktop.toml:4" in text
    shown = json.loads(
        sonde(capsys, "show", browser.SLUG, "--project", analysed, "--format", "json")
    )
    assert list(shown["metrics"]) == [
        "day",
        "week",
        "days28",
        "overall",
        "preenrollment_week",
        "preenrollment_days28",
    ]


def test_validate(analysed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sonde(capsys, "validate", "--project", analysed) == "all is well\n"


def test_init_makes_a_project_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sonde(capsys, "init", "--project", tmp_path)
    assert sonde(capsys, "validate", "--project", tmp_path) == "all is well\n"
    assert "nothing to do" in sonde(capsys, "run", "--project", tmp_path)
    assert "everything is there already" in sonde(capsys, "init", "--project", tmp_path)


def test_preview_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    days = ("--start-date", "2020-04-01", "--end-date", "2020-04-06", "--enrollment-period", 3)
    text = sonde(capsys, "preview", browser.SLUG, "--project", tmp_path, *days)
    assert "day 1" in text
    assert "active_hours" in text
    assert not (tmp_path / "lake" / "sonde").exists()


def test_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    assert sonde(capsys, "runs", "--project", tmp_path) == "no run has done anything yet\n"
    sonde(capsys, "run", "--project", tmp_path, *DATE, "--workers", 1)
    text = sonde(capsys, "runs", "--project", tmp_path, "--steps", 3)
    assert len(text.splitlines()) == 2 + 1 + 4  # a run, a blank line, three steps, two headings
    assert "2020-04-12" in text
    said = json.loads(sonde(capsys, "runs", "--project", tmp_path, "--format", "json"))
    (run,) = said["runs"]
    assert (run["steps"], run["not_done"], len(said["steps"])) == (41, 0, 10)
    assert run["bytes_read"] > 0
    assert {step["run"] for step in said["steps"]} == {run["run"]}
    assert sonde(capsys, "runs", "--project", tmp_path, "--steps", 0).count("\n") == 2


def test_a_short_command_ends_well(analysed: Path) -> None:
    """Threads that read a table once aborted most processes that ended right after it."""
    command = [sys.executable, "-m", "sonde", "runs", "--project", str(analysed)]
    codes = [subprocess.run(command, capture_output=True, check=False).returncode for _ in range(3)]
    assert codes == [0] * 3


def test_removed_results_are_computed_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `docs/jetstream.md` says, for what no fingerprint knows."""
    browser.write_project(tmp_path)
    sonde(capsys, "run", "--project", tmp_path, *DATE, "--workers", 1)
    statistics = tmp_path / "lake/sonde/statistics"
    before = DeltaTable(str(statistics)).to_pyarrow_table().num_rows
    DeltaTable(str(statistics)).delete(f"experiment = '{browser.SLUG}'")
    assert DeltaTable(str(statistics)).to_pyarrow_table().num_rows == 0
    assert ": 20 steps" in sonde(capsys, "plan", "--project", tmp_path, *DATE)
    sonde(capsys, "run", "--project", tmp_path, *DATE, "--workers", 1)
    assert DeltaTable(str(statistics)).to_pyarrow_table().num_rows == before
