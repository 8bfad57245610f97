"""`sonde run`: do what is to be done."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import click

from sonde.cli.options import (
    date_option,
    experiments_option,
    format_option,
    newest_option,
    project_option,
)


@click.command("run")
@project_option
@date_option
@experiments_option
@newest_option
@click.option("--workers", type=click.IntRange(1), help="Steps at once; by default one per core.")
@format_option("text", "json")
def command(
    project: Path,
    as_of: date | None,
    slugs: tuple[str, ...],
    to_newest: bool,
    workers: int | None,
    kind: str,
) -> None:
    """Find what is missing or out of date as of a day, do it, and publish what came of it.

    A second run with nothing new does nothing. An experiment keeps the configuration it began with
    until its own file changes; --newest moves it. Exit code: 0 when all went well, 3 when a step
    failed; what did not depend on it is done.
    """
    from sonde.cli.progress import Progress, publication
    from sonde.cli.reports import RunSummary
    from sonde.project import Project, yesterday

    opened = Project.open(project)
    work = opened.work(as_of or yesterday(), slugs, to_newest=to_newest)
    summary = RunSummary(work)
    with Progress(len(work.stale)) as progress:
        for report in opened.run(work, workers):
            summary.add(report)
            progress.advance(report)
    for failed in publication(opened, work, workers):
        summary.add_unpublished(failed)
    click.echo(json.dumps(summary.plain(), indent=2) if kind == "json" else summary.text())
    sys.exit(summary.exit_code)
