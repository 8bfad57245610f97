"""A deployment whose lake is in a bucket: the same results, from every command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from sonde.plan.steps import enrollments_table
from sonde.project import Project
from sonde.results import errors, statistics
from tests import browser
from tests.run.test_crash import RUN_DATE, TWO_SOURCES


def contents(project: Project) -> dict[str, Any]:
    """Everything a reader can see, but when it was made."""
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


def upload(folder: Path, url: str) -> None:
    from sonde.store import Cache, open_bucket

    store = open_bucket(url, Cache())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.create(str(path.relative_to(folder)), path.read_bytes())


def test_a_run(tmp_path: Path, s3: str) -> None:
    here = browser.write_project(tmp_path / "here", TWO_SOURCES)
    there = tmp_path / "there"
    shutil.copytree(here, there)
    upload(there / "lake", f"{s3}/lake")
    shutil.rmtree(there / "lake")
    found = []
    for folder, environment in ((here, {}), (there, {"SONDE_LAKE_URL": f"{s3}/lake"})):
        project = Project.open(folder, {**os.environ, **environment})
        list(project.run(project.work(RUN_DATE), 1))
        list(project.publish(project.work(RUN_DATE), 1))
        project = Project.open(folder, {**os.environ, **environment})
        assert project.work(RUN_DATE).stale == ()
        found.append(contents(project))
    assert found[0] == found[1]
