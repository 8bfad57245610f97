"""The files that Jetstream's readers know, made of what is stored of an experiment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.pages.results import Cell
from sonde.plan.steps import HAS_DATA
from sonde.release import release
from sonde.results import write_whole
from sonde.stored import Part, Receipts, errors_of, estimates_of
from sonde.window import Period
from sonde.wire.errors import ErrorRow, cycle_start, errors_json
from sonde.wire.metadata import metadata_json
from sonde.wire.names import errors_file, metadata_file, normalized_slugs
from sonde.wire.provenance import InputRead, Origin, Provenance, QueryRun
from sonde.wire.statistics import StatisticRow, parameter_text, statistics_files

# Whether a cell is kept from the reader, such as one of few units.
Hides: TypeAlias = Callable[[Cell], bool]


def nothing(_: Cell) -> bool:
    """Hides no cell: for whoever may see everything."""
    return False


def shows_all(_: Experiment) -> Hides:
    """Hides nothing of any experiment."""
    return nothing


def export(
    lake: Lake,
    experiments: Iterable[Experiment],
    folder: Path,
    origins: Mapping[str, Origin],
    hides: Callable[[Experiment], Hides] = shows_all,
) -> list[Path]:
    """Write statistics, metadata and errors of the experiments; the files that were written.

    Private experiments are left out. origins: by slug. hides: for each experiment, the cells that
    are left out. Raises ConfigError when two slugs would share a file.
    """
    public = [e for e in experiments if not e.is_private]
    normalized_slugs(e.slug for e in public)
    receipts = Receipts(lake)
    written = []
    for experiment in public:
        parts = estimates_of(experiment, lake, receipts).parts
        found = errors_of(experiment, lake, receipts)
        origin = origins[experiment.slug]
        files = jetstream_files(experiment, parts, found, origin, hides(experiment))
        written += [write_whole(folder / name, content) for name, content in files.items()]
    return written


def jetstream_files(
    experiment: Experiment,
    parts: Sequence[Part],
    errors: Iterable[Mapping[str, Any]],
    origin: Origin,
    is_hidden: Hides = nothing,
) -> dict[str, bytes]:
    """Statistics by period, metadata and errors, by file name.

    parts: the stored estimates. errors: rows of the errors table. is_hidden: the cells that the
    reader may not see, such as those of few units.
    """
    started = _analysis_start(parts)
    since = cycle_start(started, experiment.last_enrollment_date) if started else _EPOCH
    slug = experiment.slug
    return {
        **statistics_files(slug, statistic_rows(parts, is_hidden)),
        metadata_file(slug): metadata_json(
            experiment, started, _provenance(parts, origin), origin.url
        ),
        errors_file(slug): errors_json((_error(row, slug) for row in errors), since),
    }


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("metric", "statistic", "parameter", "branch", "comparison", "comparison_to_branch",
            "ci_width", "point", "lower", "upper", "segment")  # fmt: skip


def statistic_rows(parts: Iterable[Part], is_hidden: Hides = nothing) -> Iterator[StatisticRow]:
    """Rows with a number: why there is none is said in the errors, not in these files."""
    for part in parts:
        if part.is_partial:
            continue
        basis, period, index = part.basis, Period(part.window.period), part.window.number
        segments = set(part.columns["segment"])
        shown = {s for s in segments if not is_hidden(Cell(basis, part.window, s))}
        for row in zip(*(part.columns[name] for name in _COLUMNS), strict=True):
            metric, statistic, parameter, branch, comparison, to, width, *limits, segment = row
            if limits[0] is not None and metric != HAS_DATA and segment in shown:
                yield StatisticRow(
                    metric=metric,
                    statistic=statistic,
                    parameter=parameter_text(parameter),
                    branch=branch,
                    comparison=comparison,
                    comparison_to_branch=to,
                    ci_width=width,
                    point=limits[0],
                    lower=limits[1],
                    upper=limits[2],
                    segment=segment,
                    analysis_basis=basis,
                    window_index=index,
                    analysis_period=period,
                )


def _error(row: Mapping[str, Any], slug: str) -> ErrorRow:
    period, index = row["analysis_period"], row["window_index"]
    return ErrorRow(
        timestamp=row["timestamp"],
        experiment=slug,
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


def _analysis_start(parts: Iterable[Part]) -> datetime | None:
    """When the newest result was committed: readers fetch again what is later than theirs."""
    newest = max((part.receipt.modified for part in parts), default=None)
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC)


_INPUT = re.compile(r"(?P<table>[^@]+)@(?P<version>.+)")


def _provenance(parts: Iterable[Part], origin: Origin) -> Provenance:
    inputs: set[tuple[str, str]] = set()
    queries: set[tuple[str, str]] = set()
    for part in parts:
        read = map(_INPUT.fullmatch, part.inputs)
        inputs |= {(match["table"], match["version"]) for match in read if match}
        if part.query_id:
            output = "/".join((part.basis, part.window.period, part.source))
            queries.add((output, part.query_id))
    return Provenance(
        sonde=release(),
        configuration=origin.configuration,
        inputs=tuple(InputRead(table=t, version=v) for t, v in sorted(inputs)),
        queries=tuple(QueryRun(output=o, sql_id=q) for o, q in sorted(queries)),
    )
