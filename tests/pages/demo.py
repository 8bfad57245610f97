"""The demo, made, analysed and published once for all tests that look at it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from sonde.datasets import write_project
from sonde.project import Project

LAST_DAY = date(2026, 11, 19)


def published(folder: Path, scale: float) -> Project:
    """The project, with everything analysed and published."""
    truth = write_project(folder, scale=scale)
    project = Project.open(folder)
    work = project.work(truth.last_day, [lesson.slug for lesson in truth.lessons])
    workers = os.cpu_count() or 1
    assert list(project.run(work, workers))
    failed = [each for each in project.publish(work, workers) if each.problem is not None]
    assert failed == []
    return project
