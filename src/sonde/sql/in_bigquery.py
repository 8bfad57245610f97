"""Queries that BigQuery runs as they stand: people's SQL in them is what they wrote.

Tables have Jetstream's columns in Jetstream's order; what sonde adds comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, DataSource, ExperimentsColumn, Metric, Segment
from sonde.sql.dialects import backquoted
from sonde.sql.enrollments import EnrollmentDates, in_dataset, signal_exposures
from sonde.sql.text import date_literal, indented, string
from sonde.sql.units import recorded_branch
from sonde.window import Window

REVISION = 1  # raise it when the same declaration would give other tables


@dataclass(frozen=True)
class Due:
    """A window, with the first and the last enrollment date of the units that are in it."""

    window: Window
    dates: EnrollmentDates


def enrollments(query: str, segments: Sequence[Segment], lost: Sequence[Segment]) -> str:
    """The enrollments table: one row per unit and branch, even if a custom query gives more.

    query: as `enrollments_query` makes it, with the segments; those that are lost are null.
    """
    found = [f"LOGICAL_OR(r.{_name(s)}) AS {_name(s)}" for s in segments]
    found += [f"CAST(NULL AS BOOL) AS {_name(s)}" for s in lost]
    columns = "".join(f"  {column},\n" for column in found)
    return f"""SELECT *, COUNT(*) OVER (PARTITION BY analysis_id) > 1 AS in_several_branches
FROM (
SELECT
  CAST(r.analysis_id AS STRING) AS analysis_id,
  CAST(r.branch AS STRING) AS branch,
  CAST(MIN(r.enrollment_date) AS DATE) AS enrollment_date,
  CAST(SUM(r.num_enrollment_events) AS INT64) AS num_enrollment_events,
{columns}  CAST(MIN(r.exposure_date) AS DATE) AS exposure_date,
  CAST(MAX(r.num_exposure_events) AS INT64) AS num_exposure_events
FROM (
{indented(query)}
) AS r
WHERE r.analysis_id IS NOT NULL AND r.branch IS NOT NULL AND r.enrollment_date IS NOT NULL
GROUP BY r.analysis_id, r.branch
)"""


def enrollments_counted(table: str, segments: Sequence[Segment]) -> str:
    """How many units have in common branch, dates and segments; those in several branches last."""
    names = "".join(f"r.{_name(s)}, " for s in segments)
    nulls = "".join("CAST(NULL AS BOOL), " for _ in segments)
    return f"""SELECT r.branch, r.enrollment_date, {names}MIN(r.exposure_date) AS exposure_date,
  FALSE AS in_several_branches, COUNT(*) AS units
FROM {table} AS r
WHERE NOT r.in_several_branches
GROUP BY r.branch, r.enrollment_date, {names}r.exposure_date IS NOT NULL
UNION ALL
SELECT CAST(NULL AS STRING), CAST(NULL AS DATE), {nulls}CAST(NULL AS DATE),
  TRUE, COUNT(DISTINCT analysis_id)
FROM {table}
WHERE in_several_branches
HAVING COUNT(*) > 0
ORDER BY in_several_branches, enrollment_date, branch"""


def no_enrollments(segments: Sequence[Segment]) -> str:
    """Stands for the enrollments table before there is one, to tell what a query would read."""
    columns = ["CAST(NULL AS STRING) AS analysis_id", "CAST(NULL AS STRING) AS branch",
               "CAST(NULL AS DATE) AS enrollment_date",
               "CAST(NULL AS INT64) AS num_enrollment_events"]  # fmt: skip
    columns += [f"CAST(NULL AS BOOL) AS {_name(s)}" for s in segments]
    columns += ["CAST(NULL AS DATE) AS exposure_date", "0 AS num_exposure_events",
                "FALSE AS in_several_branches"]  # fmt: skip
    return f"(SELECT {', '.join(columns)})"


def windowed(experiment: Experiment, basis: AnalysisBasis, due: Due, table: str) -> str:
    """The units of the enrollments `table` that have the whole window, with its first and last day.

    By exposure, with an experiment's own signal, exposures are those of the window.
    """
    units = ["analysis_id", "branch", "enrollment_date", "num_enrollment_events"]
    units += [s.name for s in experiment.segments]
    exposures = ["exposure_date", "num_exposure_events"]
    selected = [f"r.{backquoted(c)}" for c in units]
    selected += [
        f"{due.window.start} AS analysis_window_start",
        f"{due.window.last} AS analysis_window_end",
    ]
    signal, joined = experiment.exposure_signal, ""
    if basis is AnalysisBasis.EXPOSURES and signal is not None:
        found = signal_exposures(experiment, signal, due.dates, due.window, table)
        joined = f"\nLEFT JOIN (\n{indented(found)}\n) AS x USING (analysis_id, branch)"
        selected += [f"x.{c}" for c in exposures]
    else:
        selected += [f"r.{c}" for c in exposures]
    columns = ",\n  ".join([*selected, "r.in_several_branches"])
    last = date_literal(due.dates.last)
    return f"SELECT\n  {columns}\nFROM {table} AS r{joined}\nWHERE r.enrollment_date <= {last}"


def unit_metrics(
    experiment: Experiment,
    basis: AnalysisBasis,
    due: Due,
    source: DataSource,
    metrics: Sequence[Metric],
    table: str,
) -> str:
    """The metrics of one source for each unit in one window, whether it has rows or not.

    table: of enrollments.
    """
    units = unit_columns(s.name for s in experiment.segments)
    keys = ",\n  ".join(f"e.{backquoted(c)}" for c in units)
    values = [f"{m.select_expression} AS {backquoted(m.name)}" for m in metrics]
    unit = f"ds.{source.unit_column(experiment.analysis_unit)}"
    values += [f"{sql} AS {backquoted(name)}" for name, sql in _sanity(experiment, source).items()]
    values.append(f"COUNT({unit}) > 0 AS {backquoted(has_rows(source))}")
    selected = ",\n  ".join(values)
    relation = in_dataset(experiment, source.from_expression, source)
    return f"""SELECT
  {keys},
  {selected}
FROM (
{indented(windowed(experiment, basis, due, table))}
) AS e
LEFT JOIN {relation} AS ds
  ON {unit} = e.analysis_id
  AND {_within(experiment, basis, due, source)}
GROUP BY
  {keys}"""


def _within(experiment: Experiment, basis: AnalysisBasis, due: Due, source: DataSource) -> str:
    """The condition on a row's day; dates are written out so that partitions are skipped."""
    day, window = f"ds.{source.submission_date_column}", due.window
    is_own = experiment.exposure_signal is not None or basis is AnalysisBasis.ENROLLMENTS
    anchor = "e.enrollment_date" if is_own else "e.exposure_date"
    first, last = data_days(due)
    start, end = (f"DATE_ADD({anchor}, INTERVAL {n} DAY)" for n in (window.start, window.last))
    conditions = [
        f"{day} BETWEEN {date_literal(first)} AND {date_literal(last)}",
        f"{day} BETWEEN {start} AND {end}",
    ]
    recorded = recorded_branch(source.experiments_column, string(experiment.slug))
    if recorded is not None:
        conditions.append(f"({day} <> e.enrollment_date OR {recorded} IS NOT NULL)")
    return "\n  AND ".join(conditions)


def data_days(due: Due) -> tuple[date, date]:
    """First and last day of data that any unit needs."""
    first, last = due.dates.first.toordinal(), due.dates.last.toordinal()
    return (
        date.fromordinal(first + due.window.start),
        date.fromordinal(last + due.window.last),
    )


def _sanity(experiment: Experiment, source: DataSource) -> Mapping[str, str]:
    """Whether a source's rows agree with the enrollments; as `sonde.sql.units.sanity` says."""
    if source.experiments_column is ExperimentsColumn.NONE:
        return {}
    recorded = recorded_branch(source.experiments_column, string(experiment.slug))
    unit = f"ds.{source.unit_column(experiment.analysis_unit)}"
    return {
        f"{source.name}_has_contradictory_branch": (
            f"COALESCE(LOGICAL_OR({recorded} <> e.branch), FALSE)"
        ),
        f"{source.name}_has_non_enrolled_data": (
            f"COALESCE(LOGICAL_OR({unit} IS NOT NULL AND {recorded} IS NULL), FALSE)"
        ),
    }


def has_rows(source: DataSource) -> str:
    """The column that tells whether a unit has any row of the source in the window."""
    return f"{source.name}_has_rows"


def temporary(table: str, query: str) -> str:
    """The statement that fills a table which is gone after a day, should nobody drop it."""
    expires = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)"
    return f"CREATE TABLE {table}\nOPTIONS (expiration_timestamp = {expires}) AS\n{query}"


def union_view(tables: Mapping[int, str], columns: Iterable[str]) -> str:
    """The rows of the tables of each window, with its index."""
    names = ", ".join(map(backquoted, columns))
    return "\nUNION ALL\n".join(
        f"SELECT {names}, {index} AS window_index FROM {table}" for index, table in tables.items()
    )


_KEYS = ("analysis_id", "branch", "enrollment_date", "num_enrollment_events",
         "analysis_window_start", "analysis_window_end")  # fmt: skip


def unit_columns(segments: Iterable[str]) -> list[str]:
    """Of a table of units' metrics, the columns that tell of the unit and the window."""
    return [*_KEYS[:4], *segments, *_KEYS[4:], "exposure_date", "num_exposure_events"]


def metrics_view(
    segments: Sequence[str], sources: Sequence[tuple[Mapping[int, str], Sequence[str]]]
) -> str:
    """Every unit and window once, with the columns of all sources.

    sources: for each its tables by window, and the columns that are its own.
    """
    parts = []
    for place, (tables, own) in enumerate(sources):
        columns = [*(unit_columns(segments) if place == 0 else _KEYS), *own]
        parts.append(f"(\n{indented(union_view(tables, columns))}\n)")
    using = f"USING ({', '.join((*_KEYS, 'window_index'))})"
    joined = parts[0] + "".join(f"\nFULL OUTER JOIN {part} {using}" for part in parts[1:])
    return f"SELECT *\nFROM {joined}"


def _name(segment: Segment) -> str:
    return backquoted(segment.name)
