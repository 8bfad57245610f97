"""One row per unit and window, one column per metric: queries in DuckDB SQL.

A source's rows are joined to the enrolled units once (`rows_of`); every window of every period and
basis is then an aggregation over those rows (`units`). Each enrolled unit counts in each of its
windows, whether it has data or not: a metric of no rows is the expression over one row of nulls,
as a LEFT JOIN gives it (`no_rows`).

Columns that sonde adds begin with two underscores:
__u: number of the unit. __n: index of the window. __since_enrollment, __since_exposure: days from
there to the row's date. __recorded: the branch that the row names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from sonde.metric import AnalysisBasis, DataSource, ExperimentsColumn
from sonde.sql.text import date_literal, identifier, quoted, string
from sonde.sql.translate import expression

ENROLLED = "enrolled"  # the session's table of units: __u, and the columns of `enrollments_query`


@dataclass(frozen=True)
class WindowRow:
    """A window to fill. last_enrollment: units enrolled later are not in it."""

    index: int
    start: int
    stop: int
    last_enrollment: date


def recorded_branch(kind: ExperimentsColumn, slug: str) -> str | None:
    """BigQuery expression over `ds`: the branch that a row names for the experiment, or null.

    slug: the experiment's, as SQL.
    """
    match kind:
        case ExperimentsColumn.SIMPLE:
            return f"mozfun.map.get_key(ds.experiments, {slug})"
        case ExperimentsColumn.NATIVE:
            return f"mozfun.map.get_key(ds.experiments, {slug}).branch"
        case ExperimentsColumn.GLEAN:
            return f"mozfun.map.get_key(ds.ping_info.experiments, {slug}).branch"
        case ExperimentsColumn.EVENTS_STREAM:
            return (
                f"IF(JSON_VALUE(ds.event_extra, '$.experiment') = {slug}, "
                "JSON_VALUE(ds.event_extra, '$.branch'), NULL)"
            )
        case ExperimentsColumn.NONE:
            return None
        case _:
            assert_never(kind)


def numbered(file: str) -> str:
    """The rows of an enrollments' file, each with its number __u.

    They are in the order of their dates: who enrolls later changes nobody's number.
    """
    return (
        f"SELECT CAST(row_number() OVER () AS INTEGER) AS __u, *\nFROM read_parquet({quoted(file)})"
    )


def rows_of(
    relation: str,
    source: DataSource,
    unit_column: str,
    slug: str,
    columns: Sequence[str],
    days: tuple[str, str],
) -> str:
    """The source's rows of enrolled units within `days` (inclusive).

    Of the enrollment day only rows that carry the experiment, where rows say so.
    relation: the source in DuckDB SQL. columns: what is needed of it, as SQL. days: as SQL.
    """
    day = f"CAST({expression(f'ds.{source.submission_date_column}')} AS DATE)"
    unit = f"CAST({expression(f'ds.{unit_column}')} AS VARCHAR)"
    recorded = recorded_branch(source.experiments_column, string(slug))
    carries = ""
    if recorded is not None:
        carries = f"\n  AND ({day} <> en.enrollment_date OR {expression(recorded)} IS NOT NULL)"
    selected = "".join(f",\n  {column}" for column in columns)
    return f"""SELECT
  en.__u,
  CAST({day} - en.enrollment_date AS INTEGER) AS __since_enrollment,
  CAST({day} - en.exposure_date AS INTEGER) AS __since_exposure{selected}
FROM {relation} AS ds
JOIN {ENROLLED} AS en ON en.analysis_id = {unit}
WHERE {day} BETWEEN {days[0]} AND {days[1]}{carries}"""


def recorded_column(source: DataSource, slug: str) -> list[str]:
    """What `sanity` needs of the rows, as SQL."""
    recorded = recorded_branch(source.experiments_column, string(slug))
    return [] if recorded is None else [f"CAST({expression(recorded)} AS VARCHAR) AS __recorded"]


def windowed_enrollments(
    basis: AnalysisBasis,
    windows: Sequence[WindowRow],
    columns: Sequence[str],
    signal: str | None = None,
) -> str:
    """Each unit in each window it has the whole of: __u, __n, branch and the named columns.

    columns: of those of enrolled, analysis_window_start and analysis_window_end. signal: a table
    of (__u, __n, exposure_date, num_exposure_events) in place of the stored exposures, when the
    experiment has its own exposure signal.
    """
    values = ", ".join(
        f"({w.index}, {w.start}, {w.stop - 1}, {date_literal(w.last_enrollment)})" for w in windows
    )
    joined, exposed = "", ""
    of_signal = basis is AnalysisBasis.EXPOSURES and signal is not None
    if of_signal:
        joined = f"\nJOIN {signal} AS x ON x.__u = en.__u AND x.__n = w.__n"
    elif basis is AnalysisBasis.EXPOSURES:
        exposed = " AND en.exposure_date IS NOT NULL"
    selected = "".join(f", {_owner(c, of_signal)}.{identifier(c)}" for c in columns)
    return f"""SELECT en.__u, w.__n, en.branch{selected}
FROM {ENROLLED} AS en
CROSS JOIN (VALUES {values})
  AS w(__n, analysis_window_start, analysis_window_end, __last_enrollment){joined}
WHERE en.enrollment_date <= w.__last_enrollment{exposed}"""


def _owner(column: str, of_signal: bool) -> str:
    if column.startswith("analysis_window_"):
        return "w"
    return "x" if of_signal and "exposure" in column else "en"


def units(
    rows: str,
    metrics: Mapping[str, str],
    windows: Sequence[WindowRow],
    anchor: AnalysisBasis,
    bounds: tuple[str, str],
) -> str:
    """Columns __u, __n, then one per metric, by name, for units and windows that have rows.

    rows: name of the table `rows_of` made. metrics: name -> aggregate in DuckDB SQL over `ds`
    alone. windows: of equal length and without gaps in their indices' days. anchor: the day that
    windows count from. bounds: first and last index wanted, as SQL.
    """
    return f"""SELECT
  ds.__u,
  ds.__n{_selected(metrics)}
FROM (
{_rows_in_windows(rows, windows, anchor)}
) AS ds
WHERE ds.__n BETWEEN {bounds[0]} AND {bounds[1]}
GROUP BY ds.__u, ds.__n"""


def joined_units(
    enrollments: str,
    rows: str,
    metrics: Mapping[str, str],
    windows: Sequence[WindowRow],
    anchor: AnalysisBasis,
) -> str:
    """The same for metrics over `ds` and `e`, for every unit and window of `enrollments`.

    enrollments: name of the table `windowed_enrollments` made.
    """
    return f"""SELECT
  e.__u,
  e.__n{_selected(metrics)}
FROM {enrollments} AS e
LEFT JOIN (
{_rows_in_windows(rows, windows, anchor)}
) AS ds ON ds.__u = e.__u AND ds.__n = e.__n
GROUP BY e.__u, e.__n, e.branch"""


def no_rows(rows: str, metrics: Mapping[str, str]) -> str:
    """One row: what a metric over `ds` alone is for a unit without rows in a window."""
    return f"""SELECT
  CAST(NULL AS INTEGER) AS __u,
  CAST(NULL AS INTEGER) AS __n{_selected(metrics)}
FROM (SELECT 1) AS one
LEFT JOIN (SELECT *, 1 AS __n FROM {rows} LIMIT 0) AS ds ON TRUE"""


def _selected(metrics: Mapping[str, str]) -> str:
    return "".join(f",\n  {sql} AS {identifier(name)}" for name, sql in metrics.items())


def _rows_in_windows(rows: str, windows: Sequence[WindowRow], anchor: AnalysisBasis) -> str:
    start, days = grid(windows)
    since = "__since_enrollment" if anchor is AnalysisBasis.ENROLLMENTS else "__since_exposure"
    offset = f"({since} - ({start}))"
    return f"""  SELECT *, CAST({offset} // {days} AS INTEGER) + 1 AS __n
  FROM {rows}
  WHERE {offset} >= 0"""


def grid(windows: Sequence[WindowRow]) -> tuple[int, int]:
    """First day of the window with index 1, and the length of each."""
    first = windows[0]
    days = first.stop - first.start
    start = first.start - (first.index - 1) * days
    assert all(
        w.start == start + (w.index - 1) * days and w.stop - w.start == days for w in windows
    )
    return start, days


def sanity(source: DataSource) -> dict[str, str]:
    """Two columns that tell whether a source's rows agree with the enrollments.

    <source>_has_contradictory_branch: some row names another branch than the unit's.
    <source>_has_non_enrolled_data: some row does not carry the experiment.
    """
    if source.experiments_column is ExperimentsColumn.NONE:
        return {}
    return {
        f"{source.name}_has_contradictory_branch": (
            "COALESCE(bool_or(ds.__recorded <> e.branch), FALSE)"
        ),
        f"{source.name}_has_non_enrolled_data": (
            "COALESCE(bool_or(ds.__u IS NOT NULL AND ds.__recorded IS NULL), FALSE)"
        ),
    }
