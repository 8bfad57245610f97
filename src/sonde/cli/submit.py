"""`sonde submit`: do what is to be done on a cluster with Argo Workflows."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sonde.cli.options import date_option, experiments_option, newest_option, project_option
from sonde.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sonde.argo.server import Server
    from sonde.argo.submission import Submission
    from sonde.project import Work


@click.command("submit")
@project_option
@date_option
@experiments_option
@newest_option
@click.option("--image", help="Registry and name; by default `image` under [argo].")
@click.option(
    "--image-version",
    "version",
    help='Tag or digest for every experiment, as "latest"; by default each has the newest image '
    "made by its first day of enrollment.",
)
@click.option("--dry-run", is_flag=True, help="Print the manifests and submit nothing.")
@click.option(
    "--wait", is_flag=True, help="Wait until all is over; the exit code says how it went."
)
def command(
    project: Path,
    as_of: date | None,
    slugs: tuple[str, ...],
    to_newest: bool,
    image: str | None,
    version: str | None,
    dry_run: bool,
    wait: bool,
) -> None:
    """Find what is missing or out of date as of a day, and have Argo Workflows do it.

    One task an experiment, then a publication. Where Argo or its cluster is stands under [argo] in
    sonde.toml; the token is read from SONDE_ARGO_TOKEN. Exit code: 0 when submitted; with --wait,
    as `sonde run`, and 75 when trying again can help.
    """
    from sonde.project import Project, yesterday

    _check_installed()
    from sonde.argo.submission import connect, prepare

    opened = Project.open(project)
    argo = opened.settings.argo
    argo = replace(argo, image=image or argo.image, image_version=version or argo.image_version)
    server = None if dry_run else connect(argo, os.environ)
    work = opened.work(as_of or yesterday(), slugs, to_newest=to_newest)
    _say_left_out(work)
    if not (work.stale or work.obsolete or opened.unpublished(work)):
        click.echo(f"nothing to do as of {work.plan.as_of}", err=dry_run)
        sys.exit(_faults(work))
    submission = prepare(work, argo, os.environ)
    for slug in submission.left_out:
        click.echo(f'error: {slug} -> left out: Argo would read "{{{{" as a template', err=True)
    if server is None:
        _print(submission)
        return
    opened.keep_moved(work)
    names = _submit(submission, server)
    if wait:
        _wait(server, names)
    sys.exit(2 if submission.left_out else _faults(work))


def _faults(work: Work) -> int:
    """The exit code: 2 when a configuration is at fault."""
    return 2 if any(left.is_fault for left in work.left_out) else 0


def _check_installed() -> None:
    try:
        import hera.workflows  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"`sonde submit` needs {error.name}; install it with `pip install 'sonde[argo]'`"
        ) from error


def _say_left_out(work: Work) -> None:
    from sonde.cli.reports import kept_lines

    for left in work.left_out:
        click.echo(f"{'error' if left.is_fault else 'left out'}: {left}", err=True)
    for line in kept_lines(work.kept):
        click.echo(line, err=True)


def _print(submission: Submission) -> None:
    import yaml

    click.echo(yaml.safe_dump_all(submission.manifests, sort_keys=False), nl=False)


def _submit(submission: Submission, server: Server) -> list[str]:
    from sonde.argo.submission import said

    names = []
    for manifest in submission.manifests:
        names.append(server.submit(manifest))
        click.echo(f"submitted {names[-1]}")
    for line in said(submission.tasks):
        click.echo(line)
    return names


def _wait(server: Server, names: Sequence[str]) -> None:
    """Show how far they are; raise for who can act when something failed."""
    import time

    from sonde.argo.server import watch
    from sonde.argo.status import raise_worst
    from sonde.cli.progress import spinner

    with spinner("tasks") as advance:
        for states in watch(server, names, time.sleep):
            advance(sum(s.done for s in states) / max(sum(s.total for s in states), 1))
    for state in states:
        click.echo(f"{state.name}: {state.phase}")
    raise_worst([failure for name in names for failure in server.failures(name)])
