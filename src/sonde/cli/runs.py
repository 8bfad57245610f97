"""`sonde runs`: what the newest runs cost."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sonde.cli.options import format_option, project_option


@click.command("runs")
@project_option
@click.option("--last", type=click.IntRange(1), default=10, show_default=True, help="Runs.")
@click.option(
    "--steps", type=click.IntRange(0), default=10, show_default=True, help="Of them, the dearest."
)
@format_option("text", "json")
def command(project: Path, last: int, steps: int, kind: str) -> None:
    """List the newest runs, and the steps that took most of their time."""
    from sonde.cli.tables import runs_text
    from sonde.project import Project
    from sonde.runs import dearest, newest, runs

    rows = runs(Project.open(project).lake)
    totals = newest(rows, last)
    dear = dearest(rows, [each["run"] for each in totals], steps)
    if kind == "json":
        click.echo(json.dumps({"runs": totals, "steps": dear}, indent=1, default=str))
    else:
        click.echo(runs_text(totals, dear))
