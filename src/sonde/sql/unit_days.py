"""Queries that make unit-days of a source's rows, and windows of unit-days: DuckDB SQL, as text.

A unit-day is one row per unit and day, and per set of experiments that the rows carry:
unit, day, carried, rows, and one column per partial aggregate (see `sonde.sql.partials`).
Merged unit-days have the unit's number __u, the window's __n, rows, and one column per state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sonde.errors import ConfigError
from sonde.metric import AnalysisBasis, DataSource, ExperimentsColumn
from sonde.sql.partials import Column, Split, State
from sonde.sql.text import identifier, quoted
from sonde.sql.translate import expression
from sonde.sql.units import ENROLLED, WindowRow, grid

WINDOW_KEYS = ("__u", "__n")
# What Parquet and numpy have no integer for. A sum of INT64 is one, or BigQuery would have failed.
_STORED = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT"}
_CARRIED_MAPS = {
    ExperimentsColumn.SIMPLE: ("ds.experiments", "kv.value"),
    ExperimentsColumn.NATIVE: ("ds.experiments", "kv.value.branch"),
    ExperimentsColumn.GLEAN: ("ds.ping_info.experiments", "kv.value.branch"),
}


def carried(kind: ExperimentsColumn, slugs: Iterable[str]) -> str | None:
    """DuckDB SQL over `ds`: which of the experiments a row carries, sorted, with commas between.

    Agrees with `sonde.sql.units.recorded_branch`: of a map's elements with one key the first
    counts. None when rows do not say, or no experiment is asked for.
    """
    wanted = sorted(set(slugs))
    if any("," in slug for slug in wanted):
        raise ConfigError(f"an experiment's slug has no comma: {wanted}")
    if not wanted or kind is ExperimentsColumn.NONE:
        return None
    listed = ", ".join(quoted(slug) for slug in wanted)
    if kind is ExperimentsColumn.EVENTS_STREAM:
        slug = expression("JSON_VALUE(ds.event_extra, '$.experiment')")
        branch = expression("JSON_VALUE(ds.event_extra, '$.branch')")
        return f"CASE WHEN {slug} IN ({listed}) AND {branch} IS NOT NULL THEN {slug} ELSE '' END"
    elements, branch = _CARRIED_MAPS[kind]
    keys = f"list_transform({elements}, lambda kv: kv.key)"
    first = f"list_position({keys}, kv.key) = i"
    counts = f"kv.key IN ({listed}) AND {branch} IS NOT NULL AND {first}"
    kept = f"list_filter({elements}, lambda kv, i: {counts})"
    names = f"list_sort(list_transform({kept}, lambda kv: kv.key))"
    return f"coalesce(array_to_string({names}, ','), '')"


def unit_days(
    relation: str,
    source: DataSource,
    unit_column: str,
    columns: Sequence[Column],
    days: tuple[str, str],
    slugs: Iterable[str] = (),
    units: str | None = None,
) -> str:
    """One row per unit and day, both inclusive; where rows say so, per set of experiments carried.

    relation: the source in DuckDB SQL. days: as SQL. slugs: experiments to look for in the rows.
    units: a table whose column `unit` has the ids that matter; None: all.
    """
    unit = f"CAST({expression(f'ds.{unit_column}')} AS VARCHAR)"
    day = f"CAST({expression(f'ds.{source.submission_date_column}')} AS DATE)"
    which = carried(source.experiments_column, slugs)
    keys = [f"{unit} AS unit", f"{day} AS day"]
    keys += [] if which is None else [f"{which} AS carried"]
    selected = [*keys, "count(*) AS rows"]
    selected += [f"{column.sql} AS {identifier(column.name)}" for column in columns]
    known = f"IN (SELECT unit FROM {units})" if units is not None else "IS NOT NULL"
    body = ",\n  ".join(selected)
    return f"""SELECT
  {body}
FROM {relation} AS ds
WHERE {day} BETWEEN {days[0]} AND {days[1]}
  AND {unit} {known}
GROUP BY {", ".join(str(i) for i in range(1, len(keys) + 1))}"""


def united(tables: Sequence[str], columns: Sequence[Column], *, carried: bool) -> str:
    """Several batches of unit-days as one: of each unit, day and set carried, one row."""
    keys = ["unit", "day", *(["carried"] if carried else [])]
    return _merged(tables, keys, columns)


def windows_of(
    unit_days: str,
    states: Sequence[State],
    windows: Sequence[WindowRow],
    anchor: AnalysisBasis,
    slug: str | None,
) -> str:
    """One row per enrolled unit and window in which it has rows.

    unit_days: name of a table of them. windows: of equal length, without gaps in their indices'
    days. anchor: the day that windows count from. slug: of the day of enrollment only rows that
    carry this experiment count; None: the source's rows do not say, all count.
    """
    start, days = grid(windows)
    indices = [window.index for window in windows]
    first, last = (min(indices) - 1) * days, max(indices) * days - 1
    since = "p.day - " + (
        "e.enrollment_date" if anchor is AnalysisBasis.ENROLLMENTS else "e.exposure_date"
    )
    offset = f"({since} - ({start}))"
    carries = ""
    if slug is not None:
        carries = f"\n  AND (p.day <> e.enrollment_date OR {_has(slug)})"
    selected = "".join(f",\n  {state.sql} AS {identifier(state.name)}" for state in states)
    return f"""SELECT
  e.__u,
  CAST({offset} // {days} AS INTEGER) + 1 AS __n,
  CAST(sum(p.rows) AS BIGINT) AS rows{selected}
FROM {unit_days} AS p
JOIN {ENROLLED} AS e ON e.analysis_id = p.unit
WHERE {offset} BETWEEN {first} AND {last}{carries}
GROUP BY 1, 2"""


def _has(slug: str) -> str:
    return f"contains(',' || p.carried || ',', {quoted(f',{slug},')})"


def merged(
    tables: Sequence[str], states: Sequence[State], keys: Sequence[str] = WINDOW_KEYS
) -> str:
    """Several tables of states of disjoint days as one, by `keys`: a day's added to what was.

    Leave out __n of the keys to make of windows what is true of all of them.
    """
    return _merged(tables, keys, states)


def _merged(tables: Sequence[str], keys: Sequence[str], parts: Sequence[Column | State]) -> str:
    names = ", ".join([*keys, "rows", *(identifier(part.name) for part in parts)])
    rows = "\n  UNION ALL ".join(f"SELECT {names} FROM {table}" for table in tables)
    made = "".join(
        f",\n  {part.merge.over(identifier(part.name))} AS {identifier(part.name)}"
        for part in parts
    )
    return f"""SELECT
  {", ".join(keys)},
  CAST(sum(rows) AS BIGINT) AS rows{made}
FROM (
  {rows}
)
GROUP BY {", ".join(keys)}"""


def storable(query: str, described: Sequence[tuple[str, str]]) -> str:
    """The query, with sums of integers as the integers that files hold.

    described: name and DuckDB type of each of its columns.
    """
    if not any(kind in _STORED for _, kind in described):
        return query
    columns = ", ".join(
        f"CAST({identifier(name)} AS {_STORED[kind]}) AS {identifier(name)}"
        if kind in _STORED
        else identifier(name)
        for name, kind in described
    )
    return f"SELECT {columns}\nFROM (\n{query}\n)"


def row_of_nulls(relation: str) -> str:
    """The source's columns, with one row in which each is NULL: what a unit without rows has."""
    return (
        f"(SELECT ds.* FROM (SELECT 1) LEFT JOIN (SELECT * FROM {relation} LIMIT 0) AS ds ON TRUE)"
    )


def metrics_of(enrollments: str, merged: str, metrics: Mapping[str, Split], nulls: str) -> str:
    """Columns __u, __n, branch, then one per metric, by name: a row per row of `enrollments`.

    enrollments: name of the table `sonde.sql.units.windowed_enrollments` made, with the columns
    the metrics mention. merged: name of a table of states. nulls: the source's row of NULLs.
    """
    constant = {name: made.empty for name, made in metrics.items() if not made.rest}
    selected = "".join(
        f",\n  CASE WHEN s.rows > 0 THEN {made.final} ELSE {_empty(name, made, nulls)} END"
        f" AS {identifier(name)}"
        for name, made in metrics.items()
    )
    empties = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in constant.items())
    joined = f"\nCROSS JOIN (SELECT {empties} FROM {nulls} AS ds) AS z" if constant else ""
    return f"""SELECT e.__u, e.__n, e.branch{selected}
FROM {enrollments} AS e
LEFT JOIN {merged} AS s ON s.__u = e.__u AND s.__n = e.__n{joined}"""


def _empty(name: str, made: Split, nulls: str) -> str:
    """The empty unit's value: of the one row, or of the unit when it mentions the enrollment."""
    if not made.rest:
        return f"z.{identifier(name)}"
    columns = ", ".join(f"e.{identifier(column)}" for column in sorted(made.rest))
    of_unit = f"(SELECT {columns}) AS e"
    return f"(SELECT {made.empty} FROM {of_unit}, {nulls} AS ds GROUP BY {columns})"
