"""`sonde report`: an experiment as one file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from sonde.cli.options import date_option, project_option


@click.command("report")
@click.argument("slug")
@project_option
@date_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; by default SLUG.html, or standard output for md.",
)
@click.option("--format", "kind", type=click.Choice(["html", "md"]), default="html")
def command(slug: str, project: Path, as_of: date | None, output: Path | None, kind: str) -> None:
    """Write what is stored of experiment SLUG as one file.

    HTML opens from disk and prints on A4, with charts and the tables behind them; Markdown is for
    a pull request or a mail. Nothing is computed: `sonde run` does that.
    """
    from sonde.pages.report import html, markdown
    from sonde.project import Project, yesterday
    from sonde.results import write_whole
    from sonde.site_files import stylesheet
    from sonde.table import folder_name

    opened = Project.open(project)
    material = opened.material(slug, as_of or yesterday())
    text = markdown(material) if kind == "md" else html(material, stylesheet())
    if kind == "md" and output is None:
        click.echo(text, nl=False)
        return
    path = output or Path(f"{folder_name(slug)}.html")
    write_whole(path, text.encode())
    click.echo(str(path))
