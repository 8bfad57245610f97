"""A project whose lake is in a bucket, beside the same one whose lake is a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sonde.plan.steps import enrollments_table
from sonde.project import Project
from sonde.results import errors, statistics
from sonde.store import Cache, open_bucket
from tests import browser
from tests.kept.hub import AS_OF, make_hub

DATE = ("--date", AS_OF.isoformat())


def make_project(folder: Path, **declared: str) -> Path:
    """A project whose lake is a folder, and whose configuration has commits."""
    make_hub(folder, **declared)
    return folder


def moved(project: Path, to: Path, url: str, more: str = "") -> Path:
    """The same project with its lake at an address. more: further settings of the lake."""
    shutil.copytree(project, to)
    upload(to / "lake", f"{url}/lake")
    shutil.rmtree(to / "lake")
    settings = to / "sonde.toml"
    settings.write_text(settings.read_text().replace('"lake"', f'"{url}/lake"{more}'))
    return to


def upload(folder: Path, url: str) -> None:
    """Put all files of a folder into a bucket."""
    store = open_bucket(url, Cache())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.create(str(path.relative_to(folder)), path.read_bytes())


def contents(folder: Path) -> dict[str, Any]:
    """Everything a reader of the results can see, but when it was made."""
    project = Project.open(folder)
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


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`sonde` with these words, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sonde", *words, "--project", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        start_new_session=True,
    )
