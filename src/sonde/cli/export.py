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
@click.option("--as-published", is_flag=True, help="Without what pages do not show.")
def command(
    folder: Path, project: Path, as_of: date | None, slugs: tuple[str, ...], as_published: bool
) -> None:
    """Write statistics, metadata and errors of the experiments as JSON files into FOLDER.

    Private experiments are left out. Segments with few units are there, unless you say
    --as-published: the files are yours.
    """
    from sonde.jetstream import export, shows_all
    from sonde.project import Project, yesterday

    opened = Project.open(project)
    day = as_of or yesterday()
    selected = opened.select(day, slugs)
    hides = (lambda e: opened.material(e.slug, day).is_hidden) if as_published else shows_all
    origins = {each.slug: opened.origin(each) for each in selected.kept}
    written = export(opened.lake, selected.experiments, folder, origins, hides)
    for left in selected.left_out:
        click.echo(f"left out: {left}", err=True)
    click.echo(f"{len(written)} files in {folder}")
