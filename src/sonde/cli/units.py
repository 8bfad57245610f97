"""`sonde units`: unit metrics as a file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from sonde.cli.options import date_option, project_option
from sonde.metric import AnalysisBasis
from sonde.window import Period


@click.command("units")
@click.argument("slug")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@project_option
@date_option
@click.option("--period", type=click.Choice([p.value for p in Period]), default="overall")
@click.option("--window", type=click.IntRange(1), default=1, help="Number of the window.")
@click.option("--basis", type=click.Choice([b.value for b in AnalysisBasis]), default="enrollments")
def command(
    slug: str, file: Path, project: Path, as_of: date | None, period: str, window: int, basis: str
) -> None:
    """Write the metrics of each unit of experiment SLUG in one window to the Parquet FILE."""
    import pyarrow.parquet as pq

    from sonde.project import Project, yesterday

    rows = Project.open(project).unit_metrics(
        slug, as_of or yesterday(), AnalysisBasis(basis), Period(period), window
    )
    pq.write_table(rows, file, compression="zstd")
    click.echo(f"{rows.num_rows} units in {file}")
