"""`sonde export`: the files that Jetstream's readers know."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from sonde.cli.options import date_option, experiments_option, project_option


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@project_option
@date_option
@experiments_option
def command(folder: Path, project: Path, as_of: date | None, slugs: tuple[str, ...]) -> None:
    """Write statistics, metadata and errors of the experiments as JSON files into FOLDER.

    Private experiments are left out.
    """
    from sonde.project import Project, yesterday
    from sonde.results import export

    opened = Project.open(project)
    selected = opened.select(as_of or yesterday(), slugs)
    written = export(
        opened.lake,
        opened.configuration,
        selected.experiments,
        folder,
        opened.settings.config_url,
    )
    for left in selected.left_out:
        click.echo(f"left out: {left}", err=True)
    click.echo(f"{len(written)} files in {folder}")
