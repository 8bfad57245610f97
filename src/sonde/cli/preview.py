"""`sonde preview`: results of one experiment, not kept."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import click

from sonde.cli.options import Day, project_option


@click.command("preview")
@click.argument("slug")
@project_option
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file in place of the repositories' own for this experiment.",
)
@click.option("--start-date", type=Day(), help="Pretend that enrollment begins on this day.")
@click.option("--end-date", type=Day(), help="Last day of data; by default yesterday (UTC).")
@click.option("--days", type=click.IntRange(1), default=3, help="Days of data, without start.")
@click.option("--enrollment-period", type=click.IntRange(1), default=3, help="In days.")
def command(
    slug: str,
    project: Path,
    config: Path | None,
    start_date: date | None,
    end_date: date | None,
    days: int,
    enrollment_period: int,
) -> None:
    """Analyse experiment SLUG over a few days, print the results, and keep nothing.

    Whoever enrolls in these days counts, whenever the experiment really started: so a
    configuration can be tried before the first results are due.
    """
    from sonde.cli.tables import statistics_text
    from sonde.preview import preview
    from sonde.project import Project, yesterday

    last = end_date or yesterday()
    first = start_date or last - timedelta(days=days - 1)
    seen = preview(Project.open(project), slug, config, (first, last), enrollment_period)
    for problem in seen.problems:
        click.echo(f"{problem.level.lower()}: {problem.message}", err=True)
    click.echo(statistics_text(seen.rows))
    sys.exit(3 if any(problem.level == "ERROR" for problem in seen.problems) else 0)
