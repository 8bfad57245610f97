"""`sonde publish`: the pages as files."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sonde.cli.options import project_option
from sonde.errors import ConfigError


@click.command("publish")
@click.argument("folder")
@project_option
@click.option("--private", is_flag=True, help="For readers who may see private experiments.")
def command(folder: str, project: Path, private: bool) -> None:
    """Write what `sonde serve` serves as files into FOLDER, for any web server.

    Private experiments are left out. Only files that changed are written; files of an earlier
    publication that are no longer part of the site are removed, and nothing else is touched.
    """
    from sonde.lake import Lake
    from sonde.serve.static import write_static
    from sonde.settings import load_settings
    from sonde.site import Site

    if "://" in folder:
        raise ConfigError(
            f"{folder} cannot be written to directly yet; publish into a folder, and copy that "
            "with the tool of the bucket (`aws s3 sync`, `gcloud storage rsync`)"
        )
    site = Site(Lake.open(load_settings(project, os.environ).lake_url))
    site.refresh()
    if not site.paths(private):
        raise ConfigError("nothing is published yet; `sonde run` analyses and publishes")
    done = write_static(site, Path(folder), private)
    click.echo(
        f"{done.written} files written, {done.unchanged} unchanged, {done.removed} removed in "
        f"{folder}"
    )
