"""`sonde publish`: the pages, in the lake or as files."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

import click

from sonde.cli.options import date_option, experiments_option, project_option
from sonde.errors import ConfigError


@click.command("publish")
@click.argument("folder", required=False)
@project_option
@date_option
@experiments_option
@click.option("--private", is_flag=True, help="For readers who may see private experiments.")
def command(
    folder: str | None, project: Path, as_of: date | None, slugs: tuple[str, ...], private: bool
) -> None:
    """Publish what is stored, as `sonde run` does at its end; or write the pages into FOLDER.

    Without FOLDER, pages that do not show what is stored as of a day are made again. Exit code: 0
    when all went well, 3 when some pages could not be made.

    With FOLDER, what `sonde serve` serves is written there as files, for any web server. Private
    experiments are left out. Only files that changed are written; files of an earlier publication
    that are no longer part of the site are removed, and nothing else is touched.
    """
    if folder is None:
        sys.exit(_into_the_lake(project, as_of, slugs, private))
    if as_of is not None or slugs:
        raise click.UsageError("FOLDER gets all that is published; leave --date, --experiment out")
    _as_files(folder, project, private)


def _into_the_lake(project: Path, as_of: date | None, slugs: tuple[str, ...], private: bool) -> int:
    """Make the pages that are out of date; the exit code."""
    from sonde.cli.progress import publication
    from sonde.project import Project, yesterday

    if private:
        raise click.UsageError("--private is about files; name the FOLDER")
    opened = Project.open(project)
    work = opened.work(as_of or yesterday(), slugs)
    stale = len(opened.unpublished(work))
    failed = publication(opened, work, None)
    for each in failed:
        said = each.problem.message if each.problem else ""
        click.echo(f"error: {each.slug}: the pages are as they were: {said}", err=True)
    click.echo(f"{stale - len(failed)} experiments published as of {work.plan.as_of}")
    return 3 if failed else 0


def _as_files(folder: str, project: Path, private: bool) -> None:
    from sonde.lake import Lake
    from sonde.serve.static import write_static
    from sonde.settings import load_settings
    from sonde.site import Site

    if "://" in folder:
        raise ConfigError(
            f"{folder} cannot be written to directly yet; publish into a folder, and copy that "
            "with the tool of the bucket (`aws s3 sync`, `gcloud storage rsync`)"
        )
    settings = load_settings(project, os.environ)
    site = Site(Lake.open(settings.lake_url, settings.cache))
    site.refresh()
    if not site.paths(private):
        raise ConfigError("nothing is published yet; `sonde run` analyses and publishes")
    done = write_static(site, Path(folder), private)
    click.echo(
        f"{done.written} files written, {done.unchanged} unchanged, {done.removed} removed in "
        f"{folder}"
    )
