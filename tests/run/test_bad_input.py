"""Bad input gives one clear sentence and an exit code by who can act; nothing is half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import write_deltalake

from sonde.lake import Lake
from sonde.project import Project
from sonde.results import errors, statistics
from tests import browser
from tests.commands import ended


def sonde(folder: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    return ended(*arguments, "--project", folder), "".join(capsys.readouterr())


RUN = ("run", "--date", "2020-04-12", "--workers", "1")


def test_an_unknown_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    code, said = sonde(tmp_path, *RUN, "--experiment", "test-experimant", capsys=capsys)
    assert code == 2
    assert 'no experiment "test-experimant"; did you mean "test-experiment"?' in said


def test_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 2
    assert "sonde init" in said


def test_no_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    shutil.rmtree(tmp_path / "lake")
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 3
    assert "table moz-fx-data-shared-prod.telemetry.events is not there" in said
    assert str(tmp_path / "lake" / "telemetry" / "events") in said
    assert "skipped" in said
    assert Lake.open(tmp_path / "lake").tables("sonde/enrollments") == []


def test_a_table_that_is_nearly_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.write_project(tmp_path)
    lake = tmp_path / "lake" / "telemetry"
    (lake / "events").rename(lake / "event")
    _, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert 'did you mean "telemetry.event"?' in said


def test_a_table_without_the_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    place = tmp_path / "lake" / "telemetry" / "clients_daily"
    shutil.rmtree(place)
    write_deltalake(str(place), browser.clients_daily().drop_columns(["active_hours_sum"]))
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 3
    assert "active_hours" in said
    assert "active_hours_sum" in said
    assert "not found" in said


FAILING = """
[metrics]
weekly = ["active_hours", "broken"]

[metrics.active_hours.statistics.linear_model_mean]

[metrics.broken]
data_source = "clients_daily"
select_expression = "SUM(CAST(client_id AS INT64))"
[metrics.broken.statistics.linear_model_mean]
"""


def test_a_metric_that_fails_loses_only_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.write_project(tmp_path, FAILING)
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 3
    assert "error: test-experiment: broken:" in said
    project = Project.open(tmp_path, {})
    experiment = project.experiment(browser.SLUG)
    found = {row["metric"] for row in statistics(project.lake, experiment).to_pylist()}
    assert found == {"active_hours", "identity"}
    rows = errors(project.lake, experiment)
    assert {row["metric"] for row in rows} == {"broken"}
    assert all("aaaa" in row["message"] and "broken" in row["sql"] for row in rows)
    mended = FAILING.replace("CAST(client_id AS INT64)", "active_hours_sum")
    (tmp_path / "metric-hub/jetstream/test-experiment.toml").write_text(mended)
    code, _ = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 0
    assert errors(project.lake, experiment) == []
    found = {row["metric"] for row in statistics(project.lake, experiment).to_pylist()}
    assert "broken" in found


@pytest.mark.parametrize(
    ("record", "said_of_it"),
    [
        ({"referenceBranch": None}, 'set reference_branch to one of "branch1", "branch2"'),
        ({"referenceBranch": "contorl"}, '"contorl" is none of its branches'),
        ({"branches": []}, "no branches"),
        ({"endDate": "2020-03-01"}, "end date 2020-03-01 is before the start date 2020-03-30"),
        ({"endDate": "2020-04-01"}, "beyond the end date 2020-04-01"),
        ({"enrollmentEndDate": "2020-03-20"}, "enrollment ends"),
        ({"enrollmentEndDate": None, "proposedEnrollment": 0}, "no enrollment period"),
    ],
)
def test_experiments_that_cannot_be_analysed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: dict[str, object],
    said_of_it: str,
) -> None:
    browser.write_project(tmp_path, **record)
    code, said = sonde(tmp_path, *RUN, "--experiment", browser.SLUG, capsys=capsys)
    assert code == 2
    assert said_of_it in said
    written = {each.name for each in (tmp_path / "lake" / "sonde").iterdir()}
    assert written == {"health", "history", "site"}  # a page that says so, and no result


def test_malformed_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path, "[metrics\nweekly = []")
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 2
    assert "test-experiment.toml:1" in said


def test_a_broken_record_does_not_break_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.write_project(tmp_path)
    path = tmp_path / "experiments.json"
    records = json.loads(path.read_text())
    path.write_text(json.dumps([{"slug": "half", "branches": 3}, *records, "nothing"]))
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 2
    assert "half" in said
    assert "test-experiment: " in said
    project = Project.open(tmp_path, {})
    assert statistics(project.lake, project.experiment(browser.SLUG)).num_rows > 0


def test_no_experiments_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    (tmp_path / "experiments.json").unlink()
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 2
    assert "experiments.json" in said


def test_a_lake_of_a_newer_sonde(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    browser.write_project(tmp_path)
    (tmp_path / "lake" / "_sonde.json").write_text('{"format": 99}')
    code, said = sonde(tmp_path, *RUN, capsys=capsys)
    assert code == 75
    assert "newer sonde" in said
    assert "upgrade" in said
    assert not (tmp_path / "lake" / "sonde").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    return place


def test_a_full_disk(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        browser.write_project(small_disk)
        free = os.statvfs(small_disk)
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 24_000))
        code, said = sonde(small_disk, *RUN, capsys=capsys)
        assert code == 75
        assert "is full; free some space and run again" in said
        filler.unlink()
        code, said = sonde(small_disk, *RUN, capsys=capsys)
        assert code == 0, said
        project = Project.open(small_disk, {})
        assert statistics(project.lake, project.experiment(browser.SLUG)).num_rows > 0
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


LOADED = """
import sys
from sonde.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print(sorted({"duckdb", "numpy", "pyarrow", "scipy", "sqlglot"} & set(sys.modules)))
"""


def test_help_needs_no_engine() -> None:
    """What makes `--help` fast: it loads neither the engine nor the numerical libraries."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            LOADED,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert loaded.splitlines()[-1] == "[]"
