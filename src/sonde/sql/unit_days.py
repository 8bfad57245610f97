"""Queries that make unit-days of a source's rows, and windows of unit-days: DuckDB SQL, as text.

A unit-day is one row per enrolled unit and day from its enrollment on: the experiment's number
__x, the unit's __u, __day, rows, and one column per partial aggregate (see `sonde.sql.partials`).
Of the enrollment day only rows that carry the experiment count, where rows say so. Merged
unit-days have __u, the window's __n, rows, and one column per state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sonde.metric import AnalysisBasis, DataSource
from sonde.sql.partials import Column, Split, State
from sonde.sql.text import identifier
from sonde.sql.translate import expression
from sonde.sql.units import ENROLLED, WindowRow, grid, recorded_branch

WINDOW_KEYS = ("__u", "__n")
# What Parquet and numpy have no integer for. A sum of INT64 is one, or BigQuery would have failed.
_STORED = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT"}


def unit_days(
    relation: str,
    source: DataSource,
    unit_column: str,
    columns: Sequence[Column],
    days: tuple[str, str],
    members: str,
) -> str:
    """One row per experiment, unit and day; days: first and last, as SQL.

    relation: the source in DuckDB SQL. members: name of a table of all experiments' units: __x,
    slug, __u, unit, enrollment_date.
    """
    unit = f"CAST({expression(f'ds.{unit_column}')} AS VARCHAR)"
    day = f"CAST({expression(f'ds.{source.submission_date_column}')} AS DATE)"
    recorded = recorded_branch(source.experiments_column, "m.slug")
    since = f"m.enrollment_date <= {day}"
    if recorded is not None:
        carries = f"{expression(recorded)} IS NOT NULL"
        since += f"\n  AND CASE WHEN m.enrollment_date = {day} THEN {carries} ELSE TRUE END"
    made = "".join(f",\n  {column.sql} AS {identifier(column.name)}" for column in columns)
    return f"""SELECT
  m.__x,
  m.__u,
  {day} AS __day,
  count(*) AS rows{made}
FROM {relation} AS ds
JOIN {members} AS m ON m.unit = {unit}
WHERE {day} BETWEEN {days[0]} AND {days[1]}
  AND {since}
GROUP BY 1, 2, 3"""


def windows_of(
    unit_days: str,
    states: Sequence[State],
    windows: Sequence[WindowRow],
    anchor: AnalysisBasis,
) -> str:
    """One row per enrolled unit and window in which it has rows.

    unit_days: an experiment's, as a relation. windows: of equal length, without gaps in their
    indices' days. anchor: the day that windows count from.
    """
    start, days = grid(windows)
    indices = [window.index for window in windows]
    first, last = (min(indices) - 1) * days, max(indices) * days - 1
    since = "p.__day - " + (
        "e.enrollment_date" if anchor is AnalysisBasis.ENROLLMENTS else "e.exposure_date"
    )
    offset = f"({since} - ({start}))"
    selected = "".join(f",\n  {state.sql} AS {identifier(state.name)}" for state in states)
    return f"""SELECT
  e.__u,
  CAST({offset} // {days} AS INTEGER) + 1 AS __n,
  CAST(sum(p.rows) AS BIGINT) AS rows{selected}
FROM {unit_days} AS p
JOIN {ENROLLED} AS e ON e.__u = p.__u
WHERE {offset} BETWEEN {first} AND {last}
GROUP BY 1, 2"""


def merged(
    tables: Sequence[str],
    parts: Sequence[Column | State],
    keys: Sequence[str] = WINDOW_KEYS,
) -> str:
    """Several tables of partial aggregates of disjoint rows as one, by `keys`.

    Leave out __n of the keys to make of windows what is true of all of them.
    """
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


def metrics_of(
    merged: str,
    metrics: Mapping[str, Split],
    nulls: str,
    with_rows: str,
    enrollments: str | None = None,
) -> str:
    """Columns __u, __n, then one per metric, by name, and `with_rows`: whether there are rows.

    merged: name of a table of states; a row for each of its rows. nulls: the source's row of
    NULLs. enrollments: name of the table `sonde.sql.units.windowed_enrollments` made, with the
    columns that metrics mention: a row for each of its rows.
    """
    if enrollments is None:
        finals = [f"{made.final} AS {identifier(name)}" for name, made in metrics.items()]
        columns = ",\n  ".join(["s.__u", "s.__n", *finals, f"TRUE AS {identifier(with_rows)}"])
        return f"SELECT\n  {columns}\nFROM {merged} AS s"
    selected = [
        f"CASE WHEN s.rows > 0 THEN {made.final} ELSE {_empty(name, made, nulls)} END"
        f" AS {identifier(name)}"
        for name, made in metrics.items()
    ]
    columns = ",\n  ".join(
        ["e.__u", "e.__n", *selected, f"s.rows IS NOT NULL AS {identifier(with_rows)}"]
    )
    constant = {name: made for name, made in metrics.items() if not made.rest}
    empties = ", ".join(f"{made.empty} AS {identifier(n)}" for n, made in constant.items())
    joined = f"\nCROSS JOIN (SELECT {empties} FROM {nulls} AS ds) AS z" if constant else ""
    return f"""SELECT
  {columns}
FROM {enrollments} AS e
LEFT JOIN {merged} AS s ON s.__u = e.__u AND s.__n = e.__n{joined}"""


def nothing_of(metrics: Mapping[str, Split], nulls: str, with_rows: str) -> str:
    """One row: what the metrics are for a unit without rows, if they mention no enrollment."""
    selected = [f"{made.empty} AS {identifier(name)}" for name, made in metrics.items()]
    columns = ",\n  ".join(
        [
            "CAST(NULL AS INTEGER) AS __u",
            "CAST(NULL AS INTEGER) AS __n",
            *selected,
            f"FALSE AS {identifier(with_rows)}",
        ]
    )
    return f"SELECT\n  {columns}\nFROM {nulls} AS ds"


def _empty(name: str, made: Split, nulls: str) -> str:
    """The empty unit's value: of the one row, or of the unit when it mentions the enrollment."""
    if not made.rest:
        return f"z.{identifier(name)}"
    columns = ", ".join(f"e.{identifier(column)}" for column in sorted(made.rest))
    of_unit = f"(SELECT {columns}) AS e"
    return f"(SELECT {made.empty} FROM {of_unit}, {nulls} AS ds GROUP BY {columns})"
