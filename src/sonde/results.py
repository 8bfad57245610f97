"""Results as stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sonde.errors import BackendError
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.plan.steps import HAS_DATA, errors_table, statistics_table


def statistics(lake: Lake, experiment: Experiment) -> pa.Table:
    """All estimates of an experiment, one row each, in a fixed order.

    Columns: those of the statistics table; `window_index` is a number.
    """
    table = counts_and_estimates(lake, experiment)
    if table.num_rows == 0:
        return table
    return table.filter(pc.field("metric") != HAS_DATA)


def counts_and_estimates(lake: Lake, experiment: Experiment) -> pa.Table:
    """The same, and how many units have data by source: the metric `has_data`."""
    table = lake.read(statistics_table(experiment), {"experiment": experiment.slug})
    if table.num_rows == 0:
        return table
    index = table.schema.get_field_index("window_index")
    table = table.set_column(index, "window_index", table["window_index"].cast(pa.int32()))
    order = (
        "analysis_period",
        "window_index",
        "analysis_basis",
        "segment",
        "metric",
        "statistic",
        "parameter",
        "branch",
        "comparison",
        "comparison_to_branch",
        "data_source",
    )
    return table.sort_by([(name, "ascending") for name in order])


def errors(lake: Lake, experiment: Experiment) -> list[dict[str, Any]]:
    """What failed or deserves a warning, as of each step's latest try, by time."""
    rows = lake.read(errors_table(experiment), {"experiment": experiment.slug}).to_pylist()
    return sorted(rows, key=lambda row: (row["timestamp"], row["step"], row["message"]))


def write_whole(path: Path, content: bytes) -> Path:
    """Whole or not at all: a reader never sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise BackendError(f"{path} cannot be written: {error.strerror}") from error
    return path
