"""Stored results in Python: as Arrow, pandas or polars, and drawn in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sonde.errors import DataError, did_you_mean
from sonde.pages import report
from sonde.pages.choices import default_choice
from sonde.pages.figures import over_time
from sonde.pages.material import Material
from sonde.project import Project, yesterday
from sonde.results import statistics
from sonde.site_files import stylesheet

if TYPE_CHECKING:
    import altair
    import pandas as pd
    import polars as pl


@dataclass(frozen=True)
class ExperimentResults:
    """The stored estimates of one experiment.

    table: one row per estimate, with the columns of the statistics table. In a notebook it shows
    itself as the experiment's report.
    """

    slug: str
    table: pa.Table
    _material: Material = field(repr=False)

    @property
    def verdict(self) -> str:
        """The sentence at the top of the experiment's page."""
        found = self._material.verdict
        return f"{found.headline} {found.sentence}"

    def to_arrow(self) -> pa.Table:
        """The estimates as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The estimates as a pandas frame. pandas must be installed."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """The estimates as a polars frame. polars must be installed."""
        import polars  # noqa: PLC0415 - an extra of whoever asks

        frame: Any = polars.from_arrow(self.table)
        return frame  # type: ignore[no-any-return]

    def chart(self, metric: str) -> altair.LayerChart:
        """A metric's relative change, week by week. Altair must be installed (`sonde[notebooks]`).

        Raises DataError when there is nothing to draw.
        """
        if metric not in self._material.metrics:
            known = did_you_mean(metric, list(self._material.metrics))
            raise DataError(f'{self.slug} has no metric "{metric}"{known}')
        section = over_time(self._material, default_choice(self._material), [metric])
        if section is None:
            raise DataError(f"{metric} has not two complete weeks yet")
        return section.figures[0].chart()

    def _repr_html_(self) -> str:
        """The report within a frame of its own: its stylesheet touches nothing else."""
        page = html.escape(report.html(self._material, stylesheet()), quote=True)
        return (
            f'<iframe srcdoc="{page}" title="{html.escape(self.slug, quote=True)}" '
            'sandbox="" style="width:100%;height:720px;border:0"></iframe>'
        )


def read_results(
    slug: str, project: str | Path = ".", as_of: date | None = None
) -> ExperimentResults:
    """The stored results of an experiment. Nothing is computed.

    project: the folder of sonde.toml. as_of: the last day of data to speak of, by default
    yesterday. Raises ConfigError when there is no such experiment.
    """
    opened = Project.open(Path(project))
    material = opened.material(slug, as_of or yesterday())
    return ExperimentResults(slug, statistics(opened.lake, material.experiment), material)
