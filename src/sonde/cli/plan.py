"""`sonde plan`: what a run would do."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from sonde.cli.options import (
    date_option,
    experiments_option,
    format_option,
    newest_option,
    project_option,
)


@click.command("plan")
@project_option
@date_option
@experiments_option
@newest_option
@click.option("--cost", "is_priced", is_flag=True, help="What BigQuery would read, and its price.")
@format_option("text", "json")
def command(
    project: Path,
    as_of: date | None,
    slugs: tuple[str, ...],
    to_newest: bool,
    is_priced: bool,
    kind: str,
) -> None:
    """Say what a run would do as of a day, and which experiments it would leave out, and why.

    It also says what has changed of an experiment's outcomes and definitions since it began, and is
    not applied.
    """
    from sonde.cli.reports import cost_plain, cost_text, plan_plain, plan_text
    from sonde.project import Project, yesterday

    opened = Project.open(project)
    work = opened.work(as_of or yesterday(), slugs, to_newest=to_newest)
    plain, text = plan_plain(work), plan_text(work)
    if is_priced:
        costs, account = opened.cost(work), opened.account
        plain, text = {**plain, "cost": cost_plain(costs, account)}, cost_text(costs, account)
    click.echo(json.dumps(plain, indent=2) if kind == "json" else text)
