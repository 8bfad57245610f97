"""`sonde results`: estimates as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sonde.cli.options import format_option, project_option
from sonde.metric import AnalysisBasis
from sonde.window import Period


@click.command("results")
@click.argument("slug")
@project_option
@click.option("--period", type=click.Choice([p.value for p in Period]), help="Only this period.")
@click.option("--window", type=click.IntRange(1), help="Only this window of the period.")
@click.option("--basis", type=click.Choice([b.value for b in AnalysisBasis]))
@click.option("--metric", help="Only this metric.")
@click.option("--segment", default=None, help="Only this segment; `all` for every unit.")
@format_option("text", "json", "csv")
def command(slug: str, project: Path, kind: str, **only: Any) -> None:
    """Print the estimates of experiment SLUG."""
    from sonde.cli.tables import as_csv, statistics_text
    from sonde.plan.steps import HAS_DATA
    from sonde.project import Project
    from sonde.results import counts_and_estimates

    opened = Project.open(project)
    experiment = opened.experiment(slug)
    names = {
        "period": "analysis_period",
        "window": "window_index",
        "basis": "analysis_basis",
        "metric": "metric",
        "segment": "segment",
    }
    rows = [
        row
        for row in counts_and_estimates(opened.lake, experiment).to_pylist()
        if row["metric"] != HAS_DATA or only["metric"] == HAS_DATA
        if all(value is None or row[names[name]] == value for name, value in only.items())
    ]
    if kind == "json":
        click.echo(json.dumps(rows, indent=1))
    elif kind == "csv":
        click.echo(as_csv(rows), nl=False)
    else:
        click.echo(statistics_text(rows))
