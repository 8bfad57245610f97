"""Killed at any point, the next run finishes the work; two runs at once do no harm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from itertools import islice
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from sonde.plan.steps import enrollments_table
from sonde.project import Project
from sonde.results import errors, statistics
from sonde.run.execute import batches
from tests import browser

RUN_DATE = date(2020, 4, 12)
TWO_SOURCES = """
[experiment]
segments = ["regular_user_v3"]

[metrics]
daily = ["active_hours", "hours_last_seen"]
weekly = ["active_hours", "hours_last_seen"]
preenrollment_weekly = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]
covariate_adjustment = { period = "preenrollment_week" }
[metrics.active_hours.statistics.deciles]
[metrics.hours_last_seen.statistics.bootstrap_mean]
"""


def opened(folder: Path) -> Project:
    return Project.open(folder, {})


def contents(folder: Path) -> dict[str, Any]:
    """Everything a reader can see, but when it was made."""
    project = opened(folder)
    experiment = project.experiment(browser.SLUG)
    receipt = project.lake.receipt(enrollments_table(experiment).partition())
    assert receipt is not None
    return {
        "statistics": statistics(project.lake, experiment).to_pylist(),
        "enrollments": project.lake.file(receipt).read_bytes(),
        "errors": [
            {k: v for k, v in row.items() if k != "timestamp"}
            for row in errors(project.lake, experiment)
        ],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A project before its first run, and what a run without trouble makes of it."""
    fresh = browser.write_project(tmp_path_factory.mktemp("fresh"), TWO_SOURCES)
    done = tmp_path_factory.mktemp("done") / "project"
    shutil.copytree(fresh, done)
    finish(done)
    return fresh, contents(done)


def finish(folder: Path) -> None:
    project = opened(folder)
    list(project.run(project.work(RUN_DATE), 1))
    assert opened(folder).work(RUN_DATE).stale == ()


def test_stopped_at_every_boundary(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    fresh, expected = undisturbed
    groups = batches(opened(fresh).work(RUN_DATE).stale)
    assert len(groups) >= 4
    done = 0
    for number, batch in enumerate(groups):
        folder = tmp_path / str(number)
        shutil.copytree(fresh, folder)
        project = opened(folder)
        reports = project.run(project.work(RUN_DATE), 1)
        assert len(list(islice(reports, done))) == done
        reports.close()  # type: ignore[attr-defined]
        finish(folder)
        assert contents(folder) == expected
        done += len(batch.steps)


COMMAND = [sys.executable, "-m", "sonde", "run", "--date", RUN_DATE.isoformat()]


def started(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "--project", str(folder), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_killed_with_signal_9(undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Each try lives a little longer, so that the kills fall into different steps."""
    fresh, expected = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    killed = 0
    for attempt in range(8):
        process = started(folder, "--workers", "1")
        time.sleep(0.8 + 0.15 * attempt)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 2
    finish(folder)
    assert contents(folder) == expected


def test_interrupted_from_the_keyboard(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    fresh, expected = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    process = started(folder, "--workers", "2")
    time.sleep(1.2)
    os.killpg(process.pid, signal.SIGINT)
    # Python itself dies of the signal when it was importing; to a shell both are 130.
    assert process.wait(timeout=30) in {0, 130, -signal.SIGINT}
    finish(folder)
    assert contents(folder) == expected


def test_two_runs_at_once(undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    fresh, expected = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    both = [started(folder, "--workers", "1"), started(folder, "--workers", "2")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert opened(folder).work(RUN_DATE).stale == ()
    assert contents(folder) == expected


def test_workers_do_not_change_numbers(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    fresh, expected = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    project = opened(folder)
    list(project.run(project.work(RUN_DATE), 3))
    assert contents(folder) == expected


def test_a_worker_that_dies_is_replaced(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    fresh, expected = undisturbed
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    project = opened(folder)
    reports = project.run(project.work(RUN_DATE), 2)
    first = next(reports)
    children = subprocess.run(
        ["pgrep", "-P", str(_forkserver()), "-f", ""], capture_output=True, text=True, check=False
    ).stdout.split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    rest = list(reports)
    assert first
    assert rest
    finish(folder)
    assert contents(folder) == expected


def _forkserver() -> int:
    """The process that workers are forked from."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert pid is not None
    return int(pid)
