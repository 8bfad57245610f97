"""What came of a step: rows, and what failed within it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sonde.errors import DataError, SondeError

# One row per estimate, or per number that cannot be had and why. Basis, period, window and source
# are key columns of the table. sonde: version of the program. configuration: repository@commit.
# inputs: table@version of its rows of the days that were read.
STATISTICS_COLUMNS = pa.schema(
    [
        ("metric", pa.string()),
        ("statistic", pa.string()),
        ("parameter", pa.float64()),
        ("branch", pa.string()),
        ("comparison", pa.string()),
        ("comparison_to_branch", pa.string()),
        ("ci_width", pa.float64()),
        ("point", pa.float64()),
        ("lower", pa.float64()),
        ("upper", pa.float64()),
        ("segment", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("sonde", pa.string()),
        ("configuration", pa.string()),
        ("inputs", pa.string()),
        ("query_id", pa.string()),
    ]
)

# The SQL behind the estimates, under the `query_id` that their rows name.
QUERIES_COLUMNS = pa.schema([("sql", pa.string())])

ERRORS_COLUMNS = pa.schema(
    [
        ("timestamp", pa.timestamp("us", "UTC")),
        ("log_level", pa.string()),
        ("message", pa.string()),
        ("exception_type", pa.string()),
        ("exception", pa.string()),
        ("filename", pa.string()),
        ("func_name", pa.string()),
        ("metric", pa.string()),
        ("statistic", pa.string()),
        ("segment", pa.string()),
        ("analysis_basis", pa.string()),
        ("analysis_period", pa.string()),
        ("window_index", pa.int32()),
        ("data_source", pa.string()),
        ("sql", pa.string()),
    ]
)


@dataclass(frozen=True)
class Problem:
    """Something that failed or deserves a warning, for the person who can act.

    level: `ERROR` or `WARNING`. sql: the statement that failed, if one did.
    """

    message: str
    level: str = "ERROR"
    exception_type: str | None = None
    exception: str | None = None
    filename: str | None = None
    func_name: str | None = None
    metric: str | None = None
    statistic: str | None = None
    segment: str | None = None
    sql: str | None = None

    @classmethod
    def of(cls, error: Exception, **about: Any) -> Problem:
        """What an exception says, and where in sonde it was raised."""
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        message = (
            str(error) if isinstance(error, SondeError) else f"{type(error).__name__}: {error}"
        )
        return cls(
            message=message,
            exception_type=type(error).__name__,
            exception=repr(error),
            filename=None if last is None else last.filename.rsplit("/", 1)[-1],
            func_name=None if last is None else last.name,
            sql=error.sql if isinstance(error, DataError) else None,
            **about,
        )
