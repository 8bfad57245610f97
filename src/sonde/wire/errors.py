"""Problems met while analysing: rows of the errors table, and the JSON that dashboards read."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pyarrow as pa

from sonde.errors import DataError
from sonde.metric import AnalysisBasis

NOT_YET_OR_NO_LONGER = frozenset({"EndedException", "EnrollmentNotCompleteException"})

ERRORS_SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("source", pa.string()),
        ("experiment", pa.string()),
        ("metric", pa.string()),
        ("statistic", pa.string()),
        ("analysis_basis", pa.string()),
        ("segment", pa.string()),
        ("analysis_period", pa.string()),
        ("message", pa.string()),
        ("log_level", pa.string()),
        ("exception", pa.string()),
        ("filename", pa.string()),
        ("func_name", pa.string()),
        ("exception_type", pa.string()),
        ("sql", pa.string()),
    ]
)


class LogSource(enum.StrEnum):
    """The kind of run. Readers know these values and refuse a file with another."""

    ANALYSIS = "jetstream"
    SIZING = "sizing"
    PREVIEW = "jetstream-preview"


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A problem, with as much of where it arose as is known.

    timestamp: with its time zone. analysis_period: `<period>` or `<period>_<window>`.
    log_level: `WARNING`, `ERROR`.. sql: the statement that failed.
    """

    timestamp: datetime
    source: LogSource | None = LogSource.ANALYSIS
    experiment: str | None = None
    metric: str | None = None
    statistic: str | None = None
    analysis_basis: AnalysisBasis | None = None
    segment: str | None = None
    analysis_period: str | None = None
    message: str
    log_level: str
    exception: str | None = None
    filename: str
    func_name: str
    exception_type: str | None = None
    sql: str | None = None

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            raise ValueError(f"{self.timestamp} has no time zone")


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    """The row as the file has it: what readers know by name, then what we add if known."""

    analysis_basis: AnalysisBasis | None
    source: LogSource | None
    exception: str | None
    exception_type: str | None
    experiment: str | None
    filename: str
    func_name: str
    log_level: str
    message: str
    metric: str | None
    segment: str | None
    statistic: str | None
    timestamp: datetime
    analysis_period: str | msgspec.UnsetType
    sql: str | msgspec.UnsetType


def cycle_start(analysis_start: datetime, enrollment_end: date | None) -> datetime:
    """The start of the weekly cycle that an analysis belongs to, to the minute.

    Cycles begin at midnight UTC of the day after enrollment ends and of every seventh day
    before and after it. Without an end of enrollment: the start of the analysis.

    >>> cycle_start(datetime(2020, 1, 17, 4, tzinfo=UTC), date(2020, 1, 7)).isoformat()
    '2020-01-15T00:00:00+00:00'
    """
    if enrollment_end is None:
        return analysis_start.replace(second=0, microsecond=0)
    first = datetime.combine(enrollment_end + timedelta(days=1), time(), UTC)
    return first + (analysis_start - first) // timedelta(days=7) * timedelta(days=7)


def errors_json(rows: Iterable[ErrorRow], since: datetime) -> bytes:
    """The problems of one experiment since a moment (see `cycle_start`), the oldest first.

    Left out: that an experiment has ended or is still enrolling, which nobody need act on.
    """
    shown = (
        row
        for row in rows
        if row.timestamp >= since and row.exception_type not in NOT_YET_OR_NO_LONGER
    )
    in_time = sorted(shown, key=lambda row: row.timestamp)
    return msgspec.json.encode([_published(row) for row in in_time])


def read_errors(content: bytes) -> list[ErrorRow]:
    """The rows of an errors file, ours or another program's. Raises DataError."""
    try:
        return msgspec.json.decode(content, type=list[ErrorRow])
    except msgspec.DecodeError as error:
        raise DataError(f"this is not a file of errors: {error}") from error


def errors_table(rows: Sequence[ErrorRow]) -> pa.Table:
    """Rows as a table of `ERRORS_SCHEMA`."""
    return pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], ERRORS_SCHEMA)


def error_rows(table: pa.Table) -> list[ErrorRow]:
    """The rows of a table that has the columns of `ERRORS_SCHEMA`, in any order, and others."""
    columns = table.select(ERRORS_SCHEMA.names).cast(ERRORS_SCHEMA)
    return msgspec.convert(columns.to_pylist(), list[ErrorRow])


def _published(row: ErrorRow) -> _Published:
    return _Published(
        analysis_basis=row.analysis_basis,
        source=row.source,
        exception=row.exception,
        exception_type=row.exception_type,
        experiment=row.experiment,
        filename=row.filename,
        func_name=row.func_name,
        log_level=row.log_level,
        message=row.message,
        metric=row.metric,
        segment=row.segment,
        statistic=row.statistic,
        timestamp=row.timestamp.astimezone(UTC),
        analysis_period=row.analysis_period or msgspec.UNSET,
        sql=row.sql or msgspec.UNSET,
    )
