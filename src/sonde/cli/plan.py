"""`sonde plan`: what a run would do."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from sonde.cli.options import date_option, experiments_option, format_option, project_option


@click.command("plan")
@project_option
@date_option
@experiments_option
@format_option("text", "json")
def command(project: Path, as_of: date | None, slugs: tuple[str, ...], kind: str) -> None:
    """Say what a run would do as of a day, and which experiments it would leave out, and why."""
    from sonde.cli.reports import plan_plain, plan_text
    from sonde.project import Project, yesterday

    work = Project.open(project).work(as_of or yesterday(), slugs)
    click.echo(json.dumps(plan_plain(work), indent=2) if kind == "json" else plan_text(work))
