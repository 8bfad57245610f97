"""Results of an experiment over a few days, as if it had begun then; nothing is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from sonde.errors import DataError
from sonde.experiment import Overrides
from sonde.lake import Lake
from sonde.plan.plan import plan
from sonde.project import Project
from sonde.results import statistics
from sonde.run.execute import Done, Failed, Report
from sonde.run.local import Local
from sonde.run.outcome import Problem
from sonde.run.runner import Resources
from sonde.run.schedule import run


@dataclass(frozen=True)
class Preview:
    """Rows as of the statistics table, and what failed, each once."""

    rows: Sequence[dict[str, Any]]
    problems: tuple[Problem, ...]


def preview(
    project: Project, slug: str, own: Path | None, days: tuple[date, date], enrollment_period: int
) -> Preview:
    """Analyse `slug` as if enrollment began on the first of `days`, with data through the last.

    own: a configuration file in place of the repositories' own. Raises DataError when the
    experiment cannot be analysed at all.
    """
    declared = project.newest(slug, own).experiment
    record = replace(
        declared.record,
        start_date=days[0],
        end_date=None,
        enrollment_end_date=None,
        is_rollout=False,
    )
    experiment = replace(
        declared,
        record=record,
        enrollment_period=enrollment_period,
        overrides=Overrides(reference_branch=declared.overrides.reference_branch),
        dataset_id=None,
        skip=False,
    )
    made = plan([experiment], days[1], project.versions)
    for reason in made.skipped:
        raise DataError(str(reason))
    with tempfile.TemporaryDirectory(prefix="sonde-preview-") as folder:
        setting = replace(project.setting(days[1]), lake=folder)
        if (account := setting.bigquery) is not None:  # units are not those of a run
            apart = replace(account, dataset=f"{account.dataset}_preview")
            setting = replace(setting, bigquery=apart)
        here = Local(Resources(1, project.settings.memory))
        problems = _problems(run(made.steps, setting, here))
        rows = statistics(Lake.open(folder), experiment).to_pylist()
    return Preview(rows, problems)


def _problems(reports: Iterable[Report]) -> tuple[Problem, ...]:
    found: dict[tuple[str, str | None], Problem] = {}
    for report in reports:
        match report:
            case Done(problems=problems):
                told = problems
            case Failed(problem=problem):
                told = (problem,)
            case _:
                told = ()
        for problem in told:
            found.setdefault((problem.message, problem.metric), problem)
    return tuple(found.values())
