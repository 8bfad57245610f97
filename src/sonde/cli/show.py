"""`sonde show`: an experiment as it is resolved."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sonde.cli.options import format_option, project_option


@click.command("show")
@click.argument("slug")
@project_option
@format_option("text", "json")
def command(slug: str, project: Path, kind: str) -> None:
    """Print experiment SLUG as it is resolved, each value with the file and line that set it."""
    from sonde.cli.reports import kept_lines
    from sonde.config.show import to_json, to_text
    from sonde.project import Project

    kept = Project.open(project).kept(slug)
    resolved = kept.resolved
    if kind == "json":
        click.echo(json.dumps(to_json(resolved), indent=2))
    else:
        click.echo(to_text(resolved), nl=False)
    for warning in resolved.warnings:
        click.echo(f"warning: {warning}", err=True)
    for line in kept_lines([kept]):
        click.echo(line, err=True)
