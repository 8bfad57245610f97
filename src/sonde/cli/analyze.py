"""`sonde analyze`: a read-out of one file."""

from __future__ import annotations

import glob
import json
from pathlib import Path

import click

from sonde.cli.options import format_option
from sonde.errors import ConfigError


@click.command("analyze")
@click.argument("file")
@click.option("--branch", required=True, metavar="COL", help="Column that names the branch.")
@click.option("--control", metavar="NAME", help='By default the branch "control".')
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    required=True,
    metavar="NAME[=STATISTIC]",
    help="Column to read out, and how; may be given several times.",
)
@click.option(
    "--covariate",
    "covariates",
    multiple=True,
    metavar="METRIC=COL",
    help="Column with the metric's value from before the treatment.",
)
@format_option("text", "json", "csv")
def command(
    file: str,
    branch: str,
    control: str | None,
    metrics: tuple[str, ...],
    covariates: tuple[str, ...],
    kind: str,
) -> None:
    """Read out FILE: a CSV or Parquet file, or a pattern of several, with one row per unit.

    Without STATISTIC, a column of 0 and 1 is read as a share (binomial), another as a mean
    (linear_model_mean). A ratio names two columns:
    --metric clicks_per_search=population_ratio:numerator=clicks,denominator=searches
    """
    from sonde.analyze import Question, Wanted, analyze
    from sonde.cli.readout import readout_text
    from sonde.cli.tables import as_csv

    # Path.glob takes no absolute pattern.
    found = sorted(glob.glob(file, recursive=True)) if glob.has_magic(file) else [file]  # noqa: PTH207
    wanted = tuple(Wanted.parse(metric) for metric in metrics)
    pairs = [pair.partition("=") for pair in covariates]
    for name, _, column in pairs:
        if not column:
            raise ConfigError(f'--covariate is METRIC=COL, not "{name}"')
        if name not in {each.name for each in wanted}:
            raise ConfigError(f'--covariate {name}=..: "{name}" is not among the metrics')
    question = Question(branch, wanted, control, {name: column for name, _, column in pairs})
    readout = analyze([Path(each) for each in found], question)
    if kind == "json":
        click.echo(json.dumps(readout.rows, indent=1))
    elif kind == "csv":
        click.echo(as_csv(readout.rows), nl=False)
    else:
        click.echo(readout_text(readout))
