"""Results as stored, and the files that Jetstream's readers know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sonde.config import Configuration
from sonde.errors import BackendError
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.plan.steps import HAS_DATA, errors_table, statistics_table
from sonde.wire.errors import ErrorRow, cycle_start, errors_json
from sonde.wire.metadata import metadata_json
from sonde.wire.names import METRIC_HUB, errors_file, metadata_file, normalized_slugs
from sonde.wire.provenance import ConfigurationRead, InputRead, Provenance, QueryRun
from sonde.wire.statistics import StatisticRow, distinct, parameter_text, statistics_files


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
    )
    return table.sort_by([(name, "ascending") for name in order])


def errors(lake: Lake, experiment: Experiment) -> list[dict[str, Any]]:
    """What failed or deserves a warning, as of each step's latest try, by time."""
    rows = lake.read(errors_table(experiment), {"experiment": experiment.slug}).to_pylist()
    return sorted(rows, key=lambda row: (row["timestamp"], row["step"], row["message"]))


def export(
    lake: Lake,
    configuration: Configuration,
    experiments: Iterable[Experiment],
    folder: Path,
    config_url: str = METRIC_HUB,
) -> list[Path]:
    """Write statistics, metadata and errors of the experiments; the files that were written.

    Private experiments are left out. Raises ConfigError when two slugs would share a file.
    """
    public = [e for e in experiments if not e.is_private]
    normalized_slugs(e.slug for e in public)
    read = _configuration_read(configuration)
    written = []
    for experiment in public:
        for name, content in _files(lake, experiment, read, config_url).items():
            written.append(write_whole(folder / name, content))
    return written


def _files(
    lake: Lake,
    experiment: Experiment,
    configuration: tuple[ConfigurationRead, ...],
    config_url: str,
) -> Mapping[str, bytes]:
    rows = statistics(lake, experiment).to_pylist()
    started = _analysis_start(lake, experiment)
    provenance = _provenance(rows, configuration)
    metadata = metadata_json(experiment, started, provenance, config_url)
    found = errors(lake, experiment)
    since = cycle_start(started, experiment.last_enrollment_date) if started else _EPOCH
    files = dict(statistics_files(experiment.slug, distinct(map(_statistic, _final(rows)))))
    if metadata is not None:
        files[metadata_file(experiment.slug)] = metadata
    files[errors_file(experiment.slug)] = errors_json(map(_error, found), since)
    return files


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _final(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Rows with a number: why there is none is said in the errors, not in this file."""
    return (row for row in rows if row["point"] is not None)


def _statistic(row: Mapping[str, Any]) -> StatisticRow:
    return StatisticRow(
        metric=row["metric"],
        statistic=row["statistic"],
        parameter=parameter_text(row["parameter"]),
        branch=row["branch"],
        comparison=row["comparison"],
        comparison_to_branch=row["comparison_to_branch"],
        ci_width=row["ci_width"],
        point=row["point"],
        lower=row["lower"],
        upper=row["upper"],
        segment=row["segment"],
        analysis_basis=row["analysis_basis"],
        window_index=row["window_index"],
        analysis_period=row["analysis_period"],
        partial=row["completeness"] == "partial",
    )


def _error(row: Mapping[str, Any]) -> ErrorRow:
    period, index = row["analysis_period"], row["window_index"]
    return ErrorRow(
        timestamp=row["timestamp"],
        experiment=row["experiment"],
        metric=row["metric"],
        statistic=row["statistic"],
        analysis_basis=row["analysis_basis"],
        segment=row["segment"],
        analysis_period=None if period is None else f"{period}_{index}",
        message=row["message"],
        log_level=row["log_level"],
        exception=row["exception"],
        filename=row["filename"] or "",
        func_name=row["func_name"] or "",
        exception_type=row["exception_type"],
        sql=row["sql"],
    )


def _analysis_start(lake: Lake, experiment: Experiment) -> datetime | None:
    """When the newest result was committed: readers fetch again what is later than theirs."""
    receipts = lake.receipts(statistics_table(experiment)).values()
    times = [r.modified for r in receipts if r.partition.key[0] == experiment.slug]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


_INPUT = re.compile(r"(?P<table>[^@]+)@(?P<version>.+)")


def _provenance(
    rows: Iterable[Mapping[str, Any]], configuration: tuple[ConfigurationRead, ...]
) -> Provenance:
    inputs: set[tuple[str, str]] = set()
    queries: set[tuple[str, str]] = set()
    for row in rows:
        for each in (row["inputs"] or "").split(", "):
            if (match := _INPUT.fullmatch(each)) is not None:
                inputs.add((match["table"], match["version"]))
        if row["query_id"]:
            output = "/".join((row["analysis_basis"], row["analysis_period"], row["data_source"]))
            queries.add((output, row["query_id"]))
    return Provenance(
        sonde=version("sonde"),
        configuration=configuration,
        inputs=tuple(InputRead(table=t, version=v) for t, v in sorted(inputs)),
        queries=tuple(QueryRun(output=o, sql_id=q) for o, q in sorted(queries)),
    )


def _configuration_read(configuration: Configuration) -> tuple[ConfigurationRead, ...]:
    return tuple(
        ConfigurationRead(path=read.name, revision=read.commit, committed=read.committed)
        for read in configuration.revisions
    )


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
