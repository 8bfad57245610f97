"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A date, YYYY-MM-DD."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The date, or a usage error."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 a day has no zone
        except ValueError:
            self.fail(f'"{value}" is not a date; write YYYY-MM-DD', param, ctx)


def project_option(command: F) -> F:
    """`--project DIR`."""
    return click.option(
        "--project",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        help="Folder of sonde.toml; by default the working folder.",
    )(command)


def date_option(command: F) -> F:
    """`--date D`."""
    return click.option(
        "--date",
        "as_of",
        type=Day(),
        help="Last day whose data are complete; by default yesterday (UTC).",
    )(command)


def experiments_option(command: F) -> F:
    """`--experiment SLUG`, repeatable."""
    return click.option(
        "--experiment",
        "slugs",
        multiple=True,
        metavar="SLUG",
        help="Only this experiment; may be given several times.",
    )(command)


def newest_option(command: F) -> F:
    """`--newest`."""
    return click.option(
        "--newest",
        "to_newest",
        is_flag=True,
        help="Move the experiments from the configuration and the revisions that they keep to the "
        "newest, where that changes anything.",
    )(command)


def format_option(*kinds: str) -> Callable[[F], F]:
    """`--format`, the first of `kinds` by default."""

    def decorate(command: F) -> F:
        return click.option(
            "--format", "kind", type=click.Choice(kinds), default=kinds[0], help="How to print."
        )(command)

    return decorate
