"""`sonde validate`: every error of a configuration, in one go."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from sonde.cli.options import format_option, project_option


@click.command("validate")
@click.argument("paths", nargs=-1)
@project_option
@format_option("text", "json")
def command(paths: tuple[str, ...], project: Path, kind: str) -> None:
    """Check configuration: folders, repositories or single files; by default the project's.

    Names, types, references, statistics and SQL are checked. Exit code 2 when anything is wrong.
    Of the project's own, it is also said which experiments keep an earlier configuration, and what
    they do without.
    """
    from sonde.cli.reports import kept_lines
    from sonde.config.check import validate
    from sonde.project import Project
    from sonde.settings import FILE
    from sonde.sql import check

    opened = Project.open(project) if not paths or (project / FILE).is_file() else None
    errors = validate(
        paths or (opened.settings.config_repos if opened else ()),
        records=opened.known_records() if opened else (),
        beneath=opened.settings.config_repos if opened and paths else (),
        check_sql=check,
    )
    if kind == "json":
        click.echo(json.dumps([_plain(error) for error in errors], indent=2))
    else:
        for error in errors:
            click.echo(str(error))
        click.echo(f"{len(errors)} errors" if errors else "all is well", err=bool(errors))
        for line in kept_lines(opened.under_way()) if opened and not paths else ():
            click.echo(line, err=True)
    sys.exit(2 if errors else 0)


def _plain(error: Exception) -> dict[str, object]:
    place = getattr(error, "place", None)
    return {
        "file": getattr(place, "file", None),
        "line": getattr(place, "line", None),
        "key": getattr(place, "key", None),
        "message": getattr(error, "message", str(error)),
    }
