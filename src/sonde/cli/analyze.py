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
@click.option(
    "--branch",
    default="branch",
    show_default=True,
    metavar="COL",
    help="Column that names each unit's branch.",
)
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
    help="Column with the metric's value from before the treatment; may be given several times.",
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
    is_pattern = glob.has_magic(file) and not Path(file).exists()
    paths = sorted(glob.glob(file, recursive=True)) if is_pattern else [file]  # noqa: PTH207
    wanted = tuple(Wanted.parse(metric) for metric in metrics)
    question = Question(branch, wanted, control, dict(map(_covariate, covariates)))
    readout = analyze([Path(path) for path in paths], question)
    match kind:
        case "json":
            click.echo(json.dumps(readout.rows, indent=1))
        case "csv":
            click.echo(as_csv(readout.rows), nl=False)
        case _:
            click.echo(readout_text(readout))


def _covariate(text: str) -> tuple[str, str]:
    metric, _, column = text.partition("=")
    if not metric or not column:
        raise ConfigError(f'--covariate is METRIC=COL, not "{text}"')
    return metric, column
